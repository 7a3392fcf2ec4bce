"""Virtual keys: making, showing, changing and deleting them."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, list_columns, plain_columns
from sekisho.control.services.key_bounds import bound_key, complete_key
from sekisho.control.services.ownership import (
    changed_by,
    is_permitted,
    made_by,
    managed_teams,
    organizations_of,
    owns_key,
    permitted_teams,
    require_managed_key,
    require_managed_team,
    require_organizer,
    require_visible_key,
)
from sekisho.control.services.people import new_user
from sekisho.control.services.references import check_references
from sekisho.control.services.throughput import check_guarantees
from sekisho.control.services.unenforced import KEY_EXTRAS, KEY_ROUTING
from sekisho.control.services.views import View, key_view, listed_key_view
from sekisho.core.caller import Caller
from sekisho.core.durations import expiry
from sekisho.core.errors import AccessDenied, InvalidRequest, NotFound
from sekisho.identity.keys import PREFIX, hash_key, make_key, mask_key
from sekisho.identity.rights import ROUTES_OF_KEY_TYPE, Permission, is_administrator, sees_everything
from sekisho.store.keys import KeyFilter
from sekisho.store.records import KeyRecord

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_SHORTEST: Final = 16
_MODELS_ONLY: Final = "llm_api"
_PLAIN: Final = ("key_alias", "metadata", "user_id", "team_id", "project_id", "organization_id")


def hash_of(key_or_hash: str) -> str:
    """The hash of a key that is given as itself or as its hash."""
    return key_or_hash.lower() if _HASH.fullmatch(key_or_hash) else hash_key(key_or_hash)


async def generate_key(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a key and show it, this once.

    Raises:
        AccessDenied: the caller may not make this key.
        InvalidRequest: something it refers to does not exist, or the key that was asked for cannot be one.
        Conflict: the alias is taken.
    """
    fields = await place_key(services, caller, fields)
    owner = await _owner(services, caller, fields)
    await _prepare_owner(services, caller, owner)
    return await make_key_of(services, caller, {**fields, "user_id": owner})


