"""What the configuration says of customers and tags that say less themselves."""

import pytest

from sekisho.core.caller import BudgetWindow
from sekisho.core.clock import ManualClock
from sekisho.store.customers import CustomerDefaults
from sekisho.store.engine import Store
from sekisho.store.records import BudgetRecord, CustomerRecord, TagRecord


@pytest.mark.parametrize(
    ("own", "limits"),
    [
        ({}, (5, 7)),
        ({"alias": "a", "temp_budget_increase": 1, "temp_budget_expiry": 2e9}, (5, 7)),
        ({"rpm_limit": 3}, (None, 3)),
        ({"max_budget": 9}, (9, None)),
        ({"budget_id": "other"}, (None, 1)),
    ],
)
async def test_a_customer_has_the_default_budget_or_its_own_limits(
    store: Store, own: dict[str, object], limits: tuple[int | None, int | None]
) -> None:
    await store.budgets.insert(BudgetRecord(budget_id="default", rpm_limit=7))
    await store.budgets.insert(BudgetRecord(budget_id="other", rpm_limit=1))
    store.customers.defaults = CustomerDefaults("default", 5)
    await store.customers.insert(CustomerRecord(user_id="c", **own))  # type: ignore[arg-type]  # fields of many types
    found = await store.customers.effective("c")
    assert (found.max_budget, found.rpm_limit) == limits
    stranger = await store.customers.effective("stranger")
    assert (stranger.max_budget, stranger.rpm_limit) == (5, 7)


async def test_a_default_budget_that_is_not_there_limits_nobody(store: Store) -> None:
    store.customers.defaults = CustomerDefaults("missing")
    assert (await store.customers.effective("stranger")).max_budget is None
    assert await store.customers.get_seen(["stranger"]) == []


async def test_a_tag_has_the_budget_that_it_and_its_own_leave_open(store: Store, clock: ManualClock) -> None:
    await store.budgets.insert(BudgetRecord(budget_id="slow", rpm_limit=1))
    store.tags.defaults = dict.fromkeys("abc", BudgetWindow(limit=5, duration="1d", resets_at=86_400.0))
    await store.tags.insert(TagRecord(name="a", max_budget=9))
    await store.tags.insert(TagRecord(name="b", budget_id="slow"))
    a, b, c, other = [await store.tags.effective(name) for name in "abcd"]
    assert [(tag.max_budget, tag.budget_duration, tag.rpm_limit) for tag in (a, b, c, other)] == [
        (9, None, None),
        (5, "1d", 1),
        (5, "1d", None),
        (None, None, None),
    ]
    assert c.budget_reset_at is not None
    assert clock.now() < c.budget_reset_at <= clock.now() + 86_400
    assert [tag.name for tag in await store.tags.get_seen(["d", "c", "a"])] == ["a", "c"]
