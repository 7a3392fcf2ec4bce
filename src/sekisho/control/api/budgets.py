"""Endpoints of budgets."""

from typing import Any

from fastapi import APIRouter, Request

from sekisho.control.api.gate import caller_of
from sekisho.control.api.level_requests import BudgetReferences, DeleteBudget, NewBudget, UpdateBudget
from sekisho.control.api.requests import Name, Page, PageSize
from sekisho.control.services import budgets
from sekisho.control.services.context import Services


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/budget`."""

    @router.post("/budget/new", tags=["budgets"])
    async def create_budget(request: Request, body: NewBudget) -> dict[str, Any]:
        """Make a budget: limits with a name, which others refer to by `budget_id`."""
        return await budgets.create_budget(services, caller_of(request), body.fields())

    @router.post("/budget/update", tags=["budgets"])
    async def update_budget(request: Request, body: UpdateBudget) -> dict[str, Any]:
        """Change a budget, and with it the limits of everything that refers to it."""
        fields = body.fields()
        return await budgets.update_budget(services, caller_of(request), fields.pop("budget_id"), fields)

    @router.post("/budget/info", tags=["budgets"])
    async def show_budgets(body: BudgetReferences) -> list[dict[str, Any]]:
        """Show budgets by id."""
        return await budgets.show_budgets(services, body.budgets)

    @router.get("/budget/list", tags=["budgets"])
    async def list_budgets(page: Page = 1, page_size: PageSize | None = None) -> list[dict[str, Any]]:
        """List the budgets: all, or one page of `page_size`."""
        return await budgets.list_budgets(services, page=page, size=page_size)

    @router.get("/budget/alerts", tags=["budgets"])
    async def list_alerts(page: Page = 1, page_size: PageSize = 50) -> dict[str, Any]:
        """List which soft budgets were passed, when, and by whom; the newest first. Each is told once a window."""
        return await budgets.list_alerts(services, page=page, size=page_size)

    @router.get("/budget/settings", tags=["budgets"])
    async def describe_settings(budget_id: Name) -> list[dict[str, Any]]:
        """Say what can be set of a budget, and what is set."""
        return await budgets.describe_settings(services, budget_id)

    @router.post("/budget/delete", tags=["budgets"])
    async def delete_budget(body: DeleteBudget) -> dict[str, Any]:
        """Delete a budget that nothing refers to."""
        return await budgets.delete_budget(services, body.id)
