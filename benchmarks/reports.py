"""`python -m benchmarks.reports`: fill a database with calls, and time every report over it.

The calls are those of a company with 2,000 keys in 200 teams that uses coding agents (`calls.py`). Reports are timed in
this process, from the question to the JSON of the answer. After a first time the best of five counts, since the machine
may have other things to do. With SQLite the database's work is in the CPU time of this process, with PostgreSQL not.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from benchmarks.calls import DAY_MS, DAYS, FIRST_DAY, fill, key_hash, organization_id, team_id, user_id
from sekisho.config.snapshot import Snapshot
from sekisho.control.services import reports, spend
from sekisho.control.services.context import Services
from sekisho.control.services.reports_daily import Activity, Entity, show_activity
from sekisho.control.services.spend_scope import Owners
from sekisho.core.caller import Caller
from sekisho.core.catalogue import BrokenModel, DeploymentHealth, ModelEntry
from sekisho.core.clock import ManualClock
from sekisho.identity.authenticate import Identity
from sekisho.store.database import Database
from sekisho.store.engine import open_store
from sekisho.store.usage import UsageFilter

LIMIT_MS = 300.0
_ROUNDS = 6
_MASTER = Caller(role="proxy_admin")
_MONTH = (FIRST_DAY + DAYS - 30, FIRST_DAY + DAYS)

Report = Callable[[], Awaitable[Any]]


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

    def aliases(self) -> Mapping[str, list[ModelEntry]]:
        return {}

    def state(self, deployment_id: str) -> None:
        return None

    async def reload(self) -> NoReturn:
        raise NotImplementedError

    async def find(self, model: str | None = None, deployment_id: str | None = None) -> list[DeploymentHealth]:
        return []


def _list_reports(services: Services) -> dict[str, Report]:
    user, team, organization = user_id(7), team_id(7), organization_id(7)

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
        "/key/spend/report": lambda: reports.report_keys(services, _MASTER, _MONTH, [key_hash(7)]),
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


async def _time(report: Report) -> tuple[float, float]:
    """Milliseconds until the answer is there, and of CPU time that this process took for it."""
    began, before = time.perf_counter(), time.process_time()
    msgspec.json.encode(await report())
    return (time.perf_counter() - began) * 1000, (time.process_time() - before) * 1000


async def _run(url: str, count: int) -> int:
    clock = ManualClock((FIRST_DAY + DAYS) * 86_400.0 - 1)
    store = await open_store(url, clock)
    database = Database(url, clock)
    try:
        if await store.usage.count(UsageFilter()) == 0:
            await fill(database, count)
        identity = Identity(store, clock, "sk-" + "0" * 32)
        services = Services(
            store=store,
            identity=identity,
            clock=clock,
            catalogue=_NoModels(),
            worlds=_NoModels(),
            reloader=_NoModels(),
            health=_NoModels(),
            may_use=lambda _caller, _model: True,
            version="benchmark",
        )
        print(
            f"{await store.usage.count(UsageFilter()):,} usage rows, {'PostgreSQL' if database.postgres else 'SQLite'}"
        )
        slow = 0
        for name, report in _list_reports(services).items():
            first, *later = [await _time(report) for _ in range(_ROUNDS)]
            best, cpu = map(min, zip(*later, strict=True))
            slow += best > LIMIT_MS
            print(f"{name:45} best {best:8.1f} ms   CPU {cpu:8.1f} ms   first {first[0]:8.1f} ms", flush=True)
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
