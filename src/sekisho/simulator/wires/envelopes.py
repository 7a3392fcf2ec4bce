"""The envelopes of streams: server-sent events, AWS's event streams, and the one inside the other."""

import base64
import itertools
from typing import Any

import msgspec

from sekisho.dialects.common.eventstream import encode_frame
from sekisho.simulator.errors import Refusal
from sekisho.simulator.wires.base import Envelope, StreamEvent

# No divisor of usual event sizes, so that the parts end within words, characters and line ends.
_PART_SIZES = (61, 7, 113, 1, 29)
# The least byte that begins a character of several bytes in UTF-8.
_FIRST_LEAD = 0xC2


class ServerSentEvents(Envelope):
    """`text/event-stream`. `named` is whether events say their name, as Anthropic's and the Responses API's do."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, *, named: bool) -> None:
        self._named = named

    def headers(self) -> dict[str, str]:
        """Nobody on the way may keep a stream."""
        return {"cache-control": "no-cache"}

    def wrap(self, event: StreamEvent) -> bytes:
        """The event with its data in one line."""
        return self._write(event.kind, _encode(event))

    def fail(self, error: Refusal, event: StreamEvent) -> bytes:
        """The wire's own event."""
        return self.wrap(event)

    def garble(self, event: StreamEvent) -> bytes:
        """The event with half of its data."""
        data = _encode(event)
        return self._write(event.kind, data[: len(data) // 2])

    def _write(self, kind: str, data: bytes) -> bytes:
        name = f"event: {kind}\n".encode() if self._named else b""
        return name + b"data: " + data + b"\n\n"


class EventStream(Envelope):
    """AWS's binary frames, each with the JSON of one event."""

    content_type = "application/vnd.amazon.eventstream"

    def headers(self) -> dict[str, str]:
        """What Bedrock says of the content of its frames."""
        return {"x-amzn-bedrock-content-type": "application/json"}

    def wrap(self, event: StreamEvent) -> bytes:
        """One frame."""
        return _frame("event", event.kind, event.payload)

    def fail(self, error: Refusal, event: StreamEvent) -> bytes:
        """An exception frame; its type begins in lower case."""
        return _frame("exception", error.kind[:1].lower() + error.kind[1:], {"message": error.message})

    def garble(self, event: StreamEvent) -> bytes:
        """A prelude whose checksum is wrong."""
        return b"\x00\x00\x00\x20this is no answer of Bedrock"


class ChunkStream(EventStream):
    """The frames of InvokeModel: each a `chunk` with the model's own event in base64."""

    def wrap(self, event: StreamEvent) -> bytes:
        """One frame."""
        data = base64.b64encode(msgspec.json.encode(event.payload)).decode()
        return _frame("event", "chunk", {"bytes": data, "p": "abcdefghijklmnop"})


class PayloadParts(Envelope):
    """The frames of SageMaker: the bytes of the container's server-sent events, cut without regard to their ends."""

    content_type = EventStream.content_type

    def __init__(self) -> None:
        self._events = ServerSentEvents(named=False)
        self._sizes = itertools.cycle(_PART_SIZES)
        self._size = next(self._sizes)
        self._held = b""

    def headers(self) -> dict[str, str]:
        """What SageMaker says of the container's answer."""
        return {
            "x-amzn-sagemaker-content-type": self._events.content_type,
            "x-amzn-invoked-production-variant": "AllTraffic",
        }

    def wrap(self, event: StreamEvent) -> bytes:
        """The frames that are full with this event."""
        self._held += self._events.wrap(event)
        frames = b""
        while len(self._held) >= self._size:
            at = _find_cut(self._held[: self._size])
            frames += _part(self._held[:at])
            self._held = self._held[at:]
            self._size = next(self._sizes)
        return frames

    def fail(self, error: Refusal, event: StreamEvent) -> bytes:
        """An exception frame, after what has been held back."""
        kind = "InternalStreamFailure" if "Internal" in error.kind else "ModelStreamError"
        code = {} if kind == "InternalStreamFailure" else {"ErrorCode": "StreamBroken"}
        return self.flush() + _frame("exception", kind, {"Message": error.words, **code})

    def garble(self, event: StreamEvent) -> bytes:
        """A prelude whose checksum is wrong."""
        return b"\x00\x00\x00\x20this is no answer of SageMaker"

    def flush(self) -> bytes:
        """A last frame, which is not full."""
        held, self._held = self._held, b""
        return _part(held) if held else b""


def _encode(event: StreamEvent) -> bytes:
    return event.payload.encode() if isinstance(event.payload, str) else msgspec.json.encode(event.payload)


def _frame(message_type: str, kind: str, payload: dict[str, Any] | str) -> bytes:
    headers = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    return encode_frame(headers, msgspec.json.encode(payload))


def _find_cut(data: bytes) -> int:
    """Where to cut: after the first byte of a character of several bytes, where there is one, else at the end."""
    leads = (index for index, byte in enumerate(data) if byte >= _FIRST_LEAD)
    return next(leads, len(data) - 1) + 1


def _part(data: bytes) -> bytes:
    headers = {
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    return encode_frame(headers, data)
