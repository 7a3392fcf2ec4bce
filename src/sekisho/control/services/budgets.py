"""Budgets: named limits, which others refer to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns
from sekisho.control.services.ownership import changed_by, made_by
from sekisho.control.services.views import View, budget_view, dollars, iso
from sekisho.core.caller import Caller
from sekisho.core.errors import Conflict, NotFound
from sekisho.store.records import BudgetRecord

_SETTINGS: Final = {
    "max_budget": ("Float", "The most that may be spent in each window, in dollars."),
    "soft_budget": ("Float", "An alert is raised at this amount of dollars; calls go on."),
    "budget_duration": ("String", "The length of the windows, such as 1d or 30d; without it the budget is for ever."),
    "max_parallel_requests": ("Integer", "The most calls under way at once."),
    "rpm_limit": ("Integer", "The most requests in any 60 seconds."),
    "tpm_limit": ("Integer", "The most tokens in any 60 seconds."),
    "tpd_limit": ("Integer", "The most tokens in any 24 hours."),
    "model_max_budget": ("Object", "Budgets by model."),
}


async def create_budget(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a budget. Raises Conflict when the id is taken."""
    limits = {name: value for name, value in fields.items() if name != "budget_id"}
    record = BudgetRecord(
        budget_id=fields.get("budget_id") or str(uuid4()),
        **made_by(services, caller),
        **budget_columns(limits, services.present()),
    )
    await services.store.budgets.insert(record)
    return budget_view(record)


async def show_budgets(services: Services, budget_ids: Sequence[str]) -> list[View]:
    """Those of these budgets that there are."""
    return [budget_view(record) for record in await services.store.budgets.find(budget_ids)]


async def list_budgets(services: Services, *, page: int, size: int | None) -> list[View]:
    """One page (of `size`, or all) of the budgets, the newest first."""
    records = await services.store.budgets.find(limit=size, offset=(page - 1) * (size or 0))
    return [budget_view(record) for record in records]


async def list_alerts(services: Services, *, page: int, size: int) -> View:
    """One page of the soft budgets that were passed, the newest first."""
    alerts, total = await services.store.alerts.find(limit=size, offset=(page - 1) * size)
    return {
        "alerts": [
            {
                "kind": alert.kind,
                "object_id": alert.object_id,
                "alias": alert.alias,
                "soft_budget": dollars(alert.soft_budget),
                "spend": dollars(alert.spent),
                "alerted_at": iso(alert.at),
            }
            for alert in alerts
        ],
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": -(-total // size),
    }


async def describe_settings(services: Services, budget_id: str) -> list[View]:
    """What can be set of a budget, and what is set, for a form. Raises NotFound."""
    view = budget_view(await _require(services, budget_id))
    return [
        {
            "field_name": name,
            "field_type": kind,
            "field_description": description,
            "field_value": view[name],
            "stored_in_db": view[name] is not None,
            "field_default_value": None,
        }
        for name, (kind, description) in _SETTINGS.items()
    ]


async def update_budget(services: Services, caller: Caller, budget_id: str, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets, for everything that refers to the budget. Raises NotFound."""
    record = await _require(services, budget_id)
    columns = {**budget_columns(fields, services.present(), record), **changed_by(services, caller)}
    changed = await services.store.budgets.update(budget_id, columns)
    if changed is None:
        raise NotFound(f"No such budget: {budget_id!r}.", param="budget_id")
    return budget_view(changed)


async def delete_budget(services: Services, budget_id: str) -> View:
    """Delete a budget that nothing refers to, and show what it was.

    Raises:
        Conflict: something refers to it, and would be unlimited without it.
        NotFound: there is no such budget.
    """
    record = await _require(services, budget_id)
    if budget_id == services.worlds.files.end_user_budget_id:
        message = f"Budget {budget_id!r} limits all end users (litellm_settings.max_end_user_budget_id)."
        raise Conflict(message, param="id", status=400, kind="bad_request_error")
    if not await services.store.budgets.delete(budget_id):
        raise NotFound(f"No such budget: {budget_id!r}.", param="id")
    return budget_view(record)


async def _require(services: Services, budget_id: str) -> BudgetRecord:
    record = await services.store.budgets.get(budget_id)
    if record is None:
        raise NotFound(f"No such budget: {budget_id!r}. Create it with /budget/new.", param="budget_id")
    return record
