"""Virtual keys: making, showing, changing and deleting them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.fields import KEY_EXTRAS, budget_columns, extras, plain_columns
from sekisho.control.services.ownership import (
    author,
    require_managed_key,
    require_managed_team,
    require_visible_key,
)
from sekisho.control.services.people import new_user
from sekisho.control.services.views import View, key_view, listed_key_view
from sekisho.core.caller import Caller
from sekisho.core.durations import expiry
from sekisho.core.errors import AccessDenied, InvalidRequest, NotFound
from sekisho.identity.keys import PREFIX, hash_key, make_key, mask_key
from sekisho.identity.rights import ROUTES_OF_KEY_TYPE, is_administrator, sees_everything
from sekisho.store.keys import KeyFilter
from sekisho.store.records import KeyRecord

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_SHORTEST: Final = 16
_MODELS_ONLY: Final = "llm_api"


def hash_of(key_or_hash: str) -> str:
    """The hash of a key that is given as itself or as its hash."""
    return key_or_hash.lower() if _HASH.fullmatch(key_or_hash) else hash_key(key_or_hash)


async def generate_key(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a key and show it, this once.

    Raises:
        AccessDenied: the caller may not make this key.
        InvalidRequest: the team does not exist, or the key that was asked for cannot be one.
        Conflict: the alias is taken.
    """
    owner = await _owner(services, caller, fields)
    await check_key_fields(services, fields)
    await _prepare_owner(services, caller, owner)
    key = fields.get("key") or make_key()
    if not key.startswith(PREFIX) or len(key) < _SHORTEST:
        raise InvalidRequest(f"A key must begin with {PREFIX} and have {_SHORTEST} characters or more.", param="key")
    record = _new_record(services, caller, {**fields, "user_id": owner}, key)
    await services.store.keys.insert(record)
    services.changed("key", record.key_hash)
    return {"key": key, "token": record.key_hash, "token_id": record.key_hash, **key_view(record)}


async def check_key_fields(services: Services, fields: Mapping[str, Any], record: KeyRecord | None = None) -> None:
    """Refuse fields of a new key, or of a change to `record`, that the database would refuse after other changes.

    Raises:
        Conflict: the alias is taken.
        InvalidRequest: the team does not exist.
    """
    team_id, alias = fields.get("team_id"), fields.get("key_alias")
    if team_id is not None and await services.store.teams.get(team_id) is None:
        raise InvalidRequest(f"Team {team_id!r} does not exist. Create it with /team/new.", param="team_id")
    if alias is not None and (record is None or record.key_alias != alias):
        await services.store.keys.require_free_alias(alias)


async def show_key(services: Services, caller: Caller, key: str | None) -> View:
    """A key with its spend up to this moment; the caller's own when `key` is None."""
    key_hash = caller.key_hash if key is None else hash_of(key)
    if key_hash is None:
        raise InvalidRequest("The master key has no record. Give the key to show as ?key=sk-...", param="key")
    await services.store.journal.flush()
    record = await require_visible_key(services, caller, await services.store.keys.get(key_hash))
    return {"key": key_hash if key is None else key, "info": key_view(record)}


