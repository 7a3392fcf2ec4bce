"""The fields with which LiteLLM's clients tell a gateway, not a model, what they want.

They may stand in a body of any format that has no field of that name itself. None of them reaches an upstream: OpenAI
answers 400 to them, and what they say about addresses and keys of upstreams is for the gateway's configuration to say.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypedDict, TypeVar

from msgspec import Raw, Struct

from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import (
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
from sekisho.dialects.common.members import MemberReader

_Read = TypeVar("_Read")
_LONGEST_TIMEOUT_S: Final = 86_400.0
# Each name is looked for among all models, and where such calls may go is remembered.
_MOST_FALLBACKS: Final = 32
_LONGEST_NAME: Final = 500

# LiteLLM's `all_litellm_params`, and what is read below.
# fmt: off
_GATEWAY_FIELDS: Final = frozenset({
    "additional_drop_params", "allowed_openai_params", "api_base", "api_key", "api_version", "base_url", "cache",
    "caching", "caching_groups", "cache_key", "context_window_fallback_dict", "cooldown_time", "custom_llm_provider",
    "disable_fallbacks", "drop_params", "extra_body", "extra_headers", "extra_query", "fallbacks", "fastest_response",
    "force_timeout", "headers", "max_retries", "merge_reasoning_content_in_choices", "mock_response", "mock_timeout",
    "mock_tool_calls", "model_config", "model_info", "model_list", "no-log", "num_retries", "preset_cache_key",
    "priority", "proxy_server_request", "request_timeout", "retry_policy", "retry_strategy", "secret_fields",
    "stream_timeout", "tags", "timeout", "ttl", "use_client", "verbose",
})
# fmt: on


class WishFields(Struct):
    """The fields that are read of a body. Their values are checked by `check_wishes`, whose errors name the field."""

    metadata: object = None
    tags: object = None
    fallbacks: object = None
    num_retries: object = None
    timeout: object = None
    drop_params: object = None
    priority: object = None
    litellm_session_id: object = None
    litellm_trace_id: object = None


_wishes: Final = MemberReader(WishFields)


class Wishes(TypedDict, total=False):
    """What they say, by the names that `ClientCall` has for it."""

    session_id: str | None
    tags: list[str]
    metadata: dict[str, object]
    fallbacks: list[str] | None
    num_retries: int | None
    timeout: float | None
    drop_params: bool | None
    priority: int | None


def is_gateway_field(name: str) -> bool:
    """Whether a field of a body is meant for a gateway only. `metadata` is not among them: some formats have it."""
    return name in _GATEWAY_FIELDS or name.startswith("litellm_")


def leave_out_gateway_fields(members: Mapping[str, Raw]) -> dict[str, Raw]:
    """The members of a body that are not meant for a gateway only."""
    return {name: raw for name, raw in members.items() if name not in _GATEWAY_FIELDS and name[:8] != "litellm_"}


def read_optional(value: object, path: str, reader: Callable[[object, str], _Read]) -> _Read | None:
    """A field that may be absent or null, read by `reader` otherwise."""
    return None if value is None else reader(value, path)


def read_wishes(members: Mapping[str, Raw], body: bytes, model: object = None) -> Wishes:
    """The wishes in the members of `body`, which names `model`. Raises InvalidRequest naming the field."""
    fields = find_wishes(members, body)
    return {} if fields is None else check_wishes(fields, model)


def find_wishes(members: Mapping[str, Raw], body: bytes) -> WishFields | None:
    """The fields as they stand in a body; None when it has none of them. Raises InvalidRequest."""
    return None if _wishes.names.isdisjoint(members) else _wishes.read(members, body)


def check_wishes(fields: WishFields, model: object) -> Wishes:
    """Checks the fields and reads them. Raises InvalidRequest naming the field.

    Where the path names the model, `model` is None, and mappings count for every model (`*`) only.
    """
    metadata = read_optional(fields.metadata, "metadata", read_object) or {}
    refuse_deep_nesting(metadata, "metadata")
    return Wishes(
        session_id=_read_session_id(fields, metadata),
        tags=_read_tags(fields.tags, metadata),
        metadata=metadata,
        fallbacks=read_optional(fields.fallbacks, "fallbacks", partial(_read_fallbacks, model=model)),
        num_retries=read_optional(fields.num_retries, "num_retries", _read_count),
        timeout=read_optional(fields.timeout, "timeout", _read_timeout),
        drop_params=read_optional(fields.drop_params, "drop_params", read_flag),
        priority=read_optional(fields.priority, "priority", _read_count),
    )


def _read_count(value: object, path: str) -> int:
    return read_integer(value, path, minimum=0)


def _read_timeout(value: object, path: str) -> float:
    return read_number(value, path, minimum=0.001, maximum=_LONGEST_TIMEOUT_S)


def _read_session_id(fields: WishFields, metadata: dict[str, object]) -> str | None:
    """The session: LiteLLM's own fields first, then what the metadata say. Metadata of other types are not ours."""
    own = {"litellm_session_id": fields.litellm_session_id, "litellm_trace_id": fields.litellm_trace_id}
    for name, value in own.items():
        if session := read_optional(value, name, read_text):
            return session
    for name in ("session_id", "trace_id"):
        value = metadata.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def _read_tags(value: object, metadata: dict[str, object]) -> list[str]:
    """`tags` and `metadata.tags`, each once, in order."""
    tags = read_optional(value, "tags", read_names) or []
    inner = metadata.get("tags")
    if isinstance(inner, list):
        tags = tags + read_names(inner, "metadata.tags")
    return list(dict.fromkeys(tags))


def _read_fallbacks(value: object, path: str, model: object) -> list[str]:
    """Names, objects with a `model`, or mappings as the configuration has them, of which those for the model count."""
    found: list[str] = []
    for index, item in enumerate(read_array(value, path)):
        place = f"{path}[{index}]"
        if isinstance(item, dict) and item and "model" not in item:
            listed = {name: read_names(names, f"{place}.{name}") for name, names in item.items()}
            found += [name for asked in (model, "*") if isinstance(asked, str) for name in listed.get(asked, ())]
        else:
            found.append(_read_fallback(item, place))
    if len(found) > _MOST_FALLBACKS or any(len(name) > _LONGEST_NAME for name in found):
        most = f"at most {_MOST_FALLBACKS} models, by names of at most {_LONGEST_NAME} characters"
        raise InvalidRequest(f"`{path}` may name {most}.", param=path)
    return found


def _read_fallback(value: object, path: str) -> str:
    if isinstance(value, str):
        return read_name(value, path)
    if not isinstance(value, dict):
        raise wrong_type(value, path, "a model name or an object with `model`")
    if value.keys() - {"model"}:
        raise Unsupported(f"`{path}`: a fallback may only name another `model`.", param=path)
    return read_name(value.get("model"), f"{path}.model")
