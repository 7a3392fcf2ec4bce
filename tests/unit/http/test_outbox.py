"""Writes that are collected: what goes out, when, and in which order."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.http.outbox import Outbox, Sender


class _Wire(asyncio.Transport):
    """A transport that notes each write, and calls back as a full one does."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False
        self.act: Any = None

    def write(self, data: Any) -> None:
        assert not self.closing
        self.writes.append(bytes(data))
        act, self.act = self.act, None
        if act is not None:
            act()

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


class _Line(Sender):
    def __init__(self, outbox: Outbox) -> None:
        super().__init__(outbox)
        self.wire = _Wire()
        self._transport = self.wire


async def test_what_is_written_in_one_turn_goes_out_in_one_piece_at_its_end() -> None:
    line = _Line(Outbox())
    for part in (b"a", b"b", b"c"):
        line.write(part)
    assert line.wire.writes == []
    await asyncio.sleep(0)
    assert line.wire.writes == [b"abc"]
    line.write_later(b"d")
    line.write(b"e")
    await asyncio.sleep(0)
    assert line.wire.writes == [b"abc", b"de"]


async def test_a_connection_that_sends_alone_does_not_wait_for_the_end_of_the_turn() -> None:
    outbox = Outbox()
    one, other = _Line(outbox), _Line(outbox)
    for _ in range(10):
        one.write(b"a")
        await asyncio.sleep(0)
    one.write(b"b")
    assert one.wire.writes[-1] == b"b"
    for _ in range(100):  # and what comes in company is collected again after a while
        one.write(b"c")
        other.write(b"d")
        await asyncio.sleep(0)
    one.write(b"e")
    assert one.wire.writes[-1] == b"c"


async def test_a_large_part_goes_out_at_once_after_what_was_written_before_it() -> None:
    line, large = _Line(Outbox()), b"x" * 100_000
    line.write(b"head")
    line.write(large)
    assert b"".join(line.wire.writes) == b"head" + large
    await asyncio.sleep(0)
    assert b"".join(line.wire.writes) == b"head" + large


async def test_hanging_up_sends_what_is_unsent_first_and_aborting_drops_it() -> None:
    outbox = Outbox()
    closed, aborted = _Line(outbox), _Line(outbox)
    closed.write(b"bye")
    aborted.write(b"lost")
    closed.hang_up()
    aborted.wire.abort()
    closed.write(b"too late")
    await asyncio.sleep(0)
    assert (closed.wire.writes, closed.wire.closing, aborted.wire.writes) == ([b"bye"], True, [])


async def test_many_connections_do_not_wait_for_the_end_of_a_long_turn() -> None:
    outbox = Outbox()
    lines = [_Line(outbox) for _ in range(100)]
    for line in lines:
        line.write(b"x")
    assert sum(bool(line.wire.writes) for line in lines) > 80
    await asyncio.sleep(0)
    assert all(line.wire.writes == [b"x"] for line in lines)


async def test_what_a_transport_has_written_by_its_callbacks_goes_out_after() -> None:
    outbox = Outbox()
    one, other = _Line(outbox), _Line(outbox)

    def go_on() -> None:
        one.write(b"2")
        other.write(b"two")

    one.wire.act = go_on
    one.write(b"1")
    other.write(b"one")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert b"".join(one.wire.writes) == b"12"
    assert b"".join(other.wire.writes) == b"onetwo"


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3) | st.just(70_000) | st.none()), max_size=60)


@given(steps=STEPS)
def test_each_connection_gets_what_was_written_to_it_in_its_order(steps: list[tuple[int, int | None]]) -> None:
    async def run() -> None:
        outbox = Outbox()
        lines, wanted = [_Line(outbox) for _ in range(4)], [b"", b"", b"", b""]
        for number, (at, size) in enumerate(steps):
            if size is None:
                await asyncio.sleep(0)
                continue
            part = bytes([number]) * size
            lines[at].write(part)
            wanted[at] += part
        await asyncio.sleep(0)
        assert [b"".join(line.wire.writes) for line in lines] == wanted

    asyncio.run(run())
