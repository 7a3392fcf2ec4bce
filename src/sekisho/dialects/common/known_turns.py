"""Conversations that begin as one before: the turns that they share are read once."""

from collections.abc import Callable

from msgspec import Raw

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import KnownTurns, Message, Text

Turns = tuple[list[Text], list[Message]]
"""System texts and turns."""

PlainReader = Callable[[Raw], Turns | None]
"""Reads a conversation of nothing but texts and tool calls; None for any other, and for one without a turn."""


def read_known_turns(
    conversation: Raw, known: Beginning, read: PlainReader
) -> tuple[list[Text], list[Message], KnownTurns] | None:
    """What `read` makes of a conversation that begins as is known; also what it has in common with others.

    None where it is not plain, and where it does not go on with the model's turn or has more of the system prompt.
    """
    turns = _find_turns(known, read)
    if turns is None:
        return None
    rest = bytes(memoryview(conversation)[known.end - known.start :])
    if rest[:1] != b",":
        return [*turns.system], [*turns], turns
    more = _read_on(rest, read)
    return None if more is None else ([*turns.system], turns + more, turns)


def _find_turns(known: Beginning, read: PlainReader) -> KnownTurns | None:
    """The turns of a beginning, read once; None where they are not plain."""
    found: tuple[int, KnownTurns | None] = known.made.get(read, (known.start, None))
    end, turns = found
    if end == known.end or (turns is None and end > known.start):
        return turns
    if turns is None:
        first = read(Raw(known.body[known.start : known.end] + b"]"))
        if first is not None and first[1] and first[1][-1].role == "user":
            turns = KnownTurns(first[1], first[0], {})
    else:
        more = _read_on(known.body[end : known.end] + b"]", read)
        longer = more is not None and more[-1].role == "user"
        turns = KnownTurns(turns + more, turns.system, turns.made.copy()) if more and longer else None
    known.made[read] = known.end, turns
    return turns


def _read_on(rest: bytes, read: PlainReader) -> list[Message] | None:
    """The turns after others, from the comma between them on; None where they are not plain."""
    found = read(Raw(b"[" + rest[1:]))
    return None if found is None or found[0] or not found[1] or found[1][0].role != "assistant" else found[1]
