"""Endpoints of customers, LiteLLM's end users."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from sekisho.control.api.answers import answer_at_once
from sekisho.control.api.gate import caller_of
from sekisho.control.api.level_requests import CustomerFields, CustomerReferences
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import Name
from sekisho.control.services import customers
from sekisho.control.services.context import Services
from sekisho.control.services.unenforced import LEVEL_EXTRAS


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/customer` and under its other name, `/end_user`."""
    for prefix in ("/customer", "/end_user"):
        _add_changes(router, services, prefix)
        _add_lists(router, services, prefix)


def _add_changes(router: APIRouter, services: Services, prefix: str) -> None:
    @router.post(f"{prefix}/new", tags=["customers"])
    async def create_customer(request: Request, response: Response, body: CustomerFields) -> dict[str, Any]:
        """Make a customer known, with limits. What was spent for it before stays counted."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        return await customers.create_customer(services, caller_of(request), body.fields())

    @router.post(f"{prefix}/update", tags=["customers"])
    async def update_customer(request: Request, response: Response, body: CustomerFields) -> dict[str, Any]:
        """Change some fields of a customer."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        return await customers.update_customer(services, caller_of(request), body.fields())

    @router.post(f"{prefix}/block", tags=["customers"])
    async def block_customers(request: Request, body: CustomerReferences) -> dict[str, Any]:
        """Block customers: calls for them are refused."""
        return await customers.block_customers(services, caller_of(request), body.user_ids, blocked=True)

    @router.post(f"{prefix}/unblock", tags=["customers"])
    async def unblock_customers(request: Request, body: CustomerReferences) -> dict[str, Any]:
        """Let calls for blocked customers pass again."""
        return await customers.block_customers(services, caller_of(request), body.user_ids, blocked=False)

    @router.post(f"{prefix}/delete", tags=["customers"])
    async def delete_customers(body: CustomerReferences) -> dict[str, Any]:
        """Forget customers, all or none: they have no limits then, and nothing spent. Usage rows stay."""
        return await customers.delete_customers(services, body.user_ids)


def _add_lists(router: APIRouter, services: Services, prefix: str) -> None:
    @router.get(f"{prefix}/info", tags=["customers"])
    async def show_customer(end_user_id: Name) -> dict[str, Any]:
        """Show a customer with its spend."""
        return await customers.show_customer(services, end_user_id)

    @router.get(f"{prefix}/list", tags=["customers"], response_model=list[dict[str, Any]])
    async def list_customers(
        response: Response,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    ) -> Response:
        """List the customers that are known: all, or one page of `page_size`."""
        return answer_at_once(await customers.list_customers(services, page=page, size=page_size), response)
