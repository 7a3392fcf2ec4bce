"""In which order the deployments of a model group are tried."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from sekisho.policy.routing.affinity import Home, cost_of_leaving, is_worth_waiting
from sekisho.policy.routing.fleet import Option
from sekisho.policy.routing.strategies import STRATEGIES, Ask, Strategy, choose_by_headroom

_LOOK_AGAIN_SECONDS: Final = 0.25
"""A call that waits looks again so often, since calls under way end when they please."""
_LONGEST_WAIT: Final = 60.0
"""Seconds that a call waits for its home at most, whatever the cache is worth: somebody is looking."""


class Chosen(Struct, frozen=True):
    """An option to be tried next.

    wait: when it is not 0, nothing is to be tried now, but what comes next is to be asked for in so many seconds: to
      wait for this option costs less than to have the session's prompt cached elsewhere.
    full: whether it probably has no room for the call now.
    """

    option: Option
    wait: float = 0.0
    full: bool = False


def line_up(ask: Ask, strategy: str) -> Iterator[Chosen]:
    """The options one after the other; each is chosen when it is asked for, by what is known then.

    First comes the one that holds the session's prompt cache (with our own strategy), then those with room by `order`
    and strategy, then those without, the first to be free first, and last those at rest, the first to wake first. Those
    that are busy are left out.
    """
    return _Line(ask, STRATEGIES[strategy])


class _Line(Iterator[Chosen]):
    """See `line_up`. Of most calls only the first is asked for, which is chosen without much ado."""

    __slots__ = ("_ask", "_at_home", "_begun", "_choose", "_others")

    def __init__(self, ask: Ask, choose: Strategy) -> None:
        self._ask = ask
        self._choose = choose
        self._at_home = choose is choose_by_headroom and ask.load.session is not None
        """Whether the session's home is still to be looked at."""
        self._begun = False
        """Whether one was chosen that is not the home."""
        self._others: Iterator[Chosen] | None = None

    def __next__(self) -> Chosen:
        """The next one. Raises StopIteration when all are gone through."""
        ask = self._ask
        if not self._begun:
            ask.look()
            if self._at_home and (home := self._go_home()) is not None:
                return home
            self._begun = True
            if not ask.fleet.has_orders and (option := self._choose(ask, _available(ask, ask.places))) is not None:
                ask.taken.add(option.index)
                return Chosen(option)
        if self._others is None:
            self._others = self._choose_others()
        return next(self._others)

    def _go_home(self) -> Chosen | None:
        """The session's home; None once it is tried, or left for good."""
        ask, session = self._ask, self._ask.load.session
        home = None if session is None else _find_home(ask, session)
        if home is None or home.wait <= 0:
            self._at_home = False
        if home is not None and home.wait <= 0:
            ask.taken.add(home.option.index)
        return home

    def _choose_others(self) -> Iterator[Chosen]:
        ask = self._ask
        ask.look()
        for places in _split_by_order(ask):
            yield from _exhaust(ask, self._choose, places)
        yield from _exhaust(ask, _choose_first_to_be_free, ask.places, full=True)
        while (sleeper := _find_first_to_wake(ask)) is not None:
            ask.taken.add(sleeper.index)
            yield Chosen(sleeper)


def _exhaust(ask: Ask, choose: Strategy, places: Sequence[int], *, full: bool = False) -> Iterator[Chosen]:
    while (option := choose(ask, _available(ask, places))) is not None:
        ask.taken.add(option.index)
        yield Chosen(option, 0.0, full)
        ask.look()


def _available(ask: Ask, places: Iterable[int]) -> Iterator[Option]:
    """The options that are awake and not busy; none is looked at before it is asked for."""
    options = map(ask.fleet.options.__getitem__, places)
    if ask.taken or ask.fleet.has_bounds or ask.lanes.rests.any:
        return filter(partial(_is_available, ask), options)
    return options


def _is_available(ask: Ask, option: Option) -> bool:
    return option.index not in ask.taken and not ask.is_busy(option) and ask.rest(option) <= 0


def _split_by_order(ask: Ask) -> Iterable[Sequence[int]]:
    """The places of each `order`, the lowest first; they are sorted by it."""
    if not ask.fleet.has_orders:
        return (ask.places,)
    blocks: dict[int, list[int]] = {}
    for place in ask.places:
        blocks.setdefault(ask.fleet.options[place].order, []).append(place)
    return blocks.values()


def _choose_first_to_be_free(ask: Ask, options: Iterable[Option]) -> Option | None:
    return min(options, key=lambda option: ask.lane(option).headroom.free_at(ask.load, ask.now), default=None)


def _find_first_to_wake(ask: Ask) -> Option | None:
    left = (option for option in ask.fleet.options if option.index not in ask.taken)
    return min((option for option in left if not ask.is_busy(option)), key=ask.rest, default=None)


def _find_home(ask: Ask, session: str) -> Chosen | None:
    """The option that holds the session's prompt cache, unless it costs less to leave it than to wait for it."""
    lanes, now = ask.lanes, ask.now
    home = lanes.affinity.find(session, now)
    option = ask.fleet.by_id.get(home.deployment_id) if home is not None else None
    if home is None or option is None or (option.most_parallel is not None and ask.is_busy(option)):
        return None
    wait = lanes.rests.remaining(option.bucket, option.id, now)
    headroom = lanes.lane(option.id, option.bucket, now).headroom
    if wait <= 0:
        if headroom.takes(ask.load, now):
            return Chosen(option)
        wait = headroom.free_at(ask.load, now) - now
    if not 0 < wait <= _LONGEST_WAIT - ask.waited or not _is_worth_waiting(ask, home, option, wait):
        return None
    pause = min(wait, _LOOK_AGAIN_SECONDS)
    ask.waited += pause
    lanes.affinity.wait(session, home, pause)
    headroom.wait(pause, now)
    return Chosen(option, pause)


def _is_worth_waiting(ask: Ask, home: Home, option: Option, wait: float) -> bool:
    """Whether to wait so long for the session's home rather than to go to the best of the others."""
    other = choose_by_headroom(ask, (each for each in _available(ask, ask.places) if each is not option))
    if other is None:
        return False
    here, there = ask.lane(option).headroom, ask.lane(other).headroom
    cached = min(home.cached, ask.load.input)
    cost = cost_of_leaving(cached, option.price, other.price, there.delay_by(cached, ask.load, ask.now))
    return is_worth_waiting(wait, home.waited * here.excess_strain(there, ask.now), cost)
