"""What is known of the models on Amazon Bedrock (`models.toml`), and what a configuration says otherwise."""

import functools
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec

from sekisho.core.errors import ConfigError
from sekisho.core.model import ModelFacts

_CACHE_PLACES = frozenset({"system", "tools", "messages"})
_SEPARATORS = "-.:@"


@functools.cache
def _table() -> dict[str, ModelFacts]:
    """Facts by the start of a model id."""
    document = tomllib.loads((files(__package__) / "models.toml").read_text())
    table: dict[str, ModelFacts] = {}
    for entry in document["model"]:
        ids = entry.pop("ids")
        facts = msgspec.convert(_inherit(entry, document["base"]), ModelFacts)
        table.update(dict.fromkeys(ids, facts))
    return table


def _inherit(entry: dict[str, Any], bases: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """An entry with the fields of what it is like, and of what that is like."""
    like = entry.get("like")
    own = {name: value for name, value in entry.items() if name != "like"}
    return own if like is None else _inherit(bases[like], bases) | own


def find_facts(core: str | None) -> ModelFacts:
    """The facts of a model id without profile prefix; the defaults when it is opaque or unknown."""
    table = _table()
    for end in range(len(core or ""), 0, -1):
        assert core is not None
        if (end == len(core) or core[end] in _SEPARATORS) and core[:end] in table:
            return table[core[:end]]
    return ModelFacts()


def configured_facts(facts: ModelFacts, model_info: Mapping[str, object], where: str) -> ModelFacts:
    """`facts` with what `model_info` of the configuration says of the model. Raises ConfigError for a wrong type."""
    changes: dict[str, Any] = {}
    _override_limits(changes, model_info, where)
    for key, field in (("supports_vision", "vision"), ("supports_function_calling", "tools")):
        if (flag := _flag(model_info, key, where)) is not None:
            changes[field] = flag
    caching = _flag(model_info, "supports_prompt_caching", where)
    if caching is not None:
        changes["cache"] = (facts.cache or _CACHE_PLACES) if caching else frozenset()
    reasoning = _flag(model_info, "supports_reasoning", where)
    if reasoning is False:
        changes["thinking"] = "none"
    elif reasoning and facts.thinking == "none" and facts.family == "claude":
        changes["thinking"] = "budget"  # how to ask other families for it cannot be known from the flag
    return msgspec.structs.replace(facts, **changes)


def _override_limits(changes: dict[str, Any], model_info: Mapping[str, object], where: str) -> None:
    """LiteLLM's `max_tokens` is the limit of the output, where `max_output_tokens` does not say it."""
    for key, field in (
        ("max_tokens", "max_output_tokens"),
        ("max_output_tokens", "max_output_tokens"),
        ("max_input_tokens", "max_input_tokens"),
    ):
        value = model_info.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"model_info.{key} must be a number of tokens, not {value!r}", where=where)
        changes[field] = value


def _flag(model_info: Mapping[str, object], key: str, where: str) -> bool | None:
    value = model_info.get(key)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"model_info.{key} must be true or false, not {value!r}", where=where)
    return value
