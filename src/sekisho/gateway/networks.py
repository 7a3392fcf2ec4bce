"""Where calls of one kind may go: what can be told of that before any of them comes."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import SekishoError, Unsupported, UpstreamMisconfigured
from sekisho.core.target import Target
from sekisho.core.wire import Operation
from sekisho.gateway.fleets import Fleets, PreparedFleet
from sekisho.gateway.ways import Terms, find_terms
from sekisho.ledger.refusals import unpriced
from sekisho.policy.routing.fallbacks import Fallbacks, find_fallbacks
from sekisho.policy.tags import check_tags


class Network(Struct, frozen=True):
    """The groups that may serve calls of one kind, and their deployments.

    fleets: by group, of those that can serve; the group that is asked for comes first, if it is one of them.
    stale_at: when to make it anew, in monotonic seconds; None for never.
    """

    fleets: Mapping[str, PreparedFleet]
    fallbacks: Fallbacks
    terms: Terms
    stale_at: float | None


def find_budgeted(scopes: Sequence[Scope]) -> frozenset[str] | None:
    """The groups that some budget pays for; None for all of them."""
    own: list[str] = []
    for scope in scopes:
        if scope.budgets:
            return None
        if scope.model_limits:
            own += [group for group, limits in scope.model_limits.items() if limits.budgets]
    return frozenset(own)


def make_network(
    snapshot: Snapshot,
    targets: Mapping[str, Target],
    fleets: Fleets,
    caller: Caller,
    group: str,
    operation: Operation,
    tags: frozenset[str],
    wished: Sequence[str] | None,
    budgeted: frozenset[str] | None,
) -> Network:
    """Work out where a caller's calls may go that ask for a group, have these tags, and wish these fallbacks.

    Of the groups that are `budgeted` (`find_budgeted`) only deployments with a price are taken, unless all are allowed.
    Raises as `roads.find_network`.
    """
    # What cannot be counted by a model of conversations is estimated.
    needed: Operation = "embeddings" if operation == "embeddings" else "chat"
    fallbacks = find_fallbacks(snapshot, caller, group, wished)
    found: dict[str, PreparedFleet] = {}
    for name in (group, *fallbacks.groups):
        priced = not snapshot.allow_unpriced_models and (budgeted is None or name in budgeted)
        found[name] = fleets.find(snapshot, targets, name, needed, tags, priced=priced)
    able = {name: fleet for name, fleet in found.items() if fleet.targets}
    if not able:
        check_tags(snapshot, group, tags)
        raise _explain_absence(group, needed, found)
    paid = any(budgeted is None or name in budgeted for name in (group, *able))
    stale = [fleet.stale_at for fleet in found.values() if fleet.stale_at is not None]
    kinds = [target for fleet in able.values() for target in fleet.targets]
    return Network(able, fallbacks, find_terms(kinds, paid=paid), min(stale, default=None))


def _explain_absence(group: str, needed: Operation, found: Mapping[str, PreparedFleet]) -> SekishoError:
    """Why no deployment of a group and of its fallbacks can serve a call."""
    if any(fleet.unpriced for fleet in found.values()):
        return unpriced(group)
    if any(fleet.callable for fleet in found.values()):
        does = "answer conversations" if needed == "chat" else "make embeddings"
        return Unsupported(f"The model '{group}' does not {does}. Choose one that does.", param="model")
    message = f"No deployment of '{group}' can be called as configured; the administrator's log says why."
    return UpstreamMisconfigured(message, verdict="never", native="no_deployment")
