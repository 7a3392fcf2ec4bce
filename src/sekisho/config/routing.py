"""Fallbacks, aliases and the default model: everything that names models by their `model_name`."""

import difflib
from collections.abc import Collection
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, NamedTuple

from sekisho.config.keys import FALLBACKS
from sekisho.config.places import Document, Path, Report, show_name, show_path

Settings = dict[str, dict[str, Any]]
"""The checked settings blocks by name."""

_ANY = "*"
_SECTIONS = ("router_settings", "litellm_settings")


class ModelNames:
    """The names that a request may give: model names, with wildcards, and aliases."""

    def __init__(self, names: Collection[str], aliases: Collection[str]) -> None:
        self._names = {*names, *aliases}
        self._wildcards = [name for name in names if _ANY in name]

    def __contains__(self, name: str) -> bool:
        return name in self._names or any(fnmatchcase(name, wildcard) for wildcard in self._wildcards)

    def complain(self, name: str) -> str:
        """What to say of a name that is not among these."""
        near = difflib.get_close_matches(name, sorted(self._names), n=1, cutoff=0.75)
        hint = f": did you mean `{show_name(near[0])}`?" if near else ""
        return f"no model in `model_list` is called `{show_name(name)}`{hint}"


class Aliases(NamedTuple):
    """Other names for models, and those among them that lists of models leave out."""

    models: dict[str, str]
    hidden: frozenset[str]


def read_aliases(document: Document, value: dict[str, object], report: Report) -> Aliases:
    """`model_group_alias`: another name for a model, given as text or as LiteLLM's `{model: …, hidden: …}`."""
    aliases: dict[str, str] = {}
    hidden: set[str] = set()
    for alias, given in value.items():
        path: Path = ("router_settings", "model_group_alias", alias)
        target = given
        if isinstance(given, dict):
            target, path = given.get("model"), (*path, "model")
            if given.get("hidden") is True:
                hidden.add(alias)
        if isinstance(target, str):
            aliases[alias] = target
        elif target is not None or len(path) > 3:
            report.error(document.value_place(path), f"`{show_path(path)}`: expected the name of a model")
    return Aliases(aliases, frozenset(hidden))


def read_fallbacks(document: Document, settings: Settings, key: str, report: Report) -> dict[str, tuple[str, ...]]:
    """The fallbacks of both blocks, by the model they stand in for; a model may not have two different lists."""
    fallbacks: dict[str, tuple[str, ...]] = {}
    given: dict[str, Path] = {}
    for section in _SECTIONS:
        for path, model, targets in _list_fallbacks(document, settings[section], (section, key), report):
            if fallbacks.setdefault(model, targets) != targets:
                first = document.key_place(given[model])
                report.error(
                    document.key_place(path), f"`{show_name(model)}` has other fallbacks at {first}: give them once"
                )
            given.setdefault(model, path)
    return fallbacks


def check_fallbacks(document: Document, settings: Settings, names: ModelNames, report: Report) -> None:
    """Warns of fallbacks of any kind from or to a model that does not exist."""
    unseen = Report()  # what is malformed has been reported when it was read
    for section, key in product(_SECTIONS, FALLBACKS):
        for path, model, targets in _list_fallbacks(document, settings[section], (section, key), unseen):
            for name in (model, *targets):
                if name not in names and name != _ANY:
                    report.warn(document.key_place(path), f"`{section}.{key}`: {names.complain(name)}")
    for section in _SECTIONS:
        for name in settings[section].get("default_fallbacks", ()):
            if name not in names:
                path = (section, "default_fallbacks")
                report.warn(document.value_place(path), f"`{show_path(path)}`: {names.complain(name)}")


def read_default_fallbacks(
    document: Document, settings: Settings, fallbacks: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """`default_fallbacks`, those of the router first; else the fallbacks of `*`, which are taken out of `fallbacks`."""
    of_any = fallbacks.pop(_ANY, ())
    router, litellm = settings["router_settings"], settings["litellm_settings"]
    return tuple(router.get("default_fallbacks") or litellm.get("default_fallbacks") or of_any)


def read_default_model(document: Document, settings: Settings, names: ModelNames, report: Report) -> str | None:
    """`router_settings.default_model`, or its synonym in LiteLLM, `general_settings.completion_model`."""
    given: dict[Path, str] = {}
    for path in (("router_settings", "default_model"), ("general_settings", "completion_model")):
        model = settings[path[0]].get(path[1])
        if model is None:
            continue
        if model not in names:
            report.error(document.value_place(path), f"`{show_path(path)}`: {names.complain(model)}")
        given[path] = model
    if len(set(given.values())) > 1:
        first, second = given
        report.error(
            document.value_place(second),
            f"`{show_path(second)}` and `{show_path(first)}` mean the same and differ: give one of them",
        )
    return next(iter(given.values()), None)


def _list_fallbacks(
    document: Document, settings: dict[str, Any], path: Path, report: Report
) -> list[tuple[Path, str, tuple[str, ...]]]:
    """Every fallback of one block with its place; they are written as a list of mappings, or as one mapping."""
    value = settings.get(str(path[-1]))
    if isinstance(value, dict):
        items: list[tuple[Path, object]] = [(path, value)]
    else:
        items = [((*path, index), item) for index, item in enumerate(value or ())]
    found: list[tuple[Path, str, tuple[str, ...]]] = []
    for here, item in items:
        if not isinstance(item, dict):
            report.error(document.value_place(here), f"`{show_path(here)}`: expected a mapping such as `a: [b, c]`")
            continue
        for model, targets in item.items():
            names = targets if isinstance(targets, list) else [targets]
            names = [name for name in names if name is not None]
            if all(isinstance(name, str) for name in names):
                found.append(((*here, model), model, tuple(names)))
            else:
                place = document.value_place((*here, model))
                report.error(place, f"`{show_path((*here, model))}`: expected a list of model names")
    return found
