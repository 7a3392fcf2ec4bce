"""`python -m benchmarks.reports`: fill a database with calls, and time every report over it.

The calls are those of an organisation that uses coding agents: 500 developers in 50 teams, six in ten at work on a day,
two models each. Reports are timed in this process, from the question to the JSON of the answer; the best of five rounds
counts, since the machine may have other things to do.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import msgspec

from sekisho.config.snapshot import Snapshot
from sekisho.control.services import reports, spend
from sekisho.control.services.context import Services
from sekisho.control.services.reports_daily import Activity, Entity, show_activity
from sekisho.control.services.spend_scope import Owners
from sekisho.core.caller import Caller
from sekisho.core.catalogue import BrokenModel, ModelEntry
from sekisho.core.clock import ManualClock
from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.identity.authenticate import Identity
from sekisho.store.daily import add_to_days
from sekisho.store.database import Database
from sekisho.store.engine import open_store
from sekisho.store.records import UsageRow
from sekisho.store.rows import usage_to_row
from sekisho.store.usage import UsageFilter, insert_usage

DAYS, DEVELOPERS, TEAMS, ORGANIZATIONS = 90, 500, 50, 5
FIRST = 20_000
DAY_MS = 86_400_000
LIMIT_MS = 300.0
_GROUP = 5_000
_ROUNDS = 5
_MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5")
_MASTER = Caller(role="proxy_admin")
_MONTH = (FIRST + DAYS - 30, FIRST + DAYS)

Report = Callable[[], Awaitable[Any]]


def _make_call(random: Random, day: int) -> UsageRow:
    developer = random.randrange(DEVELOPERS)
    while (developer * 7 + day) % 10 >= 6:  # not at work
        developer = random.randrange(DEVELOPERS)
    started_at = (FIRST + day) * DAY_MS + random.randrange(DAY_MS)
    model = _MODELS[random.random() < 0.2]
    return UsageRow(
        id=new_id(started_at / 1000),
        call_type="acompletion",
        started_at=started_at,
        ended_at=started_at + random.randrange(30_000),
        ttft_ms=900,
        key_hash=_key_of(developer),
        key_alias=f"agent-of-{developer:04d}",
        user_id=f"developer-{developer:04d}@example.com",
        team_id=_team_of(developer),
        organization_id=f"organization-{developer % ORGANIZATIONS}",
        model=model,
        model_group=model,
        deployment_id="0123456789abcdef",
        provider="bedrock",
        upstream_model=f"us.anthropic.{model}-20250929-v1:0",
        account="123456789012",
        region="us-east-1",
        usage=Usage(random.randrange(300), random.randrange(2_000), 40_000, 1_000, 0, 0),
        cost_nano=random.randrange(10**8),
        price_version="sekisho-2026-11-23",
        status="failure" if random.random() < 0.01 else "success",
        http_status=200,
        streamed=True,
        session_id=f"session-{day:03d}-{developer:04d}-{random.randrange(5)}",
        requester_ip="203.0.113.77",
        tags=("ci",) if random.random() < 0.1 else (),
    )


def _key_of(developer: int) -> str:
    return sha256(b"key %d" % developer).hexdigest()


def _team_of(developer: int) -> str:
    return f"5e0c1f6a-6a2e-4c0e-8f0e-{developer % TEAMS:012x}"


async def _fill(database: Database, count: int) -> None:
    """Write the calls day by day, with their roll-ups, as the gateway's journal does."""
    random = Random(1)
    for day in range(DAYS):
        left = count // DAYS
        while left > 0:
            rows = [usage_to_row(_make_call(random, day)) for _ in range(min(left, _GROUP))]
            left -= len(rows)

            def write(connection: Any, rows: list[dict[str, Any]] = rows) -> None:
                insert_usage(database, connection, rows)
                add_to_days(database, connection, rows)

            await database.transact(write)
        print(f"\rfilling: day {day + 1} of {DAYS}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


class _NoModels:
    """A configuration without models: reports do not ask for them."""

    files = snapshot = Snapshot(deployments=(), groups={})

    def entries(self) -> list[ModelEntry]:
        return []

    def broken(self) -> list[BrokenModel]:
        return []

    def check(self, identity: str, entry: Mapping[str, Any]) -> None:
        raise NotImplementedError

    async def refresh(self) -> None:
        raise NotImplementedError


def _list_reports(services: Services) -> dict[str, Report]:
    user, team, organization = "developer-0007@example.com", _team_of(7), "organization-2"

    def activity(entity: Entity, names: tuple[str, ...] | None = None, **more: Any) -> Report:
        return lambda: show_activity(services, _MASTER, Activity(entity=entity, names=names, days=_MONTH, **more))

    def calls(page: int = 1, **wanted: Any) -> Report:
        return lambda: spend.page_logs(services, _MASTER, UsageFilter(**wanted), page=page, size=100)

    def of_all(group: reports.Group) -> Report:
        return lambda: reports.report_global(services, Owners(), None, _MONTH, group)

    since, until = _MONTH[0] * DAY_MS + 12_345, _MONTH[1] * DAY_MS - 54_321
    return {
        "/global/spend": lambda: reports.show_total(services, _MASTER),
        "/global/spend/report by team": of_all("team"),
        "/global/spend/report by customer": of_all("customer"),
        "/global/spend/report by key": of_all("api_key"),
        "/key/spend/report": lambda: reports.report_keys(services, _MASTER, _MONTH, [_key_of(7)]),
        "/user/spend/report": lambda: reports.report_user(services, _MASTER, _MONTH, user),
        "/team/spend/report": lambda: reports.report_team(services, _MASTER, _MONTH, team),
        "/organization/spend/report": lambda: reports.report_organization(services, _MASTER, _MONTH, organization),
        "/user/daily/activity, everybody": activity("user"),
        "/user/daily/activity, one user": activity("user", (user,)),
        "/user/daily/activity, one user in Tokyo": activity("user", (user,), offset=-540),
        "/team/daily/activity": activity("team"),
        "/organization/daily/activity": activity("organization"),
        "/tag/daily/activity": activity("tag"),
        "/spend/tags": lambda: reports.list_tags(services, _MASTER, None),
        "/spend/logs by day": lambda: spend.summarise_logs(services, _MASTER, _MONTH),
        "/spend/logs/v2": calls(),
        "/spend/logs/v2, page 1000": calls(1_000),
        "/spend/logs/v2, some days": calls(since=since, until=until),
        "/spend/logs/v2, one user": calls(user_id=user),
        "/spend/logs/v2, one team's failures": calls(team_id=team, status="failure", since=since),
    }


async def _time(report: Report) -> float:
    started = time.perf_counter()
    msgspec.json.encode(await report())
    return (time.perf_counter() - started) * 1000


async def _run(url: str, count: int) -> int:
    clock = ManualClock((FIRST + DAYS) * 86_400.0 - 1)
    store = await open_store(url, clock)
    database = Database(url, clock)
    try:
        if await store.usage.count(UsageFilter()) == 0:
            await _fill(database, count)
        identity = Identity(store, clock, "sk-" + "0" * 32)
        services = Services(
            store=store,
            identity=identity,
            clock=clock,
            catalogue=_NoModels(),
            worlds=_NoModels(),
            may_use=lambda _caller, _model: True,
            version="benchmark",
        )
        print(
            f"{await store.usage.count(UsageFilter()):,} usage rows, {'PostgreSQL' if database.postgres else 'SQLite'}"
        )
        slow = 0
        for name, report in _list_reports(services).items():
            times = [await _time(report) for _ in range(_ROUNDS)]
            slow += min(times) > LIMIT_MS
            print(f"{name:45} best {min(times):8.1f} ms   median {median(times):8.1f} ms   first {times[0]:8.1f} ms")
        print(f"{slow} reports take more than {LIMIT_MS:.0f} ms" if slow else f"all under {LIMIT_MS:.0f} ms")
        return 1 if slow else 0
    finally:
        await database.close()
        await store.close()


def main() -> int:
    """Fill and measure. Returns the exit status: 1 when a report takes too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description="How long reports take.")
    parser.add_argument("--rows", type=int, default=10_000_000, help="calls to fill an empty database with")
    parser.add_argument("--database", help="its address, kept as it is afterwards; without it, a SQLite file for once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sekisho-reports-") as folder:
        return asyncio.run(_run(arguments.database or str(Path(folder) / "reports.db"), arguments.rows))


if __name__ == "__main__":
    sys.exit(main())
