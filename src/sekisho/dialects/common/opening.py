"""How a conversation begins, read for attribution: what is not as it should be is passed over, others will say so."""

import re
from collections.abc import Iterable
from json import JSONDecoder
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning


class Turn(Struct):
    """A message of a conversation, as far as attribution looks at it."""

    role: object = None
    content: object = None


_LONG: Final = 16 * 1024
"""Bytes of a conversation from which on only its beginning is decoded."""
_BEGINNING: Final = 64 * 1024
_BETWEEN_TURNS: Final = re.compile(r"[ \t\r\n,]*")

_decode_turns = msgspec.json.Decoder(list[Turn]).decode
_decode_first = JSONDecoder().raw_decode


def read_first_turns(conversation: Raw | None, known: Beginning | None = None) -> Iterable[Turn]:
    """The turns of an array of messages, up to the user's first at least; none where they cannot be read.

    They are read once of what is `known` of its beginning.
    """
    if known is not None:
        if read_first_turns not in known.made:
            known.made[read_first_turns] = _cut(_read(Raw(known.body[known.start : known.end] + b"]")))
        turns: list[Turn] = known.made[read_first_turns]
        if turns:
            return turns
    return () if conversation is None else _read(conversation)


def _cut(turns: Iterable[Turn]) -> list[Turn]:
    """The turns up to the user's first; none where there is no such turn."""
    cut: list[Turn] = []
    for turn in turns:
        cut.append(turn)
        if turn.role == "user":
            return cut
    return []


def _read(conversation: Raw) -> Iterable[Turn]:
    whole = memoryview(conversation)
    if len(whole) > _LONG and (turns := _read_beginning(str(whole[:_BEGINNING], errors="ignore"))):
        return turns
    try:
        return _decode_turns(conversation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()


def _read_beginning(text: str) -> list[Turn]:
    """The turns up to the user's first, from the beginning of an array; none if they are longer than that."""
    turns: list[Turn] = []
    at = len("[")
    try:
        while gap := _BETWEEN_TURNS.match(text, at):
            value, at = _decode_first(text, gap.end())
            turns.append(msgspec.convert(value, Turn))
            if turns[-1].role == "user":
                return turns
    except (ValueError, RecursionError):  # no JSON, an integer of thousands of digits, or no turn
        pass
    return []


def read_texts(content: object) -> list[str]:
    """The texts in the content of a message, or in a system prompt, of whatever format; none that is empty."""
    if isinstance(content, str):
        return [content] if content else []
    if not isinstance(content, list):
        return []
    texts = (part.get("text") if isinstance(part, dict) else None for part in content)
    return [text for text in texts if isinstance(text, str) and text]
