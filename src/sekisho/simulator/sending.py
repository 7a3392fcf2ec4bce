"""A streamed answer on its way out, event by event, with all that can go wrong there."""

import msgspec
from msgspec import Struct

from sekisho.core.usage import Usage
from sekisho.simulator.accounting import tokens_of_bytes
from sekisho.simulator.errors import Refusal
from sekisho.simulator.faults import upper_kind, words_of
from sekisho.simulator.http import Hangup, Send, start_response
from sekisho.simulator.services import Service
from sekisho.simulator.settings import Fault
from sekisho.simulator.state import CallRecord, World
from sekisho.simulator.wires.base import Envelope, Said, StreamEvent, Wire


class Exchange(Struct, kw_only=True):
    """A call that has been understood, with its answer. `reserved` are the tokens booked on its quota."""

    call: CallRecord
    fault: Fault
    wire: Wire
    said: Said
    reserved: int

    def close(self, world: World, usage: Usage) -> None:
        """Notes what the call used in the end."""
        self.call.usage = usage
        world.settle(self.call, self.reserved, usage)


async def send_stream(world: World, exchange: Exchange, service: Service, hangup: Hangup, send: Send) -> None:
    """Sends the events of an answer until all are out, the client has left, or a fault says otherwise."""
    call, fault, said = exchange.call, exchange.fault, exchange.said
    envelope = exchange.wire.envelope()
    headers = {
        "content-type": envelope.content_type,
        **service.name_call(call.request_id),
        **envelope.headers(),
    }
    events = _add_extra(list(exchange.wire.stream(said)), said)
    breaks = fault.kind in ("cut", "exception_event", "garbage")
    stop_at = min(fault.after, len(events)) if breaks else len(events)
    pace = world.settings.event_ms + fault.event_ms
    call.status = 200
    produced = 0
    try:
        await start_response(send, 200, headers)
        for event in events[:stop_at]:
            if await hangup.pause(pace):
                call.disconnected = True
                return
            await _send_bytes(send, envelope.wrap(event), said.answer.chop)
            produced = event.produced
        await _send_bytes(
            send, _write_ending(exchange, envelope, events, stop_at) if breaks else envelope.flush(), None
        )
        if not breaks:
            call.complete, call.stop_reason = True, said.answer.stop_reason
        # After a cut the body is left open and never ended, which makes the server close the connection.
        if fault.kind != "cut":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except OSError:  # what an ASGI server raises when it sends to a client that has left
        call.disconnected, call.complete = True, False
    finally:
        partial = msgspec.structs.replace(said.usage, output=tokens_of_bytes(produced), reasoning=0)
        exchange.close(world, said.usage if call.complete else partial)


def _add_extra(events: list[StreamEvent], said: Said) -> list[StreamEvent]:
    """The events with the fields that nobody knows in the first of them."""
    first, *others = events
    if said.answer.extra and isinstance(first.payload, dict):
        first = msgspec.structs.replace(first, payload={**first.payload, **said.answer.extra})
    return [first, *others]


def _write_ending(exchange: Exchange, envelope: Envelope, events: list[StreamEvent], after: int) -> bytes:
    """What a broken stream says last; a cut one says nothing."""
    fault = exchange.fault
    if fault.kind == "garbage":
        return envelope.garble(events[min(after, len(events) - 1)])
    if fault.kind == "cut":
        return b""
    error = Refusal(upper_kind(fault.type or "ModelStreamErrorException"), words_of(fault))
    exchange.call.error = error.kind
    return envelope.fail(error, exchange.wire.break_off(exchange.said, error, after))


async def _send_bytes(send: Send, data: bytes, chop: int | None) -> None:
    for at in range(0, len(data), chop or len(data) or 1):
        await send({"type": "http.response.body", "body": data[at : at + (chop or len(data))], "more_body": True})
