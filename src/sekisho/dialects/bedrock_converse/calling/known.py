"""Turns that requests of a conversation share: arranged and written once, and taken as they are from then on."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ChatRequest, KnownTurns, Message, ToolCall
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.calling.blocks import BlockWriter
from sekisho.dialects.common.names import CallIds, ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.turns import arrange_some, arrange_turns, trim_prefill

_encode = msgspec.json.Encoder().encode


class WrittenTurns(Struct, frozen=True):
    """Turns as `arrange_turns` leaves them and as they stand in a request. tools: the names of those called in them.

    Texts, tool calls and their results are the same for every model.
    """

    arranged: list[Message] = []
    blocks: list[Raw] = []
    tools: tuple[str, ...] = ()


_NONE: Final = WrittenTurns()


def arrange_known_turns(
    chat: ChatRequest, facts: ModelFacts, notes: Omissions, *, with_tools: bool
) -> tuple[list[Message], WrittenTurns]:
    """As `arrange_turns`; also the first of the turns as they were written before, where they were.

    Raises:
        Unsupported: As `arrange_turns`.
    """
    written = _find_written(chat.known, facts, with_tools=with_tools) if chat.known is not None else None
    if chat.known is None or written is None or not facts.system:
        return arrange_turns(chat, facts, notes, with_tools=with_tools), _NONE
    count = _count_same(chat.messages, chat.known)
    rest = arrange_some(chat.messages[count:], facts, notes, _begin_ids(chat.messages[:count]), with_tools=with_tools)
    if count == 0 or (rest and rest[0].role != "assistant"):
        return arrange_turns(chat, facts, notes, with_tools=with_tools), _NONE
    if rest:
        trim_prefill(rest[-1])
    arranged = written.arranged[:count]
    return arranged + rest, WrittenTurns(arranged, written.blocks[:count], written.tools)


def _count_same(messages: list[Message], known: KnownTurns) -> int:
    """How many of the known turns are in the request still, up to one of the user's: some may have been replaced."""
    count = len(known)
    if messages[:count] != known:
        count = next(at for at, (turn, other) in enumerate(zip(messages, known, strict=False)) if turn is not other)
    while count > 0 and messages[count - 1].role != "user":
        count -= 1
    return count


def _begin_ids(turns: list[Message]) -> CallIds:
    """The ids of the calls in the turns count as given."""
    ids = CallIds()
    for turn in turns:
        if turn.role == "assistant":
            for part in turn.parts:
                if type(part) is ToolCall:
                    ids.count(part.id)
    return ids


def _find_written(known: KnownTurns, facts: ModelFacts, *, with_tools: bool) -> WrittenTurns | None:
    """What is made of known turns, begun where it was left when there were fewer; None where they must be arranged."""
    form = (arrange_known_turns, with_tools)
    written: WrittenTurns | None = known.made.get(form, _NONE)
    if written is not None and len(written.arranged) < len(known):
        written = known.made[form] = _write_on(written, known, facts, with_tools=with_tools)
    return written


def _write_on(written: WrittenTurns, known: KnownTurns, facts: ModelFacts, *, with_tools: bool) -> WrittenTurns | None:
    """The turns that are not written yet after those that are; None where one of them does not stay a turn."""
    begun = len(written.arranged)
    more, notes, names = known[begun:], Omissions(drop_params=False), ToolNames(written.tools)
    arranged = arrange_some(more, facts, notes, _begin_ids(known[:begun]), with_tools=with_tools)
    roles = ["user", "assistant"] * len(known)
    if [turn.role for turn in arranged] != roles[begun : len(known)] or len(known) % 2 == 0:
        return None
    writer = BlockWriter(facts, names, notes)
    blocks = [Raw(_encode(writer.write_turn(turn))) for turn in arranged]
    return WrittenTurns(written.arranged + arranged, written.blocks + blocks, names.known)
