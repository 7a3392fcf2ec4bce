"""Endpoints of users."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from sekisho.control.api.gate import caller_of
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import DeleteUsers, Name, NewUser, Text, UpdateUser, UpdateUsers
from sekisho.control.services import users
from sekisho.control.services.context import Services
from sekisho.control.services.unenforced import USER_EXTRAS
from sekisho.core.caller import Role


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

    @router.get("/v2/user/info", tags=["users"])
    async def show_user_alone(request: Request, user_id: Name | None = None) -> dict[str, Any]:
        """Show a user with its spend and the ids of its teams, without its keys; else the caller itself."""
        return await users.show_user_alone(services, caller_of(request), user_id)

    @router.get("/user/available_roles", tags=["users"])
    async def list_roles() -> dict[str, dict[str, str]]:
        """List the roles that users can have, and what they may do."""
        return users.ROLES

    @router.get("/user/list", tags=["users"])
    async def list_users(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=1_000)] = 25,
        user_ids: Text | None = None,
        role: Role | None = None,
    ) -> dict[str, Any]:
        """List users, all or those whose ids `user_ids` names, separated by commas, or those of a role."""
        wanted = None if user_ids is None else [name.strip() for name in user_ids.split(",")]
        return await users.list_users(services, wanted, role, page=page, size=page_size)

    @router.post("/user/update", tags=["users"])
    async def update_user(request: Request, response: Response, body: UpdateUser) -> dict[str, Any]:
        """Change some fields of a user, named by id or e-mail address."""
        note_without_effect(response, body.fields(), USER_EXTRAS)
        return await users.update_user(services, caller_of(request), body.fields())

    @router.post("/user/bulk_update", tags=["users"])
    async def update_users(request: Request, body: UpdateUsers) -> dict[str, Any]:
        """Change several users, each by itself; the answer tells which could not be changed, and why."""
        updates = [update.fields() for update in body.users]
        return await users.update_users(services, caller_of(request), updates)

    @router.post("/user/delete", tags=["users"])
    async def delete_users(body: DeleteUsers) -> dict[str, Any]:
        """Delete users with their keys and memberships, all or none. Usage rows stay."""
        return await users.delete_users(services, body.user_ids)
