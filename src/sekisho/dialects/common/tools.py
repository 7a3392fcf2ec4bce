"""Tools that a request offers, whether one must be used, and the arguments of calls."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from sekisho.core.chat import ChatRequest, KnownTools, Tool, ToolChoice
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.omissions import Omissions

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def offer_tools(chat: ChatRequest, facts: ModelFacts, notes: Omissions) -> Sequence[Tool]:
    """The tools that the request will carry, each name once. Raises Unsupported when the model takes none."""
    if chat.tools and not facts.tools:
        notes.refuse("tools", "The model takes no tools.")
        return []
    tools = chat.tools
    if not tools or (type(tools) is KnownTools and offer_tools in tools.made):
        return tools
    by_name: dict[str, Tool] = {}
    for tool in tools:
        if by_name.setdefault(tool.name, tool) is not tool:
            notes.drop("tools")
    if len(by_name) != len(tools):
        return list(by_name.values())
    if type(tools) is KnownTools:
        tools.made[offer_tools] = True  # each has a name of its own
    return tools


def settle_choice(chat: ChatRequest, facts: ModelFacts, notes: Omissions, *, thinking: bool) -> ToolChoice:
    """Whether tools must be used, as far as the model can be made to; `thinking` is whether Claude will think.

    Raises:
        Unsupported: A tool must be used that is not offered, or by a model that cannot be made to.
    """
    choice = chat.tool_choice or ToolChoice("auto")
    if choice.kind == "tool" and choice.name not in [tool.name for tool in chat.tools]:
        notes.refuse("tool_choice", "The tool that must be used is not among the tools.")
        return ToolChoice("auto")
    if choice.kind in ("auto", "none"):
        return choice
    if thinking:
        # Claude answers 400: while it thinks, it must be free to choose.
        notes.drop("tool_choice")
        return ToolChoice("auto")
    if not facts.tool_choice:
        notes.refuse("tool_choice", "The model cannot be made to use a tool.")
        return ToolChoice("auto")
    return choice


def read_arguments(text: str) -> Raw | dict[str, object]:
    """The arguments of a call as an object, for formats that take nothing else.

    A text that is none, cut off perhaps, is kept in one.
    """
    if not text or text.isspace():
        return {}
    try:
        _decode_object(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"arguments": text}
    return Raw(text.encode())
