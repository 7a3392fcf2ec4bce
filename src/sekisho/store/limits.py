"""Which limits are in force: a level's own, those of the budget it refers to, and what time adds to them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from sekisho.core.caller import BudgetWindow, ModelLimits
from sekisho.core.durations import roll_window, window_start
from sekisho.store.records import Budgeted, Limits

AnyLimits = TypeVar("AnyLimits", bound=Limits)

_MOST: Final = 9 * 10**18
"""Nano-dollars that fit into the 63 bits of a column."""
_BUDGET: Final = (
    *("max_budget", "budget_duration", "budget_timezone", "budget_reset_at", "budget_started_at"),
    "budget_rollover",
)
_SINGLE: Final = ("soft_budget", "rpm_limit", "tpm_limit", "tpd_limit", "max_parallel_requests")


def at_time(record: AnyLimits, now: float) -> AnyLimits:
    """`record` as it stands at `now`: with the ends of the windows that are open then."""
    main = main_window(record)
    return msgspec.structs.replace(
        record,
        budget_reset_at=_rolled(main, now).resets_at,
        budget_limits=tuple(_rolled(window, now) for window in record.budget_limits),
        model_limits={
            model: ModelLimits(
                budgets=tuple(_rolled(window, now) for window in limits.budgets),
                rpm_limit=limits.rpm_limit,
                tpm_limit=limits.tpm_limit,
            )
            for model, limits in record.model_limits.items()
        },
    )


def in_force(record: AnyLimits, budget: Limits | None) -> AnyLimits:
    """`record` with what it leaves open said by `budget`. A budget and its window are taken together or not at all."""
    if budget is None:
        return record
    taken = [name for name in _SINGLE if getattr(record, name) is None]
    if record.max_budget is None:
        taken += _BUDGET
    if not record.budget_limits:
        taken.append("budget_limits")
    values = {name: getattr(budget, name) for name in taken}
    if "budget_started_at" in values:  # a window from before both were there left nothing to carry over
        values["budget_started_at"] = max(budget.budget_started_at or 0.0, record.budget_started_at or 0.0)
    return msgspec.structs.replace(record, model_limits={**budget.model_limits, **record.model_limits}, **values)


def limits_anything(record: Budgeted) -> bool:
    """Whether a record says itself, or through its budget, what may be used."""
    given = (getattr(record, name) is not None for name in ("budget_id", "max_budget", *_SINGLE))
    return any(given) or bool(record.budget_limits or record.model_limits)


def main_window(record: Limits) -> BudgetWindow:
    """The window of `max_budget`, whether or not that is limited; the limit is the plain one."""
    return BudgetWindow(
        limit=record.max_budget or 0,
        duration=record.budget_duration,
        resets_at=record.budget_reset_at,
        zone=record.budget_timezone,
    )


def soft_window(record: Budgeted) -> BudgetWindow | None:
    """The window of `max_budget` with the soft budget as its limit, if there is one."""
    if record.soft_budget is None:
        return None
    return msgspec.structs.replace(main_window(record), limit=record.soft_budget)


def counted_windows(record: Budgeted) -> tuple[BudgetWindow, ...]:
    """The windows that nothing limits, but whose spend is told: that of a duration without a budget."""
    return (main_window(record),) if record.max_budget is None and record.budget_duration is not None else ()


def budgets_of(record: Budgeted, now: float) -> tuple[BudgetWindow, ...]:
    """Every budget that is in force at `now`, with a temporary increase and what the last window left in its limit.

    Two budgets of the same window are one account, which only the smaller of them limits.
    """
    windows = list(record.budget_limits)
    if record.max_budget is not None:
        limit = record.max_budget + record.carried
        if record.temp_budget_increase is not None and (record.temp_budget_expiry or 0.0) > now:
            limit += record.temp_budget_increase
        windows.insert(0, msgspec.structs.replace(main_window(record), limit=min(limit, _MOST)))
    smallest: dict[tuple[str | None, float | None], BudgetWindow] = {}
    for window in windows:
        same = (window.duration, window.resets_at)
        if same not in smallest or window.limit < smallest[same].limit:
            smallest[same] = window
    return tuple(smallest.values())


def carrying_window(record: Budgeted, now: float) -> BudgetWindow | None:
    """The window before the open one, if what it left is carried over; it ended at its `resets_at`."""
    window = main_window(record)
    if not (record.budget_rollover and record.max_budget and window.duration and window.resets_at is not None):
        return None
    start = window_start(window.duration, roll_window(window.duration, window.resets_at, now, window.zone), window.zone)
    if record.budget_started_at is None or record.budget_started_at >= start:
        return None
    return msgspec.structs.replace(window, resets_at=start)


def changes_at(records: Iterable[Budgeted | None], now: float) -> float | None:
    """The first moment after `now` at which the limits of one of these change by themselves."""
    moments: list[float] = []
    for record in records:
        if record is None:
            continue
        if record.temp_budget_increase is not None and (record.temp_budget_expiry or 0.0) > now:
            moments.append(record.temp_budget_expiry or 0.0)
        if record.budget_rollover and record.budget_reset_at is not None:
            moments.append(record.budget_reset_at)
    return min(moments, default=None)


def expand_models(models: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """`models` followed by what the access groups among them, and in those, stand for.

    The names of groups stay, so that a list which names only an empty group does not come to mean every model.
    """
    found = dict.fromkeys(models)
    waiting = list(models)
    while waiting:
        for name in groups.get(waiting.pop(), ()):
            if name not in found:
                found[name] = None
                waiting.append(name)
    return tuple(found)


def _rolled(window: BudgetWindow, now: float) -> BudgetWindow:
    if window.duration is None or window.resets_at is None or window.resets_at > now:
        return window
    return msgspec.structs.replace(window, resets_at=roll_window(window.duration, window.resets_at, now, window.zone))
