"""Taking streams apart: server-sent events and AWS event streams, each by another's rules than the product's."""

import json
from typing import Any

from botocore.eventstream import EventStreamBuffer

from tests.matrix.conversation import expect


def read_sse(body: bytes) -> list[tuple[str | None, str]]:
    """The name and data of every complete event. Comments are passed over; anything else is malformed."""
    events: list[tuple[str | None, str]] = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n")[:-1]:
        name, data = None, []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if not field:
                continue
            expect(field in ("event", "data"), f"a line of a stream is {line!r}")
            if field == "event":
                name = value.removeprefix(" ")
            else:
                data.append(value.removeprefix(" "))
        if data:
            events.append((name, "\n".join(data)))
    return events


def read_frames(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The type of event or exception, and the payload, of every complete frame."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    frames: list[tuple[str, dict[str, Any]]] = []
    for message in buffer:
        headers = message.headers
        kind = headers.get(":event-type") or headers.get(":exception-type")
        expect(headers.get(":message-type") in ("event", "exception"), f"a frame has the headers {headers}")
        frames.append((kind, json.loads(message.payload)))
    return frames
