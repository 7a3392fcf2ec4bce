"""What dead workers leave: no call is lost, none is booked twice, and no lease stays with the dead."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.usage import check_books, count_rows, read_accounts, read_leases, usage_row

from sekisho.core.clock import ManualClock, SystemClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import RELEASE_SECONDS, Want
from sekisho.store.booking import Bookkeeper
from sekisho.store.database import Database
from sekisho.store.engine import Store, open_store
from sekisho.store.escrow import EscrowRepository
from sekisho.store.recovery import Recovery
from sekisho.store.spool import Entry, Spool
from sekisho.store.tables import usage, workers

BUDGET, TOTAL = "team:t:money@0/all", "user:u:money@0/all"
BOOKED = {BUDGET: True, TOTAL: False}


def die(spool: Spool) -> None:
    """What the operating system does for a killed process."""
    os.close(spool._file._descriptor)


async def lease(store: Store, name: str, amount: int, *accounts: str) -> None:
    escrow = EscrowRepository(store._database, SystemClock(), name, "host")
    await escrow.beat()
    await escrow.lease([Want(account=each, limit=2 * amount, wished=amount) for each in accounts or (BUDGET,)])


async def known_workers(database: Database) -> set[str]:
    async with database.read() as connection:
        return set((await connection.execute(sa.select(workers.c.worker))).scalars())


async def leave_calls(store: Store, folder: Path, worker: str, count: int) -> None:
    """A worker with a lease that dies: of its calls every third has not ended, and every fourth is booked already."""
    await lease(store, worker, 10_000)
    spool = Spool(folder, worker)
    for number in range(count):
        row = usage_row(5, estimated=True)
        spool.sent(row, BOOKED)
        if number % 3:
            ended = usage_row(3, id=row.id)
            spool.done(ended, BOOKED)
            if number % 4 == 0:
                await Bookkeeper(store._database).book(worker, [Entry(ended, BOOKED, True)])
    die(spool)


async def test_the_calls_of_the_dead_are_booked_and_their_leases_go_back(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "graves"
    await leave_calls(store, folder, "dead", 30)
    alive = Spool(folder, "alive")
    alive.sent(usage_row(7), BOOKED)
    await lease(store, "alive", 10_000)
    recovery = Recovery(store._database, Bookkeeper(store._database), ManualClock(), folder)
    for _ in range(2):
        await recovery.recover()
        assert await count_rows(store._database) == 30
        spent = 10 * 5 + 20 * 3
        leased = await read_leases(store._database)
        assert list(leased) == [("alive", BUDGET)]
        assert await read_accounts(store._database) == {
            BUDGET: (spent, leased["alive", BUDGET]),
            TOTAL: (spent, 0),
        }
    assert await known_workers(store._database) == {"alive"}
    assert [path.name for path in folder.iterdir()] == ["alive.1.spool"]
    await check_books(store._database)
    alive.close(keep=False)


@pytest.mark.parametrize("step", range(5))
async def test_a_recovery_that_is_cut_short_is_taken_up_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The process that recovers dies itself after the n-th thing it does in the database."""
    folder = tmp_path / "graves"
    await leave_calls(store, folder, "dead", 12)
    done = 0
    transact = store._database.transact

    async def stop_after(work: object) -> object:
        nonlocal done
        result: object = await transact(work)  # type: ignore[arg-type]  # passed on as it is
        done += 1
        if done > step:
            raise StoreUnavailable("gone")
        return result

    monkeypatch.setattr(store._database, "transact", stop_after)
    bookkeeper = Bookkeeper(store._database)
    bookkeeper.group = 4
    recovery = Recovery(store._database, bookkeeper, ManualClock(), folder)
    if step < 4:
        with pytest.raises(StoreUnavailable):
            await recovery.recover()
    monkeypatch.setattr(store._database, "transact", transact)
    await recovery.recover()
    assert await count_rows(store._database) == 12
    spent = 4 * 5 + 8 * 3
    assert await read_accounts(store._database) == {BUDGET: (spent, 0), TOTAL: (spent, 0)}
    assert list(folder.iterdir()) == []
    await check_books(store._database)


