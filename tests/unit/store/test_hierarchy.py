"""The levels of the hierarchy in both databases: what limits a key, and what they have spent."""

from typing import Any

import msgspec
import pytest
from tests.support.usage import usage_row

from sekisho.core.accounts import money_account
from sekisho.core.caller import BudgetWindow
from sekisho.core.clock import ManualClock
from sekisho.core.durations import next_reset
from sekisho.core.errors import Conflict
from sekisho.store.balances import account_names
from sekisho.store.engine import Store
from sekisho.store.limits import budgets_of
from sekisho.store.records import (
    AccessGroup,
    BudgetRecord,
    CustomerRecord,
    KeyRecord,
    Limits,
    OrganizationMember,
    OrganizationRecord,
    ProjectRecord,
    TeamMember,
    TeamRecord,
    UserRecord,
)

KEY, OTHER = "ab" * 32, "cd" * 32


def key_record(**fields: Any) -> KeyRecord:
    return KeyRecord(**{"key_hash": KEY, "account_id": KEY, "key_name": "sk-...abcd", **fields})


async def spend(store: Store, cost: int, *names: str) -> None:
    store.journal.record(usage_row(cost), dict.fromkeys(names, False))
    await store.journal.flush()


async def build(store: Store) -> None:
    """A key with every level above it."""
    await store.organizations.insert(OrganizationRecord(organization_id="o", organization_alias="O"))
    member = TeamMember(team_id="t", user_id="u")
    await store.teams.create(TeamRecord(team_id="t", organization_id="o"), [member], [UserRecord(user_id="u")])
    await store.projects.insert(ProjectRecord(project_id="p", team_id="t"))
    await store.keys.insert(key_record(user_id="u", team_id="t", project_id="p"))


async def test_a_key_is_known_with_every_level_above_it(store: Store) -> None:
    await build(store)
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.user is not None
    assert access.team is not None
    assert access.member is not None
    assert access.project is not None
    assert access.organization is not None
    assert (access.user.user_id, access.team.team_id, access.member.user_id) == ("u", "t", "u")
    assert (access.project.project_id, access.organization.organization_id) == ("p", "o")
    assert access.stale_at is None


async def test_a_bare_key_has_nothing_above_it(store: Store) -> None:
    await store.keys.insert(key_record())
    access = await store.keys.access(KEY)
    assert access is not None
    assert (access.user, access.team, access.member, access.project, access.organization) == (None,) * 5
    assert await store.keys.access(OTHER) is None


async def test_a_keys_own_organization_goes_before_its_teams(store: Store) -> None:
    await build(store)
    await store.organizations.insert(OrganizationRecord(organization_id="o2", organization_alias="O2"))
    await store.keys.update(KEY, {"organization_id": "o2"})
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.organization is not None
    assert access.organization.organization_id == "o2"


async def test_changing_a_budget_changes_all_that_refer_to_it(store: Store) -> None:
    await build(store)
    await store.budgets.insert(BudgetRecord(budget_id="b", max_budget=5, rpm_limit=3))
    for change in (
        store.keys.update(KEY, {"budget_id": "b"}),
        store.users.update("u", {"budget_id": "b"}),
        store.teams.update("t", {"budget_id": "b"}),
        store.teams.update_member("t", "u", {"budget_id": "b"}),
        store.projects.update("p", {"budget_id": "b"}),
        store.organizations.update("o", {"budget_id": "b"}),
    ):
        await change
    await store.customers.insert(CustomerRecord(user_id="c", budget_id="b"))
    await store.budgets.update("b", {"max_budget": 7})
    access = await store.keys.access(KEY)
    assert access is not None
    customer = await store.customers.effective("c")
    levels = (access.key, access.user, access.team, access.member, access.project, access.organization, customer)
    assert [(level.max_budget, level.rpm_limit) for level in levels if level is not None] == [(7, 3)] * 7
    assert sum((await store.budgets.referring("b")).values()) == 7
    with pytest.raises(Conflict, match="in use"):
        await store.budgets.delete("b")
    shown = await store.keys.get(KEY)
    assert shown is not None
    assert shown.max_budget is None  # what is its own stays apart from what the budget says
    assert shown.budget is not None
    assert shown.budget.max_budget == 7


async def test_a_teams_limits_for_members_hold_where_a_member_has_none(store: Store) -> None:
    await build(store)
    await store.teams.update("t", {"member_limits": Limits(max_budget=5, rpm_limit=6)})
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.member is not None
    assert (access.member.max_budget, access.member.rpm_limit) == (5, 6)
    await store.teams.update_member("t", "u", {"max_budget": 50})
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.member is not None
    assert (access.member.max_budget, access.member.rpm_limit) == (50, 6)