async def update_key(services: Services, caller: Caller, key: str, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets; null takes a limit away.

    Raises:
        NotFound: there is no such key, or the caller may not see it.
        AccessDenied: the caller may not change it.
    """
    record = await require_managed_key(services, caller, await services.store.keys.get(hash_of(key)))
    _check_key_is_not_widened(caller, record, fields)
    await check_key_fields(services, fields, record)
    await _prepare_owner(services, caller, fields.get("user_id"))
    columns = _columns(services, fields) | plain_columns(fields, "user_id", "team_id")
    columns["extra"] = record.extra | extras(fields, KEY_EXTRAS)
    return {"key": key, **await _change(services, caller, record, columns)}


async def block_key(services: Services, caller: Caller, key: str, *, blocked: bool) -> View:
    """Block or unblock a key, and show it."""
    record = await require_managed_key(services, caller, await services.store.keys.get(hash_of(key)))
    view = await _change(services, caller, record, {"blocked": blocked})
    return {"token": record.key_hash, **view}


async def issue_aws_credentials(services: Services, caller: Caller, key: str) -> View:
    """The AWS key pair of a key. It is not stored: asked again, the answer is the same.

    Raises:
        NotFound: there is no such key, or the caller may not see it.
        AccessDenied: the key is neither the caller's own, nor is the caller a proxy administrator. A team's
            administrator manages the limits of a member's key, but cannot call in the member's name.
        InvalidRequest: this gateway has no master key.
    """
    record = await require_visible_key(services, caller, await services.store.keys.get(hash_of(key)))
    own = record.key_hash == caller.key_hash or (caller.user_id is not None and record.user_id == caller.user_id)
    if not (own or is_administrator(caller)):
        raise AccessDenied("Only a key's owner or a proxy administrator may have its AWS key pair.", param="key")
    pair = services.identity.issue_key_pair(record.key_hash)
    return {
        "token": record.key_hash,
        "aws_access_key_id": pair.access_key_id,
        "aws_secret_access_key": pair.secret_access_key,
    }


async def delete_keys(services: Services, caller: Caller, keys: Sequence[str], aliases: Sequence[str]) -> list[str]:
    """Delete keys, all or none, and return them as they were given (those given by alias by their hash).

    Raises:
        NotFound: one of them does not exist, or the caller may not see it.
        AccessDenied: the caller may not delete one of them.
    """
    found: dict[str, str] = {}
    for key in keys:
        record = await services.store.keys.get(hash_of(key))
        found[await _deletable(services, caller, record)] = key
    for alias in aliases:
        records, _ = await services.store.keys.find(KeyFilter(key_alias=alias), limit=1)
        key_hash = await _deletable(services, caller, records[0] if records else None)
        found[key_hash] = key_hash
    await services.store.journal.flush()
    await services.store.keys.delete(list(found))
    for key_hash in found:
        services.changed("key", key_hash)
    return list(found.values())


async def list_keys(services: Services, caller: Caller, wanted: KeyFilter, *, page: int, size: int, full: bool) -> View:
    """One page of the keys that the caller may see: hashes, or everything about them if `full`."""
    if not sees_everything(caller):
        wanted = await _narrow(services, caller, wanted)
    if full:
        await services.store.journal.flush()
    records, total = await services.store.keys.find(wanted, limit=size, offset=(page - 1) * size)
    return {
        "keys": [listed_key_view(record) if full else record.key_hash for record in records],
        "total_count": total,
        "current_page": page,
        "total_pages": -(-total // size),
    }


async def _narrow(services: Services, caller: Caller, wanted: KeyFilter) -> KeyFilter:
    """Leave what the caller may see: the keys of a team it administers, or its own."""
    if wanted.team_id is not None and wanted.user_id != caller.user_id:
        await require_managed_team(services, caller, wanted.team_id)
        return wanted
    if caller.user_id is None:
        return msgspec.structs.replace(wanted, key_hash=caller.key_hash)
    if wanted.user_id not in {None, caller.user_id}:
        raise AccessDenied("You may list only your own keys, or those of a team that you administer.")
    return msgspec.structs.replace(wanted, user_id=caller.user_id)


async def _owner(services: Services, caller: Caller, fields: Mapping[str, Any]) -> str | None:
    """Whose key it will be. Who is no proxy administrator makes keys for itself, or for members of its team.

    A key has the rights of its user: one that a team's administrator makes for somebody else is for models only.
    """
    asked: str | None = fields.get("user_id")
    if is_administrator(caller):
        return asked
    team_id = fields.get("team_id")
    if team_id is not None:
        await require_managed_team(services, caller, team_id)
    if asked in {None, caller.user_id}:
        if caller.user_id is None:
            raise AccessDenied("This key belongs to no user and cannot make keys. Ask a proxy administrator.")
        return caller.user_id
    user = await services.store.users.get(asked) if asked is not None and team_id is not None else None
    members = await services.store.teams.members([team_id]) if team_id is not None else []
    if user is None or user.user_role.startswith("proxy_") or asked not in {member.user_id for member in members}:
        raise AccessDenied("You may make keys only for yourself and for members of a team that you administer.")
    if fields.get("key_type") != _MODELS_ONLY or fields.get("allowed_routes"):
        message = f"A key for another member must open models only: send key_type={_MODELS_ONLY!r}, no allowed_routes."
        raise AccessDenied(message, param="key_type")
    return asked


def _check_key_is_not_widened(caller: Caller, record: KeyRecord, fields: Mapping[str, Any]) -> None:
    """Keep a team's administrator from giving a key away, or turning somebody else's into more than a key to models."""
    if is_administrator(caller):
        return
    if {"user_id", "team_id"} & fields.keys():
        raise AccessDenied("Only a proxy administrator may give a key to another user or team.")
    if record.user_id != caller.user_id and {"key_type", "allowed_routes"} & fields.keys():
        raise AccessDenied("Only a proxy administrator may change what a key of somebody else opens.")


async def _prepare_owner(services: Services, caller: Caller, user_id: str | None) -> None:
    """Make the user that a key belongs to, unless there is one."""
    if user_id is not None:
        await services.store.users.ensure(new_user(services, caller, user_id))


async def _deletable(services: Services, caller: Caller, key: KeyRecord | None) -> str:
    record = await require_visible_key(services, caller, key)
    if caller.user_id is None or record.user_id != caller.user_id:
        await require_managed_key(services, caller, record)
    return record.key_hash


async def _change(services: Services, caller: Caller, record: KeyRecord, columns: dict[str, Any]) -> View:
    columns |= {"updated_at": services.clock.now(), "updated_by": author(caller)}
    await services.store.journal.flush()
    changed = await services.store.keys.update(record.key_hash, columns)
    if changed is None:
        raise NotFound("The key was deleted meanwhile.", param="key")
    services.changed("key", record.key_hash)
    return key_view(changed)


def _new_record(services: Services, caller: Caller, fields: Mapping[str, Any], key: str) -> KeyRecord:
    now, who = services.clock.now(), author(caller)
    return KeyRecord(
        key_hash=hash_key(key),
        key_name=mask_key(key),
        extra=extras(fields, KEY_EXTRAS),
        created_at=now,
        created_by=who,
        updated_at=now,
        updated_by=who,
        **_columns(services, fields),
        **plain_columns(fields, "user_id", "team_id"),
    )


def _columns(services: Services, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a request to make or change a key sets."""
    now = services.clock.now()
    columns = budget_columns(fields, now)
    columns |= plain_columns(fields, "key_alias", "metadata", "blocked")
    for name in ("tags", "allowed_routes"):
        if name in fields:
            columns[name] = tuple(fields[name] or ())
    if fields.get("key_type") is not None:
        columns["key_type"] = fields["key_type"]
        columns["allowed_routes"] = columns.get("allowed_routes") or ROUTES_OF_KEY_TYPE[fields["key_type"]]
    if "duration" in fields:
        duration = fields["duration"]
        columns["expires"] = None if duration in {None, "", "-1"} else expiry(duration, now)
    return columns
