"""Tables of what models can do (TOML), and what a configuration says otherwise.

A table has `[base.NAME]` sections and `[[model]]` entries with `ids`: the starts of the names they are for. An entry
takes the fields of its `like` in `base` and then its own; field names are those of `core.model.ModelFacts`.
"""

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

Fields = Mapping[str, Any]
"""Some fields of a model's facts, as the table has them."""


@functools.cache
def load_table(package: str, file: str) -> Mapping[str, Fields]:
    """The entries of a table beside the code of `package`, by the start of a model's name."""
    document = tomllib.loads((files(package) / file).read_text(encoding="utf-8"))
    table: dict[str, Fields] = {}
    for entry in document["model"]:
        own = {name: value for name, value in entry.items() if name != "ids"}
        table.update(dict.fromkeys(entry["ids"], _inherit(own, document.get("base", {}))))
    return table


def _inherit(entry: dict[str, Any], bases: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """An entry with the fields of what it is like, and of what that is like."""
    like = entry.get("like")
    own = {name: value for name, value in entry.items() if name != "like"}
    return own if like is None else _inherit(bases[like], bases) | own


def find_fields(table: Mapping[str, Fields], name: str) -> Fields | None:
    """The entry with the longest start of `name` that ends there or before a separator; None when there is none."""
    for end in range(len(name), 0, -1):
        if (end == len(name) or name[end] in _SEPARATORS) and name[:end] in table:
            return table[name[:end]]
    return None


def make_facts(*fields: Fields | None) -> ModelFacts:
    """The facts that `fields` say together, the last one winning; the defaults where they say nothing."""
    together: dict[str, Any] = {}
    for each in fields:
        together.update(each or {})
    return msgspec.convert(together, ModelFacts)


def claude_fields(name: str) -> Fields | None:
    """What is known of a Claude by Anthropic's name of it (`claude-…`), wherever it is served."""
    return find_fields(load_table(__package__, "claude.toml"), name)


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
