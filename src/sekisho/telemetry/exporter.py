"""Sends spans to one destination, in batches, beside the calls: it never makes one wait and never fails one.

What a destination does not take for the moment is sent again a few times; meanwhile what comes waits in a queue of
limited length. What finds no place there is given up, and so is what a destination refuses; both are counted.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from sekisho.telemetry.destinations import Destination, Export
from sekisho.telemetry.metrics import Delivery, Metrics
from sekisho.telemetry.spans import write_origin, write_request

_log = logging.getLogger("sekisho")

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between one attempt at a batch and the next."""
_MOST_PAUSE: Final = 60.0
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_ONE_IS_WRONG: Final = frozenset({400, 413, 422})
"""Statuses with which servers refuse a whole batch, also for one span in it."""
_MOST_PARTS: Final = 40
"""Requests that the search for wrong spans in a batch may take: enough to find two in 512."""
_TIMEOUT_SECONDS: Final = 10.0
_FLUSH_SECONDS: Final = 5.0


class Answer(Struct, frozen=True):
    """What a destination said; `status` is 0 when it could not be reached. `retry_after`: seconds, where it told."""

    status: int
    retry_after: float | None = None


Post = Callable[[str, Mapping[str, str], bytes, float], Awaitable[Answer]]
"""Sends a body to a URL with these headers, within so many seconds. Raises nothing."""


class Exporter:
    """The queue of one destination, and the task that empties it. To be started inside the running loop."""

    def __init__(
        self,
        destination: Destination,
        export: Export,
        version: str,
        post: Post,
        metrics: Metrics,
        *,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._pauses = pauses
        self._destination = destination
        self._headers = {"content-type": "application/x-protobuf", **destination.headers}
        self._export = export
        self._prefix, self._scope = write_origin(export.resource, version)
        self._post = post
        self._metrics = metrics
        self._queue: deque[bytes] = deque()
        self._full = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def put(self, spans: bytes) -> None:
        """Take the spans of a call."""
        queue = self._queue
        if len(queue) >= self._export.queue:
            self._metrics.count_exports(self._destination.name, "queue_full")
            return
        queue.append(spans)
        if len(queue) >= self._export.batch and not self._full.is_set():
            self._full.set()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name=f"spans-{self._destination.name}")

    async def close(self) -> None:
        """Send what is waiting, as far as that is quickly done, and stop."""
        self._closing.set()
        self._full.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _FLUSH_SECONDS)
        if self._queue:
            _log.warning("spans of %d calls were not sent destination=%s", len(self._queue), self._destination.name)

    async def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._export.delay)
            self._full.clear()
            await self._send_waiting()
        await self._send_waiting()

    async def _send_waiting(self) -> None:
        """Send what is in the queue now. It stays there until its fate is known, so that it counts for the limit."""
        left = len(self._queue)
        while left > 0:
            size = min(left, self._export.batch)
            await self._send(list(islice(self._queue, size)))
            for _ in range(size):
                self._queue.popleft()
            left -= size

    async def _send(self, batch: Sequence[bytes]) -> None:
        answer = await self._deliver(batch)
        if answer.status in _ONE_IS_WRONG and len(batch) > 1:
            await self._send_parts(batch)
        else:
            self._note(answer, len(batch))

    async def _deliver(self, batch: Sequence[bytes]) -> Answer:
        """The last word about a batch."""
        body = write_request(batch, self._prefix, self._scope)
        for pause in (*self._pauses, None):
            answer = await self._post(self._destination.url, self._headers, body, _TIMEOUT_SECONDS)
            if (answer.status and answer.status not in _PASSING) or pause is None or self._closing.is_set():
                break
            self._say(answer)
            with contextlib.suppress(TimeoutError):
                wait = min(max(pause, answer.retry_after or 0.0), _MOST_PAUSE)
                await asyncio.wait_for(self._closing.wait(), wait)
        return answer

    async def _send_parts(self, batch: Sequence[bytes]) -> None:
        """Halve what was refused until the wrong spans are alone, or the search takes too long."""
        middle = len(batch) // 2
        parts = deque((batch[:middle], batch[middle:]))
        tried = 0
        while parts:
            part = parts.popleft()
            tried += 1
            answer = await self._deliver(part)
            if answer.status in _ONE_IS_WRONG and len(part) > 1 and tried < _MOST_PARTS:
                middle = len(part) // 2
                parts.extendleft((part[middle:], part[:middle]))
            else:
                self._note(answer, len(part))

    def _note(self, answer: Answer, calls: int) -> None:
        outcome: Delivery = "unreachable"
        if 200 <= answer.status < 300:
            outcome = "exported"
        elif answer.status and answer.status not in _PASSING:
            outcome = "refused"
        self._metrics.count_exports(self._destination.name, outcome, calls)
        self._say(answer)

    def _say(self, answer: Answer) -> None:
        """Log when it stops working, and when it works again."""
        failing = not 200 <= answer.status < 300
        if failing == self._failing:
            return
        self._failing = failing
        if not failing:
            _log.info("spans are taken again destination=%s", self._destination.name)
        elif answer.status:
            _log.warning("spans are not taken destination=%s status=%d", self._destination.name, answer.status)
        else:
            _log.warning("spans are not taken destination=%s: it cannot be reached", self._destination.name)
