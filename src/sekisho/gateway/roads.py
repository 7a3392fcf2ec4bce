"""By which roads a call may go: deployments of the group that it asks for, and of those that may stand in for it."""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError, Unsupported, UpstreamMisconfigured
from sekisho.core.target import Target
from sekisho.core.wire import Operation
from sekisho.gateway.fleets import PreparedFleet
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.ways import Candidate, Road, Roads
from sekisho.ledger.refusals import unpriced
from sekisho.policy.routing.fallbacks import find_fallbacks
from sekisho.policy.routing.fleet import Fleet
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.plan import line_up
from sekisho.policy.routing.strategies import Ask
from sekisho.policy.tags import check_tags, tags_of
from sekisho.store.records import AddedModel

_UNKNOWN_CEILING = 4_096
"""The output that upstreams reserve where neither the client nor the model's facts name a limit."""
_NO_TAGS: frozenset[str] = frozenset()


class World(Struct, frozen=True):
    """One configuration in use, which serves a call for its whole life.

    targets: of every deployment that can be called, by its id. problems: what is wrong with the others, by their ids.
    added: the models among the deployments that were added while the gateway ran, by their ids.
    """

    snapshot: Snapshot
    targets: Mapping[str, Target]
    problems: Mapping[str, str] = {}
    added: Mapping[str, AddedModel] = {}


class Lineup(Struct, frozen=True):
    """The candidates of one group. Whenever they are gone through, each is chosen only when its turn comes.

    counts: whether the load counts where the call goes.
    """

    fleet: Fleet
    load: Load
    snapshot: Snapshot
    access: UpstreamAccess
    counts: bool

    def __iter__(self) -> Iterator[Candidate]:
        """The candidates as a call should try them now; those at rest last."""
        snapshot, traffic = self.snapshot, self.access.traffic
        args = snapshot.routing_strategy_args
        ask = Ask(traffic.lanes, self.fleet, self.load, traffic.clock, self.access.random, args)
        load = self.load if self.counts else None
        for chosen in line_up(ask, snapshot.routing_strategy):
            option = chosen.option
            yield Candidate(option.deployment, option.target, chosen.wait, chosen.full, load, option.most_parallel)
            if not snapshot.failover:
                return

    def everyone(self) -> Iterator[Candidate]:
        """All that the call may wait for, as it prefers them; whoever asks for these has found no room anywhere."""
        if not self.counts:
            return
        session, fleet = self.load.session, self.fleet
        places = fleet.prefer(session) if session is not None else range(len(fleet.options))
        for place in places if self.snapshot.failover else places[:1]:
            option = fleet.options[place]
            yield Candidate(option.deployment, option.target, 0.0, True, self.load, option.most_parallel)


def find_roads(
    world: World,
    caller: Caller,
    group: str,
    call: ClientCall,
    operation: Operation,
    access: UpstreamAccess,
    meter: Meter,
    *,
    priced: Callable[[str], bool] = lambda _: False,
) -> Roads:
    """The roads for a call that the meter has weighed; of groups that are `priced`, only those that have a price.

    Raises Unsupported when the model does something else than what is asked, UpstreamMisconfigured when none of its
    deployments works as configured, AccessDenied when none has a price, InvalidRequest when all are for other tags.
    """
    snapshot, fleets = world.snapshot, access.traffic.fleets
    # What cannot be counted by a model of conversations is estimated.
    needed: Operation = "embeddings" if operation == "embeddings" else "chat"
    tags = tags_of(caller, call.tags) if snapshot.enable_tag_filtering else _NO_TAGS
    fallbacks = find_fallbacks(snapshot, caller, group, call.fallbacks)
    found: list[PreparedFleet] = []
    others: dict[str, Road] = {}
    asked = Road(group, ())
    for name in (group, *fallbacks.groups):
        prepared = fleets.find(snapshot, world.targets, name, needed, tags, priced=priced(name))
        found.append(prepared)
        if not prepared.targets:
            continue
        load = _weigh(prepared.targets[0], name, caller, call, meter)
        lineup = Lineup(prepared.fleet, load, snapshot, access, operation != "count_tokens")
        road = Road(name, lineup, prepared.targets, lineup.everyone)
        if name == group:
            asked = road
        else:
            others[name] = road
    if not (asked.targets or others):
        check_tags(snapshot, group, tags)
        raise _explain_absence(group, needed, found)
    return Roads(asked, others, fallbacks)


def _weigh(target: Target, group: str, caller: Caller, call: ClientCall, meter: Meter) -> Load:
    """What the call probably puts on a deployment of the group."""
    likely = meter.expect(target)
    most = target.facts.max_output_tokens
    ceiling = call.max_output_tokens or most or _UNKNOWN_CEILING
    ceiling = (ceiling if most is None else min(ceiling, most)) * call.answers
    session = None if call.session_id is None else f"{caller.owner}\0{call.session_id}\0{group}"
    output = min(likely.output * call.answers, ceiling)
    return Load(likely.input, output, ceiling, session=session)


def _explain_absence(group: str, needed: Operation, found: list[PreparedFleet]) -> SekishoError:
    """Why no deployment of a group and of its fallbacks can serve a call."""
    if any(prepared.unpriced for prepared in found):
        return unpriced(group)
    if any(prepared.callable for prepared in found):
        does = "answer conversations" if needed == "chat" else "make embeddings"
        return Unsupported(f"The model '{group}' does not {does}. Choose one that does.", param="model")
    message = f"No deployment of '{group}' can be called as configured; the administrator's log says why."
    return UpstreamMisconfigured(message, verdict="never", native="no_deployment")
