import asyncio
from collections.abc import MutableMapping
from typing import Any

from tests.support.exchange import make_scope

from sekisho.gateway.exchange import Exchange


def start(sent: list[bytes], gate: asyncio.Event | None = None, third: asyncio.Event | None = None) -> Exchange:
    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is to be read")

    async def send(message: MutableMapping[str, Any]) -> None:
        if gate is not None:
            await gate.wait()
        sent.append(message["body"])
        if third is not None and len(sent) == 3:
            third.set()

    return Exchange(make_scope("/x"), receive, send)


async def test_a_silent_stream_is_kept_alive_until_it_ends() -> None:
    sent: list[bytes] = []
    third = asyncio.Event()
    exchange = start(sent, third=third)
    async with exchange.kept_alive(b": beat\n\n", seconds=0.001), asyncio.timeout(10):
        await third.wait()
    await exchange.finish(b"end")
    assert set(sent[:-1]) == {b": beat\n\n"}
    assert sent[-1] == b"end"


async def test_a_dialect_without_keep_alives_gets_none() -> None:
    sent: list[bytes] = []
    exchange = start(sent)
    async with exchange.kept_alive(b"", seconds=0.001):
        await exchange.write(b"one")
    assert sent == [b"one"]


async def test_a_beat_and_an_event_never_mix_while_the_client_is_slow() -> None:
    sent: list[bytes] = []
    gate = asyncio.Event()
    exchange = start(sent, gate)
    async with exchange.kept_alive(b"beat", seconds=0.001):
        writing = asyncio.create_task(exchange.write(b"event"))
        await asyncio.sleep(0)
        assert sent == []  # the client takes nothing yet
        gate.set()
        await writing
    assert sent.count(b"event") == 1
