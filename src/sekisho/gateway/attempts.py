"""Try the targets of a plan, one after the other, until one does what is asked.

A target that fails with the verdict "elsewhere" is left at once: for the next deployment of its group, then for the
fallbacks. Only where a group has no other deployment left is the same target tried again, after a growing pause, and
only if its failure is of the kind that passes. Nothing waits after the last attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Generic, TypeVar

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest, SekishoError, Unsupported, UpstreamError, UpstreamUnavailable
from sekisho.core.target import Target
from sekisho.gateway.cooldowns import Cooldowns
from sekisho.gateway.failures import Failures
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.telemetry.log import log_upstream_failure

_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 8.0

_Done = TypeVar("_Done")


class Candidate(Struct, frozen=True):
    """A deployment and the target it resolves to."""

    deployment: Deployment
    target: Target


class Road(Struct, frozen=True):
    """One model group of a plan, with its candidates in the order to try them."""

    group: str
    candidates: tuple[Candidate, ...]


class Attempts(Generic[_Done]):
    """The attempts of one call; the meter and the record are told of each. `try_once` is what is done at a target."""

    def __init__(
        self,
        try_once: Callable[[Candidate], Awaitable[_Done]],
        *,
        call: ClientCall,
        snapshot: Snapshot,
        cooldowns: Cooldowns,
        random: Random,
        meter: Meter,
        record: CallRecord,
    ) -> None:
        self._try_once = try_once
        self._snapshot = snapshot
        self._cooldowns = cooldowns
        self._random = random
        self._meter = meter
        self._record = record
        self._failures = Failures()
        self._seconds = call.timeout or snapshot.request_timeout
        self._repeats_left = snapshot.num_retries if call.num_retries is None else call.num_retries

    async def first_that_succeeds(self, roads: Sequence[Road]) -> _Done:
        """What the first target that succeeds gives. Raises the error that says most about why there is none."""
        try:
            async with asyncio.timeout(self._seconds):
                for road in roads:
                    if (done := await self._try_road(road)) is not None:
                        return done
        except TimeoutError:
            message = f"No model answered within {self._seconds:g} s."
            self._failures.add(UpstreamUnavailable(message, verdict="never", native="timeout", status=504))
        raise self._failures.most_telling()

    async def _try_road(self, road: Road) -> _Done | None:
        if self._record.group not in (None, road.group):
            self._record.fallbacks += 1
        self._record.group = road.group
        last = len(road.candidates) - 1
        for position, candidate in enumerate(road.candidates):
            if (done := await self._try_candidate(candidate, may_repeat=position == last)) is not None:
                return done
        return None

    async def _try_candidate(self, candidate: Candidate, *, may_repeat: bool) -> _Done | None:
        pause = _PAUSE_SECONDS
        while True:
            if self._record.target is not None:
                self._record.retries += 1
            self._record.target = candidate.target
            try:
                done = await self._try_once(candidate)
            except InvalidRequest as error:
                if not isinstance(error, Unsupported):  # it is the same request wherever it goes
                    raise
                self._note_failure(candidate.target, error)
                return None
            except SekishoError as error:
                self._note_failure(candidate.target, error)
                verdict = error.verdict if isinstance(error, UpstreamError) else "elsewhere"
                if verdict == "never":
                    raise self._failures.most_telling() from error
                if verdict == "elsewhere" or not may_repeat or self._repeats_left <= 0:
                    return None
                self._repeats_left -= 1
                with self._record.waiting():
                    await asyncio.sleep((error.retry_after or pause) * (1 + self._random.random() / 4))
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)
            else:
                self._cooldowns.wake(candidate.target.bucket)
                return done

    def _note_failure(self, target: Target, error: SekishoError) -> None:
        self._meter.not_taken()
        self._failures.add(error)
        log_upstream_failure(self._record.id, target, error)
        if isinstance(error, UpstreamError) and error.cooldown > 0:
            configured = self._snapshot.cooldown_time
            self._cooldowns.rest(target.bucket, error.cooldown if configured is None else configured)
