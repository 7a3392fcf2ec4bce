"""What of Anthropic's own format Bedrock refuses with 400, taken out of a body on its way.

Sources: the Bedrock user guide (beta headers of Claude), what Anthropic's SDK for Bedrock leaves in the body, and
reports of agents' users about "Extra inputs are not permitted". Fields that are not known here are kept: a model newer
than this list may take them.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from sekisho.core.model import ModelFacts
from sekisho.dialects.anthropic_messages.calling.passing import Passage
from sekisho.dialects.common.beginnings import look_through
from sekisho.dialects.common.memo import Memo
from sekisho.dialects.common.search import mentions

# fmt: off
_REFUSED: Final = (
    "billing_policy", "container", "diagnostics", "fallback_credit_token", "inference_geo", "mcp_servers", "speed",
    "thread", "workspace_id",
)
# fmt: on
_SERVICE_TIER: Final = "service_tier"
_CONTEXT_BETAS: Final = ("context-management-", "compact-")
_STREAMING_BETA: Final = "fine-grained-tool-streaming-2025-05-14"
_FORMAT_BETA: Final = "structured-outputs-"
# Members of tools, each with the beginnings of the flags under one of which Bedrock takes it.
_TOOL_MEMBERS: Final = {
    "eager_input_streaming": (),  # the flag alone does the same, for all tools of a request
    "defer_loading": ("tool-search-", "advanced-tool-use-"),
    "input_examples": ("tool-examples-", "advanced-tool-use-"),
    "allowed_callers": ("advanced-tool-use-",),
}
# Tools that run on Anthropic's own servers.
_SERVER_TOOLS: Final = ("web_search_", "web_fetch_", "code_execution_", "mcp_toolset")
_UNREADABLE: Final = ("url", "file")
# A turn, a block in it, and a block in that one if it is the result of a tool.
_DEEPEST_BLOCK: Final = 3

_decode = msgspec.json.Decoder().decode
_decode_tools = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_UNREADABLE_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Source(Struct):
    type: str = ""


class _Mark(Struct):
    scope: object = None
    ttl: object = None


class _Block(Struct):
    """A block, a turn or a tool, as far as it is looked at before anything is edited. Some have words for a source."""

    source: _Source | str | None = None
    cache_control: _Mark | None = None
    content: "str | list[_Block] | dict[str, Raw] | None" = None


class _Tool(Struct):
    """What of a tool Bedrock may refuse."""

    type: object = None
    eager_input_streaming: object = UNSET
    defer_loading: object = UNSET
    input_examples: object = UNSET
    allowed_callers: object = UNSET

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing of that, and is the client's own."""
        members = (self.eager_input_streaming, self.defer_loading, self.input_examples, self.allowed_callers)
        return self.type in (None, "custom") and members.count(UNSET) == len(members)


_SOURCE: Final = b'"source"'
_MARK: Final = b'"cache_control"'
_decode_blocks = msgspec.json.Decoder(list[_Block]).decode
_decode_plain_tools = msgspec.json.Decoder(list[_Tool]).decode


def names_sources(passage: Passage) -> bool:
    """Whether pictures or files are told by address, which Bedrock does not fetch."""
    call = passage.call
    return call.mentions(_SOURCE) and look_through(
        passage.members.get("messages", Raw(b"[]")), call.beginning, _has_address
    )


def _has_address(messages: bytes) -> bool:
    blocks = _look_into(messages)
    return any(isinstance(block.source, _Source) and block.source.type in _UNREADABLE for block in blocks)


def _look_into(raw: bytes) -> list[_Block]:
    """The blocks of a member; none where it is of another shape, which is for the upstream to say."""
    found: list[_Block] = []
    try:
        level = _decode_blocks(raw)
    except _UNREADABLE_JSON:
        return []
    for _ in range(_DEEPEST_BLOCK):
        found += level
        level = [inner for block in level if isinstance(block.content, list) for inner in block.content]
    return found


def strip_for_bedrock(passage: Passage, facts: ModelFacts) -> str | None:
    """Take out what Bedrock refuses. Returns the service tier that the body named."""
    members = passage.members
    for name in ("model", "stream"):
        members.pop(name, None)
    for name in _REFUSED:
        passage.remove(name)
    if not _has_beta(passage, _CONTEXT_BETAS):
        passage.remove("context_management")
    _strip_tools(passage, facts)
    _move_format(passage)
    _spread_cache_mark(passage)
    _strip_cache_marks(passage, facts)
    tier = _read(members, _SERVICE_TIER)
    members.pop(_SERVICE_TIER, None)
    return tier if isinstance(tier, str) else None


def _has_beta(passage: Passage, beginnings: tuple[str, ...]) -> bool:
    return any(beta.startswith(beginnings) for beta in passage.betas) if beginnings else False


def _read(members: dict[str, Raw], name: str) -> Any:
    """A decoded member; None when it is absent or not JSON, which the upstream will say."""
    try:
        return _decode(members.get(name, b"null"))
    except _UNREADABLE_JSON:
        return None


