"""Reads a Chat Completions request body: OpenAI's, with the extensions that LiteLLM's clients use.

Each field of the body has one of three fates: it is read into the neutral form, it concerns only a gateway and ends
here (`_GATEWAY_FIELDS`, `litellm_*`), or it goes to `ChatRequest.extras` unless it has its neutral default.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.errors import Unsupported
from sekisho.dialects.openai_chat.fields import (
    decode_body,
    read_array,
    read_flag,
    read_integer,
    read_name,
    read_names,
    read_number,
    read_object,
    read_text,
    refuse_deep_nesting,
    wrong_type,
)
from sekisho.dialects.openai_chat.messages import read_messages
from sekisho.dialects.openai_chat.options import read_reasoning, read_response_format, read_tool_choice, read_tools

_Fields = dict[str, object]
_Read = TypeVar("_Read")
_LONGEST_TIMEOUT_S: Final = 86_400.0

# fmt: off
_READ_FIELDS: Final = frozenset({
    "model", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "stop",
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort",
    "service_tier", "stream", "stream_options", "user", "metadata", "tags", "fallbacks", "num_retries", "timeout",
    "drop_params",
})
# fmt: on
# Fields of which only some members are read; the others are extras under the field's name.
_PARTLY_READ: Final = {
    "thinking": frozenset({"type", "budget_tokens"}),
    "reasoning": frozenset({"effort"}),
    "output_config": frozenset({"effort"}),
}
# What LiteLLM takes from a body for itself (its `all_litellm_params`). Addresses and keys of upstreams are for the
# gateway's configuration to say, and a key must not travel on, so these end here too.
# fmt: off
_GATEWAY_FIELDS: Final = frozenset({
    "additional_drop_params", "allowed_openai_params", "api_base", "api_key", "api_version", "base_url", "cache",
    "caching", "caching_groups", "cache_key", "context_window_fallback_dict", "cooldown_time", "custom_llm_provider",
    "disable_fallbacks", "extra_headers", "extra_query", "fastest_response", "force_timeout", "headers",
    "max_retries", "merge_reasoning_content_in_choices", "mock_response", "mock_timeout", "mock_tool_calls",
    "model_config", "model_info", "model_list", "no-log", "preset_cache_key", "priority", "proxy_server_request",
    "request_timeout", "retry_policy", "retry_strategy", "secret_fields", "stream_timeout", "ttl", "use_client",
    "verbose",
})
# fmt: on
# Known fields without a neutral form: how to check them, and the value that asks for nothing.
_EXTRAS: Final[dict[str, tuple[Callable[[object, str], object], object]]] = {
    "n": (lambda value, path: read_integer(value, path, minimum=1), 1),
    "seed": (read_integer, None),
    "logprobs": (read_flag, False),
    "top_logprobs": (lambda value, path: read_integer(value, path, minimum=0), 0),
    "logit_bias": (read_object, {}),
    "presence_penalty": (lambda value, path: read_number(value, path, minimum=-2, maximum=2), 0),
    "frequency_penalty": (lambda value, path: read_number(value, path, minimum=-2, maximum=2), 0),
    "prediction": (read_object, None),
    "modalities": (read_names, ["text"]),
    "audio": (read_object, None),
    "web_search_options": (read_object, None),
    "verbosity": (read_text, "medium"),
    "store": (read_flag, False),
    "prompt_cache_key": (read_text, None),
    "safety_identifier": (read_text, None),
}


def read_request(body: bytes) -> ClientCall:
    """Reads a request body. Raises InvalidRequest, or Unsupported, naming the field in `param`."""
    fields = _merge_extra_body(decode_body(body))
    metadata = _read_optional(fields, "metadata", read_object) or {}
    refuse_deep_nesting(metadata, "metadata")
    return ClientCall(
        model=_read_optional(fields, "model", read_text) or None,
        chat=_read_chat(fields),
        stream=_read_optional(fields, "stream", read_flag) or False,
        include_usage=_read_include_usage(fields),
        session_id=_read_session_id(fields, metadata),
        end_user=_read_optional(fields, "user", read_text) or None,
        tags=_read_tags(fields, metadata),
        metadata=metadata,
        fallbacks=_read_optional(fields, "fallbacks", _read_fallbacks),
        num_retries=_read_optional(fields, "num_retries", _read_count),
        timeout=_read_optional(fields, "timeout", _read_timeout),
        drop_params=_read_optional(fields, "drop_params", read_flag),
    )


def _merge_extra_body(fields: _Fields) -> _Fields:
    """Fields that a client wrapped in `extra_body`, as if it had sent them beside the others, which win."""
    wrapped = fields.pop("extra_body", None)
    return fields if wrapped is None else read_object(wrapped, "extra_body") | fields


def _read_optional(fields: _Fields, name: str, reader: Callable[[object, str], _Read]) -> _Read | None:
    value = fields.get(name)
    return None if value is None else reader(value, name)


def _read_chat(fields: _Fields) -> ChatRequest:
    system, messages = read_messages(fields.get("messages"))
    return ChatRequest(
        system=system,
        messages=messages,
        tools=read_tools(fields),
        tool_choice=read_tool_choice(fields),
        parallel_tool_calls=_read_optional(fields, "parallel_tool_calls", read_flag),
        max_output_tokens=_read_max_output_tokens(fields),
        temperature=_read_optional(fields, "temperature", _read_temperature),
        top_p=_read_optional(fields, "top_p", _read_share),
        top_k=_read_optional(fields, "top_k", _read_count),
        stop=_read_optional(fields, "stop", _read_stop) or [],
        reasoning=read_reasoning(fields),
        response_format=read_response_format(fields),
        service_tier=_read_optional(fields, "service_tier", read_name),
        extras=_read_extras(fields),
    )


def _read_max_output_tokens(fields: _Fields) -> int | None:
    old = _read_optional(fields, "max_tokens", _read_positive)
    new = _read_optional(fields, "max_completion_tokens", _read_positive)
    return old if new is None else new


def _read_positive(value: object, path: str) -> int:
    return read_integer(value, path, minimum=1)


def _read_count(value: object, path: str) -> int:
    return read_integer(value, path, minimum=0)


def _read_temperature(value: object, path: str) -> float:
    return read_number(value, path, minimum=0, maximum=2)


def _read_share(value: object, path: str) -> float:
    return read_number(value, path, minimum=0, maximum=1)


def _read_timeout(value: object, path: str) -> float:
    return read_number(value, path, minimum=0.001, maximum=_LONGEST_TIMEOUT_S)


def _read_stop(value: object, path: str) -> list[str]:
    if isinstance(value, str):
        return [read_name(value, path)]
    if isinstance(value, list):
        return read_names(value, path)
    raise wrong_type(value, path, "a string or an array of strings")


def _read_include_usage(fields: _Fields) -> bool:
    options = _read_optional(fields, "stream_options", read_object) or {}
    value = options.get("include_usage")
    return False if value is None else read_flag(value, "stream_options.include_usage")


def _read_session_id(fields: _Fields, metadata: _Fields) -> str | None:
    """The session: LiteLLM's own fields first, then what the metadata say. Metadata of other types are not ours."""
    for name in ("litellm_session_id", "litellm_trace_id"):
        session = _read_optional(fields, name, read_text)
        if session:
            return session
    for name in ("session_id", "trace_id"):
        value = metadata.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def _read_tags(fields: _Fields, metadata: _Fields) -> list[str]:
    """`tags` and `metadata.tags`, each once, in order."""
    tags = _read_optional(fields, "tags", read_names) or []
    inner = metadata.get("tags")
    if isinstance(inner, list):
        tags = tags + read_names(inner, "metadata.tags")
    return list(dict.fromkeys(tags))


def _read_fallbacks(value: object, path: str) -> list[str]:
    return [_read_fallback(item, f"{path}[{index}]") for index, item in enumerate(read_array(value, path))]


def _read_fallback(value: object, path: str) -> str:
    if isinstance(value, str):
        return read_name(value, path)
    if not isinstance(value, dict):
        raise wrong_type(value, path, "a model name or an object with `model`")
    if value.keys() - {"model"}:
        raise Unsupported(f"`{path}`: a fallback may only name another `model`.", param=path)
    return read_name(value.get("model"), f"{path}.model")


def _read_extras(fields: _Fields) -> _Fields:
    extras: _Fields = {}
    for name, value in fields.items():
        if value is None or name in _READ_FIELDS or name in _GATEWAY_FIELDS or name.startswith("litellm_"):
            continue
        if name in _PARTLY_READ:
            rest = {key: item for key, item in read_object(value, name).items() if key not in _PARTLY_READ[name]}
            if rest:
                extras[name] = rest
        elif name in _EXTRAS:
            check, neutral = _EXTRAS[name]
            if check(value, name) != neutral:
                extras[name] = value
        else:
            extras[name] = value
    refuse_deep_nesting(extras, "request_body")
    return extras
