"""From the fields of an admin request to the columns of a record."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, structs

from sekisho.core.caller import BudgetWindow, ModelLimits
from sekisho.core.durations import expiry, next_reset
from sekisho.core.errors import InvalidRequest
from sekisho.core.money import nano_from_dollars
from sekisho.store.records import Budgeted, Limits

_MONEY: Final = ("max_budget", "soft_budget", "spend")
_PLAIN: Final = (
    *("rpm_limit", "tpm_limit", "tpd_limit", "max_parallel_requests", "budget_rollover", "budget_id"),
    "blocked",
)
_MODEL_FIELDS: Final = ("model_max_budget", "model_rpm_limit", "model_tpm_limit")
_WITHOUT_NOTE: Final[tuple[Any, ...]] = (None, [], {}, "", False, "best_effort_throughput", "guaranteed_throughput")
"""Values of fields that are only kept which ask for nothing, or for what is done anyway."""
_NEVER_NULL: Final = {
    "models": (),
    "metadata": {},
    "tags": (),
    "allowed_routes": (),
    "access_group_ids": (),
    "budget_limits": (),
    "blocked": False,
    "budget_rollover": False,
    "spend": 0,
}
"""What null stands for where a column must have a value."""


class Present(Struct, frozen=True):
    """When a request is made (seconds since the epoch), and what the configuration says of levels that do not.

    zone: the time zone that their windows get. rollover: whether what a window leaves is carried over.
    """

    now: float
    zone: str | None = None
    rollover: bool = False


def moment(text: str, now: float) -> float:
    """The moment that `text` names: a duration from `now`, or a date or time in ISO 8601 (UTC unless it says else).

    Raises:
        ValueError: it is neither.
    """
    try:
        return expiry(text, now)
    except ValueError:
        pass
    try:
        named = datetime.fromisoformat(text)
        return (named if named.tzinfo is not None else named.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        expected = "a duration such as 30d, or a time such as 2030-01-31T12:00:00Z"
        raise ValueError(f"not a moment: {text[:40]!r}; expected {expected}") from None


def budget_columns(fields: Mapping[str, Any], present: Present, record: Limits | None = None) -> dict[str, Any]:
    """The columns of limits and money that `fields` sets; dollars become nano-dollars, a duration begins a window.

    Args:
        fields: of the request.
        present: when it is made.
        record: what is changed, if it is there already. A window that it has goes on when its duration stays.

    Raises:
        InvalidRequest: limits that contradict each other.
    """
    columns: dict[str, Any] = {name: fields[name] for name in _PLAIN if name in fields}
    if record is None and columns.get("budget_rollover") is None:
        columns["budget_rollover"] = present.rollover
    for name in _MONEY:
        if name in fields:
            columns[name] = _nano(fields[name])
    if "models" in fields:
        columns["models"] = tuple(fields["models"] or ())
    if "expires" in fields:
        columns["expires"] = moment(fields["expires"], present.now) if fields["expires"] else None
    zone = _zone_of(fields, present, record)
    before = record or Limits()
    moved = record is not None and zone != before.budget_timezone
    here = structs.replace(present, zone=zone)
    columns |= _window_columns(fields, here, record)
    if "budget_limits" in fields:
        columns["budget_limits"] = _windows(fields["budget_limits"] or (), before.budget_limits, here)
    elif moved:
        known = before.budget_limits
        columns["budget_limits"] = tuple(_window(window.limit, window.duration, known, here) for window in known)
    if moved or any(name in fields for name in _MODEL_FIELDS):
        columns["model_limits"] = _model_limits(fields, before.model_limits, here)
    columns |= _temporary_columns(fields, present.now, record)
    return with_defaults(columns)


def plain_columns(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The columns that `fields` sets as they are."""
    return with_defaults({name: fields[name] for name in names if name in fields})


