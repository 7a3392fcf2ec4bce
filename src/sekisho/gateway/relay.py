"""The answer on its way back to the client, metered as it passes."""

from collections.abc import Callable, Sequence
from math import ceil

from msgspec import Struct

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import (
    ClientGone,
    RateLimited,
    Refusal,
    SekishoError,
    UpstreamMisconfigured,
    UpstreamThrottled,
)
from sekisho.core.events import Event, RedactedThinkingBlock, ThinkingDelta, ThinkingSignature, ToolCallStart
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, ChatClient, ClientDialect, HeaderPairs, KeepingWriter, Piece, StreamWriter
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import Reply
from sekisho.ledger.ledger import Hold

JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # asks reverse proxies not to hold events back
)
_KEEP_ALIVE_SECONDS = 15.0

AnswerPart = Text | Thinking | RedactedThinking | ToolCall


class Sent(Struct, frozen=True):
    """What went to the client: of a stream only reasoning and tool calls, and its whole if the dialect keeps that."""

    parts: list[AnswerPart]
    answer: bytes | None


async def send_answer(
    exchange: Exchange,
    dialect: ChatClient,
    reply: Reply,
    record: CallRecord,
    meter: Meter,
    hold: Hold,
    settle: Callable[[], None],
) -> Sent:
    """Meter the whole answer and send it, as it came if the client speaks the upstream's format."""
    answer, call = reply.answer, record.call
    assert answer is not None
    assert call is not None
    meter.report_whole(answer.usage, _count_bytes(answer.parts))
    settle()
    body = reply.body if reply.wire.native else dialect.write_answer(answer, answer_head(record), call, meter.cost)
    extra = record.money_headers(meter.cost, hold.key_spend())
    await send_body(exchange, dialect, record, body, extra, meter.usage)
    return Sent(answer.parts, body)


def _count_bytes(parts: Sequence[AnswerPart]) -> int:
    """The UTF-8 bytes that the model wrote."""
    texts = (part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "") for part in parts)
    return sum(len(text.encode()) for text in texts)


async def send_body(
    exchange: Exchange,
    dialect: ClientDialect,
    record: CallRecord,
    body: bytes,
    extra: HeaderPairs = (),
    usage: Usage | None = None,
) -> None:
    """Send a whole answer that is already written."""
    record.first_byte()
    headers = [JSON, *record.headers(), *extra, *dialect.answer_headers(record.id, usage)]
    await exchange.answer(200, headers, body)


async def send_stream(
    exchange: Exchange,
    dialect: ChatClient,
    reply: Reply,
    record: CallRecord,
    meter: Meter,
    hold: Hold,
    settle: Callable[[], None],
) -> Sent:
    """Pass the events on as they come, metering them.

    After the first byte a failure can only be told inside the stream, in the dialect's own way; it is raised again for
    the record.
    """
    assert record.call is not None
    writer = dialect.stream_writer(answer_head(record), record.call)
    put = _relay if reply.wire.native else _translate
    gist = StreamGist()
    headers = [(b"content-type", dialect.stream_type), *_STREAM, *record.headers()]
    headers += [*record.money_headers(None, hold.key_spend()), *dialect.answer_headers(record.id, None)]
    await exchange.begin(200, headers)
    try:
        async with exchange.kept_alive(writer.keep_alive(), _KEEP_ALIVE_SECONDS):
            async for pieces in reply.pieces():
                for piece in pieces:
                    meter.observe(piece.events)
                    gist.observe(piece.events)
                if chunk := put(writer, pieces):
                    record.first_byte()
                    await exchange.write(chunk)
    except ClientGone:
        raise
    except SekishoError as error:
        await exchange.finish(writer.fail(error))
        raise
    settle()
    await exchange.finish(b"" if reply.wire.native else writer.end(meter.usage, meter.cost))
    return Sent(gist.parts, writer.whole if isinstance(writer, KeepingWriter) else None)


def _relay(writer: StreamWriter, pieces: Sequence[Piece]) -> bytes:
    return b"".join([writer.relay(piece) for piece in pieces])


def _translate(writer: StreamWriter, pieces: Sequence[Piece]) -> bytes:
    return b"".join([writer.write(event) for piece in pieces for event in piece.events])


async def refuse(exchange: Exchange, dialect: ClientDialect, record: CallRecord, error: SekishoError) -> None:
    """Answer with an error in the client's own shape, if nothing has been answered yet and somebody is there."""
    if exchange.started or isinstance(error, ClientGone):
        return
    headers = [JSON, *record.headers(), *dialect.answer_headers(record.id, None)]
    if error.retry_after is not None and isinstance(error, RateLimited | UpstreamThrottled):
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
    if isinstance(error, UpstreamMisconfigured | Refusal) and not isinstance(error, RateLimited):
        headers.append((b"x-should-retry", b"false"))  # the words of Anthropic's and OpenAI's clients
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = dialect.write_error(error)
    await exchange.begin(error.status, [*headers, (b"content-length", b"%d" % len(body))])
    await exchange.write(body)
    await exchange.discard_body()
    await exchange.finish()


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
