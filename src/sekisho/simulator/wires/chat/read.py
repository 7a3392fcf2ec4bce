"""A chat completion request, brought into the form of a prompt."""

from typing import Any, Literal

from msgspec import Struct

from sekisho.simulator.prompt import Prompt, ThinkingWish
from sekisho.simulator.wires.base import names
from sekisho.simulator.wires.chat.turns import ChatMessage, read_turns
from sekisho.simulator.wires.openai.content import free_spec, function_spec
from sekisho.simulator.wires.openai.errors import refuse
from sekisho.simulator.wires.openai.models import is_own, is_reasoning
from sekisho.simulator.wires.openai.rules import (
    check_name,
    check_stop,
    check_strict_schema,
    convert_fields,
    missing,
    require_tools,
)

KNOWN_FIELDS = names("""
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages
    metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options
""")
"""The fields of OpenAI's chat completions, as the SDK has them."""
COMPATIBLE_FIELDS = names("""
    chat_template_kwargs enable_thinking guided_json ignore_eos include_reasoning keep_alive min_p min_tokens options
    repetition_penalty skip_special_tokens think thinking top_k
""")
"""Fields that vLLM, Ollama and the like have beside them; refused by OpenAI's own models."""


class _Function(Struct):
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Struct):
    type: Literal["function", "custom"]
    function: _Function | None = None
    custom: _Function | None = None


class _Schema(Struct):
    name: str
    schema: dict[str, Any] = {}
    strict: bool | None = None


class _Format(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _Body(Struct, kw_only=True):
    """The fields that matter to the scripted model."""

    messages: list[ChatMessage]
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    response_format: _Format | None = None
    metadata: dict[str, str] | None = None


def read_chat(model: str, fields: dict[str, Any]) -> Prompt:
    """A prompt from the fields of a body. Raises Refusal."""
    body = convert_fields(fields, _Body)
    _check_numbers(model, body)
    require_tools(fields, "tool_choice", "parallel_tool_calls")
    free = not is_own(model)
    turns = read_turns(body.messages, free_names=free)
    choice, name = read_choice(body.tool_choice)
    tools = [_read_tool(tool, index, free_name=free) for index, tool in enumerate(body.tools or ())]
    return Prompt(
        model=model,
        system=turns.system,
        messages=turns.messages,
        tools=tools,
        has_tools=body.tools is not None,
        free_tools=frozenset(tool.custom.name for tool in body.tools or () if tool.custom),
        parallel=body.parallel_tool_calls is not False,
        choice=choice,
        choice_name=name,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=check_stop(body.stop, model),
        thinking=ThinkingWish("off" if body.reasoning_effort in (None, "none") else "adaptive"),
        schema=_read_format(body),
        extra=fields,
        raw=fields,
        metadata=body.metadata or {},
        tool_prefix="call_",
        cached_by_itself=True,
    )


def known_fields(model: str) -> frozenset[str]:
    """The fields that a model's server knows."""
    return KNOWN_FIELDS if is_own(model) else KNOWN_FIELDS | COMPATIBLE_FIELDS


def read_choice(choice: str | dict[str, Any]) -> tuple[Literal["auto", "any", "tool", "none"], str | None]:
    """How tools are to be chosen, and the one that must be. Raises Refusal."""
    if isinstance(choice, dict):
        kind = choice.get("type")
        if kind == "allowed_tools":
            allowed = choice.get("allowed_tools")
            mode = allowed.get("mode") if isinstance(allowed, dict) else None
            return ("any" if mode == "required" else "auto"), None
        named = choice.get(kind) if isinstance(kind, str) else None
        name = named.get("name") if isinstance(named, dict) else choice.get("name")
        if kind not in ("function", "custom") or not isinstance(name, str):
            raise refuse("Invalid value for 'tool_choice'.", "tool_choice", "invalid_value")
        return "tool", name
    if choice not in ("auto", "required", "none"):
        raise refuse(
            f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.",
            "tool_choice",
            "invalid_value",
        )
    return ("any" if choice == "required" else "none" if choice == "none" else "auto"), None


def _check_numbers(model: str, body: _Body) -> None:
    if not body.messages:
        raise refuse(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    if body.n not in (None, 1):
        raise refuse("The simulator gives one choice only: 'n' must be 1.", "n", "invalid_value")
    if body.max_tokens is not None and is_reasoning(model):
        raise refuse(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
            " instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    for name in ("max_tokens", "max_completion_tokens"):
        value = getattr(body, name)
        if value is not None and value < 1:
            words = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
            raise refuse(words, name, "integer_below_min_value")
    if body.stream_options is not None and not body.stream:
        words = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise refuse(words, "stream_options")
    if body.tools is not None and not body.tools:
        raise refuse(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "tools",
            "empty_array",
        )


def _read_tool(tool: _Tool, index: int, *, free_name: bool) -> dict[str, Any]:
    function = tool.function if tool.type == "function" else tool.custom
    path = f"tools[{index}].{tool.type}"
    if function is None:
        raise missing(path)
    name = check_name(function.name, f"{path}.name", free=free_name)
    if tool.type == "custom":
        return free_spec(name, function.description)
    return function_spec(name, function.description, function.parameters)


def _read_format(body: _Body) -> dict[str, Any] | None:
    wish = body.response_format
    if wish is None or wish.type == "text":
        return None
    if wish.type == "json_object":
        if "json" not in str(body.messages).lower():
            raise refuse(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                "messages",
            )
        return {"type": "object"}
    if wish.json_schema is None:
        raise missing("response_format.json_schema")
    check_name(wish.json_schema.name, "response_format.json_schema.name")
    if wish.json_schema.strict:
        check_strict_schema(wish.json_schema.schema, wish.json_schema.name, "response_format")
    return wish.json_schema.schema
