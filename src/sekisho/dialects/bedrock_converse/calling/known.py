"""Turns that requests of a conversation share: arranged and written once, and taken as they are from then on."""

from collections.abc import Hashable
from typing import Final

import msgspec
from msgspec import Struct

from sekisho.core.chat import ChatRequest, KnownTurns, Message, ToolCall
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.calling.blocks import BlockWriter
from sekisho.dialects.common.names import CallIds, ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.turns import arrange_some, arrange_turns, trim_prefill

_encode = msgspec.json.Encoder().encode


class WrittenTurns(Struct, frozen=True):
    """Turns as `arrange_turns` leaves them and as they stand in a request, with commas between them.

    Texts, tool calls and their results are the same for every model.

    ends: where each of them ends in the text. tools: the names of those called in them. calls: the ids of those calls.
    called: how many of these there are up to each turn.
    """

    arranged: list[Message] = []
    text: bytes = b""
    ends: list[int] = []
    tools: tuple[str, ...] = ()
    calls: list[str] = []
    called: list[int] = []


_NONE: Final = WrittenTurns()


class SharedTurns(Struct, frozen=True):
    """The first of a request's turns, as they were written before: `count` of the known ones, in the form `form`."""

    known: KnownTurns
    form: Hashable
    count: int
    text: memoryview
    tools: tuple[str, ...]


def arrange_known_turns(
    chat: ChatRequest, facts: ModelFacts, notes: Omissions, *, with_tools: bool
) -> tuple[list[Message], SharedTurns | None]:
    """As `arrange_turns`; also the first of the turns as they were written before, where they were.

    Raises:
        Unsupported: As `arrange_turns`.
    """
    if chat.known is not None and facts.system:
        form = (arrange_known_turns, with_tools)
        written = _find_written(chat.known, form, facts, with_tools=with_tools)
        count = 0 if written is None else _count_same(chat.messages, chat.known)
        if written is not None and count > 0:
            ids = CallIds.after(written.calls[: written.called[count - 1]])
            rest = arrange_some(chat.messages[count:], facts, notes, ids, with_tools=with_tools)
            if not rest or rest[0].role == "assistant":
                if rest:
                    trim_prefill(rest[-1])
                text = memoryview(written.text)[: written.ends[count - 1]]
                return written.arranged[:count] + rest, SharedTurns(chat.known, form, count, text, written.tools)
    return arrange_turns(chat, facts, notes, with_tools=with_tools), None


def _count_same(messages: list[Message], known: KnownTurns) -> int:
    """How many of the known turns are in the request still, up to one of the user's: some may have been replaced."""
    count = min(len(known), len(messages))
    while count > 0 and messages[count - 1] is not known[count - 1]:  # as those that are marked for caching
        count -= 1
    if messages[:count] != known[:count]:
        count = next(at for at, (turn, other) in enumerate(zip(messages, known, strict=False)) if turn is not other)
    while count > 0 and messages[count - 1].role != "user":
        count -= 1
    return count


def _find_written(known: KnownTurns, form: Hashable, facts: ModelFacts, *, with_tools: bool) -> WrittenTurns | None:
    """What is made of known turns, begun where it was left when there were fewer; None where they must be arranged."""
    written: WrittenTurns | None = known.made.get(form, _NONE)
    if written is not None and len(written.arranged) < len(known):
        written = known.made[form] = _write_on(written, known, facts, with_tools=with_tools)
    return written


def _write_on(written: WrittenTurns, known: KnownTurns, facts: ModelFacts, *, with_tools: bool) -> WrittenTurns | None:
    """The turns that are not written yet after those that are; None where one of them does not stay a turn."""
    begun = len(written.arranged)
    more, notes, names = known[begun:], Omissions(drop_params=False), ToolNames(written.tools)
    arranged = arrange_some(more, facts, notes, CallIds.after(written.calls), with_tools=with_tools)
    roles = ["user", "assistant"] * len(known)
    if [turn.role for turn in arranged] != roles[begun : len(known)] or len(known) % 2 == 0:
        return None
    writer = BlockWriter(facts, names, notes)
    texts = [_encode(writer.write_turn(turn)) for turn in arranged]
    ends, calls, called = [*written.ends], [*written.calls], [*written.called]
    for turn, text in zip(more, texts, strict=True):
        ends.append(len(text) + (ends[-1] + 1 if ends else 0))
        calls += [part.id for part in turn.parts if type(part) is ToolCall and turn.role == "assistant"]
        called.append(len(calls))
    joined = b",".join([written.text, *texts] if begun else texts)
    tools = tuple(dict.fromkeys((*written.tools, *names.known)))  # those with aliases are not in `names` from the start
    return WrittenTurns(written.arranged + arranged, joined, ends, tools, calls, called)