async def make_key_of(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make a key for the owner that `fields` name; that the caller may do so has been checked."""
    key = fields.get("key") or make_key()
    require_good_key(key, "key")
    record = await services.store.keys.insert(_new_record(services, caller, fields, key))
    return {"key": key, "token": record.key_hash, "token_id": record.key_hash, **key_view(record)}


def require_good_key(key: str, param: str) -> None:
    """Refuse a text of a key that is too short, or does not look like a key."""
    if not key.startswith(PREFIX) or len(key) < _SHORTEST:
        raise InvalidRequest(f"A key must begin with {PREFIX} and have {_SHORTEST} characters or more.", param=param)


async def check_key_fields(services: Services, fields: Mapping[str, Any], record: KeyRecord | None = None) -> None:
    """Refuse fields of a new key, or of a change to `record`, that the database would refuse after other changes.

    Raises:
        Conflict: the alias is taken.
        InvalidRequest: something it refers to does not exist.
    """
    await check_references(services, fields)
    await check_guarantees(services, fields, record)
    alias = fields.get("key_alias")
    if alias is not None and (record is None or record.key_alias != alias):
        await services.store.keys.require_free_alias(alias)


async def place_key(services: Services, caller: Caller, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a new key with what the configuration adds and the team of its project, checked to fit together.

    Raises:
        AccessDenied: the key would spend the money of an organisation that the caller does not belong to.
        InvalidRequest: project, team and organisation do not belong together, or do not exist.
    """
    fields = complete_key(services, caller, fields)
    await check_key_fields(services, fields)
    if fields.get("project_id") is not None and fields.get("team_id") is None:
        project = await services.store.projects.get(fields["project_id"])
        fields = {**fields, "team_id": None if project is None else project.team_id}
    await _require_fitting(services, fields.get("project_id"), fields.get("team_id"), fields.get("organization_id"))
    organization_id = fields.get("organization_id")
    own = await organizations_of(services, caller, as_admin=False)
    if organization_id is not None and organization_id not in own and not is_administrator(caller):
        raise AccessDenied(f"You do not belong to organization {organization_id!r}.", param="organization_id")
    return fields


async def show_key(services: Services, caller: Caller, key: str | None) -> View:
    """A key with its spend up to this moment; the caller's own when `key` is None."""
    key_hash = caller.key_hash if key is None else hash_of(key)
    if key_hash is None:
        raise InvalidRequest("The master key has no record. Give the key to show as ?key=sk-...", param="key")
    await services.store.journal.flush()
    record = await require_visible_key(services, caller, await services.store.keys.get(key_hash))
    return {"key": key_hash if key is None else key, "info": key_view(record)}


async def show_keys(services: Services, caller: Caller, keys: Sequence[str] | None) -> View:
    """Several keys, or the caller's own, without those that there are not or that it may not see."""
    hashes = [caller.key_hash or ""] if keys is None else [hash_of(key) for key in keys]
    await services.store.journal.flush()
    known = {record.key_hash: record for record in await services.store.keys.get_many(hashes)}
    shown: list[tuple[str, View]] = []
    for given, key_hash in zip(keys or hashes, hashes, strict=True):
        with suppress(NotFound):
            record = await require_visible_key(services, caller, known.get(key_hash))
            shown.append((given, {"token": record.key_hash, **key_view(record)}))
    return {"key": [given for given, _ in shown], "info": [view for _, view in shown]}


async def list_aliases(
    services: Services, caller: Caller, wanted: KeyFilter, search: str | None, *, page: int, size: int
) -> View:
    """One page of the aliases of the keys that the caller may see, in order."""
    if not sees_everything(caller):
        wanted = await _narrow(services, caller, wanted, "/key/aliases", with_teams=True)
    aliases, total = await services.store.keys.aliases(wanted, search, limit=size, offset=(page - 1) * size)
    return {
        "aliases": aliases,
        "total_count": total,
        "current_page": page,
        "total_pages": -(-total // size),
        "size": size,
    }


async def update_key(
    services: Services, caller: Caller, key: str, fields: Mapping[str, Any], permission: Permission = "/key/update"
) -> View:
    """Change what `fields` sets; null takes a limit away. `permission` lets members of the key's team do so.

    Raises:
        NotFound: there is no such key, or the caller may not see it.
        AccessDenied: the caller may not change it.
    """
    record = await require_managed_key(services, caller, await services.store.keys.get(hash_of(key)), permission)
    columns = await change_columns(services, caller, record, fields)
    return {"key": key, **await _change(services, caller, record, columns)}


async def change_columns(
    services: Services, caller: Caller, record: KeyRecord, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns that a change to a key sets, after checking that the caller may and that they fit."""
    fields = bound_key(services, fields)
    _check_key_is_not_widened(caller, record, fields)
    await check_key_fields(services, fields, record)
    places = (fields.get(name, getattr(record, name)) for name in ("project_id", "team_id", "organization_id"))
    await _require_fitting(services, *places)
    await _prepare_owner(services, caller, fields.get("user_id"))
    columns = _columns(services, fields, record)
    columns["extra"] = record.extra | extras(fields, KEY_EXTRAS | KEY_ROUTING)
    return columns


async def block_key(services: Services, caller: Caller, key: str, *, blocked: bool) -> View:
    """Block or unblock a key, and show it."""
    permission: Permission = "/key/block" if blocked else "/key/unblock"
    record = await require_managed_key(services, caller, await services.store.keys.get(hash_of(key)), permission)
    view = await _change(services, caller, record, {"blocked": blocked})
    return {"token": record.key_hash, **view}


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
        records, _ = await services.store.keys.select(KeyFilter(key_alias=alias), limit=1)
        key_hash = await _deletable(services, caller, records[0] if records else None)
        found[key_hash] = key_hash
    await services.store.journal.flush()
    await services.store.keys.delete(list(found))
    return list(found.values())


async def list_keys(
    services: Services, caller: Caller, wanted: KeyFilter, *, page: int, size: int, full: bool, with_teams: bool
) -> View:
    """One page of the keys that the caller may see: hashes, or everything about them if `full`.

    Who does not see everything sees its own keys, `with_teams` also those of the teams that it manages.
    """
    if not sees_everything(caller):
        wanted = await _narrow(services, caller, wanted, "/key/list", with_teams=with_teams)
    if full:
        await services.store.journal.flush()
    records, total = await services.store.keys.select(wanted, limit=size, offset=(page - 1) * size)
    return {
        "keys": [listed_key_view(record) if full else record.key_hash for record in records],
        "total_count": total,
        "current_page": page,
        "total_pages": -(-total // size),
    }


async def _narrow(
    services: Services, caller: Caller, wanted: KeyFilter, permission: Permission, *, with_teams: bool
) -> KeyFilter:
    """Leave what the caller may see: the keys of a team or an organisation it administers, or its own.

    `permission` lets members of a team see its keys, too.
    """
    if wanted.team_id is not None and wanted.user_id != caller.user_id:
        if not await is_permitted(services, caller, wanted.team_id, permission):
            await require_managed_team(services, caller, wanted.team_id)
        return wanted
    if wanted.organization_id is not None and wanted.user_id != caller.user_id:
        await require_organizer(services, caller, wanted.organization_id)
        return wanted
    if caller.user_id is None:
        return msgspec.structs.replace(wanted, key_hash=caller.key_hash)
    if with_teams:
        teams = (
            *await managed_teams(services, caller),
            *await permitted_teams(services, caller, permission),
        )
        return msgspec.structs.replace(wanted, visible_to=(caller.user_id, teams))
    if wanted.user_id not in {None, caller.user_id}:
        raise AccessDenied("You may list only your own keys, or those of a team that you administer.")
    return msgspec.structs.replace(wanted, user_id=caller.user_id)


async def _require_fitting(
    services: Services, project_id: str | None, team_id: str | None, organization_id: str | None
) -> None:
    """Refuse a key whose project is another team's, or whose team is another organisation's."""
    if project_id is not None:
        project = await services.store.projects.get(project_id)
        if project is None or project.team_id != team_id:
            raise InvalidRequest(f"Project {project_id!r} is not one of the key's team.", param="project_id")
    if organization_id is not None and team_id is not None:
        team = await services.store.teams.get(team_id)
        if team is not None and team.organization_id not in {None, organization_id}:
            raise InvalidRequest("The key's team is in another organization.", param="organization_id")


async def _owner(services: Services, caller: Caller, fields: Mapping[str, Any]) -> str | None:
    """Whose key it will be. Who is no proxy administrator makes keys for itself, or for members of its team.

    A key has the rights of its user: one that a team's administrator makes for somebody else is for models only.
    """
    asked: str | None = fields.get("user_id")
    if is_administrator(caller):
        return asked
    team_id = fields.get("team_id")
    own = asked in {None, caller.user_id}
    if team_id is not None and not (own and await is_permitted(services, caller, team_id, "/key/generate")):
        await require_managed_team(services, caller, team_id)
    if own:
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
    if {"user_id", "team_id", "organization_id"} & fields.keys():
        raise AccessDenied("Only a proxy administrator may give a key to another user, team or organization.")
    if record.user_id != caller.user_id and {"key_type", "allowed_routes"} & fields.keys():
        raise AccessDenied("Only a proxy administrator may change what a key of somebody else opens.")


async def _prepare_owner(services: Services, caller: Caller, user_id: str | None) -> None:
    """Make the user that a key belongs to, unless there is one."""
    if user_id is not None:
        await services.store.users.ensure(new_user(services, caller, user_id))


async def _deletable(services: Services, caller: Caller, key: KeyRecord | None) -> str:
    record = await require_visible_key(services, caller, key, "/key/delete")
    if not owns_key(caller, record):
        await require_managed_key(services, caller, record, "/key/delete")
    return record.key_hash


async def _change(services: Services, caller: Caller, record: KeyRecord, columns: dict[str, Any]) -> View:
    await services.store.journal.flush()
    changed = await services.store.keys.update(record.key_hash, {**columns, **changed_by(services, caller)})
    if changed is None:
        raise NotFound("The key was deleted meanwhile.", param="key")
    return key_view(changed)


def _new_record(services: Services, caller: Caller, fields: Mapping[str, Any], key: str) -> KeyRecord:
    key_hash = hash_key(key)
    return KeyRecord(
        key_hash=key_hash,
        account_id=key_hash,
        key_name=mask_key(key),
        extra=extras(fields, KEY_EXTRAS | KEY_ROUTING),
        **made_by(services, caller),
        **_columns(services, fields),
    )


def _columns(services: Services, fields: Mapping[str, Any], record: KeyRecord | None = None) -> dict[str, Any]:
    """The columns that a request to make or change a key sets."""
    columns = budget_columns(fields, services.present(), record)
    columns |= plain_columns(fields, *_PLAIN)
    columns |= list_columns(fields, "tags", "allowed_routes", "access_group_ids")
    if fields.get("key_type") is not None:
        columns["key_type"] = fields["key_type"]
        columns["allowed_routes"] = columns.get("allowed_routes") or ROUTES_OF_KEY_TYPE[fields["key_type"]]
    if "duration" in fields:
        duration = fields["duration"]
        columns["expires"] = None if duration in {None, "", "-1"} else expiry(duration, services.clock.now())
    return columns
