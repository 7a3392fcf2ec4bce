"""This worker's shares of limits in time that it has in common with other workers.

A share is what the store has granted for the next two seconds. Calls take from it without asking anybody; the shares of
limits that are much used are renewed in the background, all in one transaction, and what was not used goes back. A
call's tokens count from its beginning here, for a span, even if it takes longer; what they were more, from its end.

While the database is away, a worker goes on with what it can vouch for (`fall_back`): in a minute as much as it had in
the last one, or its even share of the limit if that is more. All workers together then have less than twice the limit
in a minute, and an eighth more than it in a day, in the worst case, which is a burst that moves to workers that had
been idle; a lone worker stays within the limit of a minute.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import Grants, RateGrant, RateWant, Span
from sekisho.ledger.windows import SlidingWindow

_log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
"""How often shares are renewed and given back."""
_ACTIVE_SECONDS = 3.0
"""A limit that was not used for so long is not renewed."""
NOWHERE = 0
"""The stamp of what was taken without a grant."""
ANSWER_SECONDS = 10.0
"""How long a call waits for the store to answer."""
_AWAY_SECONDS = 1.0
"""How long the store is not asked again for a call, after it did not answer."""
_MINUTE_SECONDS = 60
_OUTAGE_PART = 8
"""Of limits per day, only this part of a worker's even share is for an outage: it will be over long before the day."""


class Share:
    """One limit in time, as this worker knows it.

    alone: whether a call that needs more than the limit may pass when nothing else is used, unless that is 0.
    window: what this worker used. held: what its calls under way have taken and not settled yet.
    left: what may still be used of the grant named `stamp`, until the monotonic time `until`.
    taken: what was taken in the last `second` of use, and in the one before it.
    unused: by stamp, what goes back. extra: what was used beyond all grants, and the store does not know.
    told: what everyone had used or been granted when the store was last asked, at `told_at`.
    pace: what this worker may have in its window while the database is away; None when it answered last time.
    """

    __slots__ = (
        *("alone", "extra", "held", "last_use", "left", "limit", "name", "pace", "span", "stamp"),
        *("second", "taken", "taken_before", "told", "told_at", "until", "unused", "window"),
    )

    def __init__(self, name: str, limit: int, span: Span, *, alone: bool) -> None:
        self.name = name
        self.limit = limit
        self.span = span
        self.alone = alone
        self.window = SlidingWindow(span)
        self.held = 0
        self.left = 0
        self.stamp = NOWHERE
        self.until = 0.0
        self.unused: dict[int, int] = {}
        self.extra = 0
        self.second = 0
        self.taken = 0
        self.taken_before = 0
        self.told = 0
        self.told_at = float("-inf")
        self.last_use = float("-inf")
        self.pace: int | None = None

    def used(self, now: float) -> int:
        """What this worker used in the span, with what its calls under way have taken."""
        return self.window.used(now) + self.held

    def admits(self, amount: int, now: float) -> bool:
        """Whether so much may be used now without asking."""
        if now < self.until and self.left >= amount:
            return True
        return self.pace is not None and self.used(now) + amount <= self.pace

    def use(self, amount: int, now: float) -> int:
        """Take so much; returns the stamp that says where from."""
        self.last_use = now
        second = int(now)
        if second != self.second:
            self.taken_before = self.taken if second == self.second + 1 else 0
            self.taken, self.second = 0, second
        self.taken += amount
        if now < self.until and self.left >= amount:
            self.left -= amount
            return self.stamp
        self.extra += amount
        return NOWHERE

    def correct(self, stamp: int, less: int, now: float) -> None:
        """A call has used so much less than it took under `stamp`; below zero, more."""
        if less < 0:
            self.use(-less, now)
        elif stamp == NOWHERE:
            self.extra -= min(less, self.extra)
        elif stamp == self.stamp and now < self.until:
            self.left += less
        else:
            self.unused[stamp] = self.unused.get(stamp, 0) + less

    def want(self, amounts: Sequence[int], now: float) -> RateWant:
        """What to tell the store, for calls that wait for `amounts`.

        What is left counts as given back from here on, for those who wait may need it; but where none waits and more
        will come, it goes on being used until the answer is there, or all that come meanwhile would have to wait.
        """
        ahead = self._ahead(now)
        if amounts or not ahead:
            self._put_back()
        unused, self.unused = self.unused, {}
        extra, self.extra = min(self.extra, self.used(now)), 0  # after an outage, some of it counts no more
        return RateWant(
            name=self.name,
            limit=self.limit,
            span=self.span,
            least=min(amounts, default=0),
            needed=sum(amounts),
            ahead=ahead,
            alone=self.alone and self.limit > 0,
            unused=unused,
            extra=extra,
        )

    def take(self, grant: RateGrant, asked_at: float) -> None:
        """The store has granted what was asked at a (monotonic) time."""
        spare = self.left  # of the grant before, which everyone still counts
        self._put_back()
        self.left, self.stamp, self.until = grant.amount, grant.stamp, asked_at + grant.seconds
        self.told, self.told_at = grant.used + grant.amount - spare, asked_at

    def lose(self, want: RateWant) -> None:
        """The store did not answer. What was to go back is given up, as it may have arrived; what is due stays due."""
        self.extra += want.extra

    def fall_back(self, workers: int, now: float) -> None:
        """Go on without the store, as one of so many workers."""
        if self.pace is None:
            used, even = self.used(now), self.limit // workers
            self.pace = max(used, even) if self.span.seconds <= _MINUTE_SECONDS else used + even // _OUTAGE_PART

    def is_due(self, now: float) -> bool:
        """Whether there is anything to tell the store."""
        ending = self.until - now <= ROUND_SECONDS
        return bool(self.unused or self.extra) or (ending and (self.left > 0 or self._ahead(now) > 0))

    def is_idle(self, now: float) -> bool:
        """Whether nothing is lost by forgetting it."""
        lately = now - self.last_use < self.span.seconds
        return not (lately or self.left or self.unused or self.extra or self.used(now))

    def _ahead(self, now: float) -> int:
        """What the calls of the next moments will probably use."""
        return self.taken + self.taken_before if now - self.second <= _ACTIVE_SECONDS else 0

    def _put_back(self) -> None:
        if self.left:
            self.unused[self.stamp] = self.unused.get(self.stamp, 0) + self.left
            self.left = 0


