"""Adding what calls cost to the spend of their key, user, team and membership."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from msgspec import Struct

from sekisho.core.durations import next_reset
from sekisho.store.records import UsageRow
from sekisho.store.tables import keys, team_members, teams, users

_BUDGETED: Final = (keys, users, teams, team_members)


class Spent(Struct):
    """What a group of calls cost, by who pays, in nano-dollars."""

    keys: dict[str, int] = {}
    users: dict[str, int] = {}
    teams: dict[str, int] = {}
    members: dict[tuple[str, str], int] = {}
    last_active: dict[str, float] = {}

    @classmethod
    def by(cls, rows: Iterable[UsageRow]) -> "Spent":
        """Add up `rows`; a call without a known price costs nothing, but its key was active."""
        spent = cls()
        for row in rows:
            cost = row.cost_nano or 0
            if row.key_hash is not None:
                spent.keys[row.key_hash] = spent.keys.get(row.key_hash, 0) + cost
                seen = spent.last_active.get(row.key_hash, 0.0)
                spent.last_active[row.key_hash] = max(seen, row.ended_at / 1000)
            if cost and row.user_id is not None:
                spent.users[row.user_id] = spent.users.get(row.user_id, 0) + cost
            if cost and row.team_id is not None:
                spent.teams[row.team_id] = spent.teams.get(row.team_id, 0) + cost
            if cost and row.team_id is not None and row.user_id is not None:
                member = (row.team_id, row.user_id)
                spent.members[member] = spent.members.get(member, 0) + cost
        return spent


def add_spend(connection: sa.Connection, rows: Iterable[UsageRow], now: float) -> None:
    """Add the cost of `rows` to everyone who pays for them, in the windows that are open at `now`.

    Rows are updated in one order by every process, so that two of them cannot wait for each other for ever.
    """
    spent = Spent.by(rows)
    _open_windows(connection, now)
    if spent.keys:
        connection.execute(
            _ADD_TO_KEY,
            [{"who": who, "cost": spent.keys[who], "active": spent.last_active[who]} for who in sorted(spent.keys)],
        )
    if spent.users:
        connection.execute(_ADD_TO_USER, [{"who": k, "cost": v} for k, v in sorted(spent.users.items())])
    if spent.teams:
        connection.execute(_ADD_TO_TEAM, [{"who": k, "cost": v} for k, v in sorted(spent.teams.items())])
    if spent.members:
        members = [{"team": k[0], "who": k[1], "cost": v} for k, v in sorted(spent.members.items())]
        connection.execute(_ADD_TO_MEMBER, members)


def _open_windows(connection: sa.Connection, now: float) -> None:
    """Begin the next window of every budget whose window has ended; of two processes only one does so."""
    if not connection.scalar(_ANY_DUE, {"now": now}):
        return
    for table in _BUDGETED:
        identity = list(table.primary_key.columns)
        ended = sa.select(table.c.budget_duration, table.c.budget_reset_at, *identity).where(_due(table))
        for duration, reset_at, *values in connection.execute(ended, {"now": now}).all():
            same = [column == value for column, value in zip(identity, values, strict=True)]
            connection.execute(
                sa.update(table)
                .where(table.c.budget_reset_at == reset_at, *same)
                .values(spend=0, budget_reset_at=next_reset(duration, now))
            )


def _due(table: sa.Table) -> sa.ColumnElement[bool]:
    ended = table.c.budget_reset_at <= sa.bindparam("now", type_=sa.Double)
    return ended & table.c.budget_duration.is_not(None)


def _add_to(table: sa.Table, *who: sa.ColumnElement[bool]) -> sa.Update:
    cost = sa.bindparam("cost", type_=sa.BigInteger)
    return sa.update(table).where(*who).values(spend=table.c.spend + cost, total_spend=table.c.total_spend + cost)


_ANY_DUE: Final = sa.select(sa.or_(*(sa.exists().where(_due(table)) for table in _BUDGETED)))
_ADD_TO_KEY: Final = _add_to(keys, keys.c.key_hash == sa.bindparam("who")).values(last_active=sa.bindparam("active"))
_ADD_TO_USER: Final = _add_to(users, users.c.user_id == sa.bindparam("who"))
_ADD_TO_TEAM: Final = _add_to(teams, teams.c.team_id == sa.bindparam("who"))
_ADD_TO_MEMBER: Final = _add_to(
    team_members, team_members.c.team_id == sa.bindparam("team"), team_members.c.user_id == sa.bindparam("who")
)
