"""The trace that a client's call belongs to, as W3C's trace context tells it (`traceparent`, `tracestate`)."""

import re
from typing import Final

from msgspec import Struct

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MOST_STATE: Final = 512


class TraceParent(Struct, frozen=True):
    """The client's own span: the call's is to be its child. `state` is handed on as it came."""

    trace_id: bytes
    span_id: bytes
    state: str = ""


def read_traceparent(traceparent: str | None, tracestate: str | None) -> TraceParent | None:
    """What the headers say; None where they are not there or not valid: then the call begins a trace of its own.

    Whether the client has recorded its own span does not matter: a call is recorded all the same.
    """
    if not traceparent:
        return None
    found = _FORM.fullmatch(traceparent.strip())
    if found is None:
        return None
    version, trace_id, span_id, _flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    state = (tracestate or "").strip()
    if len(state) > _MOST_STATE or not state.isprintable():
        state = ""
    return TraceParent(bytes.fromhex(trace_id), bytes.fromhex(span_id), state)
