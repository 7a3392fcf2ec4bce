"""One call's waiting for room, over all the times that it has to: where it may go, since when, and for how long."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final

from sekisho.config.snapshot import QueueSettings
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import UpstreamThrottled
from sekisho.gateway.queueing import Queue
from sekisho.gateway.record import CallRecord
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.waiters import Turn, Waiter
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.affinity import Home, cost_of_leaving, seconds_for
from sekisho.policy.routing.headroom import guess_used
from sekisho.policy.routing.load import Load

_BATCH_TAG: Final = "batch"
_BATCH_PRIORITY: Final = 100
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 8.0
_LONGEST_PATIENCE: Final = 60.0
"""Seconds that a session waits for its home alone, whatever its cache is worth, and two thirds of its whole wait."""

KeepOpen = Callable[[], AbstractAsyncContextManager[None]]
"""What keeps the connection to the client open while its call waits."""


class Waiting:
    """What one call needs to wait in line."""

    def __init__(
        self,
        queue: Queue,
        traffic: Traffic,
        settings: QueueSettings,
        caller: Caller,
        call: ClientCall,
        record: CallRecord,
        keep_open: KeepOpen,
    ) -> None:
        self._queue = queue
        self._traffic = traffic
        self._settings = settings
        self._team = caller.team_id or f"\0{caller.user_id or caller.owner}"
        self._weight = settings.team_weights.get(caller.team_id or "", 1.0)
        self._priority = find_priority(call)
        self._record = record
        self._keep_open = keep_open
        self._arrived: float | None = None
        self._not_before: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._last: Waiter | None = None

    def is_full(self, candidate: Candidate) -> bool:
        """Whether the call should wait for this deployment, if there is none that has room."""
        return candidate.load is not None and self._queue.is_full(candidate, self._record.clock.monotonic())

    def note_throttle(self, candidate: Candidate, error: UpstreamThrottled) -> None:
        """The deployment had no room after all: it is left alone for a while by this call, whatever others do."""
        name = candidate.target.deployment_id
        pause = self._pauses.get(name, _FIRST_PAUSE)
        self._pauses[name] = min(2 * pause, _LONGEST_PAUSE)
        told = error.retry_after if error.told else None
        self._not_before[name] = self._record.clock.monotonic() + (told or pause)
        if self._last is not None:
            self._queue.refund(self._last, candidate)

    async def next_turn(self, candidates: Iterable[Candidate], seconds: float) -> Turn | None:
        """Wait until one of the candidates has room, for so many seconds at most; None where all are broken.

        Raises UpstreamThrottled when that takes too long, or too many others wait.
        """
        known = [candidate for candidate in candidates if candidate.load is not None]
        if not any(self._is_sound(each) for each in known):
            return None
        waiter = self._last = self._make_waiter(known)
        left = min(seconds, self._settings.max_seconds - self._record.queued)
        with self._record.queueing():
            async with self._keep_open():
                return await self._queue.wait(waiter, left, self._settings.max_depth)

    def _is_sound(self, candidate: Candidate) -> bool:
        """Whether nothing is wrong but that it is full, or was so when the call first looked."""
        target, now = candidate.target, self._record.clock.monotonic()
        rests = self._traffic.rests.remaining(target.bucket, target.deployment_id, now) > 0
        return not rests or self.is_full(candidate) or target.deployment_id in self._not_before

    def _make_waiter(self, candidates: list[Candidate]) -> Waiter:
        now, load = self._record.clock.monotonic(), candidates[0].load
        assert load is not None
        home = self._traffic.lanes.affinity.find(load.session, now) if load.session is not None else None
        if self._arrived is None:
            self._arrived = self._record.clock.now()
            if home is not None:
                self._be_patient(candidates, home, load, now)
        if home is not None:
            candidates = sorted(candidates, key=lambda each: each.target.deployment_id != home.deployment_id)
        burndown = candidates[0].target.facts.burndown
        return Waiter(
            team=self._team,
            weight=self._weight,
            priority=self._priority,
            arrived=self._arrived,
            tokens=load.input + load.ceiling,
            likely=guess_used(load, 0 if home is None else home.cached, burndown),
            candidates=candidates,
            not_before=self._not_before,
            turn=asyncio.get_running_loop().create_future(),
        )

    def _be_patient(self, candidates: list[Candidate], home: Home, load: Load, now: float) -> None:
        """Go to others than the session's home only when waiting for it has cost more than to leave its cache.

        To leave it costs those who wait elsewhere, too: what is written to a cache takes their room, while what is read
        takes none. If everybody left whose home is full, nobody would ever find room.
        """
        targets = {each.target.deployment_id: each.target for each in candidates}
        here, lanes = targets.get(home.deployment_id), self._traffic.lanes
        most = min(_LONGEST_PATIENCE, self._settings.max_seconds * 2 / 3)
        if here is None or lanes.rests.remaining(here.bucket, here.deployment_id, now) > most:
            return
        cached = min(home.cached, load.input)
        for name, there in targets.items():
            if there is not here:
                delay = lanes.headroom(there.bucket).delay_by(cached, load, now)
                patience = min(most, seconds_for(cost_of_leaving(cached, here.price, there.price, delay)))
                self._not_before[name] = max(self._not_before.get(name, 0.0), now + patience)


def find_priority(call: ClientCall) -> int:
    """0 for interactive calls; batch calls say so by a `priority` of their own or the tag `batch`."""
    if call.priority is not None:
        return call.priority
    return _BATCH_PRIORITY if _BATCH_TAG in call.tags else 0
