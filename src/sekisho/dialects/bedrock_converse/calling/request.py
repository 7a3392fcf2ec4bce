"""A conversation as the body of Converse and ConverseStream, which take the same one."""

import msgspec

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.calling.blocks import BlockWriter, Turn
from sekisho.dialects.bedrock_converse.calling.cache import limit_cache_points
from sekisho.dialects.bedrock_converse.calling.head import Head, find_head
from sekisho.dialects.bedrock_converse.calling.known import SharedTurns, arrange_known_turns
from sekisho.dialects.bedrock_converse.calling.settings import find_settings
from sekisho.dialects.bedrock_converse.calling.tools import offered_tools, write_tools
from sekisho.dialects.common.bedrock_metadata import write_metadata
from sekisho.dialects.common.digests import begin_digest
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.schemas import JSON_TOOL

_encode = msgspec.json.Encoder().encode


def write_request(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """Write a conversation for a model. `chat` is not changed.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    notes = Omissions(drop_params=options.drop_params)
    tools = offered_tools(chat, facts, notes)
    arranged, shared = arrange_known_turns(chat, facts, notes, with_tools=bool(tools))
    names, tool_blocks = write_tools(tools, facts, notes)
    settings = find_settings(chat, facts, options, tools, names, arranged)
    for field in settings.dropped:
        notes.drop(field)
    if not tools and settings.json_tool is not None:
        tool_blocks = [settings.json_tool]
    made = chat.made if chat.known is None else chat.known.made
    head = find_head(chat.system, tool_blocks, settings.tool_choice, facts, notes, made)

    if shared is not None and any(names.to_wire(tool) != tool for tool in shared.tools):
        shared = None
    writer = BlockWriter(facts, names, notes)
    turns = [writer.write_turn(turn) for turn in (arranged if shared is None else arranged[shared.count :])]
    if writer.marks > head.marks_left:
        limit_cache_points([turn.content for turn in reversed(turns)], notes, head.marks_left)

    metadata = write_metadata(options.metadata)
    end = settings.text + (b',"requestMetadata":' + _encode(metadata) if metadata else b"") + b"}"
    body, digest = _join(head, shared, turns, end)
    return WireRequest(
        body=body,
        digest=digest,
        tool_names=names.changed,
        json_tool=JSON_TOOL if settings.json_tool is not None else None,
        dropped=notes.fields,
    )


def _join(head: Head, shared: SharedTurns | None, turns: list[Turn], end: bytes) -> tuple[bytes, str | None]:
    """The body; and its SHA-256, where that of how it begins is known."""
    rest = _encode(turns)[1:] + end
    if shared is None:
        return head.text + rest, None
    if turns:
        rest = b"," + rest
    digest = begin_digest(shared.known.made, shared.form, head.text, shared.text)
    digest.update(rest)
    return b"".join((head.text, shared.text, rest)), digest.hexdigest()