def _are_plain(tools: bytes) -> bool:
    return all(tool.is_plain for tool in _decode_plain_tools(tools))


_plain: Final = Memo(_are_plain)


def _strip_tools(passage: Passage, facts: ModelFacts) -> None:
    """Tools of Anthropic's servers go, and members of tools; those that stay keep their bytes."""
    if "tools" not in passage.members:
        return
    try:
        if _plain.find_raw(passage.members["tools"], passage.call.beginning):
            return
        tools = _decode_tools(passage.members["tools"])
    except _UNREADABLE_JSON:
        return
    kept = [tool for tool in tools if not _type_of(tool).startswith(_SERVER_TOOLS)]
    for tool in tools:
        if not any(tool is other for other in kept):
            passage.notes.drop(f"tools.{_type_of(tool)}")
    refused = [name for name, betas in _TOOL_MEMBERS.items() if not _has_beta(passage, betas)]
    eager = any(bytes(tool.get("eager_input_streaming", b"")) == b"true" for tool in kept)
    stripped = [{name: value for name, value in tool.items() if name not in refused} for tool in kept]
    if stripped != tools:
        passage.change("tools", stripped)
    for name in refused:
        if any(name in tool for tool in kept) and not (name == "eager_input_streaming" and _allow_eager(facts)):
            passage.notes.drop(name)
    if eager and _allow_eager(facts) and _STREAMING_BETA not in passage.betas:
        passage.betas.append(_STREAMING_BETA)


def _allow_eager(facts: ModelFacts) -> bool:
    return facts.betas is None or _STREAMING_BETA in facts.betas


def _type_of(tool: dict[str, Raw]) -> str:
    try:
        kind = _decode(tool.get("type", b'""'))
    except _UNREADABLE_JSON:
        return ""
    return kind if isinstance(kind, str) else ""


def _move_format(passage: Passage) -> None:
    """The form of the answer by its first name, which is only known under a flag, to where it stands now."""
    form = _read(passage.members, "output_format")
    if form is None or _has_beta(passage, (_FORMAT_BETA,)):
        return
    del passage.members["output_format"]
    output = _read(passage.members, "output_config")
    passage.change("output_config", {**(output if isinstance(output, dict) else {}), "format": form})


def _spread_cache_mark(passage: Passage) -> None:
    """A mark for the whole request is Anthropic's own convenience: it stands for one on the last block."""
    mark = _read(passage.members, "cache_control")
    passage.members.pop("cache_control", None)
    if not isinstance(mark, dict):
        return
    messages = _read(passage.members, "messages")
    if not isinstance(messages, list) or not messages:
        return
    last = messages[-1]
    if not isinstance(last, dict):
        return
    if isinstance(last.get("content"), str):
        last["content"] = [{"type": "text", "text": last["content"]}]
    blocks = last.get("content")
    if isinstance(blocks, list) and blocks and isinstance(blocks[-1], dict):
        blocks[-1].setdefault("cache_control", mark)
        passage.change("messages", messages)


def _strip_cache_marks(passage: Passage, facts: ModelFacts) -> None:
    """Members of marks that the model does not take: `scope` never, and an hour's life on newer ones only."""
    if not passage.call.mentions(_MARK):
        return
    refused = _SCOPE if facts.cache_ttl_1h or facts.family != "claude" else _SCOPE_OR_TTL
    for member in ("system", "tools", "messages"):
        if not _has_refused(passage, member, refused):
            continue
        value = _read(passage.members, member)
        for block in _walk_blocks(value):
            mark = block.get("cache_control")
            if isinstance(mark, dict):
                for name in refused.names:
                    mark.pop(name, None)
        passage.change(member, value)


class _MarkMembers:
    """Members of marks that are taken out: what has one is looked for once where it comes again and again."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.tools = Memo(self.has_any)

    def has_any(self, raw: bytes) -> bool:
        """Whether a mark in a list of blocks or turns has one."""
        marks = (block.cache_control for block in _look_into(raw)) if mentions(raw, _MARK) else ()
        return any(getattr(mark, name) is not None for mark in marks if mark for name in self.names)


_SCOPE: Final = _MarkMembers("scope")
_SCOPE_OR_TTL: Final = _MarkMembers("scope", "ttl")


def _has_refused(passage: Passage, member: str, refused: _MarkMembers) -> bool:
    raw, known = passage.members.get(member), passage.call.beginning
    if raw is None:
        return False
    if member == "tools":
        return bool(refused.tools.find_raw(raw, known))
    if member == "messages" and raw is passage.call.members.get(member):
        return look_through(raw, known, refused.has_any)
    return refused.has_any(raw)


def _walk_blocks(value: Any, levels: int = _DEEPEST_BLOCK) -> Iterator[dict[str, Any]]:
    """The blocks of a system prompt, of a list of tools or of turns, also those in the results of tools."""
    for item in value if isinstance(value, list) and levels else ():
        if isinstance(item, dict):
            yield item
            yield from _walk_blocks(item.get("content"), levels - 1)
