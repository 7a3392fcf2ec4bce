"""What can be done with a key besides making and changing it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.keys import (
    change_columns,
    hash_of,
    make_key_of,
    place_key,
    require_good_key,
    update_key,
)
from sekisho.control.services.ownership import (
    changed_by,
    is_permitted,
    manages_team,
    owns_key,
    require_managed_key,
    require_managed_team,
    require_visible_key,
)
from sekisho.control.services.views import View, dollars, iso, key_view
from sekisho.core.caller import Caller
from sekisho.core.durations import expiry
from sekisho.core.errors import AccessDenied, InvalidRequest, NotFound, SekishoError
from sekisho.core.money import nano_from_dollars
from sekisho.identity.keys import hash_key, make_key, mask_key
from sekisho.identity.rights import Permission, is_administrator
from sekisho.store.records import KeyRecord


async def generate_service_key(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a key that belongs to a team and to no user, and show it, this once.

    Raises:
        AccessDenied: the caller does not manage the team.
        InvalidRequest: a user is named.
    """
    if fields.get("user_id") is not None:
        raise InvalidRequest("A service account's key belongs to no user: leave out user_id.", param="user_id")
    if not await is_permitted(services, caller, fields["team_id"], "/key/service-account/generate"):
        await require_managed_team(services, caller, fields["team_id"])
    fields = await place_key(services, caller, fields)
    name = fields.get("key_alias") or str(uuid4())
    metadata = {"service_account_id": name, **(fields.get("metadata") or {})}
    return await make_key_of(services, caller, {**fields, "metadata": metadata})


async def regenerate_key(
    services: Services,
    caller: Caller,
    key: str,
    fields: Mapping[str, Any],
    permission: Permission = "/key/{key_id}/regenerate",
) -> View:
    """Give a key a new text, shown this once; alias, limits, spend and what is not named in `fields` stay.

    The old text opens the door for another `grace_period`, if there is one.

    Raises:
        NotFound: there is no such key, or the caller may not see it.
        AccessDenied: the new text would let the caller call in somebody else's name.
    """
    record = await require_visible_key(services, caller, await services.store.keys.get(hash_of(key)), permission)
    nobodys = record.user_id is None and record.team_id is not None
    if not (
        is_administrator(caller)
        or owns_key(caller, record)
        or (nobodys and await manages_team(services, caller, record.team_id or ""))
        or (nobodys and await is_permitted(services, caller, record.team_id, permission))
    ):
        raise AccessDenied("Only a key's owner or a proxy administrator may regenerate it.", param="key")
    changes = {name: value for name, value in fields.items() if name not in {"key", "new_key", "grace_period"}}
    if changes:
        await require_managed_key(services, caller, record, "/key/update")
    columns = await change_columns(services, caller, record, changes)
    new_key = fields.get("new_key") or make_key()
    require_good_key(new_key, "new_key")
    columns |= {"key_hash": hash_key(new_key), "key_name": mask_key(new_key), **changed_by(services, caller)}
    grace = fields.get("grace_period")
    valid_until = expiry(grace, services.clock.now()) if grace else None
    await services.store.journal.flush()
    changed = await services.store.keys.replace(record.key_hash, columns, valid_until=valid_until)
    changed = _still_there(changed)
    return {"key": new_key, "token": changed.key_hash, "token_id": changed.key_hash, **key_view(changed)}


async def reset_spend(services: Services, caller: Caller, key: str, reset_to: Any) -> View:
    """Let the open budget window of a key go on from a smaller amount of dollars.

    Raises:
        InvalidRequest: less than that is spent.
    """
    await services.store.journal.flush()
    permission: Permission = "/key/{key_id}/reset_spend"
    record = await require_managed_key(services, caller, await services.store.keys.get(hash_of(key)), permission)
    spend = nano_from_dollars(reset_to)
    if spend > record.spend:
        message = f"reset_to is {reset_to}, and only {dollars(record.spend)} is spent. Set more with /key/update."
        raise InvalidRequest(message, param="reset_to")
    columns = {"spend": spend, **changed_by(services, caller)}
    changed = _still_there(await services.store.keys.update(record.key_hash, columns))
    return {
        "key_hash": changed.key_hash,
        "spend": dollars(changed.spend),
        "previous_spend": dollars(record.spend),
        "max_budget": dollars(changed.max_budget),
        "budget_reset_at": iso(changed.budget_reset_at),
    }


async def update_keys(services: Services, caller: Caller, updates: Sequence[Mapping[str, Any]]) -> View:
    """Change several keys, each by itself: what fails is told, and does not keep the others from being changed."""
    done: list[View] = []
    failed: list[View] = []
    for update in updates:
        fields = dict(update)
        key = fields.pop("key")
        try:
            view = await update_key(services, caller, key, fields, "/key/bulk_update")
        except SekishoError as error:
            failed.append({"key": key, "key_info": None, "failed_reason": error.message})
        else:
            done.append({"key": key, "key_info": {name: value for name, value in view.items() if name != "key"}})
    return {"total_requested": len(updates), "successful_updates": done, "failed_updates": failed}


async def issue_aws_credentials(services: Services, caller: Caller, key: str) -> View:
    """The AWS key pair of a key. It is not stored: asked again, the answer is the same.

    Raises:
        NotFound: there is no such key, or the caller may not see it.
        AccessDenied: the key is neither the caller's own, nor is the caller a proxy administrator. A team's
            administrator manages the limits of a member's key, but cannot call in the member's name.
        InvalidRequest: this gateway has no master key.
    """
    record = await require_visible_key(services, caller, await services.store.keys.get(hash_of(key)))
    if not (record.key_hash == caller.key_hash or owns_key(caller, record) or is_administrator(caller)):
        raise AccessDenied("Only a key's owner or a proxy administrator may have its AWS key pair.", param="key")
    pair = services.identity.issue_key_pair(record.key_hash)
    return {
        "token": record.key_hash,
        "aws_access_key_id": pair.access_key_id,
        "aws_secret_access_key": pair.secret_access_key,
    }


def _still_there(record: KeyRecord | None) -> KeyRecord:
    if record is None:
        raise NotFound("The key was deleted meanwhile.", param="key")
    return record
