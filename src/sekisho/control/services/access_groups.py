"""Access groups: names for several models, which lists of models may use."""

from collections.abc import Mapping
from typing import Any

from sekisho.control.services.context import Services
from sekisho.control.services.ownership import changed_by, made_by
from sekisho.control.services.views import View, iso
from sekisho.core.caller import Caller
from sekisho.core.errors import NotFound
from sekisho.store.records import AccessGroup


async def create_access_group(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make an access group. Raises Conflict when the name is taken."""
    record = AccessGroup(
        access_group=fields["access_group"],
        model_names=tuple(fields["model_names"]),
        description=fields.get("description"),
        **made_by(services, caller),
    )
    await services.store.access_groups.insert(record)
    return _view(services, record)


async def show_access_group(services: Services, name: str) -> View:
    """An access group. Raises NotFound."""
    record = await services.store.access_groups.get(name)
    if record is None:
        raise _missing(name)
    return _view(services, record)


async def list_access_groups(services: Services) -> View:
    """Every access group, by name."""
    return {"access_groups": [_view(services, record) for record in await services.store.access_groups.find()]}


async def update_access_group(services: Services, caller: Caller, name: str, fields: Mapping[str, Any]) -> View:
    """Replace the models or the description of an access group, for every list that names it. Raises NotFound."""
    columns: dict[str, Any] = dict(changed_by(services, caller))
    if fields.get("model_names") is not None:
        columns["model_names"] = tuple(fields["model_names"])
    if "description" in fields:
        columns["description"] = fields["description"]
    changed = await services.store.access_groups.update(name, columns)
    if changed is None:
        raise _missing(name)
    return _view(services, changed)


async def delete_access_group(services: Services, name: str) -> View:
    """Delete an access group: lists that name it allow nothing by it any more. Raises NotFound."""
    if not await services.store.access_groups.delete(name):
        raise _missing(name)
    return {"access_group": name, "message": f"Access group {name} deleted successfully"}


def _missing(name: str) -> NotFound:
    return NotFound(f"No such access group: {name!r}. Create it with /access_group/new.", param="access_group")


def _view(services: Services, record: AccessGroup) -> View:
    served = [entry.model_name for entry in services.catalogue.entries()]
    return {
        "access_group": record.access_group,
        "model_names": list(record.model_names),
        "description": record.description,
        "deployment_count": sum(name in record.model_names for name in served),
        "created_at": iso(record.created_at),
        "created_by": record.created_by,
        "updated_at": iso(record.updated_at),
        "updated_by": record.updated_by,
    }
