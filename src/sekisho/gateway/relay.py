"""The answer on its way back to the client, metered as it passes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from math import ceil
from typing import Protocol

from msgspec import Struct

from sekisho.core.chat import RedactedThinking, Thinking, ToolCall
from sekisho.core.errors import (
    ClientGone,
    RateLimited,
    Refusal,
    SekishoError,
    UpstreamMisconfigured,
    UpstreamThrottled,
)
from sekisho.core.events import Event, RedactedThinkingBlock, TextDelta, ThinkingDelta, ThinkingSignature, ToolCallStart
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, ChatClient, ClientDialect, HeaderPairs, Piece, StreamWriter
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.meter import AnswerPart, Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import Reply
from sekisho.ledger.holds import Hold

JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # asks reverse proxies not to hold events back
)
_KEEP_ALIVE_SECONDS = 15.0


class Sent(Struct, frozen=True):
    """What went to the client: of a stream only reasoning and tool calls, and its whole if the dialect keeps that."""

    parts: list[AnswerPart]
    answer: bytes | None


class Answering(Protocol):
    """How an answer goes to the client, whole or as a stream."""

    def kept_open(self) -> AbstractAsyncContextManager[None]:
        """Inside, the call waits for room: the client is told of it as far as its format allows."""
        ...

    def tell_failure(self, error: SekishoError) -> None:
        """Tell the client of a failure here, when it is too late for a status."""
        ...

    async def send(self, reply: Reply, meter: Meter) -> Sent:
        """Send what a model answers, metering it."""
        ...


class WholeAnswer:
    """The `Answering` of calls that want no stream; they just wait."""

    def __init__(self, exchange: Exchange, dialect: ChatClient, record: CallRecord, hold: Hold) -> None:
        self._exchange = exchange
        self._dialect = dialect
        self._record = record
        self._hold = hold

    def kept_open(self) -> AbstractAsyncContextManager[None]:
        """Nothing can be told before the answer's status."""
        return nullcontext()

    def tell_failure(self, error: SekishoError) -> None:
        """Failures become statuses."""

    async def send(self, reply: Reply, meter: Meter) -> Sent:
        """Meter the whole answer and send it, as it came if the client speaks the upstream's format."""
        record, dialect, answer = self._record, self._dialect, reply.answer
        assert answer is not None
        assert record.call is not None
        meter.take_whole(answer.usage, answer.parts)
        cost = meter.cost
        body = reply.body
        if not reply.wire.native:
            body = dialect.write_answer(answer, answer_head(record), record.call, cost)
        extra = record.money_headers(cost, self._hold.key_spend(cost or 0))
        send_body(self._exchange, dialect, record, body, extra, meter.usage)
        return Sent(answer.parts, body)


def send_body(
    exchange: Exchange,
    dialect: ClientDialect,
    record: CallRecord,
    body: bytes,
    extra: HeaderPairs = (),
    usage: Usage | None = None,
) -> None:
    """Send a whole answer that is already written."""
    headers = [JSON, *record.headers(record.first_byte()), *extra, *dialect.answer_headers(record.id, usage)]
    exchange.answer(200, headers, body)


