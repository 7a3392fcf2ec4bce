import pytest

from sekisho.core.accounts import money_account
from sekisho.core.caller import BudgetWindow, Scope
from sekisho.ledger.accounts import Account
from sekisho.ledger.refusals import name_scope, over_budget, over_rate, unpriced

SCOPE = Scope(kind="team", id="t:1", alias="backend")
FORBIDDEN = ("rate limit", "too many tokens", "context", "per minute", "throttl")
"""Words that an agent takes for something that passes, or for a conversation that is too long."""


def account(window: BudgetWindow, model: str | None = None, spent: int = 0) -> Account:
    name = money_account(SCOPE.kind, SCOPE.id, window, 0.0, model)
    made = Account(name, window.limit, SCOPE, 0.0)
    made.spent = spent
    return made


def test_a_refusal_for_money_names_scope_limit_use_and_when_there_is_more() -> None:
    window = BudgetWindow(limit=2 * 10**9, duration="30d", resets_at=1_798_761_600.0)
    error = over_budget(account(window, spent=2 * 10**9), 5, 402)
    assert (error.status, error.kind, error.retry_after) == (402, "budget_exceeded", None)
    assert error.message == (
        "The budget of team 'backend' is used up: $2.000000 of $2.000000 spent. A new one begins on 2027-01-01 at "
        "00:00 UTC. Ask your administrator for a larger budget."
    )


def test_a_budget_of_one_model_is_named_with_it() -> None:
    error = over_budget(account(BudgetWindow(limit=10), "bedrock/opus:4", spent=10), 5, 400)
    assert "team 'backend' for the model 'bedrock/opus:4' is used up" in error.message
    assert "begins" not in error.message


@pytest.mark.parametrize("spent", [0, 40, 100])
def test_refusals_for_money_are_not_taken_for_anything_else(spent: int) -> None:
    message = over_budget(account(BudgetWindow(limit=100), spent=spent), 80, 402).message.lower()
    assert not any(word in message for word in FORBIDDEN)


def test_a_refusal_for_a_rate_says_so_and_how_long_to_wait() -> None:
    error = over_rate(SCOPE, "requests per minute", 5, 5, 0.3)
    assert "rate limit" in error.message.lower()
    assert error.retry_after == 1.0
    assert (error.status, over_rate(SCOPE, "tokens per day", 5, 5, 99.5).retry_after) == (429, 99.5)


def test_a_model_without_a_price_is_the_administrators_business() -> None:
    error = unpriced("mystery")
    assert (error.status, error.param) == (403, "model")
    assert "input_cost_per_token" in error.message
    assert "output_cost_per_token" in error.message


def test_a_key_is_never_named_by_its_hash() -> None:
    assert name_scope(Scope(kind="key", id="a" * 64)) == "this key"
    assert name_scope(Scope(kind="member", id="t/u", alias="Ann")) == "team member 'Ann'"
