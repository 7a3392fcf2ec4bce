"""Models and fallbacks that are added while the gateway runs, laid over the snapshot of the configuration's files.

An added model has the form of an entry of `model_list` and is read by the same reader. What is added lies in a
database, so it names secrets and never holds them: `os.environ/NAME` stands for them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from sekisho.config import keys
from sekisho.config.deployments import collect_access_groups, group_deployments, list_wildcards, read_deployment
from sekisho.config.environment import PREFIX, resolve_values
from sekisho.config.places import Document, Path, Report, show_name, show_path
from sekisho.config.sections import nearest_name
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.errors import ConfigError

_SECRET: Final = re.compile(r"key|secret|token|password|credential|authorization|cookie|private", re.IGNORECASE)
_OWN: Final = re.compile(r"(SEKISHO|LITELLM)_.*|DATABASE_URL|PG.*", re.IGNORECASE)
"""Variables with the gateway's own secrets, which nobody's model needs."""
_NOT_SECRET: Final = frozenset({"litellm_credential_name", "aws_session_tags", *keys.COSTS})
"""Parameters whose names, or the names within, only sound secret."""
_MOST_DEEP: Final = 64


class Objection(Struct, frozen=True):
    """Why a model may not be added as it stands: the name of the field, and what to say of it."""

    field: str
    message: str


def find_objection(entry: Mapping[str, Any]) -> Objection | None:
    """What keeps an entry from being stored, whatever its values mean: unknown keys, secrets, variables of our own."""
    params, info = entry.get("litellm_params") or {}, entry.get("model_info") or {}
    found = _find_unknown("litellm_params", params, keys.LITELLM_PARAMS.names)
    return found or next(_list_objections(params, info), None)


def list_idle(entry: Mapping[str, Any]) -> list[str]:
    """The keys of an entry that have no effect in this version, or that look like a misspelt one that has."""
    blocks = {"litellm_params": keys.LITELLM_PARAMS, "model_info": keys.MODEL_INFO}
    return [
        f"{name}.{show_name(key)}"
        for name, block in blocks.items()
        for key, value in (entry.get(name) or {}).items()
        if value is not None and key not in block.active and (key in block.idle or nearest_name(key, block.names))
    ]


def without_secrets(params: Mapping[str, object]) -> dict[str, object]:
    """Parameters as they may be shown, those with secrets or headers left out."""
    return {name: value for name, value in params.items() if not _may_be_secret(name, value)}


def read_added(
    identity: str, entry: Mapping[str, Any], defaults: Mapping[str, object], environment: Mapping[str, str]
) -> Deployment:
    """The deployment of an added model, `defaults` laid under its parameters.

    Raises:
        ConfigError: naming everything that is wrong with it, a variable that is not set among that.
    """
    where = f"added model {show_name(identity)}"
    for path, name in _list_references(entry, ()):
        if not environment.get(name):
            message = f"`{show_path(path)}`: the environment variable `{show_name(name)}` is not set on this gateway"
            raise ConfigError(message, where=where)
    document, report = Document(where), Report()
    given = {**entry, "model_info": {**(entry.get("model_info") or {}), "id": identity}}
    deployment = read_deployment(
        document, resolve_values(document, given, (), environment, report), (), defaults, report
    )
    if deployment is None or report.failed:
        errors = [finding.message for finding in report.findings if finding.level == "error"]
        raise ConfigError("; ".join(errors), where=where)
    return replace(deployment, where=where)


def add_to(snapshot: Snapshot, deployments: Sequence[Deployment], fallbacks: Mapping[str, tuple[str, ...]]) -> Snapshot:
    """The snapshot with more deployments, and with these fallbacks in place of its own for the same models."""
    if not deployments and not fallbacks:
        return snapshot
    every = (*snapshot.deployments, *deployments)
    groups = group_deployments(every)
    return replace(
        snapshot,
        deployments=every,
        groups=groups,
        wildcards=list_wildcards(groups),
        access_groups=collect_access_groups(every),
        fallbacks={**snapshot.fallbacks, **fallbacks},
    )


def _find_unknown(block: str, values: Mapping[str, Any], known: tuple[str, ...]) -> Objection | None:
    for name in values:
        if name not in known:
            near = nearest_name(name, known)
            hint = f" Did you mean {near}?" if near else ""
            field = f"{block}.{show_name(name)}"
            return Objection(field, f"{field} is not a known parameter.{hint}")
    return None


def _list_objections(params: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[Objection]:
    for path, value in _list_texts(params, ("litellm_params",)):
        name = value.removeprefix(PREFIX)
        if name != value:
            if _OWN.fullmatch(name):
                yield Objection(show_path(path), f"{show_path(path)} names a variable that is the gateway's own.")
        elif value and (_holds_secret(path) or _has_password(value)):
            message = (
                f"{show_path(path)}: secrets are not kept in the database. Set an environment variable on every "
                "gateway, and give its name as os.environ/NAME here."
            )
            yield Objection(show_path(path), message)
    for path, value in _list_texts(info, ("model_info",)):
        if value.startswith(PREFIX):
            yield Objection(
                show_path(path), f"{show_path(path)}: clients are shown model_info, so it must not name a variable."
            )
    if info.get("team_id") is not None:
        message = "model_info.team_id: a model for one team only cannot be had. Give each team its list of models."
        yield Objection("model_info.team_id", message)


def _holds_secret(path: Path) -> bool:
    """Whether any name on the way to a value says that it is secret."""
    if path[1] in _NOT_SECRET:
        return False
    return any(isinstance(step, str) and _SECRET.search(step) is not None for step in path[1:])


def _may_be_secret(name: str, value: object) -> bool:
    if name in _NOT_SECRET or not isinstance(value, str | dict | list):
        return False
    return (
        _SECRET.search(name) is not None
        or "headers" in name.lower()
        or (isinstance(value, str) and _has_password(value))
    )


def _has_password(text: str) -> bool:
    """Whether a text is a URL with a password in it."""
    try:
        return urlsplit(text).password is not None
    except ValueError:  # no URL
        return False


def _list_references(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """The environment variables that a value names, with their places."""
    for place, text in _list_texts(value, path):
        if text.startswith(PREFIX):
            yield place, text.removeprefix(PREFIX)


def _list_texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text within a value, with its place."""
    if len(path) > _MOST_DEEP:
        raise ConfigError(f"`{show_path(path[:3])}` is nested more than {_MOST_DEEP} deep")
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _list_texts(inner, (*path, name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _list_texts(inner, (*path, index))
