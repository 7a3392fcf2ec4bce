import asyncio

import pytest

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.identity import memory
from sekisho.identity.memory import FRESH, FRESH_UNKNOWN, Memory, Reading, Row


class Source:
    """Something that is read, and counts how often. A value depends on its own row and on one that all share."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.value = "old"
        self.waits = False
        self.away = False
        self.reads: list[str] = []
        self.memory: Memory[str, str] = Memory(self.read, self.rows_of, self.clock)

    def rows_of(self, name: str, _value: str) -> list[Row] | None:
        return None if name == "unknown" else [("names", name), ("all", "everybody")]

    async def read(self, name: str) -> Reading[str]:
        self.reads.append(name)
        if self.away:
            raise StoreUnavailable("away")
        return Reading(f"{self.value} {name}", waits=self.waits)


async def test_what_is_fresh_is_not_read_again() -> None:
    source = Source()
    assert await asyncio.gather(*(source.memory.get("a") for _ in range(20))) == ["old a"] * 20
    assert source.reads == ["a"]


async def test_only_what_is_fresh_and_beyond_doubt_can_be_had_without_waiting() -> None:
    source = Source()
    assert source.memory.peek("a") is None
    await source.memory.get("a")
    assert source.memory.peek("a") == "old a"
    source.memory.doubt([("names", "b")])
    assert source.memory.peek("a") is None  # somebody must look whether this concerns it
    await source.memory.get("a")
    assert source.memory.peek("a") == "old a"
    source.clock.advance(FRESH)
    assert source.memory.peek("a") is None
    assert source.reads == ["a"]


async def test_what_is_no_longer_fresh_counts_until_it_is_read_in_the_background() -> None:
    source = Source()
    await source.memory.get("a")
    source.clock.advance(FRESH)
    source.value = "new"
    assert await source.memory.get("a") == "old a"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await source.memory.get("a") == "new a"
    assert len(source.reads) == 2


@pytest.mark.parametrize("doubted", [True, False])
async def test_what_is_doubted_or_waits_is_read_before_it_counts(doubted: bool) -> None:
    source = Source()
    source.waits = not doubted
    await source.memory.get("a")
    source.value = "new"
    if doubted:
        source.memory.doubt()
    else:
        source.clock.advance(FRESH)
    assert await source.memory.get("a") == "new a"


async def test_what_is_remembered_counts_on_while_the_database_is_away() -> None:
    source = Source()
    source.waits = True
    await source.memory.get("a")
    source.away = True
    source.memory.doubt()
    assert [await source.memory.get("a") for _ in range(3)] == ["old a"] * 3
    assert len(source.reads) == 2
    source.clock.advance(FRESH_UNKNOWN)
    assert await source.memory.get("a") == "old a"
    assert len(source.reads) == 3
    with pytest.raises(StoreUnavailable):
        await source.memory.get("b")


async def test_no_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CAPACITY", 2)
    source = Source()
    for name in ("a", "b", "a", "c", "a", "b"):
        await source.memory.get(name)
    assert source.reads == ["a", "b", "c", "b"]


async def test_a_changed_row_makes_only_what_depends_on_it_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST_CHANGES", 3)
    source = Source()
    names = ("a", "b", "unknown")

    async def read_after(*rows: Row) -> list[str]:
        source.memory.doubt(rows)
        source.reads.clear()
        for name in (*names, *names):
            await source.memory.get(name)
        return source.reads

    for name in names:
        await source.memory.get(name)
    assert await read_after(("names", "a")) == ["a", "unknown"]
    assert await read_after(("names", "c")) == ["unknown"]
    assert await read_after(("all", "everybody")) == list(names)
    assert await read_after(("names", "d")) == list(names)  # too many changes to keep them in mind
    assert await read_after(("names", "b")) == ["b", "unknown"]
