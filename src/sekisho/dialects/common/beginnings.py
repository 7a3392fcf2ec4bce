"""Bodies that begin as one before: an agent sends its whole conversation again with every call, and a little more.

What was read of the earlier turns then needs no second look. A beginning is found by all of its bytes, as in
`common.memo`: who is given something known has sent everything that it was made of, so that nothing of one caller's is
ever shown to another. It ends between two turns, in front of the model's last one and of turns of the user's that bear
marks for caching: what comes after it is new, may be tried again with other words, or loses its mark in the next call.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning, Tail
from sekisho.dialects.common.members import read_members
from sekisho.dialects.common.tails import find_tail

_SHORTEST: Final = 16 * 1024
"""Bytes of a body that is worth it."""
_LONGEST: Final = 1024 * 1024
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of the bodies; what is made of one takes about twice as much beside it."""
_BLANKS: Final = b" \t\r\n"
_REST: Final = token_hex(8)
"""Stands for the conversation's name while what follows a beginning is read. No client can have chosen it, too."""
_REST_BEGINS: Final = b'{"%b":' % _REST.encode()
_BRACKET: Final = ord("]")


class _Item(Struct):
    """A turn in any of the formats, as far as it tells who speaks."""

    role: str | None = None
    type: str | None = None


_MARKS: Final = (b'"cache_control"', b'"cachePoint"')
_USERS: Final = frozenset({"user", "tool", "function_call_output", "custom_tool_call_output"})
_MODELS: Final = frozenset({"assistant", "reasoning", "function_call", "custom_tool_call"})
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode


