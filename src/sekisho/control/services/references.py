"""Checking that what a request refers to exists, before anything is changed."""

from collections.abc import Mapping
from typing import Any

from sekisho.control.services.context import Services
from sekisho.core.errors import InvalidRequest


async def check_references(services: Services, fields: Mapping[str, Any]) -> None:
    """Refuse a request that refers to a budget, an organisation, a team or access groups that do not exist.

    Raises:
        InvalidRequest: naming the field.
    """
    store = services.store
    found = {
        "budget_id": store.budgets.get,
        "organization_id": store.organizations.get,
        "team_id": store.teams.get,
        "project_id": store.projects.get,
    }
    for name, get in found.items():
        identity = fields.get(name)
        if identity is not None and await get(identity) is None:
            kind = name.removesuffix("_id")
            message = f"{kind.capitalize()} {identity!r} does not exist. Create it with /{kind}/new."
            raise InvalidRequest(message, param=name)
    if groups := fields.get("access_group_ids"):
        known = {group.access_group for group in await store.access_groups.find(groups)}
        if missing := [name for name in groups if name not in known]:
            message = f"Access group {missing[0]!r} does not exist. Create it with /access_group/new."
            raise InvalidRequest(message, param="access_group_ids")
