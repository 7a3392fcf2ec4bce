"""A Responses request, brought into the form of a prompt."""

from typing import Any

from msgspec import Struct

from sekisho.simulator.prompt import Prompt, ThinkingWish
from sekisho.simulator.wires.base import names
from sekisho.simulator.wires.openai.errors import refuse
from sekisho.simulator.wires.openai.rules import check_name, check_strict_schema, convert_fields, missing
from sekisho.simulator.wires.responses.items import read_items
from sekisho.simulator.wires.responses.tools import read_choice, read_tools

KNOWN_FIELDS = names("""
    access_programs background background_options client_metadata context_management conversation image include input
    instructions max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls personality
    previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning
    safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p
    truncation user
""")
"""The fields of OpenAI's Responses API, as the SDK has them, and Codex's `client_metadata`."""
COUNTED_FIELDS = names("""
    conversation input instructions model parallel_tool_calls personality previous_response_id reasoning text
    tool_choice tools truncation
""")
"""The fields of a question for the number of input tokens."""
_LEAST_OUTPUT = 16


class _Body(Struct, kw_only=True):
    """The fields that matter to the scripted model."""

    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    previous_response_id: str | None = None


def read_response(model: str, fields: dict[str, Any]) -> Prompt:
    """A prompt from the fields of a body. Raises Refusal."""
    body = convert_fields(fields, _Body)
    _check_state(body)
    if body.input is None:
        raise missing("input")
    if body.max_output_tokens is not None and body.max_output_tokens < _LEAST_OUTPUT:
        raise refuse(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_LEAST_OUTPUT}, but got"
            f" {body.max_output_tokens} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    turns, tools = read_items(body.input), read_tools(body.tools)
    choice, name = read_choice(body.tool_choice)
    return Prompt(
        model=model,
        system=[*([{"text": body.instructions}] if body.instructions else []), *turns.system],
        messages=turns.messages,
        tools=tools.specs,
        has_tools=body.tools is not None,
        free_tools=frozenset(tools.free),
        parallel=body.parallel_tool_calls is not False,
        choice=choice,
        choice_name=name,
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        thinking=_read_reasoning(body.reasoning),
        schema=_read_format((body.text or {}).get("format")),
        extra=fields,
        raw=fields,
        metadata=body.metadata or {},
        tool_prefix="call_",
        cached_by_itself=True,
    )


def _check_state(body: _Body) -> None:
    """Nothing is kept between calls, so nothing can be continued."""
    if body.previous_response_id is not None:
        raise refuse(
            f"Previous response with id '{body.previous_response_id}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    for name in ("background", "conversation", "prompt"):
        if getattr(body, name):
            raise refuse(f"The simulator keeps no responses, conversations and prompts: '{name}' is not served.", name)


def _read_reasoning(reasoning: dict[str, Any] | None) -> ThinkingWish:
    if reasoning is None or reasoning.get("effort") == "none":
        return ThinkingWish()
    return ThinkingWish("adaptive")


def _read_format(wish: Any) -> dict[str, Any] | None:
    if not isinstance(wish, dict) or wish.get("type") == "text":
        return None
    if wish.get("type") == "json_object":
        return {"type": "object"}
    schema = wish.get("schema")
    if not isinstance(schema, dict):
        raise missing("text.format.schema")
    name = check_name(wish.get("name"), "text.format.name")
    if wish.get("strict"):
        check_strict_schema(schema, name, "text.format.schema")
    return schema