class StreamedAnswer:
    """The `Answering` of calls that want a stream.

    Its head goes out with the first event; or before, when the call has waited for so long that somebody on the way
    might give up the connection. From then on failures can only be told inside the stream, in the dialect's own way.
    """

    def __init__(self, exchange: Exchange, dialect: ChatClient, record: CallRecord, hold: Hold) -> None:
        assert record.call is not None
        self._exchange = exchange
        self._dialect = dialect
        self._record = record
        self._hold = hold
        self._writer = dialect.stream_writer(answer_head(record), record.call)
        self._begun = False

    @asynccontextmanager
    async def kept_open(self) -> AsyncIterator[None]:
        """Sends the head after a while, and then signs of life; formats that know none are left waiting."""
        holding = asyncio.create_task(self._hold_open()) if self._writer.keep_alive() else None
        try:
            yield
        finally:
            if holding is not None:
                holding.cancel()
                await asyncio.wait([holding])

    def tell_failure(self, error: SekishoError) -> None:
        """Ends the stream with the dialect's error, if it has begun."""
        if self._begun and not isinstance(error, ClientGone):
            self._exchange.finish(self._writer.fail(error))

    async def send(self, reply: Reply, meter: Meter) -> Sent:
        """Pass the events on as they come, metering them."""
        writer, gist, native = self._writer, StreamGist(), reply.wire.native
        write, relay = self._exchange.write, writer.relay

        def take(pieces: Sequence[Piece]) -> None:
            for piece in pieces:
                meter.observe(piece.events)
                if not native:
                    gist.observe(piece.events)
            if not native:
                chunk = _translate(writer, pieces)
            else:
                chunk = relay(pieces[0]) if len(pieces) == 1 else b"".join([relay(piece) for piece in pieces])
            if chunk and write(chunk):
                reply.hold()
                self._exchange.on_room(reply.let_on)

        self._begin()
        self._record.first_byte()
        with self._exchange.kept_alive(writer.keep_alive(), _KEEP_ALIVE_SECONDS):
            await reply.pour(take)
        self._exchange.finish(b"" if native else writer.end(meter.usage, meter.cost))
        whole: bytes | None = getattr(writer, "whole", None)  # of a KeepingWriter; asking whether it is one is dear
        return Sent(gist.parts, whole)

    def _begin(self) -> None:
        """Send the head, once."""
        if self._begun:
            return
        self._begun = True
        record, dialect = self._record, self._dialect
        headers = [(b"content-type", dialect.stream_type), *_STREAM, *record.headers()]
        headers += record.money_headers(None, self._hold.key_spend(0))
        self._exchange.begin(200, [*headers, *dialect.answer_headers(record.id, None)])

    async def _hold_open(self) -> None:
        await asyncio.sleep(_KEEP_ALIVE_SECONDS)
        self._begin()
        with self._exchange.kept_alive(self._writer.keep_alive(), _KEEP_ALIVE_SECONDS):
            await asyncio.Event().wait()


def _translate(writer: StreamWriter, pieces: Sequence[Piece]) -> bytes:
    return b"".join([writer.write(event) for piece in pieces for event in piece.events])


async def refuse(exchange: Exchange, dialect: ClientDialect, record: CallRecord, error: SekishoError) -> None:
    """Answer with an error in the client's own shape, if nothing has been answered yet and somebody is there."""
    if exchange.started or isinstance(error, ClientGone):
        return
    headers = [JSON, *record.headers(), *dialect.answer_headers(record.id, None)]
    if error.retry_after is not None and isinstance(error, RateLimited | UpstreamThrottled):
        headers.append((b"retry-after", b"%d" % max(1, ceil(error.retry_after))))
    if isinstance(error, UpstreamMisconfigured | Refusal) and not isinstance(error, RateLimited):
        headers.append((b"x-should-retry", b"false"))  # the words of Anthropic's and OpenAI's clients
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = dialect.write_error(error)
    exchange.begin(error.status, [*headers, (b"content-length", b"%d" % len(body))])
    exchange.write(body)
    await exchange.discard_body()
    exchange.finish()


def answer_head(record: CallRecord) -> AnswerHead:
    """What every answer to this call names."""
    assert record.model is not None
    return AnswerHead(
        call_id=record.id, model=record.model.asked, created=int(record.started), elapsed_ms=record.elapsed_ms
    )


class StreamGist:
    """The parts of a stream that the next turn may need: signed reasoning, and which tools were called."""

    def __init__(self) -> None:
        self.parts: list[AnswerPart] = []
        self._thinking: list[str] = []

    def observe(self, events: Sequence[Event]) -> None:
        """Take note of a group of events."""
        for event in events:
            match event:
                case TextDelta():
                    pass
                case ThinkingDelta(text):
                    self._thinking.append(text)
                case ThinkingSignature(signature):
                    self.parts.append(Thinking(text="".join(self._thinking), signature=signature))
                    self._thinking.clear()
                case RedactedThinkingBlock(data):
                    self.parts.append(RedactedThinking(data=data))
                case ToolCallStart(id=call_id, name=name):
                    self.parts.append(ToolCall(id=call_id, name=name, arguments="{}"))
                case _:
                    pass
