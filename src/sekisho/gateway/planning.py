"""By which model group a call is served, and held: the one that is asked for, as long as its budgets pay for it."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from sekisho.core.caller import Caller, Scope
from sekisho.core.chat import ClientCall
from sekisho.core.errors import BudgetExceeded, SekishoError
from sekisho.core.wire import Operation
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.holding import Forecast, forecast, has_budget
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.roads import World, find_roads
from sekisho.gateway.ways import Roads
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Hold, Ledger
from sekisho.policy.routing.fallbacks import find_budget_fallbacks


class Plan(Struct, frozen=True):
    """How a call may be served by one model group: by which roads, and what it will use there."""

    group: str
    roads: Roads
    future: Forecast


class Planner(Struct, frozen=True):
    """Plans one call."""

    world: World
    caller: Caller
    call: ClientCall
    operation: Operation
    access: UpstreamAccess
    estimator: Estimator
    meter: Meter

    def plan(self, group: str) -> Plan:
        """The plan by a group and its fallbacks. Raises Unsupported, UpstreamMisconfigured or AccessDenied."""
        strict = not self.world.snapshot.allow_unpriced_models
        roads = find_roads(
            self.world,
            self.caller,
            group,
            self.call,
            self.operation,
            self.access,
            self.meter,
            priced=lambda name: strict and self._is_paid(name),
        )
        paid = any(self._is_paid(road.group) for road in roads.all)
        future = forecast(self.estimator, self.meter, roads, self.call, self.operation, paid=paid)
        return Plan(group, roads, future)

    def plan_all(self, group: str) -> Iterator[Plan]:
        """The plan by the group, then those by its budget's fallbacks that can carry the conversation."""
        first = self.plan(group)
        yield first
        for name in find_budget_fallbacks(self.world.snapshot, self.caller, group):
            with contextlib.suppress(SekishoError):  # it does not do what is asked: the next one may
                plan = self.plan(name)
                if self.operation != "chat" or self._can_carry(plan, first):
                    yield plan

    def _is_paid(self, group: str) -> bool:
        """Whether some budget pays for calls to the group."""
        return self.operation != "count_tokens" and has_budget(self.caller.scopes, group)

    def _can_carry(self, plan: Plan, first: Plan) -> bool:
        fitting = Fitting(self.call, self.meter.request_bytes, self.estimator, precheck=False)
        meant_for = first.roads.meant_for
        return any(fitting.find_obstacle(target, meant_for) is None for target in plan.roads.asked.targets)


async def hold_first(ledger: Ledger, scopes: Sequence[Scope], plans: Iterable[Plan]) -> tuple[Plan, Hold]:
    """Hold the call by the first plan that no budget of its own model refuses. The hold is to be ended.

    Raises as `Ledger.hold`; when every plan is refused, what the first was told.
    """
    refusal: BudgetExceeded | None = None
    for plan in plans:
        try:
            return plan, await ledger.hold(scopes, plan.future.ask, plan.group)
        except BudgetExceeded as error:
            refusal = refusal or error
            if error.model is None:
                break
    assert refusal is not None
    raise refusal
