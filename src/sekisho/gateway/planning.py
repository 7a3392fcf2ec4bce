"""By which model group a call is served, and held: the one that is asked for, as long as its budgets pay for it."""

import contextlib
from collections.abc import Iterator

from msgspec import Struct

from sekisho.core.chat import ClientCall
from sekisho.core.errors import BudgetExceeded, SekishoError
from sekisho.core.wire import Operation
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.holding import Forecast, forecast
from sekisho.gateway.meter import Meter
from sekisho.gateway.networks import Network
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.roads import find_network, lay_roads
from sekisho.gateway.standing import Standing
from sekisho.gateway.ways import Roads
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.holds import Hold
from sekisho.ledger.ledger import Ledger
from sekisho.policy.routing.fallbacks import find_budget_fallbacks


class Plan(Struct, frozen=True):
    """How a call may be served by one model group: by which roads, and what it will use there."""

    group: str
    roads: Roads
    future: Forecast


class Planner(Struct, frozen=True):
    """Plans one call."""

    standing: Standing
    call: ClientCall
    operation: Operation
    access: UpstreamAccess
    estimator: Estimator
    meter: Meter

    def plan(self, group: str) -> Plan:
        """The plan by a group and its fallbacks. Raises Unsupported, UpstreamMisconfigured or AccessDenied."""
        call, operation, meter, network = self.call, self.operation, self.meter, self._find_network(group)
        roads = lay_roads(network, group, call, operation, self.standing.world.snapshot, self.access, meter)
        return Plan(group, roads, forecast(self.estimator, meter, network.terms, call, operation))

    def find_others(self, first: Plan) -> Iterator[Plan]:
        """The plans by the fallbacks of the first one's budget that can carry the conversation."""
        for name in find_budget_fallbacks(self.standing.world.snapshot, self.standing.caller, first.group):
            with contextlib.suppress(SekishoError):  # it does not do what is asked: the next one may
                plan = self.plan(name)
                if self.operation != "chat" or self._can_carry(plan, first):
                    yield plan

    def _find_network(self, group: str) -> Network:
        """Where the call may go: the same for all of its standing, unless it has tags or wishes of its own."""
        standing, call, kind = self.standing, self.call, (group, self.operation)
        if call.tags or call.fallbacks is not None:
            return find_network(standing.world, standing.caller, group, call, self.operation, self.access)
        network = standing.networks.get(kind)
        if network is None or (
            network.stale_at is not None and network.stale_at <= self.access.traffic.clock.monotonic()
        ):
            network = find_network(standing.world, standing.caller, group, call, self.operation, self.access)
            standing.networks[kind] = network
        return network

    def _can_carry(self, plan: Plan, first: Plan) -> bool:
        fitting = Fitting(self.call, self.meter.request_bytes, self.estimator, precheck=False)
        meant_for = first.roads.meant_for
        return any(fitting.find_obstacle(target, meant_for) is None for target in plan.roads.asked.targets)


async def hold_first(ledger: Ledger, planner: Planner, group: str) -> tuple[Plan, Hold]:
    """Hold the call for the group, or for the first of its budget's fallbacks that no budget of its own refuses.

    The hold is to be ended. Raises as `Planner.plan` and `Ledger.hold`; when every group is refused, what the first was
    told.
    """
    scopes = planner.standing.caller.scopes
    plan = planner.plan(group)
    if (hold := ledger.hold_at_once(scopes, plan.future.ask, group)) is not None:
        return plan, hold
    try:
        return plan, await ledger.hold(scopes, plan.future.ask, group)
    except BudgetExceeded as error:
        refusal = error
    for other in planner.find_others(plan) if refusal.model is not None else ():
        try:
            return other, await ledger.hold(scopes, other.future.ask, other.group)
        except BudgetExceeded as error:
            if error.model is None:
                break
    raise refusal