def list_columns(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The columns of lists that `fields` sets."""
    return {name: tuple(fields[name] or ()) for name in names if name in fields}


def with_defaults(columns: Mapping[str, Any]) -> dict[str, Any]:
    """`columns` with null replaced where it is not a value."""
    return {name: _NEVER_NULL.get(name) if value is None else value for name, value in columns.items()}


def extras(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields of LiteLLM's API that are only kept."""
    return {name: value for name, value in fields.items() if name in known}


def without_effect(fields: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """The names of fields that ask for something which is only kept, so that nobody relies on it."""
    return sorted(name for name, value in extras(fields, known).items() if value not in _WITHOUT_NOTE)


def member_limits(fields: Mapping[str, Any], present: Present, record: Limits | None = None) -> Limits | None:
    """What the `team_member_…` fields of a team say that each member may use; `record` as it was.

    None when nothing is limited.
    """
    names = {
        "team_member_budget": "max_budget",
        "team_member_budget_duration": "budget_duration",
        "team_member_rpm_limit": "rpm_limit",
        "team_member_tpm_limit": "tpm_limit",
    }
    given = {inner: fields[outer] for outer, inner in names.items() if outer in fields}
    limits = structs.replace(record or Limits(), **budget_columns(given, present, record))
    kept = {name: getattr(limits, name) for name in ("budget_started_at", "budget_timezone", "budget_rollover")}
    return None if limits == Limits(**kept) else limits


def _zone_of(fields: Mapping[str, Any], present: Present, record: Limits | None) -> str | None:
    """On whose clock the windows end. Those that were begun stay on theirs unless the request names another."""
    if "budget_timezone" in fields:
        return fields["budget_timezone"] or present.zone
    begun = record is not None and (
        record.budget_duration or record.budget_limits or any(limits.budgets for limits in record.model_limits.values())
    )
    return record.budget_timezone if record is not None and begun else present.zone


def _window_columns(fields: Mapping[str, Any], here: Present, record: Limits | None) -> dict[str, Any]:
    """The window of `max_budget`. What it leaves can be carried over from the time on that it is there."""
    columns: dict[str, Any] = {}
    before = record or Limits()
    duration = (fields["budget_duration"] or None) if "budget_duration" in fields else before.budget_duration
    if record is None or here.zone != before.budget_timezone:
        columns["budget_timezone"] = here.zone
    if duration != before.budget_duration or (duration and "budget_timezone" in columns):
        columns["budget_duration"] = duration
        columns["budget_reset_at"] = next_reset(duration, here.now, here.zone) if duration else None
        columns["budget_started_at"] = here.now
    if record is None or ("budget_id" in fields and fields["budget_id"] != getattr(record, "budget_id", None)):
        columns["budget_started_at"] = here.now
    return columns


def _windows(
    wanted: Sequence[Mapping[str, Any]], known: Sequence[BudgetWindow], here: Present
) -> tuple[BudgetWindow, ...]:
    windows: dict[str, BudgetWindow] = {}
    for window in wanted:
        duration: str = window["budget_duration"]
        if duration in windows:
            message = f"budget_limits has two budgets for {duration}. Give one for each duration."
            raise InvalidRequest(message, param="budget_limits")
        windows[duration] = _window(nano_from_dollars(window["max_budget"]), duration, known, here)
    return tuple(windows.values())


def _window(limit: int, duration: str | None, known: Sequence[BudgetWindow], here: Present) -> BudgetWindow:
    """A budget for ever, or one for a time: its window goes on if it was there before."""
    if duration is None:
        return BudgetWindow(limit=limit)
    for window in known:
        if (window.duration, window.zone) == (duration, here.zone):
            return structs.replace(window, limit=limit)
    resets_at = next_reset(duration, here.now, here.zone)
    return BudgetWindow(limit=limit, duration=duration, resets_at=resets_at, zone=here.zone)


def _model_limits(fields: Mapping[str, Any], known: Mapping[str, ModelLimits], here: Present) -> dict[str, ModelLimits]:
    """The limits of models: each of the three fields replaces what was said of its kind before."""
    budgets: dict[str, tuple[BudgetWindow, ...]] = {
        model: tuple(_window(window.limit, window.duration, limits.budgets, here) for window in limits.budgets)
        for model, limits in known.items()
    }
    rpm = {model: limits.rpm_limit for model, limits in known.items()}
    tpm = {model: limits.tpm_limit for model, limits in known.items()}
    if "model_max_budget" in fields:
        given = fields["model_max_budget"] or {}
        budgets = {model: _model_budget(budget, budgets.get(model, ()), here) for model, budget in given.items()}
    if "model_rpm_limit" in fields:
        rpm = fields["model_rpm_limit"] or {}
    if "model_tpm_limit" in fields:
        tpm = fields["model_tpm_limit"] or {}
    limits = {
        model: ModelLimits(budgets=budgets.get(model, ()), rpm_limit=rpm.get(model), tpm_limit=tpm.get(model))
        for model in sorted({*budgets, *rpm, *tpm})
    }
    return {model: of_model for model, of_model in limits.items() if of_model != ModelLimits()}


def _model_budget(wanted: Any, known: Sequence[BudgetWindow], here: Present) -> tuple[BudgetWindow, ...]:
    """The budget of a model: an amount for ever, or an amount and the length of its windows."""
    if not isinstance(wanted, Mapping):
        return (_window(nano_from_dollars(wanted), None, known, here),)
    return (_window(nano_from_dollars(wanted["budget_limit"]), wanted.get("time_period") or None, known, here),)


def _temporary_columns(fields: Mapping[str, Any], now: float, record: Limits | None) -> dict[str, Any]:
    """A temporary increase of the budget, which needs both an amount and an end."""
    columns: dict[str, Any] = {}
    if "temp_budget_increase" in fields:
        columns["temp_budget_increase"] = _nano(fields["temp_budget_increase"])
    if "temp_budget_expiry" in fields:
        end = fields["temp_budget_expiry"]
        columns["temp_budget_expiry"] = moment(end, now) if end else None
    if not columns:
        return columns
    increase, end = (
        columns.get(name, getattr(record, name) if isinstance(record, Budgeted) else None)
        for name in ("temp_budget_increase", "temp_budget_expiry")
    )
    if (increase is None) != (end is None):
        message = "A temporary increase needs temp_budget_increase (dollars) and temp_budget_expiry (such as 2d)."
        raise InvalidRequest(message, param="temp_budget_expiry" if end is None else "temp_budget_increase")
    return columns


def _nano(dollars: Any) -> int | None:
    return None if dollars is None else nano_from_dollars(dollars)
