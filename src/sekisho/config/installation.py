"""The limits that the configuration sets itself: of the whole installation, of end users and of tags."""

from collections.abc import Mapping
from typing import Any

from sekisho.config import keys
from sekisho.config.kinds import COUNT, NUMBER
from sekisho.config.places import Document, Path, Report, show_path
from sekisho.config.sections import check_block
from sekisho.core.caller import BudgetWindow, ModelLimits, Scope
from sekisho.core.durations import next_reset
from sekisho.core.money import nano_from_dollars

_PATH: Path = ("general_settings", "installation_limits")
_OTHER_WORDS = {"budget_limit": "max_budget", "time_period": "budget_duration"}


def read_installation(document: Document, settings: Mapping[str, Mapping[str, Any]], report: Report) -> Scope:
    """The widest scope, with `litellm_settings.max_budget` and `general_settings.installation_limits`."""
    general, litellm = settings["general_settings"], settings["litellm_settings"]
    given = check_block(document, general.get("installation_limits", {}), _PATH, keys.INSTALLATION_LIMITS, report)
    zone: str | None = litellm.get("timezone")
    main = _window(litellm.get("max_budget", 0), litellm.get("budget_duration"), zone)
    budgets = [main] if litellm.get("max_budget") is not None else []
    for position, window in enumerate(given.pop("budget_limits", [])):
        budgets += _read_window(document, window, (*_PATH, "budget_limits", position), zone, report)
    soft_budget = given.pop("soft_budget", None)
    if soft_budget is not None:
        soft_budget = _window(soft_budget, litellm.get("budget_duration"), zone)
    return Scope(
        kind="installation",
        id="all",
        models=tuple(given.pop("models", ())),
        budgets=tuple(budgets),
        counted=(main,) if soft_budget is not None and not budgets and main.duration is not None else (),
        soft_budget=soft_budget,
        max_parallel_requests=general.get("global_max_parallel_requests"),
        model_limits=_read_models(document, given, zone, report),
        **given,
    )


def read_end_users(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of the snapshot that say what end users may use who have no limits of their own."""
    litellm = settings["litellm_settings"]
    dollars = litellm.get("max_end_user_budget")
    return {
        "end_user_budget_id": litellm.get("max_end_user_budget_id") or None,
        "end_user_budget": None if dollars is None else nano_from_dollars(dollars),
    }


def read_tags(document: Document, settings: Mapping[str, Mapping[str, Any]], report: Report) -> dict[str, BudgetWindow]:
    """What `litellm_settings.tag_budget_config` says that tags may spend, by name."""
    litellm = settings["litellm_settings"]
    found: dict[str, BudgetWindow] = {}
    for tag, budget in litellm.get("tag_budget_config", {}).items():
        path = ("litellm_settings", "tag_budget_config", tag)
        for window in _read_window(document, _rename_window(budget), path, litellm.get("timezone"), report):
            found[str(tag)] = window
    return found


def _rename_window(budget: object) -> object:
    """A budget in LiteLLM's other words for it, `budget_limit` and `time_period`, in those that everything else has."""
    if not isinstance(budget, dict):
        return budget
    return {_OTHER_WORDS.get(name, name): value for name, value in budget.items()}


def _read_models(document: Document, given: dict[str, Any], zone: str | None, report: Report) -> dict[str, ModelLimits]:
    """The limits of models; what is read is taken out of `given`."""
    budgets: dict[str, tuple[BudgetWindow, ...]] = {}
    for model, budget in given.pop("model_max_budget", {}).items():
        path = (*_PATH, "model_max_budget", model)
        window = _rename_window(budget) if isinstance(budget, dict) else {"max_budget": budget}
        budgets[model] = tuple(_read_window(document, window, path, zone, report))
    rates = {
        name: _read_counts(document, given.pop(name, {}), (*_PATH, name), report)
        for name in ("model_rpm_limit", "model_tpm_limit")
    }
    rpm, tpm = rates["model_rpm_limit"], rates["model_tpm_limit"]
    return {
        model: ModelLimits(budgets=budgets.get(model, ()), rpm_limit=rpm.get(model), tpm_limit=tpm.get(model))
        for model in sorted({*budgets, *rpm, *tpm})
    }


def _read_window(
    document: Document, window: object, path: Path, zone: str | None, report: Report
) -> list[BudgetWindow]:
    """A budget and its duration, in a list; an empty one when they cannot be read."""
    fields = window if isinstance(window, dict) else {}
    known = {name: value for name, value in fields.items() if value is not None}
    read = check_block(document, known, path, keys.WINDOW_LIMIT, report)
    if "max_budget" not in known:
        report.error(document.value_place(path), f"`{show_path(path)}`: expected {NUMBER.expected}, of dollars")
    return [_window(read["max_budget"], read.get("budget_duration"), zone)] if "max_budget" in read else []


def _read_counts(document: Document, given: Mapping[str, object], path: Path, report: Report) -> dict[str, int]:
    block = keys.Block(dict.fromkeys(given, COUNT))
    return check_block(document, given, path, block, report)


def _window(dollars: float, duration: str | None, zone: str | None) -> BudgetWindow:
    """A window that all processes name alike, since it is counted from the epoch."""
    resets_at = None if duration is None else next_reset(duration, 0.0, zone)
    return BudgetWindow(
        limit=nano_from_dollars(dollars), duration=duration, resets_at=resets_at, zone=zone if duration else None
    )
