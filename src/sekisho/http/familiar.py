"""Heads of requests that a connection has carried before: agents send the same one with every turn.

A request is only ever understood by the parser's reading of it: what is known here is known from there. The one thing
that may differ is the digits of Content-Length; all other bytes must be those that the parser has read, in their order
and number, so that nobody can slip in another reading (RFC 9112 section 11.2). What an application has worked out from
such a head (`KNOWN`) is found again with it.
"""

import re
from typing import Final, Self

from sekisho.http.asgi import Scope

_MOST_BYTES: Final = 16 * 1024
_MOST_DIGITS: Final = 12
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})\r\n", re.IGNORECASE)
_FRAMING: Final = (b"content-length", b"transfer-encoding")


class FamiliarHead:
    """A head by which the next one is known, if that differs in its length alone."""

    __slots__ = ("_after", "_before", "_headers", "_place", "_scope")

    def __init__(self, before: bytes, after: bytes, scope: Scope, place: int) -> None:
        self._before = before
        self._after = after
        self._scope = dict(scope)
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._place = place  # of Content-Length among them

    @classmethod
    def learn(cls, data: bytes, scope: Scope) -> Self | None:
        """The head that `data` begins with, and that the parser has read as `scope`.

        None for heads that are not written as plainly as they should be, and for those without just one length.
        """
        end = data.find(b"\r\n\r\n", 0, _MOST_BYTES) + 4
        head, headers = data[:end], scope["headers"]
        lines = len(headers) + 2
        if end < 4 or not head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == lines:
            return None
        places = [place for place, (name, _) in enumerate(headers) if name in _FRAMING]
        length = _LENGTH.search(head)
        if len(places) != 1 or length is None or headers[places[0]] != (b"content-length", length[1]):
            return None
        return cls(head[: length.start(1)], head[length.end(1) :], scope, places[0])

    def find(self, data: bytes) -> tuple[Scope, int, int] | None:
        """The request that `data` begins with: its scope, where its body begins, and the body's length."""
        before = self._before
        if not data.startswith(before):
            return None
        at = len(before)
        end = data.find(b"\r", at, at + _MOST_DIGITS + 1)
        if end < 0 or not (digits := data[at:end]).isdigit() or not data.startswith(self._after, end):
            return None
        headers = self._headers.copy()
        headers[self._place] = (b"content-length", digits)
        return {**self._scope, "headers": headers}, end + len(self._after), int(digits)