class Beginnings:
    """The beginnings of the conversations that were gone on with last, `most_bytes` of bodies at most."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        # Sorted, so that the bodies with the most in common stand next to each other; and the beginning of each.
        self._bodies: list[bytes] = []
        self._known: list[Beginning] = []
        self._uses = 0

    def read(self, body: bytes, name: str) -> tuple[dict[str, Raw], Beginning | None]:
        """The members of a body whose conversation is called `name`, and its beginning, if that is known.

        Raises InvalidRequest when the body is no JSON object.
        """
        if not _SHORTEST <= len(body) <= _LONGEST:
            return read_members(body), None
        known = self._find(body, name)
        read = None if known is None else _read_rest(known, body)
        if known is None or read is None:
            members = read_members(body)
            return members, self._learn(body, members, name)
        members, items = read
        end = _find_end(body, known.start + len(members[name]), items)
        if end is None:
            return members, known
        longer = known.extend(body, end)
        self._remove(known)
        self._add(longer)
        return members, longer

    def _find(self, body: bytes, name: str) -> Beginning | None:
        at = bisect_right(self._bodies, body)
        found: Beginning | None = None
        for known in self._known[max(at - 1, 0) : at + 1]:
            longer = found is None or known.end > found.end
            if longer and known.name == name and body.startswith(memoryview(known.body)[: known.end]):
                found = known
        if found is not None:
            self._uses += 1
            found.used = self._uses
        return found

    def _learn(self, body: bytes, members: dict[str, Raw], name: str) -> Beginning | None:
        if (found := _locate(body, members, name)) is None:
            return None
        head, start, items = found
        end = _find_end(body, start + len(members[name]), items)
        if end is None:
            return None
        known = Beginning(body, end, name, start, head)
        self._add(known)
        return known

    def _add(self, known: Beginning) -> None:
        self._uses += 1
        known.used = self._uses
        at = bisect_left(self._bodies, known.body)
        self._bodies.insert(at, known.body)
        self._known.insert(at, known)
        self._bytes += len(known.body)
        while self._bytes > self._most_bytes:
            self._remove(min(self._known, key=lambda each: each.used))

    def _remove(self, known: Beginning) -> None:
        at = self._known.index(known, bisect_left(self._bodies, known.body))
        del self._bodies[at], self._known[at]
        self._bytes -= len(known.body)


def look_through(conversation: Raw, known: Beginning | None, look: Callable[[bytes], bool]) -> bool:
    """Whether `look` finds something among the turns of a conversation, at those that are `known` only once.

    Nothing that it looks for may be made of several turns.
    """
    if known is None:
        return look(conversation)
    seen: tuple[int, bool] = known.made.get(look, (known.start, False))
    end, found = seen
    if not found and end < known.end:
        found = look(b"[" + known.body[end + 1 : known.end] + b"]")
        known.made[look] = known.end, found
    rest = bytes(memoryview(conversation)[known.end - known.start :])
    return found or (rest[:1] == b"," and look(b"[" + rest[1:]))


def _read_rest(known: Beginning, body: bytes) -> tuple[dict[str, Raw], list[Raw]] | None:
    """The members of a body that begins as is known, and the turns that follow; None where that is no JSON object."""
    tail, read = known.tail, None
    if tail is not None and body.endswith(tail.text) and len(body) - len(tail.text) >= known.end:
        read = _read_before(known, body, tail)
    if read is None:
        read = _read_object(known, body[known.end :])
        if read is None:
            return None
        known.tail = find_tail(tail, body[read[0] - 1 :], read[2])
    end, items, others = read
    conversation = Raw(memoryview(body)[known.start : end])
    return {**known.head, known.name: conversation, **others}, items


_Read = tuple[int, list[Raw], dict[str, Raw]]
"""Where a conversation ends in its body, its turns from those known on, and the members behind it."""


def _read_before(known: Beginning, body: bytes, tail: Tail) -> _Read | None:
    """What follows a known beginning, up to a known tail; None where it is not what can stand there."""
    at = len(body) - len(tail.text)
    between, behind_turns = body[known.end : at], tail.text[0] == _BRACKET
    try:
        if tail.members is None:
            buffer = (_REST_BEGINS + b"[" if behind_turns else b'{"":0') + tail.text
            tail.members = _decode_members(buffer)
            tail.members.pop(_REST if behind_turns else "")
            tail.text = memoryview(buffer)[-len(tail.text) :]
        if not behind_turns:
            read = _read_object(known, between + b"}")
            return None if read is None else (read[0], read[1], {**read[2], **tail.members})
        items = _decode_items(b"[%b]" % between[1:]) if between else []
    except _UNREADABLE:
        return None
    if between and (between[:1] != b"," or not items):
        return None
    return at + 1, items, tail.members


def _read_object(known: Beginning, rest: bytes) -> _Read | None:
    """What follows a known beginning; None where it is not what can stand there."""
    if rest[:1] == b",":
        rest, begun = _REST_BEGINS + b"[" + rest[1:], known.end
    else:
        rest, begun = _REST_BEGINS + b"[" + rest, known.end - 1
    try:
        others = _decode_members(rest)
        turns = others.pop(_REST)
        items = _decode_items(turns)
    except _UNREADABLE:
        return None
    if known.name in others or bool(items) != (begun == known.end):
        return None  # told twice, or a comma with nothing behind it, or none where there should be one
    return begun + len(turns), items, others


def _locate(body: bytes, members: dict[str, Raw], name: str) -> tuple[dict[str, Raw], int, list[Raw]] | None:
    """The members before the conversation, where it starts in the body, and its turns."""
    conversation = members.get(name)
    if conversation is None:
        return None
    start = body.find(bytes(memoryview(conversation)[:64]))
    if body[start : start + 1] != b"[" or not body.startswith(conversation, start):
        return None
    try:
        head = _decode_members(body[:start] + b"0}")
        items = _decode_items(conversation)
    except _UNREADABLE:
        return None  # it was found inside something else, or is nothing to look at
    if list(head)[-1] != name:
        return None
    # Copies, which do not keep all of this body alive.
    return {each: Raw(bytes(raw)) for each, raw in head.items() if each != name}, start, items


def _find_end(body: bytes, end: int, items: Sequence[Raw]) -> int | None:
    """Where the last of the user's turns ends that the model has answered and that is not marked; None without one.

    `items` are the last turns of the conversation that ends at `end` of `body`, with its bracket.
    """
    at = end - 1
    later = ""
    for number in range(len(items) - 1, -1, -1):
        item = items[number]
        speaker = _find_speaker(item)
        if later == "model" and speaker == "user" and not any(mark in bytes(item) for mark in _MARKS):
            return at if body[at : at + 1] == b"," else None
        later = speaker
        at = _skip_blanks_back(body, at) - len(item)
        at = _skip_blanks_back(body, at) - 1
    return None


def _skip_blanks_back(body: bytes, at: int) -> int:
    while body[at - 1] in _BLANKS:
        at -= 1
    return at


def _find_speaker(item: Raw) -> str:
    try:
        told = _decode_item(item)
    except _UNREADABLE:
        return ""
    word = told.role or told.type
    return "user" if word in _USERS else "model" if word in _MODELS else ""


beginnings: Final = Beginnings()
"""Those that this process knows."""
