"""What a client sees of a stream while its call waits for room, over real HTTP."""

import asyncio
import importlib
from collections.abc import Iterator
from typing import cast
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.support.ended import ENDPOINT
from tests.support.servers import serve_app

from sekisho.core.chat import ClientCall
from sekisho.core.clock import SystemClock
from sekisho.core.errors import SekishoError, UpstreamThrottled
from sekisho.core.wire import ChatClient
from sekisho.gateway import relay
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.record import CallRecord
from sekisho.gateway.relay import StreamedAnswer, refuse
from sekisho.http.asgi import Receive, Scope, Send
from sekisho.ledger.holds import Hold
from sekisho.policy.naming import ChosenModel

BEATS = 3


class FreeHold:
    """A hold of a caller whose spend is not counted."""

    def key_spend(self, _cost: int) -> None:
        return None


class _Counting(Exchange):
    """Tells when enough was written."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.enough = asyncio.Event()
        self._written = 0

    def write(self, chunk: bytes) -> bool:
        full = super().write(chunk)
        self._written += 1
        if self._written >= BEATS:
            self.enough.set()
        return full


class Waiting:
    """An application whose calls wait until some signs of life went out, and are then refused."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        dialect: ChatClient = importlib.import_module(f"sekisho.dialects.{scope['path'].strip('/')}").client
        exchange = _Counting(scope)
        record = CallRecord(clock=SystemClock(), endpoint=ENDPOINT, client_ip=None)
        record.call = ClientCall(model="sonnet", body=b"{}", family="f", path="/", read=lambda: None, stream=True)  # type: ignore[arg-type, return-value]  # nobody reads it
        record.model = ChosenModel(asked="sonnet", group="sonnet")
        answering = StreamedAnswer(exchange, dialect, record, cast(Hold, FreeHold()))
        try:
            async with answering.kept_open():
                if dialect.stream_writer(relay.answer_head(record), record.call).keep_alive():
                    async with asyncio.timeout(20):
                        await exchange.enough.wait()
                raise UpstreamThrottled("The rate limit is reached.", verdict="never", retry_after=7.0)
        except SekishoError as error:
            answering.tell_failure(error)
            await refuse(exchange, dialect, record, error)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(relay, "_KEEP_ALIVE_SECONDS", 0.01)
    with serve_app(Waiting()) as url:
        yield url


@pytest.mark.parametrize(
    ("dialect", "sign", "failure"),
    [
        ("openai_chat", b": ", b'data: {"error"'),
        ("openai_responses", b": ", b"event: response.failed"),
        ("anthropic_messages", b'event: ping\ndata: {"type":"ping"}', b"event: error\ndata: "),
    ],
)
def test_signs_of_life_follow_the_head_and_the_failure_is_told_in_the_stream(
    url: str, dialect: str, sign: bytes, failure: bytes
) -> None:
    with urlopen(f"{url}/{dialect}", timeout=30) as answer:
        assert answer.status == 200
        assert "event-stream" in answer.headers["content-type"]
        events = [event for event in answer.read().split(b"\n\n") if event]
    assert len(events) >= BEATS
    assert all(event.startswith(sign) for event in events[: BEATS - 1])
    assert failure in events[-1]
    assert b"rate limit" in events[-1]


def test_formats_without_signs_of_life_keep_their_status(url: str) -> None:
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{url}/bedrock_converse", timeout=30)
    with caught.value as answer:
        assert answer.code == 429
        assert answer.headers["retry-after"] == "7"
