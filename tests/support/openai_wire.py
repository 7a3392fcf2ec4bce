"""Calls as an OpenAI-like dialect reads them, for its unit tests."""

import json

from sekisho.core.chat import ClientCall
from sekisho.core.wire import ClientDialect, Inbound


def read_call(dialect: ClientDialect, body: bytes, model: str | None = None) -> ClientCall:
    """The envelope of a body that came to the dialect's first endpoint; `model` is the one in the path."""
    inbound = Inbound(endpoint=dialect.endpoints[0], body=body, header=lambda name: None, model=model)
    return dialect.read_call(inbound)


def read_whole(dialect: ClientDialect, body: bytes) -> ClientCall:
    """The same with its neutral form read too, where errors of the other fields show."""
    call = read_call(dialect, body)
    call.known = call.read()
    return call


def encode(**fields: object) -> bytes:
    """A request body."""
    return json.dumps(fields).encode()
