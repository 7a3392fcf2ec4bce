"""Two gateways over one PostgreSQL, and two workers over one SQLite file: one truth, whatever dies."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa
from tests.e2e.conftest import CONFIG
from tests.support.admin import hash_of
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway
from tests.support.postgres import (
    create_database,
    find_binaries,
    kill_server,
    restart_server,
    run_server,
    skip_or_fail,
)
from tests.support.usage import check_books, read_leases
from tests.support.workers import connect_to, find_workers

from sekisho.store.database import Database
from sekisho.store.tables import leases

CHAT = "/v1/chat/completions"
CALLS = 240
CLIENTS = 12


def chat(gateway: Gateway, key: str, words: int = 20) -> Answer:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": f'[[sim: {{"repeat": {words}}}]]'}]}
    return gateway.post(CHAT, body, key)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + 60
    while not is_so():
        assert monotonic() < deadline, what
        sleep(0.1)


@contextmanager
def run_replicas(folder: Path, environment: dict[str, str]) -> Iterator[Sequence[Gateway]]:
    """Two gateways that begin at the same moment, each with a home of its own."""
    managers = [run_gateway(folder / name, CONFIG, environment) for name in ("one", "two")]
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        entering = [pool.submit(manager.__enter__) for manager in managers]
        for manager, entered in zip(managers, entering, strict=True):
            if entered.exception() is None:
                stack.push(manager)
        yield [entered.result() for entered in entering]


async def test_replicas_that_start_together_go_through_the_death_of_postgres(
    tmp_path: Path, simulator: Simulator
) -> None:
    if find_binaries() is None:
        skip_or_fail("there is no PostgreSQL here")
    with run_server() as folder:
        database_url = create_database(folder)
        with run_replicas(tmp_path, {**simulator.environment, "DATABASE_URL": database_url}) as replicas:
            one, two = replicas
            free, small = one.make_key(max_budget=100), one.make_key(max_budget=0.05)
            wait_until(lambda: all(chat(two, key).status == 200 for key in (free, small)), "a change does not arrive")
            statuses = play(replicas, [free, free, small], folder)
            assert statuses.keys() <= {200, 402, 503}
            assert statuses[200] > CALLS // 4
            wait_until(lambda: chat(one, free).status == chat(two, free).status == 200, "it does not go on")
            while chat(one, small).status == 200:
                pass
            wait_until(lambda: chat(two, small).status == 402, "the other has money that is not there")
            rows = wait_for_rows(one, simulator)
            for key in (free, small):
                check_spend(one, key, rows)
            assert sum(row["metadata"]["cost_nano"] for row in rows if row["api_key"] == hash_of(small)) <= 50_000_000
            assert "Traceback" not in one.errors() + two.errors()
        database = Database(database_url)
        await check_books(database)
        assert await read_leases(database) == {}, "a lease is stuck"
        await database.close()


def play(replicas: Sequence[Gateway], keys: Sequence[str], folder: Path) -> Counter[int]:
    """Let many clients call both; meanwhile kill PostgreSQL, and start it again when more calls were made."""

    def call(number: int) -> int:
        if number == CALLS // 3:
            kill_server(folder)
        if number == CALLS * 2 // 3:
            restart_server(folder)
        return chat(replicas[number % 2], keys[number % 3]).status

    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(pool.map(call, range(CALLS)))


def wait_for_rows(gateway: Gateway, simulator: Simulator) -> list[dict[str, Any]]:
    """All usage rows, once those that cost something are the calls that the counterpart has answered, each once."""
    served = sorted(call["request_metadata"]["sekisho_call_id"] for call in simulator.calls())
    rows: list[dict[str, Any]] = []

    def agree() -> bool:
        rows[:] = gateway.get("/spend/logs?limit=10000").json()
        return sorted(row["request_id"] for row in rows if row["metadata"]["cost_nano"]) == served

    wait_until(agree, "the rows are not the calls")
    return rows


def check_spend(gateway: Gateway, key: str, rows: list[dict[str, Any]]) -> None:
    """What the key's own page says is the sum of its rows."""
    spend = gateway.get(f"/key/info?key={key}").json()["info"]["spend"]
    assert round(spend * 1e9) == sum(row["metadata"]["cost_nano"] for row in rows if row["api_key"] == hash_of(key))


async def test_the_leases_of_a_killed_worker_go_back(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(tmp_path, CONFIG, simulator.environment, workers=2) as gateway:
        key = gateway.make_key(max_budget=1, max_parallel_requests=4)
        workers = find_workers(gateway, 2)
        dead = workers[0]
        for worker in workers:
            with connect_to(gateway, worker, workers) as connection:
                call_over(connection, key)
        database = Database(str(tmp_path / "sekisho.db"))
        assert await find_holders(database) >= {dead}
        os.kill(dead, signal.SIGKILL)
        deadline = monotonic() + 30
        while dead in await find_holders(database):
            assert monotonic() < deadline, "its leases are stuck"
            await asyncio.sleep(0.1)
        await check_books(database)
        await database.close()


async def find_holders(database: Database) -> set[int]:
    """The processes that hold leases."""
    async with database.read() as connection:
        names = (await connection.execute(sa.select(leases.c.worker))).scalars()
        return {int(name.rsplit("-", 2)[1]) for name in names}


def call_over(connection: HTTPConnection, key: str) -> None:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", CHAT, json.dumps(body), headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    response.read()


def test_workers_share_a_limit_of_calls_under_way(tmp_path: Path, simulator: Simulator) -> None:
    """A place that the one worker has used is there for the other, and is not there twice."""
    with run_gateway(tmp_path, CONFIG, simulator.environment, workers=2) as gateway:
        key = gateway.make_key(max_parallel_requests=1)
        with ThreadPoolExecutor(4) as pool:
            one_by_one = [pool.submit(chat, gateway, key).result().status for _ in range(8)]
            assert one_by_one == [200] * 8
            simulator.fault({}, {"kind": "slow", "first_ms": 4_000}, times=1)
            at_once = Counter(answer.status for answer in pool.map(lambda _: chat(gateway, key), range(3)))
        assert at_once == {200: 1, 429: 2}
