"""Reads the conversation of a Messages request.

Each field of the body has one of four fates: it is read into the neutral form; it concerns only the gateway and ends
here; it tunes how Anthropic's own servers work, and is left out by name (`_HINTS`); or it goes to `ChatRequest.extras`,
for the upstream's writer to judge.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from sekisho.core.chat import ChatRequest
from sekisho.dialects.anthropic_messages.family import read_betas
from sekisho.dialects.anthropic_messages.serving.content import Json, read_cache_mark, read_system
from sekisho.dialects.anthropic_messages.serving.messages import mark_end, read_messages
from sekisho.dialects.anthropic_messages.serving.options import (
    read_reasoning,
    read_response_format,
    read_tool_choice,
    read_tools,
)
from sekisho.dialects.common.fields import (
    read_integer,
    read_name,
    read_names,
    read_number,
    read_object,
    refuse_deep_nesting,
)
from sekisho.dialects.common.members import decode_members
from sekisho.dialects.common.wishes import is_gateway_field, read_optional

BETAS_EXTRA: Final = "anthropic_beta"
"""Under this name the client's beta flags are extras, for upstreams that know them."""

# fmt: off
_READ_FIELDS: Final = frozenset({
    "model", "messages", "system", "max_tokens", "metadata", "stream", "stop_sequences", "temperature", "top_p",
    "top_k", "tools", "tool_choice", "thinking", "output_format", "service_tier", "cache_control",
    "anthropic_version", "anthropic_beta",
})
_HINTS: Final = frozenset({
    "billing_policy", "compaction", "container", "context_management", "diagnostics", "fallback_credit_token",
    "inference_geo", "mcp_servers", "speed", "thread", "user_profile_id", "workspace_id",
})
# fmt: on
_READ_OUTPUT: Final = frozenset({"effort", "format"})


def read_chat(members: Mapping[str, Raw], headers: Mapping[str, str]) -> ChatRequest:
    """Reads a whole body; `headers` are the call's. Raises InvalidRequest, or Unsupported, naming the field."""
    fields = decode_members(members)
    omitted: list[str] = []
    system = [] if fields.get("system") is None else read_system(fields["system"], "system")
    more_system, turns = read_messages(fields.get("messages"), omitted)
    mark_end(turns, read_cache_mark(fields, ""))
    tools = read_tools(fields.get("tools"), omitted)
    choice, parallel = read_tool_choice(fields.get("tool_choice"), tools, omitted)
    output = fields.get("output_config")
    reasoning = read_reasoning(fields.get("thinking"), output, omitted)
    omitted += (name for name in fields if name in _HINTS and fields[name] is not None)
    return ChatRequest(
        system=system + more_system,
        messages=turns,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_output_tokens=read_optional(fields.get("max_tokens"), "max_tokens", _read_count),
        temperature=read_optional(fields.get("temperature"), "temperature", _read_share),
        top_p=read_optional(fields.get("top_p"), "top_p", _read_share),
        top_k=read_optional(fields.get("top_k"), "top_k", _read_count),
        stop=read_optional(fields.get("stop_sequences"), "stop_sequences", read_names) or [],
        reasoning=reasoning,
        response_format=read_response_format(output, fields.get("output_format")),
        service_tier=read_optional(fields.get("service_tier"), "service_tier", read_name),
        extras=_read_extras(fields, read_betas(headers)),
        omitted=list(dict.fromkeys(omitted)),
    )


def _read_count(value: object, path: str) -> int:
    return read_integer(value, path, minimum=0)


def _read_share(value: object, path: str) -> float:
    return read_number(value, path, minimum=0, maximum=1)


def _read_extras(fields: Json, betas: list[str]) -> Json:
    known = _READ_FIELDS | _HINTS
    extras = {
        name: value
        for name, value in fields.items()
        if value is not None and name not in known and not is_gateway_field(name)
    }
    output = extras.pop("output_config", None)
    if output is not None:
        rest = {name: value for name, value in read_object(output, "output_config").items() if name not in _READ_OUTPUT}
        if rest:
            extras["output_config"] = rest
    if betas:
        extras[BETAS_EXTRA] = betas
    refuse_deep_nesting(extras, "request_body")
    return extras
