"""What the requests of a conversation begin with: the system prompt and the tools."""

from collections.abc import Hashable, MutableMapping
from typing import Any

import msgspec
from msgspec import Struct

from sekisho.core.chat import Text
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.calling.cache import limit_cache_points, write_cache_point
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.turns import is_blank

_encode = msgspec.json.Encoder().encode


class Head(Struct, frozen=True):
    """The text up to the first turn, and how many cache points may still be set in these."""

    text: bytes
    marks_left: int


class _Known(Struct, frozen=True):
    """A head, and what it is made of. No field is left out of it, which would have to be told with every request."""

    system: list[Text]
    tools: list[Json]
    choice: Json
    head: Head


def find_head(
    system: list[Text],
    tools: list[Json],
    choice: Json,
    facts: ModelFacts,
    notes: Omissions,
    made: MutableMapping[Hashable, Any] | None,
) -> Head:
    """The head as it was written before, where it was.

    Args:
        system: The texts of the system prompt.
        tools: The list of tools, cache points among them.
        choice: Whether a tool must be used; empty where nothing is said of that.
        facts: What the model can do.
        notes: Gathers what is left out.
        made: What is made of turns or settings that other calls have, too; None where there are none.
    """
    if made is None:
        return _write_head(system, tools, choice, facts, notes)
    form = (find_head, facts.system, facts.cache, facts.cache_ttl_1h)
    known: _Known | None = made.get(form)
    if known is None or known.tools != tools or known.choice != choice or known.system != system:
        left_out = notes.begin_anew()
        head = _write_head(system, tools, choice, facts, left_out)
        for field in left_out.fields:
            notes.drop(field)
        if left_out.fields:
            return head
        known = made[form] = _Known([*system], tools, choice, head)
    return known.head


def _write_head(system: list[Text], tools: list[Json], choice: Json, facts: ModelFacts, notes: Omissions) -> Head:
    members: Json = {}  # Converse refuses most members that are empty
    blocks = _write_system(system, facts, notes) if facts.system else []  # `arrange_turns` has it in the first turn
    tools = [*tools]
    left = limit_cache_points((blocks, tools), notes)
    if blocks:
        members["system"] = blocks
    if tools:
        members["toolConfig"] = {"tools": tools, "toolChoice": choice} if choice else {"tools": tools}
    return Head(_encode(members)[:-1] + (b',"messages":[' if members else b'"messages":['), left)


def _write_system(system: list[Text], facts: ModelFacts, notes: Omissions) -> list[Json]:
    blocks: list[Json] = []
    for text in system:
        if not is_blank(text):
            blocks.append({"text": text.text})
            if text.cache is not None:
                blocks += write_cache_point(text.cache, "system", facts, notes)
    return blocks
