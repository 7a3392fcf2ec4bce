"""Schemas of tools, and the tool that stands in for a JSON answer where the model has no better means."""

import re

import msgspec
from msgspec import Raw

from sekisho.core.model import ModelFacts
from sekisho.dialects.common.omissions import Omissions

JSON_TOOL = "json_response"
JSON_TOOL_DESCRIPTION = "Give your whole answer by calling this tool."
_TYPED = re.compile(rb'\{\s*"type"\s*:')
"""How most schemas begin."""
_EMPTY_SCHEMA: dict[str, object] = {"type": "object", "properties": {}}


def can_force_json_tool(facts: ModelFacts, notes: Omissions, *, with_tools: bool, thinking: bool) -> bool:
    """Whether the model can be made to answer through the stand-in tool.

    Raises:
        Unsupported: It cannot, and answers without JSON are not allowed either.
    """
    if with_tools:
        reason = "The model answers in JSON only through a tool of its own, not beside other tools."
    elif thinking:
        reason = "The model answers in JSON only through a tool, which it cannot be made to use while it thinks."
    elif not (facts.tools and facts.tool_choice):
        reason = "The model cannot be made to answer in JSON."
    else:
        return True
    notes.refuse("response_format", reason)
    return False


def complete_schema(schema: Raw, notes: Omissions, field: str = "tools") -> Raw | dict[str, object]:
    """A schema of an object; one that does not say its type is completed, as Claude demands it."""
    if _TYPED.match(schema):
        return schema
    text = bytes(schema).strip()
    if text in (b"", b"null", b"{}"):
        return _EMPTY_SCHEMA
    try:
        members = msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        notes.refuse(field, "A tool's schema must be a JSON object.")
        return _EMPTY_SCHEMA
    if "type" in members:
        return schema
    return {"type": "object", **members}
