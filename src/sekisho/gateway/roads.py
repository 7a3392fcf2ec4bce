"""By which roads a call may go: deployments of the group that it asks for, and of those that may stand in for it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from msgspec import Struct
from msgspec.structs import force_setattr

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.target import Target
from sekisho.core.wire import Operation
from sekisho.gateway.fleets import PreparedFleet
from sekisho.gateway.meter import Meter
from sekisho.gateway.networks import Network, find_budgeted, make_network
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.ways import Candidate, ClosedRoad, Road, Roads
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.plan import Chosen, line_up
from sekisho.policy.routing.strategies import Ask
from sekisho.policy.tags import tags_of
from sekisho.store.records import AddedModel

_UNKNOWN_CEILING = 4_096
"""The output that upstreams reserve where neither the client nor the model's facts name a limit."""
_MOST_NETWORKS = 4_000
_NO_TAGS: frozenset[str] = frozenset()


class World(Struct, frozen=True):
    """One configuration in use, which serves a call for its whole life.

    targets: of every deployment that can be called, by its id. problems: what is wrong with the others, by their ids.
    added: the models among the deployments that were added while the gateway ran, by their ids.
    networks: what was worked out for the calls of this world so far; one that is made from another begins with none.
    """

    snapshot: Snapshot
    targets: Mapping[str, Target]
    problems: Mapping[str, str] = {}
    added: Mapping[str, AddedModel] = {}
    networks: dict[tuple[object, ...], Network] = {}

    def __post_init__(self) -> None:
        force_setattr(self, "networks", {})


class OpenRoad(Struct, frozen=True):
    """The road of one group. Whenever its candidates are gone through, each is chosen only when its turn comes.

    prepared: its deployments. meter: has weighed the call. counts: whether the load counts where the call goes.
    """

    group: str
    prepared: PreparedFleet
    call: ClientCall
    meter: Meter
    snapshot: Snapshot
    access: UpstreamAccess
    counts: bool

    @property
    def targets(self) -> Sequence[Target]:
        """See `Road`."""
        return self.prepared.targets

    def __iter__(self) -> Iterator[Candidate]:
        """The candidates as a call should try them now; those at rest last."""
        snapshot, access, load = self.snapshot, self.access, self.weigh()
        traffic, counted = access.traffic, load if self.counts else None
        ask = Ask(
            traffic.lanes, self.prepared.fleet, load, traffic.clock, access.random, snapshot.routing_strategy_args
        )
        # No generator: of most calls only the first is asked for, and to end one before its end is dear.
        upcoming = map(partial(_make_candidate, counted), line_up(ask, snapshot.routing_strategy))
        return upcoming if snapshot.failover else islice(upcoming, 1)

    def everyone(self) -> Iterator[Candidate]:
        """All that the call may wait for, as it prefers them; whoever asks for these has found no room anywhere."""
        if not self.counts:
            return
        load, fleet = self.weigh(), self.prepared.fleet
        places = fleet.prefer(load.session) if load.session is not None else range(len(fleet.options))
        for place in places if self.snapshot.failover else places[:1]:
            option = fleet.options[place]
            yield Candidate(option.deployment, option.target, 0.0, True, load, option.most_parallel)

    def weigh(self) -> Load:
        """What the call probably puts on a deployment of the group."""
        call, target = self.call, self.prepared.targets[0]
        likely, most = self.meter.expect(target.upstream_model), target.facts.max_output_tokens
        ceiling = call.max_output_tokens or most or _UNKNOWN_CEILING
        if most is not None and ceiling > most:
            ceiling = most
        ceiling *= call.answers
        output = likely.output * call.answers
        session = None if call.session_id is None else f"{self.meter.owner}\0{call.session_id}\0{self.group}"
        return Load(likely.input, output if output < ceiling else ceiling, ceiling, session)


def _make_candidate(counted: Load | None, chosen: Chosen) -> Candidate:
    option = chosen.option
    return Candidate(option.deployment, option.target, chosen.wait, chosen.full, counted, option.most_parallel)


def lay_roads(
    network: Network,
    group: str,
    call: ClientCall,
    operation: Operation,
    snapshot: Snapshot,
    access: UpstreamAccess,
    meter: Meter,
) -> Roads:
    """The roads for a call that the meter has weighed."""
    counts = operation != "count_tokens"
    others: dict[str, Road] = {}
    for name, prepared in network.fleets.items():
        others[name] = OpenRoad(name, prepared, call, meter, snapshot, access, counts)
    asked = others.pop(group, None) or ClosedRoad(group)
    return Roads(asked, others, network.fallbacks, network.terms)


def find_network(
    world: World, caller: Caller, group: str, call: ClientCall, operation: Operation, access: UpstreamAccess
) -> Network:
    """Where such calls may go, worked out once for all that are alike in what matters to that.

    Of groups that a budget pays for, they have only the deployments with a price, unless the configuration allows all.
    Raises Unsupported when the model does something else than what is asked, UpstreamMisconfigured when none of its
    deployments works as configured, AccessDenied when none has a price, InvalidRequest when all are for other tags.
    """
    snapshot, fleets, networks = world.snapshot, access.traffic.fleets, world.networks
    if fleets.deployments is not snapshot.deployments:
        fleets.adopt(snapshot, world.targets)
    tags = tags_of(caller, call.tags) if snapshot.enable_tag_filtering else _NO_TAGS
    wished = None if call.fallbacks is None else tuple(call.fallbacks)
    rights = _find_rights(snapshot, caller, call)
    budgeted = _NO_TAGS if operation == "count_tokens" else find_budgeted(caller.scopes)
    kind = (group, operation, tags, wished, rights, budgeted)
    network = networks.get(kind)
    if network is None or (network.stale_at is not None and network.stale_at <= access.traffic.clock.monotonic()):
        if len(networks) >= _MOST_NETWORKS:  # clients invent fallbacks and tags
            networks.clear()
        network = make_network(snapshot, world.targets, fleets, caller, group, operation, tags, wished, budgeted)
        networks[kind] = network
    return network


def _find_rights(snapshot: Snapshot, caller: Caller, call: ClientCall) -> tuple[tuple[str, ...], ...]:
    """What decides on the fallbacks that the caller may use: the same for all callers where there are none."""
    own, others = snapshot.fallbacks, snapshot.context_window_fallbacks or snapshot.content_policy_fallbacks
    if own or others or snapshot.default_fallbacks or call.fallbacks:
        return tuple([scope.models for scope in caller.scopes if scope.models])
    return ()
