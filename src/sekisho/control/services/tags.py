"""Tags with limits."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, plain_columns
from sekisho.control.services.ownership import changed_by, made_by
from sekisho.control.services.references import check_references
from sekisho.control.services.unenforced import LEVEL_EXTRAS
from sekisho.control.services.views import View, administration_view, budgeted_view, own_budget_view
from sekisho.core.caller import Caller
from sekisho.core.errors import NotFound
from sekisho.store.records import TagRecord

_PLAIN: Final = ("description", "metadata")


async def create_tag(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a tag known. What was spent under it before stays counted.

    Raises:
        Conflict: it is known already.
        InvalidRequest: the budget it refers to does not exist.
    """
    await check_references(services, {"budget_id": fields.get("budget_id")})
    record = TagRecord(
        name=fields["name"],
        extra=extras(fields, LEVEL_EXTRAS),
        **made_by(services, caller),
        **budget_columns(fields, services.present()),
        **plain_columns(fields, *_PLAIN),
    )
    record = await services.store.tags.insert(record)
    return {"message": f"Tag {record.name} created successfully", "tag": _view(record)}


async def show_tags(services: Services, names: Sequence[str]) -> View:
    """Tags by name, with their spend, also those that only calls have told of. Raises NotFound when there is none."""
    await services.store.journal.flush()
    found = await services.store.tags.get_seen(names)
    if not found:
        raise NotFound(f"No such tag: {', '.join(names)}.", param="names")
    return {record.name: _view(record) for record in found}


async def list_tags(services: Services, *, page: int, size: int | None) -> list[View]:
    """One page (of `size`, or all) of the tags that are known, with their spend."""
    await services.store.journal.flush()
    records, _ = await services.store.tags.find(limit=size, offset=(page - 1) * (size or 0))
    return [_view(record) for record in records]


async def update_tag(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets; null takes a limit away. Raises NotFound."""
    name = fields["name"]
    record = await services.store.tags.get(name)
    if record is not None:
        await check_references(services, {"budget_id": fields.get("budget_id")})
        columns = {
            **budget_columns(fields, services.present(), record),
            **plain_columns(fields, *_PLAIN),
            "extra": record.extra | extras(fields, LEVEL_EXTRAS),
            **changed_by(services, caller),
        }
        await services.store.journal.flush()
        record = await services.store.tags.update(name, columns)
    if record is None:
        raise NotFound(f"No such tag: {name!r}.", param="name")
    return {"message": f"Tag {name} updated successfully", "tag": _view(record)}


async def delete_tag(services: Services, name: str) -> View:
    """Forget a tag: it has no limits then, and nothing spent; usage rows stay. Raises NotFound."""
    await services.store.journal.flush()
    if not await services.store.tags.delete([name]):
        raise NotFound(f"No such tag: {name!r}.", param="name")
    return {"message": f"Tag {name} deleted successfully"}


def _view(record: TagRecord) -> View:
    return {
        "name": record.name,
        "description": record.description,
        **record.extra,
        **budgeted_view(record),
        "litellm_budget_table": own_budget_view(record),
        **administration_view(record),
    }
