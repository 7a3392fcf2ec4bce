"""Endpoints of virtual keys."""

from typing import Any

from fastapi import APIRouter, Request, Response

from sekisho.control.api.gate import caller_of
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import (
    DeleteKeys,
    GenerateKey,
    GenerateServiceKey,
    KeyReference,
    KeyReferences,
    Name,
    Page,
    PageSize,
    RegenerateKey,
    ResetSpend,
    Text,
    UpdateKey,
    UpdateKeys,
)
from sekisho.control.services import key_operations, keys
from sekisho.control.services.context import Services
from sekisho.control.services.unenforced import KEY_EXTRAS
from sekisho.core.errors import InvalidRequest
from sekisho.store.keys import KeyFilter


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/key`."""
    add_operations(router, services)
    add_lookups(router, services)

    @router.post("/key/generate", tags=["keys"])
    async def generate_key(request: Request, response: Response, body: GenerateKey) -> dict[str, Any]:
        """Make a virtual key. It is shown in this answer and never again."""
        note_without_effect(response, body.fields(), KEY_EXTRAS)
        return await keys.generate_key(services, caller_of(request), body.fields())

    @router.get("/key/info", tags=["keys"])
    async def show_key(request: Request, key: Name | None = None) -> dict[str, Any]:
        """Show a key with its limits and its spend up to this moment; the caller's own without `key`."""
        return await keys.show_key(services, caller_of(request), key)

    @router.post("/key/update", tags=["keys"])
    async def update_key(request: Request, response: Response, body: UpdateKey) -> dict[str, Any]:
        """Change some fields of a key."""
        note_without_effect(response, body.fields(), KEY_EXTRAS)
        fields = body.fields()
        return await keys.update_key(services, caller_of(request), fields.pop("key"), fields)

    @router.post("/key/delete", tags=["keys"])
    async def delete_keys(request: Request, body: DeleteKeys) -> dict[str, Any]:
        """Delete keys by key, hash or alias, all or none. Their usage rows stay."""
        if not (body.keys or body.key_aliases):
            raise InvalidRequest("Name what to delete in keys or key_aliases.", param="keys")
        deleted = await keys.delete_keys(services, caller_of(request), body.keys or [], body.key_aliases or [])
        return {"deleted_keys": deleted}

    @router.post("/key/block", tags=["keys"])
    async def block_key(request: Request, body: KeyReference) -> dict[str, Any]:
        """Block a key: calls with it are refused with 401 at once."""
        return await keys.block_key(services, caller_of(request), body.key, blocked=True)

    @router.post("/key/unblock", tags=["keys"])
    async def unblock_key(request: Request, body: KeyReference) -> dict[str, Any]:
        """Let a blocked key work again."""
        return await keys.block_key(services, caller_of(request), body.key, blocked=False)

    @router.get("/key/list", tags=["keys"])
    async def list_keys(
        request: Request,
        page: Page = 1,
        size: PageSize = 10,
        user_id: Name | None = None,
        team_id: Name | None = None,
        organization_id: Name | None = None,
        project_id: Name | None = None,
        key_alias: Name | None = None,
        key_hash: Name | None = None,
        return_full_object: bool = False,
        include_team_keys: bool = False,
    ) -> dict[str, Any]:
        """List the hashes of the keys that the caller may see, or everything about them with `return_full_object`."""
        wanted = KeyFilter(
            user_id=user_id,
            team_id=team_id,
            organization_id=organization_id,
            project_id=project_id,
            key_alias=key_alias,
            key_hash=None if key_hash is None else keys.hash_of(key_hash),
        )
        return await keys.list_keys(
            services,
            caller_of(request),
            wanted,
            page=page,
            size=size,
            full=return_full_object,
            with_teams=include_team_keys,
        )


def add_lookups(router: APIRouter, services: Services) -> None:
    """Add what tells of several keys at once."""

    @router.post("/v2/key/info", tags=["keys"])
    async def show_keys(request: Request, body: KeyReferences | None = None) -> dict[str, Any]:
        """Show several keys, by key or hash; those that there are not, or that the caller may not see, are left out."""
        return await keys.show_keys(services, caller_of(request), None if body is None else body.keys)

    @router.get("/key/aliases", tags=["keys"])
    async def list_aliases(
        request: Request,
        page: Page = 1,
        size: PageSize = 50,
        search: Text | None = None,
        team_id: Name | None = None,
    ) -> dict[str, Any]:
        """List the aliases of the keys that the caller may see, of all or of those that contain `search`."""
        wanted = KeyFilter(team_id=team_id)
        return await keys.list_aliases(services, caller_of(request), wanted, search, page=page, size=size)


def add_operations(router: APIRouter, services: Services) -> None:
    """Add what can be done with keys besides making and changing them."""

    @router.post("/key/service-account/generate", tags=["keys"])
    async def generate_service_key(request: Request, response: Response, body: GenerateServiceKey) -> dict[str, Any]:
        """Make a key that belongs to a team and to no user. It is shown in this answer and never again."""
        note_without_effect(response, body.fields(), KEY_EXTRAS)
        return await key_operations.generate_service_key(services, caller_of(request), body.fields())

    @router.post("/key/bulk_update", tags=["keys"])
    async def update_keys(request: Request, body: UpdateKeys) -> dict[str, Any]:
        """Change several keys, each by itself; the answer tells which could not be changed, and why."""
        updates = [update.fields() for update in body.keys]
        return await key_operations.update_keys(services, caller_of(request), updates)

    @router.post("/key/regenerate", tags=["keys"])
    async def regenerate_named_key(request: Request, body: RegenerateKey) -> dict[str, Any]:
        """Give the key that the body names a new text."""
        if body.key is None:
            raise InvalidRequest("Name the key to regenerate, or its hash.", param="key")
        return await key_operations.regenerate_key(
            services, caller_of(request), body.key, body.fields(), "/key/regenerate"
        )

    @router.post("/key/{key}/regenerate", tags=["keys"])
    async def regenerate_key(request: Request, key: Name, body: RegenerateKey | None = None) -> dict[str, Any]:
        """Give a key a new text, shown in this answer and never again. Alias, limits and spend stay."""
        fields = {} if body is None else body.fields()
        return await key_operations.regenerate_key(services, caller_of(request), key, fields)

    @router.post("/key/{key}/reset_spend", tags=["keys"])
    async def reset_spend(request: Request, key: Name, body: ResetSpend) -> dict[str, Any]:
        """Let the open budget window of a key go on from another amount, such as 0."""
        return await key_operations.reset_spend(services, caller_of(request), key, body.reset_to)

    @router.post("/key/health", tags=["keys"])
    async def check_key() -> dict[str, Any]:
        """Say that the key of this request is good: another would be refused."""
        return {"key": "healthy", "logging_callbacks": None}

    @router.post("/key/aws_credentials", tags=["keys"])
    async def issue_aws_credentials(request: Request, body: KeyReference) -> dict[str, Any]:
        """Give the AWS key pair of a key, for SDKs that sign their requests to the Bedrock endpoints."""
        return await key_operations.issue_aws_credentials(services, caller_of(request), body.key)