async def test_two_that_recover_at_once_do_it_once(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "graves"
    for number in range(3):
        await leave_calls(store, folder, f"dead-{number}", 9)
    both = [Recovery(store._database, Bookkeeper(store._database), ManualClock(), folder) for _ in range(2)]
    await asyncio.gather(*(recovery.recover() for recovery in both))
    for recovery in both:
        await recovery.recover()
    assert await count_rows(store._database) == 27
    assert (await read_accounts(store._database))[BUDGET] == (9 * 5 + 18 * 3, 0)
    await check_books(store._database)


async def test_of_a_silent_worker_elsewhere_places_go_back_soon_and_money_much_later(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    await lease(store, "far", 100, BUDGET, "key:k:parallel")
    speaking = EscrowRepository(store._database, clock, "speaking", "host")
    recovery = Recovery(store._database, Bookkeeper(store._database), clock, tmp_path / "graves")

    async def pass_time(seconds: float) -> dict[tuple[str, str], int]:
        for _ in range(int(seconds / 5)):
            clock.advance(5)
            clock.step(-3)  # what clocks say does not matter
            await speaking.beat()
            await recovery.recover()
        return await read_leases(store._database)

    await speaking.beat()
    await recovery.recover()
    assert await pass_time(55) == {("far", BUDGET): 100, ("far", "key:k:parallel"): 100}
    assert await pass_time(5) == {("far", BUDGET): 100}
    assert await pass_time(RELEASE_SECONDS - 65) == {("far", BUDGET): 100}
    assert await known_workers(store._database) == {"far", "speaking"}
    assert await pass_time(5) == {}
    assert await known_workers(store._database) == {"speaking"}
    assert await read_accounts(store._database) == {}


async def test_nobody_is_dead_because_the_database_was_away_for_all(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    await lease(store, "far", 100)
    recovery = Recovery(store._database, Bookkeeper(store._database), clock, tmp_path / "graves")
    await recovery.recover()
    clock.advance(2 * RELEASE_SECONDS)
    await recovery.recover()
    clock.advance(10)
    await recovery.recover()
    assert await known_workers(store._database) == {"far"}


async def test_silence_does_not_bury_a_worker_whose_process_lives_here(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    folder = tmp_path / "graves"
    stuck = Spool(folder, "stuck")
    await lease(store, "stuck", 100)
    recovery = Recovery(store._database, Bookkeeper(store._database), clock, folder)
    for _ in range(200):
        await recovery.recover()
        clock.advance(5)
    assert await known_workers(store._database) == {"stuck"}
    stuck.close(keep=False)


async def test_a_worker_that_was_buried_alive_books_its_calls_without_harm(store: Store, tmp_path: Path) -> None:
    """Its leases went to others; what it spent meanwhile is added, and takes nothing off their leases."""
    await lease(store, "far", 100)
    await EscrowRepository(store._database, SystemClock(), "far", "host").retire()
    await lease(store, "near", 100)
    before = (await read_accounts(store._database))[BUDGET][1]
    spool = Spool(tmp_path / "graves", "far")
    spool.done(usage_row(40), BOOKED)
    die(spool)
    await Recovery(store._database, Bookkeeper(store._database), ManualClock(), tmp_path / "graves").recover()
    assert (await read_accounts(store._database))[BUDGET] == (40, before)
    await check_books(store._database)


def journal_until_killed(url: str, spool: Path, report: int, seed: int) -> None:
    """A worker: it tells what it has written down, one line for each, and goes on until it is killed."""

    async def run() -> None:
        store = await open_store(url, SystemClock(), spool=spool)
        await store.escrow.beat()
        chance = random.Random(seed)
        open_calls = []
        while True:
            await store.escrow.lease([Want(account=BUDGET, limit=10**9, wished=1_000)])
            for _ in range(chance.randrange(40)):
                row = usage_row(50, estimated=True, status="failure", tags=("ci",))
                store.journal.sent(row, BOOKED)
                os.write(report, f"sent {row.id}\n".encode())
                open_calls.append(row)
                if chance.random() < 0.8:
                    call = open_calls.pop(chance.randrange(len(open_calls)))
                    store.journal.record(usage_row(30, id=call.id, tags=("ci",)), BOOKED)
                    os.write(report, f"done {call.id}\n".encode())
            if chance.random() < 0.3:
                await store.journal.flush()
            await asyncio.sleep(0)

    asyncio.run(run())


def run_and_kill(url: str, spool: Path, turn: int) -> list[str]:
    """Let two workers journal until they have told of some calls, kill them, and return all that they told."""
    readable, writable = os.pipe()
    arguments = [url, str(spool), str(writable)]
    command = [sys.executable, __file__, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([*command, str(turn * 2 + number)], pass_fds=[writable], env=environment)
        for number in range(2)
    ]
    os.close(writable)
    text = b""
    while text.count(b"\n") < 150 + 170 * turn:
        more = os.read(readable, 65536)
        assert more, "both workers have failed"
        text += more
    for process in processes:
        process.kill()
        process.wait()
    while more := os.read(readable, 65536):
        text += more
    os.close(readable)
    return text.decode().splitlines()


def test_killed_processes_lose_no_call_and_count_none_twice(database_url: str, tmp_path: Path) -> None:
    told = [line for turn in range(2) for line in run_and_kill(database_url, tmp_path / "spool", turn)]
    asyncio.run(check_after_kills(database_url, tmp_path / "spool", told))


async def check_after_kills(url: str, spool: Path, told: list[str]) -> None:
    store = await open_store(url, SystemClock(), spool=spool)
    database = store._database
    async with database.read() as connection:
        rows = await connection.execute(sa.select(usage.c.id, usage.c.status, usage.c.cost_nano))
        found = {row.id: (row.status, row.cost_nano) for row in rows}
    for line in told:
        what, call = line.split()
        assert call in found
        assert what == "sent" or found[call] == ("success", 30)
    spent = sum(cost for _, cost in found.values())
    assert await read_accounts(database) == {BUDGET: (spent, 0), TOTAL: (spent, 0)}
    assert await read_leases(database) == {}
    assert await known_workers(database) == set()
    await check_books(database)
    await store.close()
    assert [name for _, _, files in os.walk(spool) for name in files] == []


if __name__ == "__main__":
    journal_until_killed(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
