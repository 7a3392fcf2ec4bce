"""Keeps AWS keys fresh without anyone waiting for it.

Each distinct `CredentialSettings` has one `CredentialSource`, shared by all deployments that use it. What blocks
(botocore's chain, STS) runs in a thread. Times are in seconds.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from sekisho.core.clock import Clock
from sekisho.providers.aws.chain import (
    CredentialFailure,
    CredentialSettings,
    KeyFinder,
    assume_role,
    assume_role_with_token,
)
from sekisho.providers.aws.clients import in_thread
from sekisho.providers.aws.signing import Keys

AHEAD = 300.0
"""How long before they expire keys are renewed in the background."""

MANDATORY = 60.0
"""How long before they expire keys are no longer handed out without an attempt at new ones."""

RECHECK = 60.0
"""How often keys without a known expiry are asked for again: botocore renews what its chain found by itself."""

PAUSE = 5.0
"""How long after a failure nobody asks again, and how long new keys are kept even if they are refused."""

_AT_ONCE = 4
"""How many sessions of one role are asked for at the same time."""


class CredentialSource:
    """Keys that are fetched once for all who ask at the same time, and renewed before they expire.

    `forget` is called before keys are fetched to replace refused ones; None when fetching again cannot give others.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Keys]], clock: Clock, *, forget: Callable[[], None] | None = None
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._forget = forget
        self._held: Keys | None = None
        self._renew_at = 0.0
        self._fetched_at = float("-inf")
        self._paused_until = float("-inf")
        self._failure: CredentialFailure | None = None
        self._pending: asyncio.Task[Keys] | None = None

    @property
    def renewable(self) -> bool:
        """Whether asking again may give other keys."""
        return self._forget is not None

    def expire(self) -> None:
        """The keys were refused: unless they are brand-new, they are not handed out again."""
        if self._forget is not None and self._clock.monotonic() >= self._fetched_at + PAUSE:
            self._held = None
            self._forget()

    async def keys(self) -> Keys:
        """Keys that are valid now. Raises CredentialFailure."""
        held, now = self._held, self._clock.now()
        if held is None or (held.expires is not None and now >= held.expires - MANDATORY):
            return await self._renewed(held)
        if now >= self._renew_at and not self._paused():
            self._renewal()
        return held

    def _paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until

    async def _renewed(self, held: Keys | None) -> Keys:
        """New keys, or the old ones as long as they last if new ones cannot be had."""
        try:
            if self._pending is None and self._failure is not None and self._paused():
                raise self._failure.with_traceback(None)
            # Shielded, because the others who wait must not lose the keys when this caller hangs up.
            return await asyncio.shield(self._renewal())
        except CredentialFailure:
            if held is not None and held.expires is not None and self._clock.now() < held.expires:
                return held
            raise

    def _renewal(self) -> "asyncio.Task[Keys]":
        """The fetch under way; a new one if there is none."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._renew(), name="renew AWS credentials")
            self._pending.add_done_callback(_observe)
        return self._pending

    async def _renew(self) -> Keys:
        try:
            keys = await self._fetch()
        except CredentialFailure as failure:
            self._failure = failure
            self._paused_until = self._clock.monotonic() + PAUSE
            raise
        else:
            self._hold(keys)
            return keys
        finally:
            self._pending = None

    def _hold(self, keys: Keys) -> None:
        now = self._clock.now()
        self._held, self._failure = keys, None
        self._fetched_at = self._clock.monotonic()
        if keys.expires is not None:
            self._renew_at = max(keys.expires - AHEAD, now + PAUSE)
        else:
            self._renew_at = now + RECHECK if self.renewable else float("inf")


def _observe(task: "asyncio.Task[Any]") -> None:
    """Takes note of a failure that nobody waited for: the next who asks is told."""
    if not task.cancelled():
        task.exception()


_sources: "weakref.WeakValueDictionary[tuple[CredentialSettings, Clock], CredentialSource]" = (
    weakref.WeakValueDictionary()
)


def source_for(settings: CredentialSettings, clock: Clock) -> CredentialSource:
    """The one source of these settings; it lives as long as a deployment uses it, across changes of configuration."""
    source = _sources.get((settings, clock))
    if source is None:
        source = _make_source(settings, clock)
        _sources[settings, clock] = source
    return source


class _Desk:
    """Where the sessions of one role are asked for: a few at a time, and by nobody for a moment after it was away."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._closed_until = float("-inf")
        self._failure: CredentialFailure | None = None

    async def ask(self, work: Callable[[], Keys]) -> Keys:
        """What `work` gives. Raises CredentialFailure."""
        async with self._places:
            if self._failure is not None and self._clock.monotonic() < self._closed_until:
                raise self._failure.with_traceback(None)
            try:
                keys = await in_thread(work)
            except CredentialFailure as failure:
                if failure.kind == "unavailable":
                    self._failure, self._closed_until = failure, self._clock.monotonic() + PAUSE
                raise
            self._failure = None
            return keys


_desks: "weakref.WeakValueDictionary[tuple[CredentialSettings, Clock], _Desk]" = weakref.WeakValueDictionary()


def _desk_for(settings: CredentialSettings, clock: Clock) -> _Desk:
    """The one desk of a role, whatever its sessions are called."""
    role = replace(settings, session_name="", session_tags=())
    desk = _desks.get((role, clock))
    if desk is None:
        desk = _desks[role, clock] = _Desk(clock)
    return desk


def _make_source(settings: CredentialSettings, clock: Clock) -> CredentialSource:
    if settings.role_arn is None:
        finder = KeyFinder(settings)
        forget = finder.forget if settings.access_key_id is None else None
        return CredentialSource(lambda: in_thread(finder.find), clock, forget=forget)
    desk = _desk_for(settings, clock)
    if settings.web_identity_token is not None:
        return CredentialSource(lambda: desk.ask(partial(assume_role_with_token, settings)), clock, forget=lambda: None)
    base = source_for(settings.base(), clock)

    async def assume() -> Keys:
        try:
            return await desk.ask(partial(assume_role, settings, await base.keys()))
        except CredentialFailure as failure:
            if failure.kind == "refused":
                base.expire()
            raise

    return CredentialSource(assume, clock, forget=lambda: None)


async def find_default_credentials() -> bool:
    """Whether botocore's default chain finds anything; a broken configuration counts, for it was meant to be used."""
    try:
        await in_thread(KeyFinder(CredentialSettings(region="")).find)
    except CredentialFailure as failure:
        return failure.kind != "absent"
    return True
