"""`python -m benchmarks.scale`: what many keys cost: start, memory, look-ups, calls, changes and listings.

A company of 100,000 keys, 5,000 teams, 20,000 users and 50 organisations is written into an empty database; then two
gateways serve it, as two replicas do.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.bodies import chat_body
from benchmarks.gateways import HOST, BenchmarkFailed, Started, ask, post, run_sekisho, run_upstream
from benchmarks.load import Load
from benchmarks.measure import send
from benchmarks.population import KEY_PREFIX, Population, fill
from benchmarks.wires import OPENAI_CHAT, OPENAI_COMPATIBLE, TICK
from sekisho.core.caller import Scope
from sekisho.core.clock import SystemClock
from sekisho.identity.authenticate import Identity
from sekisho.identity.keys import hash_key
from sekisho.store.database import Database
from sekisho.store.engine import open_store
from sekisho.store.tables import keys

CHANGE_SECONDS: Final = 1.0
"""In so many seconds a change must count everywhere."""
_CONNECTIONS: Final = 16
_MEASURED: Final = 20_000
_SETTLE_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.005
_GIVE_UP_SECONDS: Final = 10.0
_PAGE: Final = 100

Figures = Iterator[tuple[str, float, str]]
"""Names, values and units."""


def measure(url: str, folder: Path, population: Population, in_turn: Sequence[int]) -> Figures:
    """Fill the database, unless it has keys, and measure everything over it; calls with so many keys in turn."""
    asyncio.run(_fill(url, population))
    yield from asyncio.run(_look_up(url, population, min(_MEASURED, population.keys)))
    address = url if "://" in url else f"sqlite:///{Path(url).absolute()}"
    with ExitStack() as stack:
        port, _ = stack.enter_context(run_upstream(0, 1, 0.0))
        start = _starter(stack, folder, port, address)
        first = start("first")
        yield "start, until the first answer", first.start_seconds, "s"
        yield "start, CPU until then", first.start_cpu_seconds, "s"
        yield "resident memory after the start", first.group.resident_mb(), "MB"
        yield from _list(first.port, population)
        for count in sorted({min(count, population.keys) for count in in_turn}):
            yield from _call(first, population, count)
        yield "resident memory after calls with all keys", first.group.resident_mb(), "MB"
        yield from _change(first, start("second"), population)


async def _fill(url: str, population: Population) -> None:
    clock = SystemClock()
    await (await open_store(url, clock)).close()  # which makes the tables
    database = Database(url, clock)
    try:
        if not await database.inspect(lambda connection: connection.scalar(sa.select(keys.c.key_hash).limit(1))):
            await fill(database, population, clock.now())
    finally:
        await database.close()


async def _look_up(url: str, population: Population, count: int) -> list[tuple[str, float, str]]:
    """CPU time of this process, all threads, for knowing callers by their keys."""
    clock = SystemClock()
    store = await open_store(url, clock)
    identity = Identity(store, clock, None, Scope(kind="installation", id="all"))
    step = max(1, population.keys // count)
    headers = [[(b"authorization", b"Bearer " + population.key(n * step).encode())] for n in range(count)]

    async def know_all() -> float:
        began = time.process_time()
        for each in headers:
            await identity.authenticate(each)
        return (time.process_time() - began) * 1e6 / count

    try:
        figures = [
            ("first look-up of a key, CPU", await know_all(), "µs"),
            ("look-up of a known key, CPU", await know_all(), "µs"),
        ]
        await store.keys.update(hash_key(population.key(0)), {"rpm_limit": 10**8 + 1})
        figures.append(("look-up of a known key after a change to another, CPU", await know_all(), "µs"))
        began = time.perf_counter()
        gc.collect()
        figures.append((f"garbage collection with {count:,} known keys", (time.perf_counter() - began) * 1e3, "ms"))
        return figures
    finally:
        await identity.close()
        await store.close()


def _starter(stack: ExitStack, folder: Path, upstream_port: int, address: str) -> Callable[[str], Started]:
    """Starts one more gateway on the database, until the stack is closed."""

    def start(name: str) -> Started:
        environment = {"DATABASE_URL": address}
        return stack.enter_context(run_sekisho(folder / name, [OPENAI_COMPATIBLE], upstream_port, environment))

    return start


def _list(port: int, population: Population) -> Figures:
    """How long pages of lists take, from the request to the end of the answer: the median of five, after one."""
    last = -(-population.keys // _PAGE)
    paths = [
        ("/key/list", f"/key/list?size={_PAGE}"),
        ("/key/list, all about each", f"/key/list?size={_PAGE}&return_full_object=true"),
        ("/key/list, last page", f"/key/list?size={_PAGE}&page={last}&return_full_object=true"),
        ("/key/list of a team", f"/key/list?size={_PAGE}&team_id={population.team(7)}&return_full_object=true"),
        ("/v2/team/list", f"/v2/team/list?page_size={_PAGE}"),
        ("/v2/team/list, last page", f"/v2/team/list?page_size={_PAGE}&page={-(-population.teams // _PAGE)}"),
        ("/team/list, all", "/team/list"),
        ("/user/list", f"/user/list?page_size={_PAGE}"),
        ("/user/list, last page", f"/user/list?page_size={_PAGE}&page={-(-population.users // _PAGE)}"),
        ("/customer/list", f"/customer/list?page_size={_PAGE}"),
        ("/customer/list, last page", f"/customer/list?page_size={_PAGE}&page={-(-population.customers // _PAGE)}"),
        ("/organization/list, all", "/organization/list"),
        ("/team/info", f"/team/info?team_id={population.team(7)}"),
        ("/user/info", f"/user/info?user_id={population.user(7)}"),
    ]
    for name, path in paths:
        times: list[float] = []
        for _ in range(6):
            began = time.perf_counter()
            status, answer = ask(port, path)
            times.append((time.perf_counter() - began) * 1e3)
            if status != 200:
                raise BenchmarkFailed(f"{path} was refused with {status}: {answer[:500].decode()}")
        yield name, median(times[1:]), "ms"


def _call(gateway: Started, population: Population, count: int) -> Figures:
    """CPU time of the gateway for a call, with so many keys in turn: for their first calls, and for later ones."""
    later = min(max(count, population.keys // 25), _MEASURED)
    for name, calls in ((f"first call of each of {count:,} keys, CPU", count), (f"call, {count:,} keys, CPU", later)):
        before = gateway.group.cpu_seconds()
        send(_make_load(gateway.port, count, calls), name)
        time.sleep(_SETTLE_SECONDS)
        yield name, (gateway.group.cpu_seconds() - before) * 1e6 / calls, "µs"


def _make_load(port: int, keys_in_turn: int, calls: int) -> Load:
    """Calls in which the number that changes is that of the key."""
    body = OPENAI_CHAT.write(chat_body(1_024), OPENAI_COMPATIBLE.model, stream=False)
    return Load(
        host=HOST,
        port=port,
        before=f"POST {OPENAI_CHAT.path} HTTP/1.1\r\nauthorization: Bearer {KEY_PREFIX}".encode(),
        after=b"\r\nhost: benchmark\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body),
        connections=min(_CONNECTIONS, keys_in_turn),
        count=calls,
        seconds=1_200.0,
        word=TICK.encode(),
        words=1,
        cycle=keys_in_turn,
    )


def _change(first: Started, second: Started, population: Population) -> Figures:
    """How long it takes until the second gateway acts on a change that the first has answered; the longest of five."""
    key, token = population.key(1), hash_key(population.key(1))
    team = {"team_id": population.team(1)}
    changes: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("/key/block", "/key/block", {"key": token}, {"path": "/key/unblock", "key": token}),
        ("/key/update", "/key/update", {"key": token, "models": ["none"]}, {"key": token, "models": []}),
        ("/team/update of the budget", "/team/update", {**team, "max_budget": 0}, {**team, "max_budget": 1e6}),
    ]
    for name, path, change, back in changes:
        back_path = back.pop("path", path)
        longest = 0.0
        for _ in range(5):
            for to, fields, refused in ((path, change, True), (back_path, back, False)):
                post(first.port, to, fields)
                longest = max(longest, _wait(second.port, key, refused=refused))
        yield f"{name}, until it counts elsewhere", longest, "s"


def _wait(port: int, key: str, *, refused: bool) -> float:
    """Seconds until calls with a key are refused, or no longer."""
    body = OPENAI_CHAT.write(chat_body(300), OPENAI_COMPATIBLE.model, stream=False)
    began = time.perf_counter()
    while time.perf_counter() - began < _GIVE_UP_SECONDS:
        status, _ = ask(port, OPENAI_CHAT.path, body, key)
        if (status != 200) == refused:
            return time.perf_counter() - began
        time.sleep(_POLL_SECONDS)
    raise BenchmarkFailed(f"a change did not count in the other gateway within {_GIVE_UP_SECONDS:.0f} seconds")


def main() -> int:
    """Measure and print. Returns the exit status: 1 when something failed, or a change took too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="What many keys cost.")
    parser.add_argument("--keys", type=int, default=100_000, help="the other numbers are in proportion to it")
    parser.add_argument("--database", help="its address, kept as it is afterwards; without it, a SQLite file for once")
    default = (10, 10_000, 100_000)
    parser.add_argument(
        "--in-turn", type=int, nargs="+", default=default, metavar="KEYS", help="with how many keys calls are made"
    )
    arguments = parser.parse_args()
    late = False
    with tempfile.TemporaryDirectory(prefix="sekisho-scale-") as folder:
        url = arguments.database or str(Path(folder) / "scale.db")
        try:
            for name, value, unit in measure(url, Path(folder), Population.of(arguments.keys), arguments.in_turn):
                print(f"{name:60} {value:12,.{0 if value >= 100 else 2}f} {unit}", flush=True)
                late |= name.endswith("until it counts elsewhere") and value >= CHANGE_SECONDS
        except BenchmarkFailed as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return 1
    if late:
        print(f"a change took {CHANGE_SECONDS:.0f} second or more", file=sys.stderr)
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