class Need(Struct, frozen=True):
    """What a call needs of a share."""

    share: Share
    amount: int


Answer = int | RateGrant
"""The stamp of what was taken, or the grant that did not reach."""


class _Waiter(Struct, frozen=True):
    """A call that waits for several shares."""

    needs: Sequence[Need]
    answers: "asyncio.Future[list[Answer]]"


class _Batch:
    """Calls that ask the store together."""

    def __init__(self) -> None:
        self.waiters: list[_Waiter] = []
        self.asking: asyncio.Task[None] | None = None


class Renewal:
    """One worker's dealings about its shares with the store: one transaction at a time, for all that wait for it."""

    def __init__(self, grants: Grants, clock: Clock) -> None:
        self._grants = grants
        self._clock = clock
        self._next = _Batch()
        self._turn = asyncio.Lock()
        self._away_until = float("-inf")
        self._fallen_back: dict[str, Share] = {}
        self._workers = 1

    def heard(self, workers: int) -> None:
        """The store answers, and knows of so many workers: what it has not granted counts no more."""
        self._workers, self._away_until = workers, float("-inf")
        for share in self._fallen_back.values():
            share.pace = None
        self._fallen_back.clear()

    async def refill(self, needs: Sequence[Need]) -> list[Answer]:
        """Ask for what a call needs, and take it as soon as it comes: what came for one must not go to another.

        Raises:
            StoreUnavailable: the database is away. A share may admit the call all the same.
        """
        if self._clock.monotonic() < self._away_until:
            raise self._fall_back([need.share for need in needs])
        batch, waiter = self._next, _Waiter(needs, asyncio.get_running_loop().create_future())
        batch.waiters.append(waiter)
        if batch.asking is None:
            batch.asking = asyncio.create_task(self._ask(batch))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await waiter.answers
        except (TimeoutError, asyncio.CancelledError) as error:
            self._give_up(waiter)
            if isinstance(error, asyncio.CancelledError):
                raise
            _log.warning("the database has not answered about limits for %.0f s", ANSWER_SECONDS)
            raise self._fall_back([need.share for need in needs]) from error

    async def run(self, shares: Callable[[], Sequence[Share]]) -> None:
        """Renew what is in use and give back what is not, for ever."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.renew(shares())
            except StoreUnavailable as error:
                _log.warning("shares of limits cannot be renewed: %s", error.__cause__)

    async def renew(self, shares: Sequence[Share]) -> None:
        """One round. Raises StoreUnavailable."""
        async with self._turn:
            now = self._clock.monotonic()
            await self._exchange({share.name: (share, []) for share in shares if share.is_due(now)})

    async def _ask(self, batch: _Batch) -> None:
        await asyncio.sleep(0)  # calls of the same turn of the loop ask together
        async with self._turn:
            self._next = _Batch()
            waiting = [waiter for waiter in batch.waiters if not waiter.answers.done()]
            wanted: dict[str, tuple[Share, list[int]]] = {}
            for need in (need for waiter in waiting for need in waiter.needs):
                wanted.setdefault(need.share.name, (need.share, []))[1].append(need.amount)
            try:
                grants = await self._exchange(wanted)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is for those who wait
                for waiter in waiting:
                    if not waiter.answers.done():
                        waiter.answers.set_exception(error)
                return
            _hand_out(waiting, grants, self._clock.monotonic())

    async def _exchange(self, wanted: dict[str, tuple[Share, list[int]]]) -> dict[str, RateGrant]:
        if not wanted:
            return {}
        asked_at = self._clock.monotonic()
        wants = [(share, share.want(amounts, asked_at)) for share, amounts in wanted.values()]
        try:
            grants = await self._grants.exchange([want for _, want in wants])
        except StoreUnavailable as error:
            for share, want in wants:
                share.lose(want)
            raise self._fall_back([share for share, _ in wants]) from error.__cause__
        self.heard(self._workers)
        for (share, _), grant in zip(wants, grants, strict=True):
            share.take(grant, asked_at)
        return dict(zip(wanted, grants, strict=True))

    def _give_up(self, waiter: _Waiter) -> None:
        """A call waits no longer. What came for it in the same moment is taken back."""
        if not waiter.answers.cancelled() and waiter.answers.exception() is None:
            for need, answer in zip(waiter.needs, waiter.answers.result(), strict=True):
                if isinstance(answer, int):
                    need.share.correct(answer, need.amount, self._clock.monotonic())

    def _fall_back(self, shares: Sequence[Share]) -> StoreUnavailable:
        """Let these shares go on without the store for now; returns what to tell those that cannot."""
        now = self._clock.monotonic()
        self._away_until = now + _AWAY_SECONDS
        for share in shares:
            share.fall_back(self._workers, now)
            self._fallen_back[share.name] = share
        return StoreUnavailable("The database does not answer; try again in a moment.")


def _hand_out(waiting: Sequence[_Waiter], grants: Mapping[str, RateGrant], now: float) -> None:
    """Give those who waited what they need, first come first served."""
    for waiter in waiting:
        if not waiter.answers.done():
            waiter.answers.set_result(
                [
                    need.share.use(need.amount, now) if need.share.admits(need.amount, now) else grants[need.share.name]
                    for need in waiter.needs
                ]
            )