async def test_access_groups_are_resolved_for_keys_and_teams(store: Store) -> None:
    await build(store)
    await store.access_groups.insert(AccessGroup(access_group="beta", model_names=("a", "more")))
    await store.access_groups.insert(AccessGroup(access_group="more", model_names=("b",)))
    await store.keys.update(KEY, {"models": ("x",), "access_group_ids": ("beta",)})
    await store.teams.update("t", {"models": ("more",)})
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.team is not None
    assert set(access.key.models) == {"x", "beta", "a", "more", "b"}
    assert set(access.team.models) == {"more", "b"}
    await store.access_groups.delete("more")
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.team is not None
    assert access.team.models == ("more",)


async def test_spend_is_that_of_the_open_windows(store: Store, clock: ManualClock) -> None:
    now = clock.now()
    window = BudgetWindow(limit=9, duration="7d", resets_at=next_reset("7d", now))
    record = key_record(
        max_budget=9, budget_duration="1h", budget_reset_at=next_reset("1h", now), budget_limits=(window,)
    )
    record = await store.keys.insert(record)
    await spend(store, 5, *account_names("key", KEY, record, now))
    found = await store.keys.get(KEY)
    assert found is not None
    assert (found.spend, found.total_spend, found.window_spend) == (5, 5, (5,))
    clock.advance(3600)
    found = await store.keys.get(KEY)
    assert found is not None
    assert (found.spend, found.total_spend, found.window_spend) == (0, 5, (5,))
    assert found.budget_reset_at == next_reset("1h", clock.now())


async def test_spend_can_be_set_and_begins_as_told(store: Store, clock: ManualClock) -> None:
    now = clock.now()
    record = await store.keys.insert(
        key_record(budget_duration="1d", budget_reset_at=next_reset("1d", now), max_budget=9, spend=7)
    )
    assert (record.spend, record.total_spend) == (7, 7)
    changed = await store.keys.update(KEY, {"spend": 2})
    assert changed is not None
    assert (changed.spend, changed.total_spend) == (2, 7)
    clock.advance(86_400)
    found = await store.keys.get(KEY)
    assert found is not None
    assert (found.spend, found.total_spend) == (0, 7)


async def test_a_namesake_of_something_deleted_begins_with_nothing_spent(store: Store) -> None:
    for _ in range(2):
        record = await store.teams.insert(TeamRecord(team_id="t", max_budget=5))
        assert (record.spend, record.total_spend) == (0, 0)
        await spend(store, 3, money_account("team", "t", None, 0.0))
        assert await store.teams.delete(["t"]) == 1


async def test_a_customer_goes_on_with_what_was_spent_before_it_was_known(store: Store) -> None:
    await spend(store, 3, money_account("customer", "c", None, 0.0))
    record = await store.customers.insert(CustomerRecord(user_id="c", max_budget=5))
    assert (record.spend, record.total_spend) == (3, 3)


async def test_what_a_window_leaves_is_carried_over_once(store: Store, clock: ManualClock) -> None:
    now = clock.now()
    record = key_record(
        max_budget=10,
        budget_duration="1d",
        budget_reset_at=next_reset("1d", now),
        budget_rollover=True,
        budget_started_at=now,
    )
    record = await store.keys.insert(record)
    await spend(store, 4, *account_names("key", KEY, record, now))
    assert await limit_of(store, clock) == 10
    clock.advance(86_400)
    assert await limit_of(store, clock) == 16
    clock.advance(86_400)
    assert await limit_of(store, clock) == 20  # all of the day that nobody called, and nothing of the day before


async def test_a_window_that_was_overspent_carries_nothing_over(store: Store, clock: ManualClock) -> None:
    end = next_reset("1d", clock.now())
    record = key_record(max_budget=10, budget_duration="1d", budget_reset_at=end, budget_rollover=True)
    record = await store.keys.insert(msgspec.structs.replace(record, budget_started_at=clock.now()))
    await spend(store, 40, *account_names("key", KEY, record, clock.now()))
    clock.advance(86_400)
    assert await limit_of(store, clock) == 10


async def test_a_budget_with_carry_over_gives_a_new_level_only_its_own(store: Store, clock: ManualClock) -> None:
    start = clock.now()
    end = next_reset("1d", start)
    budget = BudgetRecord(budget_id="b", max_budget=10, budget_duration="1d", budget_reset_at=end)
    await store.budgets.insert(msgspec.structs.replace(budget, budget_rollover=True, budget_started_at=start))
    clock.advance(3 * 86_400)
    await store.keys.insert(key_record(budget_id="b", budget_started_at=clock.now()))
    assert await limit_of(store, clock) == 10
    clock.advance(86_400)
    assert await limit_of(store, clock) == 20


