from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from sekisho.core.caller import BudgetWindow, ModelLimits
from sekisho.store.limits import at_time, budgets_of, carrying_window, changes_at, expand_models, in_force
from sekisho.store.records import Budgeted, Limits

DAY = 86_400.0


def test_what_a_level_leaves_open_is_said_by_its_budget() -> None:
    own = Budgeted(rpm_limit=1, model_limits={"a": ModelLimits(rpm_limit=7)})
    budget = Limits(
        max_budget=5,
        budget_duration="1d",
        budget_reset_at=DAY,
        rpm_limit=9,
        tpm_limit=8,
        model_limits={"a": ModelLimits(rpm_limit=1), "b": ModelLimits(tpm_limit=2)},
    )
    found = in_force(own, budget)
    assert (found.rpm_limit, found.tpm_limit, found.max_budget, found.budget_duration) == (1, 8, 5, "1d")
    assert (found.model_limits["a"].rpm_limit, found.model_limits["b"].tpm_limit) == (7, 2)


def test_a_budget_is_taken_with_its_window_or_not_at_all() -> None:
    budget = Limits(max_budget=5, budget_duration="1d", budget_reset_at=DAY)
    own = in_force(Budgeted(max_budget=100), budget)
    assert (own.max_budget, own.budget_duration, own.budget_reset_at) == (100, None, None)


def test_a_level_without_a_budget_stays_as_it_is() -> None:
    record = Budgeted(max_budget=3)
    assert in_force(record, None) is record


def test_every_budget_holds_at_once() -> None:
    daily = BudgetWindow(limit=2, duration="1d", resets_at=DAY)
    record = Budgeted(max_budget=9, budget_limits=(daily,))
    assert budgets_of(record, 0.0) == (BudgetWindow(limit=9), daily)
    assert budgets_of(Budgeted(budget_limits=(daily,)), 0.0) == (daily,)
    assert budgets_of(Budgeted(), 0.0) == ()


def test_of_two_budgets_of_one_window_the_smaller_holds() -> None:
    for limits in ((9, 2), (2, 9)):
        record = Budgeted(
            max_budget=limits[0],
            budget_duration="1d",
            budget_reset_at=DAY,
            budget_limits=(BudgetWindow(limit=limits[1], duration="1d", resets_at=DAY),),
        )
        assert [window.limit for window in budgets_of(record, 0.0)] == [2]


def test_a_temporary_increase_ends() -> None:
    record = Budgeted(max_budget=10, temp_budget_increase=5, temp_budget_expiry=100.0)
    assert [window.limit for window in budgets_of(record, 99.9)] == [15]
    assert [window.limit for window in budgets_of(record, 100.0)] == [10]
    assert changes_at([None, record], 99.9) == 100.0
    assert changes_at([record], 100.0) is None


def test_only_a_window_that_was_there_leaves_something_to_carry_over() -> None:
    record = Budgeted(
        max_budget=10, budget_duration="1d", budget_reset_at=2 * DAY, budget_rollover=True, budget_started_at=0.5 * DAY
    )
    window = carrying_window(record, 1.5 * DAY)
    assert window is not None
    assert window.resets_at == DAY
    assert carrying_window(structs.replace(record, budget_started_at=1.2 * DAY), 1.5 * DAY) is None
    assert carrying_window(structs.replace(record, budget_rollover=False), 1.5 * DAY) is None
    assert carrying_window(structs.replace(record, max_budget=None), 1.5 * DAY) is None
    later = carrying_window(record, 7.5 * DAY)
    assert later is not None
    assert later.resets_at == 7 * DAY
    assert changes_at([record], 1.5 * DAY) == 2 * DAY


def test_what_is_carried_over_is_added() -> None:
    record = Budgeted(max_budget=10, budget_duration="1d", budget_reset_at=DAY, budget_rollover=True, carried=4)
    assert [window.limit for window in budgets_of(record, 0.0)] == [14]


def test_windows_that_are_over_are_shown_as_those_that_are_open() -> None:
    window = BudgetWindow(limit=1, duration="1d", resets_at=DAY)
    record = Budgeted(
        budget_duration="1d",
        budget_reset_at=DAY,
        budget_limits=(window,),
        model_limits={"a": ModelLimits(budgets=(window,))},
    )
    found = at_time(record, 3.5 * DAY)
    ends = [found.budget_reset_at, found.budget_limits[0].resets_at, found.model_limits["a"].budgets[0].resets_at]
    assert ends == [4 * DAY] * 3
    assert at_time(record, 0.0) == record


def test_access_groups_stand_for_their_models_and_for_other_groups() -> None:
    groups = {"beta": ["a", "more"], "more": ["b", "beta"], "none": []}
    assert set(expand_models(("beta",), groups)) == {"beta", "a", "more", "b"}
    assert expand_models(("x", "a"), groups) == ("x", "a")
    assert expand_models((), groups) == ()


def test_an_empty_access_group_does_not_come_to_mean_every_model() -> None:
    assert expand_models(("none",), {"none": []}) == ("none",)


@given(st.lists(st.tuples(st.sampled_from(["1d", "7d", None]), st.integers(0, 9)), max_size=5), st.integers(0, 9))
def test_budgets_never_share_an_account(windows: list[tuple[str | None, int]], limit: int) -> None:
    record = Budgeted(
        max_budget=limit,
        budget_duration="1d",
        budget_reset_at=DAY,
        budget_limits=tuple(
            BudgetWindow(limit=n, duration=text, resets_at=DAY if text else None) for text, n in windows
        ),
    )
    found = budgets_of(record, 0.0)
    assert len({(window.duration, window.resets_at) for window in found}) == len(found)
    for window in (BudgetWindow(limit=limit, duration="1d", resets_at=DAY), *record.budget_limits):
        assert any(one.duration == window.duration and one.limit <= window.limit for one in found)
