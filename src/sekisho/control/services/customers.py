"""Customers: the end users whom callers say that they call for."""

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
from sekisho.store.records import CustomerRecord

_PLAIN: Final = ("alias", "default_model", "metadata")


async def create_customer(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a customer known. What was spent for it before stays counted.

    Raises:
        Conflict: it is known already.
        InvalidRequest: the budget it refers to does not exist.
    """
    await check_references(services, {"budget_id": fields.get("budget_id")})
    record = await services.store.customers.insert(_new_record(services, caller, fields))
    return _view(record)


async def show_customer(services: Services, user_id: str) -> View:
    """A customer with its spend, also one that only calls have told of. Raises NotFound."""
    await services.store.journal.flush()
    found = await services.store.customers.get_seen([user_id])
    return _view(found[0]) if found else _view(await _require(services, user_id))


async def list_customers(services: Services, *, page: int, size: int | None) -> list[View]:
    """One page of the customers, or all."""
    await services.store.journal.flush()
    records, _ = await services.store.customers.find(limit=size, offset=(page - 1) * (size or 0))
    return [_view(record) for record in records]


async def update_customer(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets; null takes a limit away. One that only calls have told of becomes known by it.

    Raises:
        NotFound: there is no such customer.
    """
    await services.store.journal.flush()
    found = await services.store.customers.get_seen([fields["user_id"]])
    if found and not found[0].created_at:
        return await create_customer(services, caller, fields)
    record = await _require(services, fields["user_id"])
    await check_references(services, {"budget_id": fields.get("budget_id")})
    columns = {
        **budget_columns(fields, services.present(), record),
        **plain_columns(fields, *_PLAIN),
        "extra": record.extra | extras(fields, LEVEL_EXTRAS),
    }
    return _view(await _change(services, caller, record.user_id, columns))


async def block_customers(services: Services, caller: Caller, user_ids: Sequence[str], *, blocked: bool) -> View:
    """Block or unblock customers. One that is not known becomes so by being blocked."""
    records: list[CustomerRecord] = []
    for user_id in dict.fromkeys(user_ids):
        if await services.store.customers.get(user_id) is not None:
            records.append(await _change(services, caller, user_id, {"blocked": blocked}))
        elif blocked:
            fields = {"user_id": user_id, "blocked": True}
            records.append(await services.store.customers.insert(_new_record(services, caller, fields)))
        else:
            raise NotFound(f"No such customer: {user_id!r}.", param="user_ids")
    return {"blocked_users" if blocked else "unblocked_users": [_view(record) for record in records]}


async def delete_customers(services: Services, user_ids: Sequence[str]) -> View:
    """Forget customers, all or none: they have no limits then, and nothing spent; usage rows stay. Raises NotFound."""
    for user_id in user_ids:
        await _require(services, user_id)
    await services.store.journal.flush()
    deleted = await services.store.customers.delete(user_ids)
    return {"deleted_customers": deleted, "message": f"Deleted {deleted} customers."}


async def _require(services: Services, user_id: str) -> CustomerRecord:
    record = await services.store.customers.get(user_id)
    if record is None:
        raise NotFound(f"No such customer: {user_id!r}. Make it known with /customer/new.", param="user_id")
    return record


async def _change(services: Services, caller: Caller, user_id: str, columns: Mapping[str, Any]) -> CustomerRecord:
    changed = await services.store.customers.update(user_id, {**columns, **changed_by(services, caller)})
    if changed is None:
        raise NotFound(f"No such customer: {user_id!r}.", param="user_id")
    return changed


def _new_record(services: Services, caller: Caller, fields: Mapping[str, Any]) -> CustomerRecord:
    return CustomerRecord(
        user_id=fields["user_id"],
        extra=extras(fields, LEVEL_EXTRAS),
        **made_by(services, caller),
        **budget_columns(fields, services.present()),
        **plain_columns(fields, *_PLAIN),
    )


def _view(record: CustomerRecord) -> View:
    return {
        "allowed_model_region": None,
        **record.extra,
        "user_id": record.user_id,
        "alias": record.alias,
        "default_model": record.default_model,
        **budgeted_view(record),
        "litellm_budget_table": own_budget_view(record),
        **administration_view(record),
    }
