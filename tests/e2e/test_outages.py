"""What callers notice of a database that is away, a clock that is set back and a full disk: as little as can be."""

import resource
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic, sleep

import pytest
from tests.e2e.conftest import CONFIG
from tests.support.admin import start_postgres
from tests.support.assembled import Assembled, run_assembled
from tests.support.gateway import Gateway, Simulator, run_gateway
from tests.support.postgres import create_database, find_binaries, run_server, skip_or_fail, start_server, stop_server

from sekisho.core.escrow import LEASE_SECONDS

CHAT = "/v1/chat/completions"
SHORT = {"model": "sonnet", "messages": [{"role": "user", "content": '[[sim: {"text": "short"}]]'}]}


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + 60
    while not is_so():
        assert monotonic() < deadline, what
        sleep(0.1)


def successes(gateway: Gateway | Assembled) -> list[str]:
    """The ids of calls that are booked as successes."""
    rows = gateway.get("/spend/logs?limit=10000").json()
    return [row["request_id"] for row in rows if row["status"] == "success"]


def test_known_keys_go_on_for_a_minute_without_postgres(tmp_path: Path) -> None:
    """Also those that were idle when it went away, with limits of every kind, and each within its limits."""
    if find_binaries() is None:
        skip_or_fail("there is no PostgreSQL here")
    with run_server() as folder, run_assembled(tmp_path, CONFIG, create_database(folder)) as gateway:
        clock = gateway.clock
        limits = {"rpm_limit": 20, "tpm_limit": 100_000, "tpd_limit": 1_000_000, "max_parallel_requests": 2}
        window = {"budget_duration": "1d", "max_budget": 5}
        team = gateway.post("/team/new", {"team_alias": "t", "max_budget": 50, **limits, "rpm_limit": 500}).json()
        key = gateway.make_key(team_id=team["team_id"], max_budget=10, budget_limits=[window], **limits)
        poor = gateway.make_key(max_budget=0.01)
        stranger = gateway.make_key()
        for each in (key, poor):
            assert gateway.chat(each).status == 200
        clock.advance(120)
        have_rounds()
        stop_server(folder)
        for _ in range(12):  # a minute
            assert gateway.chat(key).status == 200
            clock.advance(5)
        assert gateway.chat(key, stream=True).status == 200
        statuses = Counter(gateway.chat(key).status for _ in range(12))
        assert statuses.keys() == {200, 429}, "twenty in a minute, and no more"
        spent = Counter(gateway.chat(poor, '[[sim: {"repeat": 60}]]').status for _ in range(8))
        assert spent.keys() == {200, 503}, "what it had leased is used up"
        assert gateway.chat(stranger).status == 503
        clock.advance(LEASE_SECONDS)
        refused = gateway.chat(key)
        assert (refused.status, "budgets" in refused.json()["error"]["message"]) == (503, True)
        start_server(folder)
        wait_until(lambda: gateway.chat(key).status == 200, "it does not go on when the database is back")
        served = [call["request_metadata"]["sekisho_call_id"] for call in gateway.simulator.calls()]
        wait_until(lambda: sorted(successes(gateway)) == sorted(served), "not every call is booked, or some are twice")


def have_rounds() -> None:
    """Let background rounds pass in which idle leases go back."""
    sleep(2.5)


def test_a_locked_sqlite_file_stops_nobody_who_has_a_lease(tmp_path: Path) -> None:
    with run_assembled(tmp_path, CONFIG, str(tmp_path / "s.db")) as gateway:
        key = gateway.make_key(max_budget=10, rpm_limit=20)
        new = gateway.make_key(max_budget=10)
        assert gateway.chat(key).status == 200
        gateway.clock.advance(60)
        have_rounds()
        with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert [gateway.chat(key).status for _ in range(3)] == [200] * 3
            assert gateway.chat(new).status == 503
            other.execute("ROLLBACK")
        wait_until(lambda: gateway.chat(new).status == 200, "it does not go on when the file is free")
        wait_until(lambda: len(successes(gateway)) == len(gateway.simulator.calls()), "not every call is booked")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path, kind: str) -> None:
    with ExitStack() as stack:
        url = start_postgres(stack) if kind == "postgres" else str(tmp_path / "s.db")
        gateway = stack.enter_context(run_assembled(tmp_path, CONFIG, url))
        clock = gateway.clock
        window = {"budget_duration": "1d", "max_budget": 5}
        key = gateway.make_key(max_budget=1, budget_limits=[window], rpm_limit=6, max_parallel_requests=2)
        assert [gateway.chat(key).status for _ in range(3)] == [200] * 3
        for _ in range(2):
            clock.step(-3_600)
            assert gateway.chat(key).status == 200
        clock.advance(64)
        assert [gateway.chat(key).status for _ in range(7)] == [200] * 6 + [429]
        rows = gateway.get(f"/spend/logs?api_key={key}&limit=100").json()
        costs = [row["metadata"]["cost_nano"] for row in rows]
        assert len([cost for cost in costs if cost]) == len(gateway.simulator.calls()) == 11
        info = gateway.get(f"/key/info?key={key}").json()["info"]
        assert round(info["spend"] * 1e9) == round(info["budget_limits"][0]["spend"] * 1e9) == sum(costs)
        assert all(row["startTime"] <= row["endTime"] for row in rows)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_full_disk_refuses_new_calls_and_loses_none(tmp_path: Path, simulator: Simulator, kind: str) -> None:
    """Files may not grow any more, which is what a full disk is to a process."""
    with ExitStack() as stack:
        environment = dict(simulator.environment)
        if kind == "postgres":
            environment["DATABASE_URL"] = start_postgres(stack)
        gateway = stack.enter_context(run_gateway(tmp_path, CONFIG, environment))
        key = gateway.make_key(max_budget=10)
        assert gateway.post(CHAT, SHORT, key).status == 200
        pid, (_, hard) = gateway.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
        spools = list(gateway.home.glob("spool/**/*.spool"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(path.stat().st_size for path in spools), hard))
        statuses: Counter[int] = Counter()
        while not statuses[503]:
            statuses[gateway.post(CHAT, SHORT | {"metadata": {"tags": ["x" * 9_000]}}, key).status] += 1
        assert statuses.keys() == {200, 503}
        assert gateway.post(CHAT, SHORT | {"metadata": {"tags": ["x" * 9_000]}}, key).status == 503
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        assert gateway.post(CHAT, SHORT, key).status == 200
        served = sorted(call["request_metadata"]["sekisho_call_id"] for call in simulator.calls())
        assert len(served) == statuses[200] + 2
        wait_until(lambda: sorted(successes(gateway)) == served, "not every call is booked")
