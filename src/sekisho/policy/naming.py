"""From the model name a client sent to the model group that serves it."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest, UnknownModel
from sekisho.policy.access import check_model, may_use
from sekisho.policy.wildcards import ANY, find_patterns


class ChosenModel(Struct, frozen=True):
    """The group that serves the call; `asked` is the name the client knows it by, `warning` what it should be told."""

    asked: str
    group: str
    warning: str | None = None


def choose_model(snapshot: Snapshot, caller: Caller, requested: str | None) -> ChosenModel:
    """Resolve the requested name and check that the caller may use it.

    A client may name a group, an alias of a group, or the upstream's own id as a deployment's `model` has it (with or
    without LiteLLM's prefixes). The aliases of its key and team come before all of these. Raises InvalidRequest,
    UnknownModel or AccessDenied.
    """
    if requested is None:
        if snapshot.default_model is None:
            raise InvalidRequest("The request names no model, and no default_model is configured.", param="model")
        check_model(caller, snapshot.default_model)
        return ChosenModel(asked=snapshot.default_model, group=snapshot.default_model)
    meant = caller.aliases.get(requested, requested)
    if meant in snapshot.groups and ANY not in meant and may_use(caller, meant):
        return ChosenModel(requested, meant)
    group = find_group(snapshot, meant, partial(may_use, caller))
    if group is None and (group := find_group(snapshot, meant)) is not None:
        check_model(caller, group)
    if group is not None:
        return ChosenModel(requested, group)
    if snapshot.default_model is not None and snapshot.default_model_for_unknown:
        check_model(caller, snapshot.default_model)
        warning = f"model '{requested}' is unknown; '{snapshot.default_model}' was used"
        return ChosenModel(asked=requested, group=snapshot.default_model, warning=warning)
    raise _unknown(snapshot, caller, requested)


def find_group(snapshot: Snapshot, name: str, allowed: Callable[[str], bool] = lambda _: True) -> str | None:
    """The model group for a name, None when there is none; of several that fit the first that is allowed.

    After groups and aliases, a name stands for the first deployment of the same model: by the id as configured, else by
    the model's bare name with or without its date, so that `us.anthropic.claude-x-v1:0` and Anthropic's own `claude-x`
    find a deployment of `jp.anthropic.claude-x-v1:0`. Agents rewrite such ids by themselves.
    """
    for named in (name, snapshot.model_group_alias.get(name)):
        if named in snapshot.groups and ANY not in named and allowed(named):
            return named
    return _find_like(snapshot, name, (_without_route, _bare, _undated), allowed)


def find_wildcard(snapshot: Snapshot, name: str) -> str | None:
    """The model name with `*` that a name falls under, None when there is none, or when something else is nearer.

    Names of groups, aliases and a deployment's own id are nearer than any pattern; its bare name is nearer than `*`.
    """
    for pattern in find_patterns(snapshot, name):
        reductions = (_without_route, _bare, _undated) if pattern == ANY else (_without_route,)
        named = name in snapshot.groups or snapshot.model_group_alias.get(name) in snapshot.groups
        return None if named or _find_like(snapshot, name, reductions, lambda _: True) else pattern
    return None


def _find_like(
    snapshot: Snapshot, name: str, reductions: Sequence[Callable[[str], str]], allowed: Callable[[str], bool]
) -> str | None:
    """The first allowed group of a deployment whose `model` is the name but for what the reductions take away."""
    for reduce in reductions:
        wanted = reduce(name)
        for deployment in snapshot.deployments:
            if ANY in deployment.model_name:
                continue
            if reduce(deployment.model) == wanted and allowed(deployment.model_name):
                return deployment.model_name
    return None


_ROUTE = re.compile(r"([a-z_]+/)+")
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:[a-z0-9-]*:\d*:(foundation-model|inference-profile)/")
_SCOPE = re.compile(r"(global|us-gov|us|eu|apac|jp|au|in|ca|sa|me|af|il|mx)\.(?=[a-z0-9]+\.)")
_VENDOR = re.compile(r"[a-z0-9]+\.(?=[a-z])")
_DATE = re.compile(r"-20\d{6}$")
_VERSION = re.compile(r"-v\d+(:\d+)?$")


def _without_route(model: str) -> str:
    """A deployment's `model` without LiteLLM's provider and route prefixes."""
    found = _ROUTE.match(model)
    return model[found.end() :] if found else model


def _bare(model: str) -> str:
    """The model's name alone: no route, ARN, region, cross-region prefix, vendor or version of the API."""
    name = _ARN.sub("", _without_route(model)).rpartition("/")[2]
    for pattern in (_SCOPE, _VENDOR):
        if found := pattern.match(name):
            name = name[found.end() :]
    return _VERSION.sub("", name)


def _undated(model: str) -> str:
    """The bare name without the day of its release, as vendors' short aliases are."""
    return _DATE.sub("", _bare(model))


def _unknown(snapshot: Snapshot, caller: Caller, requested: str) -> UnknownModel:
    names = sorted(name for name in {*snapshot.groups, *snapshot.model_group_alias} if may_use(caller, name))
    near = get_close_matches(requested, names, n=3, cutoff=0.4)
    shown = f"Nearest names: {', '.join(near)}." if near else f"Models you may use: {', '.join(names) or 'none'}."
    return UnknownModel(f"There is no model named '{requested[:200]}'. {shown}", param="model")
