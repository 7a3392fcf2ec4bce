"""Reads what a request says beside its conversation and tools: the form of the answer, reasoning, sampling.

Each field has one of four fates: it is read into the neutral form, it concerns only a gateway and ends here, it is left
out by name because nothing but OpenAI's own servers could heed it, or it goes to `ChatRequest.extras`.
"""

from collections.abc import Callable
from typing import Final, Literal

from sekisho.core.chat import Reasoning, ResponseFormat
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import (
    encode_raw,
    read_array,
    read_choice,
    read_flag,
    read_integer,
    read_name,
    read_object,
    read_text,
    refuse_deep_nesting,
)
from sekisho.dialects.common.wishes import is_gateway_field
from sekisho.dialects.openai_responses.names import Json

_Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_EFFORTS: Final[tuple[_Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ENCRYPTED: Final = "reasoning.encrypted_content"
"""The entry of `include` that asks for reasoning in a form that can be sent back."""

# fmt: off
_READ: Final = frozenset({
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "temperature",
    "top_p", "text", "reasoning", "service_tier", "stream", "stream_options", "store", "user", "metadata",
    "previous_response_id", "background", "conversation", "prompt",
})
# Hints, and limits of tools that are not run here.
_HARMLESS: Final = frozenset({"client_metadata", "max_tool_calls", "background_options", "context_management"})
# fmt: on
# Known fields without a neutral form: how to check them, and the value that asks for nothing.
_EXTRAS: Final[dict[str, tuple[Callable[[object, str], object], object]]] = {
    "prompt_cache_key": (read_text, None),
    "safety_identifier": (read_text, None),
    "top_logprobs": (lambda value, path: read_integer(value, path, minimum=0), 0),
}


def refuse_kept_state(fields: Json) -> None:
    """Raises for what lives on OpenAI's servers, or would have to: nothing here can stand for it.

    Raises:
        Unsupported: It asks for a background answer, a conversation or a prompt that is kept there.
        InvalidRequest: It goes on from an answer that is not kept here.
    """
    for name, instead in (("conversation", "send the items as `input`"), ("prompt", "send the text itself")):
        if fields.get(name) is not None:
            raise Unsupported(f"`{name}`: objects kept by OpenAI cannot be used here; {instead}.", param=name)
    if fields.get("background") is not None and read_flag(fields["background"], "background"):
        raise Unsupported("`background`: answers are given at once only; leave it out.", param="background")
    if fields.get("previous_response_id") is not None:
        raise InvalidRequest(
            "`previous_response_id`: responses are not kept here. Send the whole conversation as `input` (set `store` "
            "to false in the client), or have the administrator switch on that responses are kept.",
            param="previous_response_id",
        )


def read_response_format(fields: Json) -> ResponseFormat | None:
    """`text.format`; None for plain text."""
    text = fields.get("text")
    value = None if text is None else read_object(text, "text").get("format")
    if value is None:
        return None
    form = read_object(value, "text.format")
    kind = read_choice(form.get("type"), "text.format.type", ("text", "json_object", "json_schema"))
    if kind == "text":
        return None
    if kind == "json_object":
        return ResponseFormat()
    name, description, strict = (form.get(key) for key in ("name", "description", "strict"))
    schema = read_object(form.get("schema"), "text.format.schema")
    return ResponseFormat(
        name=ResponseFormat().name if name is None else read_name(name, "text.format.name"),
        description=None if description is None else read_text(description, "text.format.description"),
        schema=encode_raw(schema, "text.format.schema"),
        strict=None if strict is None else read_flag(strict, "text.format.strict"),
    )


def read_reasoning(fields: Json) -> Reasoning | None:
    """`reasoning.effort`; None where nothing is said of it."""
    value = fields.get("reasoning")
    effort = None if value is None else read_object(value, "reasoning").get("effort")
    return None if effort is None else Reasoning(effort=read_choice(effort, "reasoning.effort", _EFFORTS))


def read_extras(fields: Json) -> tuple[Json, list[str]]:
    """What has no place in the neutral form: what upstreams are to judge, and the names of what is left out."""
    extras, omitted = _read_parts(fields)
    for name, value in fields.items():
        if value is None or name in _READ or is_gateway_field(name):
            continue
        if name == "include":
            if any(item != ENCRYPTED for item in read_array(value, "include")):
                omitted.append("include")
        elif name == "truncation":
            if read_choice(value, name, ("auto", "disabled")) == "auto":
                omitted.append(name)
        elif name in _HARMLESS:
            omitted.append(name)
        elif name in _EXTRAS:
            check, neutral = _EXTRAS[name]
            if check(value, name) != neutral:
                extras[name] = value
        else:
            extras[name] = value
    refuse_deep_nesting(extras, "request_body")
    return extras, omitted


def _read_parts(fields: Json) -> tuple[Json, list[str]]:
    """What of `text` and `reasoning` the neutral form has no place for; how reasoning is shown is not among it."""
    extras: Json = {}
    omitted: list[str] = []
    for name, value in read_object(fields.get("text") or {}, "text").items():
        if name == "verbosity" and value not in (None, "medium"):
            extras[name] = read_text(value, "text.verbosity")
        elif name not in ("verbosity", "format"):
            omitted.append(f"text.{name}")
    for name, value in read_object(fields.get("reasoning") or {}, "reasoning").items():
        if value is not None and name not in ("effort", "summary", "generate_summary"):
            omitted.append(f"reasoning.{name}")
    return extras, omitted
