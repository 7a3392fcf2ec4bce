"""What is set aside for a call, whichever of its targets serves it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sekisho.core.caller import BudgetWindow, ModelLimits, Scope
from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.gateway.holding import Forecast, forecast
from sekisho.gateway.meter import Meter
from sekisho.gateway.networks import find_budgeted
from sekisho.gateway.ways import find_terms
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.holds import Hold
from sekisho.ledger.rates import Rated, Taken

CHEAP = Price("v", Rates(10**9, 5 * 10**9, 10**8, 10**9, 10**9))
DEAR = Price("v", Rates(15 * 10**9, 75 * 10**9, 10**9, 19 * 10**9, 30 * 10**9))


def target(name: str, price: Price | None, limit: int | None) -> Target:
    return cast(Target, SimpleNamespace(upstream_model=name, price=price, facts=ModelFacts(max_output_tokens=limit)))


def call(**more: Any) -> ClientCall:
    def read() -> ChatRequest:
        return ChatRequest(system=[], messages=[])

    return ClientCall(**{"model": "m", "body": b"{}", "family": "f", "path": "/", "read": read, **more})


def foresee(targets: list[Target], a_call: ClientCall, operation: Any = "chat", *, paid: bool = True) -> Forecast:
    estimator = Estimator()
    meter = Meter(estimator)
    meter.request_bytes = 400
    return forecast(estimator, meter, find_terms(targets, paid=paid), a_call, operation)


def test_the_dearest_target_decides_what_is_held() -> None:
    targets = [target("haiku", CHEAP, 8_000), target("opus", DEAR, 32_000)]
    future = foresee(targets, call())
    assert future.ask.ceiling == 32_000
    assert future.ask.price is not None
    assert future.ask.price.base == DEAR.base
    assert future.ask.cost(32_000) >= DEAR.cost(Usage(input=125, output=32_000))
    assert future.expected == Usage(input=100, output=257)


@pytest.mark.parametrize(("wanted", "ceiling"), [(None, 8_000), (500, 500), (90_000, 8_000), (3, 16)])
def test_the_ceiling_is_the_clients_and_the_models(wanted: int | None, ceiling: int) -> None:
    future = foresee([target("haiku", CHEAP, 8_000)], call(max_output_tokens=wanted))
    assert future.ask.ceiling == ceiling
    assert future.bounded


def test_several_answers_are_held_for() -> None:
    future = foresee([target("gpt", CHEAP, 8_000)], call(max_output_tokens=500, answers=4))
    assert future.ask.ceiling == 2_000
    assert future.expected.output == 4 * 257


def hold_with(ceiling: int | None) -> Hold:
    return Hold("m", {}, [], None, 0, ceiling, Taken(Rated(), 0))


def test_a_model_without_a_known_limit_gets_one_where_a_budget_pays() -> None:
    future = foresee([target("mystery", CHEAP, None)], call())
    hold = hold_with(None)
    assert future.hold_with(hold).ceiling == future.ask.ceiling
    named = foresee([target("mystery", CHEAP, None)], call(max_output_tokens=500))
    assert named.ask.ceiling == 500
    assert named.hold_with(hold).ceiling is None
    assert foresee([target("mystery", CHEAP, None)], call(), paid=False).hold_with(hold).ceiling is None


def test_no_more_is_booked_for_a_lost_call_than_its_ceiling_allows() -> None:
    future = foresee([target("haiku", CHEAP, 8_000)], call())
    assert future.hold_with(hold_with(None)).expected.output == 257
    assert future.hold_with(hold_with(64)).expected == Usage(input=100, output=64)


def test_embeddings_produce_nothing_and_counting_costs_nothing() -> None:
    targets = [target("titan", CHEAP, None)]
    assert foresee(targets, call(), "embeddings").ask.cost(0) == CHEAP.cost(Usage(input=125))
    assert foresee(targets, call(), "count_tokens").ask.cost(0) == 0


def test_an_hours_cache_is_held_for() -> None:
    ask = foresee([target("opus", DEAR, 8_000)], call(body=b'{"cache_control":{"ttl":"1h"}}')).ask
    assert ask.cost(0) == 125 * 30_000
    plain = Price("v", Rates(10**9, 5 * 10**9, 10**8, 0, 0))  # where caching costs nothing more
    ask = foresee([target("gpt", plain, 8_000)], call(body=b'{"cache_control":{"ttl":"1h"}}')).ask
    assert ask.cost(0) == 125 * 1_000


def test_who_has_a_budget() -> None:
    window = (BudgetWindow(limit=5),)
    free = Scope(kind="key", id="k", rpm_limit=3)
    assert find_budgeted([free]) == frozenset()
    assert find_budgeted([free, Scope(kind="team", id="t", budgets=window)]) is None
    of_model = Scope(kind="key", id="k", model_limits={"opus": ModelLimits(budgets=window), "haiku": ModelLimits()})
    assert find_budgeted([of_model]) == frozenset({"opus"})
