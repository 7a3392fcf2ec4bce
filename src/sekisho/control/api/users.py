"""Endpoints of users."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from sekisho.control.api.gate import caller_of
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import Name, NewUser, Text
from sekisho.control.services import users
from sekisho.control.services.context import Services
from sekisho.control.services.fields import USER_EXTRAS


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/user`."""

    @router.post("/user/new", tags=["users"])
    async def create_user(request: Request, response: Response, body: NewUser) -> dict[str, Any]:
        """Make a user and, unless told otherwise, a key for it, shown in this answer and never again."""
        note_without_effect(response, body.fields(), USER_EXTRAS)
        caller = caller_of(request)
        return await users.create_user(services, caller, body.fields(), with_key=body.auto_create_key)

    @router.get("/user/info", tags=["users"])
    async def show_user(request: Request, user_id: Name | None = None) -> dict[str, Any]:
        """Show a user with its keys, teams and spend; the caller itself without `user_id`."""
        return await users.show_user(services, caller_of(request), user_id)

    @router.get("/user/list", tags=["users"])
    async def list_users(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=1_000)] = 25,
        user_ids: Text | None = None,
    ) -> dict[str, Any]:
        """List users, all or those whose ids `user_ids` names, separated by commas."""
        wanted = None if user_ids is None else [name.strip() for name in user_ids.split(",")]
        return await users.list_users(services, wanted, page=page, size=page_size)
