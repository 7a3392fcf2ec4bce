"""The calls of a company that uses coding agents in a quarter of a year, the same in every run.

The first days are booked as a gateway does it. The others are copies of them, made by the database, which takes a tenth
of the time.
"""

import sys
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any, Final

import sqlalchemy as sa

from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.store.booking import Bookkeeper
from sekisho.store.database import Database
from sekisho.store.records import UsageCaller, UsageRoad, UsageRow
from sekisho.store.spool import Entry
from sekisho.store.tables import daily, daily_parts, daily_tags, usage

DAYS: Final = 90
FIRST_DAY: Final = 20_000
"""Counted from the epoch."""
DAY_MS: Final = 86_400_000
_PATTERN_DAYS: Final = 3
_GROUP: Final = 10_000
KEYS, TEAMS, ORGANIZATIONS, MODELS, TAGS, CUSTOMERS = 2_000, 200, 10, 20, 20, 20
_MODELS_OF_A_KEY: Final = 3
_AT_WORK: Final = 0.6
"""The share of keys that are used on a day."""


async def fill(database: Database, count: int) -> None:
    """Write some `count` calls with their roll-ups, on no accounts."""
    bookkeeper = Bookkeeper(database)
    for calls in _make_days(count // DAYS):
        entries = [Entry(row=call, booked={}, done=True) for call in calls]
        for start in range(0, len(entries), _GROUP):
            await bookkeeper.book("benchmark", entries[start : start + _GROUP])
    await _copy_days(database)
    if database.postgres:
        async with database.write() as connection:
            await connection.execute(sa.text("ANALYZE"))


async def _copy_days(database: Database) -> None:
    """Copy the first days with their roll-ups, until all days are there."""
    tables = (usage, daily, daily_tags, daily_parts)
    indexes = [] if database.postgres else [index for table in tables for index in table.indexes]
    for index in indexes:
        await database.transact(index.drop)
    for days in range(_PATTERN_DAYS, DAYS, _PATTERN_DAYS):
        print(f"\rfilling: day {days} of {DAYS}", end="", file=sys.stderr, flush=True)
        for table in tables:
            await database.transact(partial(_copy_table, table, days))
    print("\rfilling: indexes     ", file=sys.stderr)
    for index in indexes:
        await database.transact(index.create)


def _copy_table(table: sa.Table, days: int, connection: sa.Connection) -> None:
    mark, later = days.to_bytes(2, "big"), days * DAY_MS
    if table is usage:
        moved = {"started_at": usage.c.started_at + later, "ended_at": usage.c.ended_at + later}
        renamed = {"id": _mark(usage.c.id, mark), "session_id": usage.c.session_id + f"-{days}"}
        connection.execute(
            _copy(usage, {**moved, **renamed}, usage.c.started_at < (FIRST_DAY + _PATTERN_DAYS) * DAY_MS)
        )
    else:
        changed = {"digest": _mark(table.c.digest, mark), "day": table.c.day + days}
        connection.execute(_copy(table, changed, table.c.day < FIRST_DAY + _PATTERN_DAYS))


def _copy(table: sa.Table, changed: dict[str, Any], condition: sa.ColumnElement[bool]) -> sa.Insert:
    columns = [changed.get(column.name, column) for column in table.c]
    return sa.insert(table).from_select(list(table.c), sa.select(*columns).where(condition))


def _mark(column: sa.Column[Any], mark: bytes) -> sa.ColumnElement[bytes]:
    """Another name of 16 bytes, in the same order as the first ones."""
    kind = sa.LargeBinary()
    start = sa.func.substr(sa.type_coerce(column, kind), 1, 14, type_=kind)
    return sa.cast(sa.literal(mark, kind).concat(start), kind)


def _make_days(count: int) -> Iterator[list[UsageRow]]:
    """The first days with `count` calls each. A key calls three models, and on most days.

    One call in ten has a tag. One key in fifty serves customers.
    """
    random = Random(1)
    callers = [_caller(key) for key in range(KEYS)]
    roads = [_road(model) for model in range(MODELS)]
    for day in range(_PATTERN_DAYS):
        at_work = random.sample(range(KEYS), int(KEYS * _AT_WORK))
        moments = sorted(random.randrange(DAY_MS) for _ in range(count))
        yield [_make_call(random, day, moment, random.choice(at_work), callers, roads) for moment in moments]


def key_hash(key: int) -> str:
    """The hash of a key."""
    return sha256(b"key %d" % key).hexdigest()


def user_id(key: int) -> str:
    """The user of a key: each has one."""
    return f"developer-{key:04d}@example.com"


def team_id(key: int) -> str:
    """The team of a key."""
    return f"5e0c1f6a-6a2e-4c0e-8f0e-{key % TEAMS:012x}"


def organization_id(key: int) -> str:
    """The organisation of a key's team."""
    return f"organization-{key % TEAMS % ORGANIZATIONS}"


def _caller(key: int) -> UsageCaller:
    return UsageCaller(
        key_hash=key_hash(key),
        key_alias=f"agent-of-{key:04d}",
        user_id=user_id(key),
        team_id=team_id(key),
        organization_id=organization_id(key),
    )


def _road(model: int) -> UsageRoad:
    return UsageRoad(
        call_type="acompletion",
        model_group=_model(model),
        deployment_id=f"{model:016x}",
        provider=("bedrock", "anthropic", "openai")[model % 3],
        upstream_model=f"us.anthropic.{_model(model)}-20250929-v1:0",
        account="123456789012",
        region="us-east-1",
        price_version="sekisho-2026-11-23",
    )


def _model(model: int) -> str:
    return f"model-{model:02d}-large"


def _make_call(
    random: Random, day: int, moment: int, key: int, callers: list[UsageCaller], roads: list[UsageRoad]
) -> UsageRow:
    started_at = (FIRST_DAY + day) * DAY_MS + moment
    chance = random.random()
    model = (key + int(chance * _MODELS_OF_A_KEY)) % MODELS
    return UsageRow(
        id=new_id(started_at / 1000),
        caller=callers[key],
        road=roads[model],
        started_at=started_at,
        ended_at=started_at + 20_000,
        ttft_ms=900,
        model=_model(model),
        usage=Usage(int(chance * 300), int(chance * 2_000), 40_000, 1_000, 0, 0),
        cost_nano=int(chance * 10**8),
        status="failure" if chance < 0.01 else "success",
        http_status=200,
        streamed=True,
        session_id=f"session-{day:03d}-{key:04d}-{int(chance * 5)}",
        agent="claude-code",
        agent_version="2.1.0",
        end_user=f"customer-{int(random.random() * CUSTOMERS):03d}" if key % 50 == 0 else None,
        requester_ip="203.0.113.77",
        tags=(f"project-{key % TAGS}",) if chance % 0.1 < 0.01 else (),
    )
