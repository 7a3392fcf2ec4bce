"""The ways that a call may go: model groups, and in each of them deployments in the order to try them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from sekisho.config.snapshot import Deployment
from sekisho.core.money import Price
from sekisho.core.target import Target
from sekisho.ledger.asks import join_prices
from sekisho.policy.routing.fallbacks import Fallbacks
from sekisho.policy.routing.load import Load


class Candidate(Struct, frozen=True):
    """A deployment and the target it resolves to.

    wait: when it is not 0, nothing is to be tried now, but what comes next is to be asked for in so many seconds:
      waiting costs less than leaving the session's prompt cache.
    full: whether it has probably no room for the call now.
    load: what the call probably puts on it; None when it does not count there.
    most_parallel: how many calls it serves at once.
    """

    deployment: Deployment
    target: Target
    wait: float = 0.0
    full: bool = False
    load: Load | None = None
    most_parallel: int | None = None


class Road(Protocol):
    """One model group, with its candidates in the order to try them."""

    @property
    def group(self) -> str:
        """Its name."""
        ...

    @property
    def targets(self) -> Sequence[Target]:
        """One for each model, price and set of limits among the targets that may be tried."""
        ...

    def __iter__(self) -> Iterator[Candidate]:
        """The candidates; they may be put in order only as they are asked for."""
        ...

    def everyone(self) -> Iterable[Candidate]:
        """All that a call may wait for, the busy ones too, which are none of the candidates now."""
        ...


class ClosedRoad(Struct, frozen=True):
    """A group of which nothing can be called."""

    group: str
    targets: Sequence[Target] = ()

    def __iter__(self) -> Iterator[Candidate]:
        """Nobody."""
        return iter(())

    def everyone(self) -> Iterable[Candidate]:
        """Nobody."""
        return ()


class Terms(Struct, frozen=True):
    """On what terms a call is served, whichever of the targets of its roads does it.

    models: the upstreams' names of the models, each once; that of the group that is asked for first.
    price: nowhere below any of theirs; None where no target has one.
    most_output: the most output tokens of any of them; None where the limit of some is not known.
    dear_hours: whether a prompt that is cached for an hour costs more than others.
    paid: whether a budget pays for the call.
    """

    models: tuple[str, ...] = ()
    price: Price | None = None
    most_output: int | None = None
    dear_hours: bool = False
    paid: bool = False


class Roads(Struct, frozen=True):
    """All the ways that a call may go: the group it asks for, and those that may stand in for it, by their names."""

    asked: Road
    others: Mapping[str, Road] = {}
    fallbacks: Fallbacks = Fallbacks()
    terms: Terms = Terms()

    @property
    def meant_for(self) -> Target:
        """A target of the group that is asked for, or of the first that can be called in its place."""
        return next(target for road in self.all for target in road.targets)

    @property
    def all(self) -> list[Road]:
        """Every road, the one that is asked for first."""
        return [self.asked, *self.others.values()]

    def pick(self, groups: Iterable[str]) -> list[Road]:
        """The roads of those of the groups that can be called."""
        return [self.others[group] for group in groups if group in self.others]


def find_terms(targets: Sequence[Target], *, paid: bool) -> Terms:
    """The terms that hold for all of the targets."""
    prices = [target.price for target in targets if target.price is not None]
    limits = [target.facts.max_output_tokens for target in targets]
    known = [limit for limit in limits if limit is not None]
    price = join_prices(prices) if prices else None
    rates = [] if price is None else [price.base, *(tier.rates for tier in price.tiers)]
    return Terms(
        models=tuple(dict.fromkeys(target.upstream_model for target in targets)),
        price=price,
        dear_hours=any(each.cache_write_1h > max(each.input, each.cache_write_5m) for each in rates),
        most_output=max(known) if known and len(known) == len(limits) else None,
        paid=paid,
    )
