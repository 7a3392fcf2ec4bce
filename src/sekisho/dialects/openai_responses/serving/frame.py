"""What all events and items of one answer share: ids, what is repeated of the request, how tools are known."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest
from sekisho.core.wire import AnswerHead
from sekisho.dialects.common.memo import Memo
from sekisho.dialects.common.search import mentions
from sekisho.dialects.openai_responses.names import ADDED_TOOLS, Json
from sekisho.dialects.openai_responses.serving.directory import ToolDirectory, read_directory
from sekisho.dialects.openai_responses.serving.envelope import is_compacting

_LONG: Final = 1024
"""Bytes of a member that is worth being remembered in one line."""
# Fields that an answer repeats from the request, and what they are where the request has none.
_REPEATED: Final = {
    "instructions": Raw(b"null"),
    "max_output_tokens": Raw(b"null"),
    "max_tool_calls": Raw(b"null"),
    "parallel_tool_calls": Raw(b"true"),
    "prompt_cache_key": Raw(b"null"),
    "reasoning": Raw(b'{"effort":null,"summary":null}'),
    "safety_identifier": Raw(b"null"),
    "temperature": Raw(b"null"),
    "text": Raw(b'{"format":{"type":"text"}}'),
    "tool_choice": Raw(b'"auto"'),
    "tools": Raw(b"[]"),
    "top_p": Raw(b"null"),
    "truncation": Raw(b'"disabled"'),
    "user": Raw(b"null"),
}


class Frame(Struct, frozen=True):
    """What all events and items of one answer share.

    number: the call's id without dashes, from which the ids of the answer and of its items are made.
    repeated: the members of the answer that do not change while it is written.
    directory: how the client knows its tools.
    shows_reasoning: whether the client asked for summaries of reasoning.
    compacting: whether the answer is a summary that is to be sealed.
    """

    number: str
    repeated: Json
    directory: ToolDirectory
    shows_reasoning: bool
    compacting: bool

    @property
    def response_id(self) -> str:
        """The answer's id."""
        return f"resp_{self.number}"

    def item_id(self, kind: str, index: int) -> str:
        """The id of the item at `index`, by which the answer it stands in can be found again."""
        return f"{kind}_{self.number}_{index}"


def frame_answer(head: AnswerHead, call: ClientCall) -> Frame:
    """What the answer to `call` begins with."""
    members = call.members
    number = head.call_id.replace("-", "")
    repeated: Json = {"id": f"resp_{number}", "object": "response", "created_at": head.created, "model": head.model}
    for name, absent in _REPEATED.items():
        given = members.get(name)
        repeated[name] = absent if given is None else _repeat(given, absent, call.beginning)
    repeated |= {"background": False, "store": call.stores, "previous_response_id": call.continues}
    repeated["metadata"] = {name: value for name, value in call.metadata.items() if isinstance(value, str)}
    return Frame(
        number=number,
        repeated=repeated,
        directory=_read_known_tools(call),
        shows_reasoning=_wants_summary(members),
        compacting=is_compacting(call),
    )


def _write_in_one_line(given: bytes) -> Raw:
    return Raw(msgspec.json.format(given, indent=-1))


_lines: Final = Memo(_write_in_one_line)


def _repeat(given: Raw, absent: Raw, known: Beginning | None) -> Raw:
    """A member of the request, without line breaks, which would end the line of an event."""
    try:
        line = _lines.find_raw(given, known) if len(memoryview(given)) > _LONG else _write_in_one_line(bytes(given))
    except (msgspec.MsgspecError, RecursionError):  # a body that was passed on unread
        return absent
    return absent if line is None or bytes(line) == b"null" else line


def _read_known_tools(call: ClientCall) -> ToolDirectory:
    word, items = ADDED_TOOLS.encode(), call.members.get("input", Raw(b"null"))
    adds = call.mentions(word) and mentions(items, word)
    try:
        return read_directory(call.members.get("tools"), _decode_leniently(items) if adds else None, call.beginning)
    except InvalidRequest:  # a body that was passed on unread
        return ToolDirectory()


def _wants_summary(members: Mapping[str, Raw]) -> bool:
    reasoning = _decode_leniently(members.get("reasoning"))
    return isinstance(reasoning, dict) and bool(reasoning.get("summary") or reasoning.get("generate_summary"))


def _decode_leniently(raw: Raw | None) -> object:
    """A member's value; None where it is absent or broken, which only a body that was passed on unread can be."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
