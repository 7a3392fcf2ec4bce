"""What the bodies of one conversation have in common, as far as it is known."""

from collections.abc import Hashable
from typing import Any

from msgspec import Raw, Struct


class Tail(Struct):
    """How bodies ended, from somewhere behind their conversation on.

    text: from the bracket that ends the conversation on, or from a comma before a member.
    members: those that stand in it, once they have been read. mentioned: whether a word stands in it, as far as asked.
    """

    text: memoryview
    members: dict[str, Raw] | None = None
    mentioned: dict[bytes, bool] = {}

    def mentions(self, word: bytes) -> bool:
        """Whether a word stands in it."""
        known = self.mentioned.get(word)
        if known is None:
            known = self.mentioned[word] = bytes(self.text).rfind(word) >= 0
        return known


class Beginning:
    """What is known of the first bytes of a conversation's bodies, up to a place between two turns.

    body: one of them, of which `end` bytes count. name: of the member that is the conversation; it stands at `start`.
    head: the members before it. tail: how its bodies end. used: when it was used last, in uses.
    made: what is made of its turns, by who made it.
    """

    __slots__ = ("_lacking", "_mentioned", "body", "end", "head", "made", "name", "start", "tail", "used")

    def __init__(self, body: bytes, end: int, name: str, start: int, head: dict[str, Raw]) -> None:
        self.body = body
        self.end = end
        self.name = name
        self.start = start
        self.head = head
        self.tail: Tail | None = None
        self.used = 0
        self.made: dict[Hashable, Any] = {}
        self._mentioned: set[bytes] = set()
        self._lacking: dict[bytes, int] = {}
        """Words that do not stand in so many of the bytes."""

    def extend(self, body: bytes, end: int) -> "Beginning":
        """The beginning of a body that begins as this one does, up to a later `end`."""
        longer = Beginning(body, end, self.name, self.start, self.head)
        longer.tail = self.tail
        longer.made = self.made.copy()
        longer._mentioned = self._mentioned.copy()
        longer._lacking = self._lacking.copy()
        return longer

    def mentions(self, word: bytes) -> bool:
        """Whether a word stands in it."""
        if word in self._mentioned:
            return True
        searched = self._lacking.get(word, 0)
        if searched < self.end:
            if self.body.rfind(word, max(searched - len(word), 0), self.end) >= 0:
                self._mentioned.add(word)
                return True
            self._lacking[word] = self.end
        return False

    def goes_on_with(self, word: bytes, body: bytes) -> bool:
        """Whether a word stands behind it in a body that begins so."""
        end, tail = len(body), self.tail
        if tail is not None and body.endswith(tail.text):
            if tail.mentions(word):
                return True
            end -= len(tail.text) - len(word)
        return body.rfind(word, max(self.end - len(word), 0), end) >= 0
