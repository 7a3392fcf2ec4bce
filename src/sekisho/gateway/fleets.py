"""The deployments of every model group, ready to be chosen among; made once for as long as a group stays the same."""

from collections.abc import Mapping

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.clock import Clock
from sekisho.core.target import Target
from sekisho.core.wire import Operation
from sekisho.policy.routing.fleet import Fleet
from sekisho.policy.routing.headroom import Quota
from sekisho.policy.routing.lane import Lanes
from sekisho.policy.tags import match_tags

_MOST_FLEETS = 4_000
_UNKNOWN_SECONDS = 10.0
"""What has no price or limit may get one, once its provider has found out which model it is."""
_NO_TAGS: frozenset[str] = frozenset()
_OTHER = "\0"
"""Stands for all tags that no deployment of the group has; clients may invent any number of them."""

_Key = tuple[str, Operation, frozenset[str] | None, bool, bool]


class PreparedFleet(Struct, frozen=True):
    """The deployments of one group that can do what is asked.

    targets: one for each model, price and set of limits among them.
    deployments: what it was made from. stale_at: when to make it anew, in monotonic seconds; None for never.
    callable: whether any of these can be called, if not for this. unpriced: whether some were left out because they
      have no price.
    """

    deployments: tuple[Deployment, ...]
    stale_at: float | None
    fleet: Fleet
    targets: tuple[Target, ...]
    callable: bool
    unpriced: bool


class Fleets:
    """The fleets of the configuration in use. The quotas that it states are told to `lanes`."""

    def __init__(self, lanes: Lanes, clock: Clock) -> None:
        self._lanes = lanes
        self._clock = clock
        self._known: dict[_Key, PreparedFleet] = {}
        self.deployments: tuple[Deployment, ...] | None = None
        """Those whose quotas count."""

    def adopt(self, snapshot: Snapshot, targets: Mapping[str, Target]) -> None:
        """Let the quotas count that this configuration states."""
        self.deployments = snapshot.deployments
        self._lanes.state_quotas(_gather_quotas(snapshot.deployments, targets))

    def find(
        self,
        snapshot: Snapshot,
        targets: Mapping[str, Target],
        group: str,
        operation: Operation,
        tags: frozenset[str],
        *,
        priced: bool,
    ) -> PreparedFleet:
        """The fleet of a group for calls with these tags; `priced`: without deployments that have no price."""
        deployments = snapshot.groups[group]
        reduced = _reduce_tags(deployments, tags) if snapshot.enable_tag_filtering else None
        key = (group, operation, reduced, snapshot.tag_filtering_match_any, priced)
        known = self._known.get(key)
        if (
            known is None
            or known.deployments is not deployments
            or (known.stale_at is not None and known.stale_at <= self._clock.monotonic())
        ):
            if len(self._known) >= _MOST_FLEETS:
                self._known.clear()
            stale_at = self._clock.monotonic() + _UNKNOWN_SECONDS
            known = _prepare(snapshot, targets, deployments, operation, reduced or _NO_TAGS, stale_at, priced=priced)
            self._known[key] = known
        return known


def _prepare(
    snapshot: Snapshot,
    targets: Mapping[str, Target],
    deployments: tuple[Deployment, ...],
    operation: Operation,
    tags: frozenset[str],
    stale_at: float,
    *,
    priced: bool,
) -> PreparedFleet:
    matching = match_tags(snapshot, deployments, tags)
    pairs = [(each, targets[each.id]) for each in matching if each.id in targets]
    able = [(each, target) for each, target in pairs if operation in target.dialects]
    payable = [(each, target) for each, target in able if target.price is not None or not priced]
    kinds = {(target.upstream_model, target.price, target.facts): target for _, target in payable}
    return PreparedFleet(
        deployments=deployments,
        stale_at=stale_at if any(_may_change(target) for _, target in pairs) else None,
        fleet=Fleet(payable, snapshot.default_max_parallel_requests),
        targets=tuple(kinds.values()),
        callable=bool(pairs),
        unpriced=len(payable) < len(able),
    )


def _may_change(target: Target) -> bool:
    """Whether its provider may not know its model yet."""
    return target.price is None or target.facts.max_output_tokens is None


def _reduce_tags(deployments: tuple[Deployment, ...], tags: frozenset[str]) -> frozenset[str]:
    """What of the tags makes a difference to the choice among the deployments."""
    known = tags & {tag for each in deployments for tag in each.tags}
    return known if len(known) == len(tags) else known | {_OTHER}


def _gather_quotas(deployments: tuple[Deployment, ...], targets: Mapping[str, Target]) -> dict[str, Quota]:
    """What the configuration states of each quota; where it states several figures of one, the highest."""
    quotas: dict[str, Quota] = {}
    for deployment in deployments:
        target = targets.get(deployment.id)
        if target is not None and (deployment.tpm is not None or deployment.rpm is not None):
            before = quotas.get(target.bucket, Quota())
            quotas[target.bucket] = Quota(
                _higher(before.tokens, deployment.tpm), _higher(before.requests, deployment.rpm)
            )
    return quotas


def _higher(first: int | None, second: int | None) -> int | None:
    return max((each for each in (first, second) if each is not None), default=None)
