"""What is made of bytes that clients send again and again, as agents send their tools with every call."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from msgspec import Raw

from sekisho.core.beginnings import Beginning

_MOST_ENTRIES: Final = 64
_MOST_BYTES: Final = 1024 * 1024
"""Of the texts; what is made of one takes about three times as much beside it."""
_LONGEST: Final = 128 * 1024

_Made = TypeVar("_Made")


class Memo(Generic[_Made]):
    """Remembers what `make` makes of a text, which must depend on nothing else, for the texts used last.

    A text is found by all its bytes, not by a digest that another could share: who is given something remembered has
    sent everything it was made of, so that nothing of one caller's is ever shown to another.
    """

    def __init__(self, make: Callable[[bytes], _Made | None], most_entries: int = _MOST_ENTRIES) -> None:
        self._make = make
        self._most_entries = most_entries
        self._entries: OrderedDict[bytes, _Made] = OrderedDict()
        self._bytes = 0

    def find_raw(self, raw: Raw, known: Beginning | None) -> _Made | None:
        """As `find`, of a member of a body; calls that begin as is `known` and end alike have the very same one."""
        if known is None:
            return self.find(bytes(raw))
        found: tuple[Raw, _Made | None] | None = known.made.get(self)
        if found is None or found[0] is not raw:
            found = known.made[self] = raw, self.find(bytes(raw))
        return found[1]

    def find(self, text: bytes) -> _Made | None:
        """What is made of a text, to be shared and not changed. That nothing is made of it is not remembered."""
        known = self._entries.get(text)
        if known is not None:
            self._entries.move_to_end(text)
            return known
        made = self._make(text)
        if made is not None and len(text) <= _LONGEST:
            self._entries[text] = made
            self._bytes += len(text)
            while self._bytes > _MOST_BYTES or len(self._entries) > self._most_entries:
                oldest, _ = self._entries.popitem(last=False)
                self._bytes -= len(oldest)
        return made
