"""The answer on its way back to the client, metered as it passes."""

from collections.abc import Sequence
from math import ceil

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import ClientGone, RateLimited, SekishoError, UpstreamThrottled
from sekisho.core.events import Event, RedactedThinkingBlock, ThinkingDelta, ThinkingSignature, ToolCallStart
from sekisho.core.wire import AnswerHead, ClientDialect
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import Reply
from sekisho.ledger.ledger import Hold

JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # asks reverse proxies not to hold events back
)

AnswerPart = Text | Thinking | RedactedThinking | ToolCall


async def send_answer(
    exchange: Exchange, dialect: ClientDialect, reply: Reply, record: CallRecord, meter: Meter, hold: Hold
) -> list[AnswerPart]:
    """Meter the whole answer and send it. Returns its parts."""
    answer = reply.answer
    assert answer is not None
    meter.report(answer.usage)
    hold.settle(meter.usage.total, meter.cost or 0)
    body = dialect.write_answer(answer, _head(record), meter.cost)
    record.first_byte()
    await exchange.answer(200, [JSON, *record.headers(meter.cost, hold.key_spend())], body)
    return answer.parts


async def send_stream(
    exchange: Exchange, dialect: ClientDialect, reply: Reply, record: CallRecord, meter: Meter, hold: Hold
) -> list[AnswerPart]:
    """Pass the events on as they come, metering them. Returns the reasoning and tool calls among them.

    After the first byte a failure can only be told inside the stream, in the dialect's own way; it is raised again for
    the record.
    """
    include_usage = record.call is not None and record.call.include_usage
    writer = dialect.stream_writer(_head(record), include_usage=include_usage)
    gist = StreamGist()
    await exchange.begin(200, [*_STREAM, *record.headers(key_spend=hold.key_spend())])
    try:
        async for events in reply.events():
            meter.observe(events)
            gist.observe(events)
            if chunk := b"".join([writer.write(event) for event in events]):
                record.first_byte()
                await exchange.write(chunk)
    except ClientGone:
        raise
    except SekishoError as error:
        await exchange.finish(writer.fail(error))
        raise
    hold.settle(meter.usage.total, meter.cost or 0)
    await exchange.finish(writer.end(meter.usage, meter.cost))
    return gist.parts


async def refuse(exchange: Exchange, dialect: ClientDialect, record: CallRecord, error: SekishoError) -> None:
    """Answer with an error in the client's own shape, if nothing has been answered yet and somebody is there."""
    if exchange.started or isinstance(error, ClientGone):
        return
    headers = [JSON, *record.headers()]
    if error.retry_after is not None and isinstance(error, RateLimited | UpstreamThrottled):
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = dialect.write_error(error)
    await exchange.begin(error.status, [*headers, (b"content-length", b"%d" % len(body))])
    await exchange.write(body)
    await exchange.discard_body()
    await exchange.finish()


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


def _head(record: CallRecord) -> AnswerHead:
    assert record.model is not None
    return AnswerHead(call_id=record.id, model=record.model.asked, created=int(record.started))