async def limit_of(store: Store, clock: ManualClock) -> int:
    """The budget of the key that is in force."""
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.key.budget_rollover
    assert access.stale_at == access.key.budget_reset_at
    (window,) = budgets_of(access.key, clock.now())
    return window.limit


async def test_a_regenerated_key_keeps_its_accounts(store: Store) -> None:
    record = await store.keys.insert(key_record(max_budget=9))
    await spend(store, 4, *account_names("key", KEY, record, 0.0))
    changed = await store.keys.replace(KEY, {"key_hash": OTHER, "key_name": "sk-...new1"}, valid_until=None)
    assert changed is not None
    assert (changed.key_hash, changed.account_id, changed.spend) == (OTHER, KEY, 4)
    assert await store.keys.access(KEY) is None
    access = await store.keys.access(OTHER)
    assert access is not None
    assert access.key.account_id == KEY
    # A call that was under way is booked where it was begun.
    await spend(store, 1, money_account("key", KEY, None, 0.0))
    found = await store.keys.get(OTHER)
    assert found is not None
    assert found.spend == 5
    with pytest.raises(Conflict):
        await store.keys.insert(key_record())  # the former text would share the accounts
    assert await store.keys.replace("ef" * 32, {"key_hash": KEY, "key_name": "x"}, valid_until=None) is None


async def test_the_former_text_of_a_key_opens_for_a_while(store: Store, clock: ManualClock) -> None:
    await store.keys.insert(key_record(expires=clock.now() + 50))
    await store.keys.replace(KEY, {"key_hash": OTHER, "key_name": "x"}, valid_until=clock.now() + 100)
    for text, ends in ((KEY, 50.0), (OTHER, 50.0)):
        access = await store.keys.access(text)
        assert access is not None
        assert (access.key.key_hash, access.key.expires) == (OTHER, clock.now() + ends)
    await store.keys.update(OTHER, {"expires": None})
    access = await store.keys.access(KEY)
    assert access is not None
    assert access.key.expires == clock.now() + 100
    await store.keys.delete([OTHER])
    assert await store.keys.access(KEY) is None


async def test_deleting_takes_along_what_belongs_to_it(store: Store) -> None:
    await build(store)
    await store.keys.insert(key_record(key_hash=OTHER, account_id=OTHER, organization_id="o"))
    assert await store.organizations.delete(["o"]) == 1
    assert await store.keys.get(KEY) is None
    assert await store.keys.get(OTHER) is None
    assert await store.teams.get("t") is None
    assert await store.projects.get("p") is None
    assert await store.users.get("u") is not None
    await store.keys.insert(key_record(user_id="u"))
    assert await store.users.delete(["u"]) == 1
    assert await store.keys.get(KEY) is None


async def test_a_project_with_keys_is_not_deleted(store: Store) -> None:
    await build(store)
    with pytest.raises(Conflict, match="has keys"):
        await store.projects.delete(["p"])
    await store.keys.delete([KEY])
    assert await store.projects.delete(["p"]) == 1


async def test_a_member_that_is_removed_loses_its_keys_in_the_team(store: Store) -> None:
    await build(store)
    await store.keys.insert(key_record(key_hash=OTHER, account_id=OTHER, user_id="u"))
    assert await store.teams.remove_members("t", ["u", "nobody"]) == 1
    assert await store.keys.get(KEY) is None
    assert await store.keys.get(OTHER) is not None
    assert await store.teams.members(["t"]) == []


@pytest.mark.parametrize("field", ["budget_id", "user_id", "team_id", "project_id", "organization_id"])
async def test_nothing_refers_to_what_is_not_there(store: Store, field: str) -> None:
    with pytest.raises(Conflict):
        await store.keys.insert(key_record(**{field: "no"}))
    await store.keys.insert(key_record())
    with pytest.raises(Conflict):
        await store.keys.update(KEY, {field: "no"})


async def test_a_membership_of_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(Conflict, match="meanwhile"):
        await store.teams.put_members([TeamMember(team_id="no", user_id="u")], [UserRecord(user_id="u")])
    member = OrganizationMember(organization_id="no", user_id="u")
    with pytest.raises(Conflict, match="meanwhile"):
        await store.organizations.put_members([member], [UserRecord(user_id="u")])
    await build(store)
    with pytest.raises(Conflict, match="meanwhile"):
        await store.teams.update_member("t", "u", {"budget_id": "no"})
