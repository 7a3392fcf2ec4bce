"""`model_list` to deployments."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sekisho.config import keys
from sekisho.config.kinds import is_secret
from sekisho.config.places import Document, Path, Report, show_name
from sekisho.config.router import read_allowed_fails
from sekisho.config.sections import check_block, check_information, require_text
from sekisho.config.snapshot import Deployment

_TYPED = (
    "weight",
    "rpm",
    "tpm",
    "order",
    "max_parallel_requests",
    "timeout",
    "stream_timeout",
    "connect_timeout",
    "idle_timeout",
    "total_timeout",
    "num_retries",
    "cooldown_time",
    "drop_params",
)


def read_deployments(
    document: Document, entries: list[object], defaults: Mapping[str, object], report: Report
) -> tuple[Deployment, ...]:
    """The entries of `model_list`, `defaults` laid under their parameters; entries that are wrong are left out."""
    path: Path = ("model_list",)
    if not entries:
        report.warn(document.key_place(path), "`model_list` has no models: no call can be served")
    deployments: list[Deployment] = []
    ids: set[str] = set()
    for index, entry in enumerate(entries):
        deployment = read_deployment(document, entry, (*path, index), defaults, report)
        if deployment is not None:
            deployments.append(_with_own_id(document, deployment, ids, (*path, index), report))
    return tuple(deployments)


def group_deployments(deployments: tuple[Deployment, ...]) -> dict[str, tuple[Deployment, ...]]:
    """Deployments by the model name they serve, in the order of the file."""
    groups: dict[str, tuple[Deployment, ...]] = {}
    for deployment in deployments:
        groups[deployment.model_name] = (*groups.get(deployment.model_name, ()), deployment)
    return groups


def list_wildcards(groups: Iterable[str]) -> tuple[str, ...]:
    """The names with `*`, those with the most other letters first, and of these the ones with the fewest `*`."""
    wildcards = [name for name in groups if "*" in name]
    return tuple(sorted(wildcards, key=lambda name: (name.count("*") - len(name), name.count("*"), name)))


def read_deployment(
    document: Document, entry: object, path: Path, defaults: Mapping[str, object], report: Report
) -> Deployment | None:
    """The entry at `path`, `defaults` laid under its parameters; None when it is wrong, which is reported."""
    if not isinstance(entry, dict):
        report.error(document.value_place(path), "expected a model: a mapping with `model_name` and `litellm_params`")
        return None
    outer = check_block(document, entry, path, keys.MODEL, report)
    name = require_text(document, entry, outer, path, "model_name", report)
    params_path: Path = (*path, "litellm_params")
    given = outer.get("litellm_params", {})
    params = check_block(document, given, params_path, keys.LITELLM_PARAMS, report)
    model = require_text(document, given, params, params_path, "model", report)
    info = check_information(document, outer.get("model_info", {}), (*path, "model_info"), report)
    if name is None or model is None:
        return None
    params = {**defaults, **params}
    fields = {key: params.get(key) for key in _TYPED} | _read_patience(document, info, (*path, "model_info"), report)
    place = document.value_place(path)
    return Deployment(
        id=info.get("id") or _hash_entry(name, params),
        model_name=name,
        model=model,
        params=params,
        model_info=info,
        where=f"{place.file}:{place.line}",
        tags=tuple(params.get("tags", ())),
        **{key: value for key, value in fields.items() if value is not None},
    )


def collect_access_groups(deployments: Iterable[Deployment]) -> dict[str, tuple[str, ...]]:
    """The model names of every access group, each once."""
    groups: dict[str, dict[str, None]] = {}
    for deployment in deployments:
        named = deployment.model_info.get("access_groups")
        for group in named if isinstance(named, list) else ():
            groups.setdefault(group, {})[deployment.model_name] = None
    return {group: tuple(names) for group, names in groups.items()}


def _read_patience(document: Document, info: Mapping[str, Any], path: Path, report: Report) -> dict[str, Any]:
    """What `model_info` says of failures; a `cooldown_time` there counts before that of the parameters."""
    policy = info.get("allowed_fails_policy")
    fields: dict[str, Any] = {"allowed_fails": info.get("allowed_fails")}
    if policy is not None:
        fields["allowed_fails_policy"] = read_allowed_fails(document, policy, (*path, "allowed_fails_policy"), report)
    if "cooldown_time" in info:
        fields["cooldown_time"] = info["cooldown_time"]
    return fields


def _hash_entry(name: str, params: Mapping[str, Any]) -> str:
    """An id that stays the same over restarts and replicas, and over a change of secrets."""
    public = {key: value for key, value in params.items() if not is_secret(key, value)}
    return hashlib.sha256(msgspec.json.encode([name, public], order="sorted")).hexdigest()[:16]


def _with_own_id(document: Document, deployment: Deployment, ids: set[str], path: Path, report: Report) -> Deployment:
    """The deployment with an id that no other has; twins get `-2`, `-3` and so on."""
    own, number = deployment.id, 1
    while own in ids:
        number += 1
        own = f"{deployment.id}-{number}"
    ids.add(own)
    if own == deployment.id:
        return deployment
    if "id" in deployment.model_info:
        report.warn(
            document.value_place((*path, "model_info", "id")),
            f"the id `{show_name(deployment.id)}` is taken by another deployment; this one becomes `{show_name(own)}`",
        )
    return msgspec.structs.replace(deployment, id=own)
