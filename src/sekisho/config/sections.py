"""Checks blocks of the configuration against the table of keys."""

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sekisho.config import keys
from sekisho.config.keys import Block
from sekisho.config.kinds import TEXT, describe_mismatch
from sekisho.config.places import Document, Path, Report, show_name, show_path

_SETTINGS: dict[str, Block] = {
    "router_settings": keys.ROUTER_SETTINGS,
    "litellm_settings": keys.LITELLM_SETTINGS,
    "general_settings": keys.GENERAL_SETTINGS,
    "litellm_params": keys.LITELLM_PARAMS,
    "model_info": keys.MODEL_INFO,
}
_NEAR = 0.75
_LONGEST_KEY = 80


def check_block(
    document: Document, block: Mapping[str, object], path: Path, known: Block, report: Report
) -> dict[str, Any]:
    """The keys of the mapping at `path` that have meaning, each as its kind reads it; the rest is reported.

    A key without a value (null) counts as not given.
    """
    checked: dict[str, Any] = {}
    for name, value in block.items():
        here = (*path, name)
        kind = known.active.get(name)
        if kind is None:
            _report_no_meaning(document, here, known, report)
        elif value is not None:
            try:
                checked[name] = kind.read(value)
            except ValueError:
                report.error(document.value_place(here), f"`{show_path(here)}`: {describe_mismatch(kind, value)}")
    return checked


def check_information(document: Document, block: Mapping[str, object], path: Path, report: Report) -> dict[str, Any]:
    """`model_info`: like a block, but keys of the user's own are kept, for they are shown to clients as they are."""
    known = keys.MODEL_INFO
    # An id written as a number is an id all the same, and so it is in LiteLLM.
    block = {name: str(value) if name == "id" and type(value) is int else value for name, value in block.items()}
    kept = {name: value for name, value in block.items() if name not in known.active and value is not None}
    rest = {name: value for name, value in block.items() if name in known.names or nearest_name(name, known.names)}
    return kept | check_block(document, rest, path, known, report)


def require_text(
    document: Document,
    block: Mapping[str, object],
    checked: Mapping[str, object],
    path: Path,
    name: str,
    report: Report,
) -> str | None:
    """The text under a key that must be given; None, and an error, when it is missing or empty."""
    value = checked.get(name)
    if isinstance(value, str) and value:
        return value
    if value is not None or block.get(name) is None:  # else its wrong type has been reported
        here = (*path, name)
        place = document.values.get(here) or document.value_place(path)
        report.error(place, f"`{show_path(here)}`: expected {TEXT.expected}, found nothing")
    return None


def _report_no_meaning(document: Document, path: Path, known: Block, report: Report) -> None:
    name = str(path[-1])
    place = document.key_place(path)
    if name in known.idle:
        report.warn(place, f"`{show_path(path)}` is known but has no effect in this version")
        return
    hint = _suggest(name, known)
    report.warn(place, f"`{show_path(path)}` is not a known key" + (f": did you mean {hint}?" if hint else ""))


def _suggest(name: str, known: Block) -> str | None:
    """The nearest key of the block, else the same key of another block."""
    near = nearest_name(name, known.names)
    if near:
        return f"`{near}`"
    for section, other in _SETTINGS.items():
        if other is not known and name in other.active:
            return f"`{section}.{show_name(name)}`"
    return None


@lru_cache(maxsize=4096)  # the same few keys stand in every model's entry, and comparing is slow
def nearest_name(name: str, names: tuple[str, ...]) -> str | None:
    """The one of `names` that `name` may be a misspelling of."""
    if len(name) > _LONGEST_KEY:
        return None
    return next(iter(difflib.get_close_matches(name.lower(), names, n=1, cutoff=_NEAR)), None)
