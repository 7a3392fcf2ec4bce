"""How one of several deployments is chosen: LiteLLM's strategies by their names, and our own, `headroom`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Final

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.policy.routing.fleet import Fleet, Option
from sekisho.policy.routing.lane import Lane, Lanes
from sekisho.policy.routing.load import Load

_AMPLE: Final = 0.5
"""Of two options that both have so much of their quota left, neither is the better."""
_COMPARED: Final = 12
"""So many options with room are compared; in a larger fleet one of them is good enough."""


class Ask(Struct):
    """One call that looks for a deployment, and what is to be known for that.

    args: the strategy's own settings. now: the time of the choice. taken: the places of the options that were chosen
    before. waited: for how many seconds the call has waited for one of them.
    """

    lanes: Lanes
    fleet: Fleet
    load: Load
    clock: Clock
    random: Random
    args: Mapping[str, float] = {}
    now: float = 0.0
    taken: set[int] = set()
    waited: float = 0.0
    preferred: Sequence[int] | None = None

    def look(self) -> None:
        """Set the time of the choice."""
        self.now = self.clock.monotonic()

    @property
    def places(self) -> Sequence[int]:
        """The places of the options in the order in which this call prefers them."""
        if self.preferred is None:
            session, fleet = self.load.session, self.fleet
            if session is not None:
                self.preferred = fleet.prefer(session)
            else:
                self.preferred = fleet.prefer_by(self.random.getrandbits(16))
        return self.preferred

    def lane(self, option: Option) -> Lane:
        """What is known of the option."""
        return self.lanes.lane(option.id, option.bucket, self.now)

    def rest(self, option: Option) -> float:
        """Seconds that the option is still to be left alone."""
        return self.lanes.rests.remaining(option.bucket, option.id, self.now)

    def is_busy(self, option: Option) -> bool:
        """Whether as many calls are under way as may be."""
        if option.most_parallel is None:
            return False
        lane = self.lane(option)
        return lane.in_flight + lane.elsewhere >= option.most_parallel


Strategy = Callable[[Ask, Iterable[Option]], Option | None]
"""Chooses among options that are awake and not busy, which come in the order of preference; None for none of them."""


def choose_by_headroom(ask: Ask, options: Iterable[Option]) -> Option | None:
    """The preferred one if half of its quota is free, else that with most room; a dearer one must have more.

    Those without room are left out.
    """
    best: Option | None = None
    best_score, compared = -1.0, 0
    lane, load, now = ask.lanes.lane, ask.load, ask.now
    for option in options:
        room = lane(option.id, option.bucket, now).headroom.room(load, now)
        if room < 0:
            continue
        score = (room if room < _AMPLE else _AMPLE) - option.dearness
        if score > best_score:
            best, best_score = option, score
        compared += 1
        if best_score >= _AMPLE - option.dearness or compared >= _COMPARED:  # those to come are not cheaper
            break
    return best


def shuffle(ask: Ask, options: Iterable[Option]) -> Option | None:
    """By chance, weighted by `weight`, else `rpm`, else `tpm`."""
    found = list(options)
    return ask.random.choices(found, [option.weight for option in found])[0] if found else None


def choose_least_busy(ask: Ask, options: Iterable[Option]) -> Option | None:
    """The one with the fewest calls under way."""
    return _lowest(ask, options, lambda option: ask.lane(option).in_flight)


def choose_fastest(ask: Ask, options: Iterable[Option]) -> Option | None:
    """The one with the least time for each token; first those of which nothing is known yet.

    With `lowest_latency_buffer`, by chance among those that are slower by no more than this part.
    """
    found = [(ask.lane(option).token.average or 0.0, option) for option in options]
    if not found:
        return None
    most = min(latency for latency, _ in found) * (1 + ask.args.get("lowest_latency_buffer", 0.0))
    return ask.random.choice([option for latency, option in found if latency <= most])


def choose_least_used(ask: Ask, options: Iterable[Option]) -> Option | None:
    """The one with the fewest tokens used in the last minute, of those whose `tpm` and `rpm` the call fits in."""
    return _lowest(ask, (option for option in options if _fits(ask, option)), lambda option: _used(ask, option))


def choose_cheapest(ask: Ask, options: Iterable[Option]) -> Option | None:
    """The one whose price of an input and an output token is lowest; those without a price last."""
    return _lowest(ask, options, _price)


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "headroom": choose_by_headroom,
    "simple-shuffle": shuffle,
    "least-busy": choose_least_busy,
    "latency-based-routing": choose_fastest,
    "usage-based-routing-v2": choose_least_used,
    "usage-based-routing": choose_least_used,
    "cost-based-routing": choose_cheapest,
}


def _lowest(ask: Ask, options: Iterable[Option], value: Callable[[Option], float]) -> Option | None:
    """The option with the lowest value, among equals by chance."""
    found = [(value(option), option) for option in options]
    if not found:
        return None
    lowest = min(each for each, _ in found)
    return ask.random.choice([option for each, option in found if each == lowest])


def _fits(ask: Ask, option: Option) -> bool:
    headroom = ask.lane(option).headroom
    tokens, requests = headroom.tokens, headroom.requests
    return (tokens.known is None or tokens.used.total(ask.now) + ask.load.input <= tokens.known) and (
        requests.known is None or requests.used.total(ask.now) < requests.known
    )


def _used(ask: Ask, option: Option) -> int:
    return ask.lane(option).headroom.tokens.used.total(ask.now)


def _price(option: Option) -> float:
    price = option.price
    return float("inf") if price is None else price.base.input + price.base.output
