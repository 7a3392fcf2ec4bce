"""Reading a key with all that limits it, in one statement: this is what a call with a new key waits for."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from sekisho.core.accounts import member_id
from sekisho.store.balances import Owned, attach_budgets
from sekisho.store.columns import HexBytes
from sekisho.store.entities import resolve
from sekisho.store.limits import changes_at
from sekisho.store.records import (
    Access,
    Budgeted,
    KeyRecord,
    OrganizationMember,
    OrganizationRecord,
    ProjectRecord,
    TeamMember,
    TeamRecord,
    UserRecord,
)
from sekisho.store.rows import from_row
from sekisho.store.tables import (
    keys,
    organization_members,
    organizations,
    projects,
    replaced_keys,
    team_members,
    teams,
    users,
)

AnyGrouped = TypeVar("AnyGrouped", KeyRecord, TeamRecord)

_ORGANIZATION: Final = sa.func.coalesce(keys.c.organization_id, teams.c.organization_id)
"""A key in no organisation belongs to that of its team."""
_ABOVE: Final[Sequence[tuple[sa.Table, type[Budgeted], sa.ColumnElement[bool]]]] = (
    (users, UserRecord, users.c.user_id == keys.c.user_id),
    (teams, TeamRecord, teams.c.team_id == keys.c.team_id),
    (
        team_members,
        TeamMember,
        sa.and_(team_members.c.team_id == keys.c.team_id, team_members.c.user_id == keys.c.user_id),
    ),
    (projects, ProjectRecord, projects.c.project_id == keys.c.project_id),
    (organizations, OrganizationRecord, organizations.c.organization_id == _ORGANIZATION),
    (
        organization_members,
        OrganizationMember,
        sa.and_(
            organization_members.c.organization_id == _ORGANIZATION, organization_members.c.user_id == keys.c.user_id
        ),
    ),
)
"""The levels above a key, in the order in which they are joined to it."""


_TABLES: Final = (keys, *(table for table, _, _ in _ABOVE))
_RECORDS: Final[Sequence[type[Budgeted]]] = (KeyRecord, *(kind for _, kind, _ in _ABOVE))


def _join_levels() -> sa.Select[Any]:
    """The columns of all levels, one table after the other."""
    joined: sa.FromClause = keys
    for table, _, condition in _ABOVE:
        joined = joined.outerjoin(table, condition)
    return sa.select(*_TABLES).select_from(joined)


_WANTED: Final = sa.bindparam("wanted", type_=HexBytes)
_BY_HASH: Final = _join_levels().where(keys.c.key_hash == _WANTED)
_FORMER: Final = sa.select(replaced_keys).where(replaced_keys.c.key_hash == _WANTED)
_BY_ACCOUNT: Final = _join_levels().where(keys.c.account_id == sa.bindparam("account_id"))


def read_access(connection: sa.Connection, key_hash: str, now: float) -> Access | None:
    """The key of this hash, or the one that has replaced it, with every level above it; None if there is none."""
    row = connection.execute(_BY_HASH, {"wanted": key_hash}).first()
    if row is not None:
        return _complete(connection, row, now)
    former = connection.execute(_FORMER, {"wanted": key_hash}).first()
    if former is None:
        return None
    row = connection.execute(_BY_ACCOUNT, {"account_id": former.account_id}).first()
    return None if row is None else _complete(connection, row, now, valid_until=former.valid_until)


def _complete(connection: sa.Connection, row: Sequence[Any], now: float, valid_until: float | None = None) -> Access:
    """The records of a row, with the limits that are in force; the key is good until `valid_until` at most."""
    found = _split(row, now)
    key, team = _with_groups(found[KeyRecord]), found.get(TeamRecord)
    ends = [end for end in (key.expires, valid_until) if end is not None]
    found[KeyRecord] = msgspec.structs.replace(key, expires=min(ends, default=None))
    if team is not None:
        found[TeamRecord] = _with_groups(team)
    owned = [_own(record, team) for record in attach_budgets(connection, list(found.values()), now)]
    resolved = resolve(connection, owned, now)
    levels: dict[str, Any] = {"user": None, "team": None}
    levels |= {one.kind: record for one, record in zip(owned, resolved, strict=True)}
    return Access(stale_at=changes_at(resolved, now), **levels)


def _split(row: Sequence[Any], now: float) -> dict[Any, Any]:
    """The records that are there, by their type."""
    found: dict[Any, Any] = {}
    place = 0
    for table, kind in zip(_TABLES, _RECORDS, strict=True):
        columns = dict(zip(table.c.keys(), row[place : place + len(table.c)], strict=True))
        place += len(table.c)
        if all(columns[column.name] is not None for column in table.primary_key):
            found[kind] = from_row(columns, kind, now)
    return found


def _own(record: Budgeted, team: TeamRecord | None) -> Owned:
    """A record with the name of its accounts. What a member and its own budget leave open is said by the team."""
    match record:
        case KeyRecord():
            return Owned("key", record.account_id, record)
        case UserRecord():
            return Owned("user", record.user_id, record)
        case TeamRecord():
            return Owned("team", record.team_id, record)
        case TeamMember():
            limits = None if team is None else team.member_limits
            return Owned("member", member_id(record.team_id, record.user_id), record, limits)
        case ProjectRecord():
            return Owned("project", record.project_id, record)
        case OrganizationRecord():
            return Owned("organization", record.organization_id, record)
        case OrganizationMember():
            return Owned("organization_member", member_id(record.organization_id, record.user_id), record)
    raise TypeError(f"{type(record).__name__} is no level above a key")


def _with_groups(record: AnyGrouped) -> AnyGrouped:
    """The record with its access groups in its list of models."""
    if not record.access_group_ids:
        return record
    return msgspec.structs.replace(record, models=(*record.models, *record.access_group_ids))
