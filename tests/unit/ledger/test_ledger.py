import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.caller import Scope
from sekisho.core.clock import ManualClock
from sekisho.core.errors import BudgetExceeded, RateLimited
from sekisho.ledger.ledger import Hold, Ledger


def make_ledger() -> tuple[Ledger, ManualClock]:
    clock = ManualClock()
    return Ledger(clock, 402), clock


async def spend(ledger: Ledger, scopes: list[Scope], tokens: int, cost: int) -> None:
    async with ledger.reserve(scopes, tokens, cost) as hold:
        hold.settle(tokens, cost)


async def test_requests_per_minute_refuse_with_the_true_wait() -> None:
    ledger, clock = make_ledger()
    scopes = [Scope(kind="team", id="t", alias="backend", rpm_limit=2)]
    await spend(ledger, scopes, 1, 0)
    clock.advance(20)
    await spend(ledger, scopes, 1, 0)
    with pytest.raises(RateLimited, match=r"team 'backend'.*2 of 2 requests per minute") as refused:
        await spend(ledger, scopes, 1, 0)
    assert refused.value.retry_after is not None
    assert 40 <= refused.value.retry_after <= 41
    clock.advance(refused.value.retry_after)
    await spend(ledger, scopes, 1, 0)


async def test_a_refusal_holds_nothing_in_any_scope() -> None:
    ledger, _ = make_ledger()
    open_scope = Scope(kind="key", id="k", rpm_limit=1)
    full = Scope(kind="team", id="t", max_budget=0)
    for _ in range(3):
        with pytest.raises(BudgetExceeded):
            await spend(ledger, [open_scope, full], 1, 1)
    await spend(ledger, [open_scope], 1, 1)


async def test_calls_under_way_count_as_spent_until_they_settle() -> None:
    ledger, _ = make_ledger()
    scopes = [Scope(kind="key", id="k", max_budget=100)]
    async with ledger.reserve(scopes, 1, 60):
        with pytest.raises(BudgetExceeded, match=r"held for calls under way"):
            await spend(ledger, scopes, 1, 60)
    await spend(ledger, scopes, 1, 60)
    with pytest.raises(BudgetExceeded):
        await spend(ledger, scopes, 1, 41)
    await spend(ledger, scopes, 1, 40)


async def test_a_call_that_fails_without_settling_costs_nothing() -> None:
    ledger, _ = make_ledger()
    scopes = [Scope(kind="key", id="k", max_budget=100, tpm_limit=10)]
    with pytest.raises(ZeroDivisionError):
        async with ledger.reserve(scopes, 10, 100):
            _ = 1 / 0
    await spend(ledger, scopes, 10, 100)


async def test_parallel_requests_count_until_the_call_ends() -> None:
    ledger, _ = make_ledger()
    scopes = [Scope(kind="key", id="k", max_parallel_requests=2)]
    async with AsyncExitStack() as calls:
        for _ in range(2):
            await calls.enter_async_context(ledger.reserve(scopes, 1, 0))
        with pytest.raises(RateLimited, match="parallel requests"):
            await spend(ledger, scopes, 1, 0)
    await spend(ledger, scopes, 1, 0)


async def test_the_key_of_a_message_is_its_alias_never_its_hash() -> None:
    ledger, _ = make_ledger()
    with pytest.raises(BudgetExceeded) as refused:
        await spend(ledger, [Scope(kind="key", id="0123456789abcdef", max_budget=0)], 1, 1)
    assert "0123456789abcdef" not in refused.value.message


async def test_a_fresh_record_replaces_limits_and_known_spend() -> None:
    ledger, _ = make_ledger()
    before = Scope(kind="key", id="k", max_budget=100)
    await spend(ledger, [before], 1, 90)
    ledger.confirm("key", "k", 90)
    with pytest.raises(BudgetExceeded):
        await spend(ledger, [before], 1, 20)
    await spend(ledger, [Scope(kind="key", id="k", max_budget=200, spend=90)], 1, 20)
    await spend(ledger, [Scope(kind="key", id="k", max_budget=100, spend=0)], 1, 70)


async def test_a_budget_window_that_is_over_opens_again_without_a_fresh_record() -> None:
    ledger, clock = make_ledger()
    scopes = [Scope(kind="key", id="k", max_budget=100, spend=90, budget_reset_at=clock.now() + 60)]
    await spend(ledger, scopes, 1, 10)
    with pytest.raises(BudgetExceeded):
        await spend(ledger, scopes, 1, 1)
    clock.advance(60)
    await spend(ledger, scopes, 1, 70)
    with pytest.raises(BudgetExceeded):
        await spend(ledger, scopes, 1, 31)
    ledger.confirm("key", "k", 80)
    with pytest.raises(BudgetExceeded):
        await spend(ledger, scopes, 1, 31)
    await spend(ledger, scopes, 1, 30)


calls = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 60), st.booleans(), st.sampled_from(["key", "team", "both"])),
    max_size=30,
)


@given(calls, st.integers(0, 300), st.integers(0, 300))
def test_settled_and_held_never_exceed_a_budget(
    history: list[tuple[int, int, bool, str]], key_budget: int, team_budget: int
) -> None:
    """I1, with every call settling at most what it held."""
    key, team = Scope(kind="key", id="k", max_budget=key_budget), Scope(kind="team", id="t", max_budget=team_budget)

    async def run() -> None:
        ledger, _ = make_ledger()
        settled = {"key": 0, "team": 0}
        held: list[tuple[AsyncExitStack, Hold, list[Scope], int]] = []
        for hold_cost, real_cost, finish_first, whom in history:
            if finish_first and held:
                stack, hold, scopes, cost = held.pop(0)
                hold.settle(1, cost)
                await stack.aclose()
                for scope in scopes:
                    settled[scope.kind] += cost
            scopes = [scope for scope in (key, team) if whom in (scope.kind, "both")]
            stack = AsyncExitStack()
            try:
                hold = await stack.enter_async_context(ledger.reserve(scopes, 1, hold_cost))
            except BudgetExceeded:
                continue
            held.append((stack, hold, scopes, min(real_cost, hold_cost)))
            for scope, budget in ((key, key_budget), (team, team_budget)):
                under_way = sum(cost for _, _, scopes, cost in held if scope in scopes)
                assert settled[scope.kind] + under_way <= budget
        for stack, *_ in held:
            await stack.aclose()

    asyncio.run(run())
