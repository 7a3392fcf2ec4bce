"""Server-sent events: the envelope of streams in OpenAI's and Anthropic's formats (WHATWG HTML, section 9.2)."""

from msgspec import Struct

from sekisho.core.wire import WireFault

_MOST_BYTES = 16 * 1024 * 1024
_RETURN = 0x0D


class SseEvent(Struct, frozen=True):
    """One event: its `event:` name, None without one, and its data."""

    name: str | None
    data: bytes


class SseDecoder:
    """Cuts a byte stream into events, however the bytes arrive. Comments, `id:` and `retry:` are passed over.

    Lines may end in LF or CRLF. (A lone CR, which the standard allows too, is sent by nobody.)
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._name: str | None = None
        self._data: list[bytes] = []
        self._held = 0  # bytes of the lines of an event that is not complete

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes. Raises WireFault for an event that never ends."""
        if self._buffer:
            data = self._buffer + data
        events: list[SseEvent] = []
        if self._name is None and not self._data:
            data = _cut_plain_events(data, events)
        if not data:
            self._buffer = b""
            return events
        lines = data.split(b"\n")
        self._buffer = lines.pop()
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if not line:
                if self._data:
                    events.append(SseEvent(self._name, b"\n".join(self._data)))
                self._name, self._data, self._held = None, [], 0
            else:
                self._take_line(line)
        if len(self._buffer) + self._held > _MOST_BYTES:
            raise WireFault("corrupt", "an event is too long")
        return events

    @property
    def between(self) -> bool:
        """Whether no event has begun that is not complete."""
        return not self._buffer and not self._data and self._name is None

    def _take_line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._held += len(line)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")


def _cut_plain_events(data: bytes, events: list[SseEvent]) -> bytes:
    """Cuts off the events in front that are one line of data and no more, as nearly all are. Returns the rest."""
    at = 0
    while data.startswith(b"data: ", at):
        end = data.find(b"\n", at)
        if end < 0 or data[end + 1 : end + 2] != b"\n" or data[end - 1] == _RETURN:
            break
        events.append(SseEvent(None, data[at + 6 : end]))
        at = end + 2
    return data[at:] if at else data


def encode_event(data: bytes, name: str | None = None) -> bytes:
    """One event; JSON with indentation goes in as many lines as it has."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    if name is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: every client passes it over."""
