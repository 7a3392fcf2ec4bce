import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.accounts import FOR_EVER, member_id, money_account, owner_prefix, parallel_account
from sekisho.core.caller import BudgetWindow, ScopeKind

IDS = st.text(alphabet=st.sampled_from("ab:/%2F3A"), max_size=8)
KINDS: st.SearchStrategy[ScopeKind] = st.sampled_from(["key", "customer", "tag"])


def test_a_window_is_named_by_its_end_and_the_next_one_differently() -> None:
    window = BudgetWindow(limit=1, duration="1d", resets_at=86_400.0)
    assert money_account("key", "k", window, 86_399.9) == "key:k:money@86400/1d"
    assert money_account("key", "k", window, 86_400.0) == "key:k:money@172800/1d"
    assert money_account("key", "k", window, 0.0, "gpt") == "key:k:model:gpt:money@86400/1d"


def test_a_budget_for_ever_is_the_account_of_all_money() -> None:
    assert money_account("key", "k", BudgetWindow(limit=1), 5.0) == money_account("key", "k", None, 5.0)
    assert money_account("key", "k", None, 5.0) == f"key:k:{FOR_EVER}"


@given(KINDS, IDS, KINDS, IDS, IDS, IDS)
def test_no_two_owners_and_no_model_meet_in_one_account(
    kind: ScopeKind, one: str, other_kind: ScopeKind, other: str, model: str, other_model: str
) -> None:
    same = (kind, one) == (other_kind, other)
    of_one = {money_account(kind, one, None, 0.0), parallel_account(kind, one)}
    of_other = {money_account(other_kind, other, None, 0.0), parallel_account(other_kind, other)}
    assert (of_one == of_other) if same else not of_one & of_other
    within = money_account(kind, one, None, 0.0, model), money_account(other_kind, other, None, 0.0, other_model)
    assert (within[0] == within[1]) == (same and model == other_model)
    assert within[0] not in of_one | of_other
    assert within[0].startswith(owner_prefix(kind, one))
    assert same or not within[0].startswith(owner_prefix(other_kind, other))


@given(IDS, IDS, IDS, IDS)
def test_no_two_members_are_one(team: str, user: str, other_team: str, other_user: str) -> None:
    same = (team, user) == (other_team, other_user)
    assert (member_id(team, user) == member_id(other_team, other_user)) == same


@pytest.mark.parametrize("text", ["", "関所", "a b", "a\0b"])
def test_any_text_can_be_an_id(text: str) -> None:
    assert money_account("customer", text, None, 0.0).endswith(FOR_EVER)
