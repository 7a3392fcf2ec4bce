"""Asks the upstreams, in the background, what the configuration does not say of its deployments.

What an upstream tells is used from then on: the model behind an opaque name, and with it price and abilities, and the
quotas of an account. Nobody waits for it, and what is not told is logged once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from sekisho.core.target import Discoverable, Target
from sekisho.gateway.roads import World
from sekisho.gateway.traffic import Traffic
from sekisho.policy.routing.headroom import Quota
from sekisho.telemetry.log import log_crash_aside, log_untold

AGAIN_SECONDS = 3600.0
"""How often everything is asked again: quotas are raised, and rights are granted, without a restart."""

_AT_ONCE = 4


class Discoverer:
    """Asks all targets now, when they have changed, and every hour. Quotas are told to `traffic`."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._reported: set[str] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self, world: Callable[[], World]) -> None:
        """Begin to ask the targets of the configuration that is in use at the time."""
        self._running = asyncio.create_task(self._run(world), name="discovery")

    async def close(self) -> None:
        """Ask no more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def doubt(self) -> None:
        """The targets may be others now: ask them soon."""
        self._changed.set()

    async def _run(self, world: Callable[[], World]) -> None:
        while True:
            self._changed.clear()
            await self.ask_all(world().targets.values())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._changed.wait()

    async def ask_all(self, targets: Iterable[Target]) -> None:
        """Ask every one of the targets that can be asked."""
        await asyncio.gather(*[self._ask(each, each) for each in targets if isinstance(each, Discoverable)])

    async def _ask(self, target: Target, upstream: Discoverable) -> None:
        try:
            async with self._places:
                discovery = await upstream.discover()
        except Exception:  # noqa: BLE001  # an answer that nobody foresaw must not end the asking, and no call needs it
            log_crash_aside("discovery", target.deployment_id)
            return
        if (quota := discovery.quota) is not None:
            self._traffic.tell_quota(target.bucket, Quota(quota.tokens_per_minute, quota.requests_per_minute))
        for problem in discovery.problems:
            if problem not in self._reported:
                self._reported.add(problem)
                log_untold(target.deployment_id, problem)
