"""Refusing WebSockets in the one way that agents understand at once."""

from typing import Final

from sekisho.core.errors import CallerError
from sekisho.core.wire import ClientDialect
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.relay import JSON

_UPGRADE_REQUIRED: Final = 426


def refuse_upgrade(exchange: Exchange, dialect: ClientDialect) -> bool:
    """Answer a request for a WebSocket with 426, and say whether it was one.

    Codex opens one before its first POST: 426 sends it to HTTP at once, 404 or 405 only after seven tries.
    """
    wanted = (exchange.header(b"upgrade") or "").lower().split(",")
    if exchange.method != "GET" or "websocket" not in (protocol.strip() for protocol in wanted):
        return False
    message = f"{exchange.path} is not served over WebSockets. Send a POST over HTTP."
    error = CallerError(message, status=_UPGRADE_REQUIRED, code="upgrade_required")
    # What is spoken here instead has to be named (RFC 9110 section 15.5.22), with the option that makes it hop-by-hop.
    headers = [JSON, (b"upgrade", b"HTTP/1.1"), (b"connection", b"Upgrade")]
    exchange.answer(_UPGRADE_REQUIRED, headers, dialect.write_error(error))
    return True
