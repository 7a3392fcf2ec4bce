"""Which models a caller may use.

The lists on key, user and team are LiteLLM's: names of model groups, names with `*`, and the words
`all-proxy-models` (no restriction), `all-team-models` (what the team may) and `no-default-models` (none). Every scope
of the caller must allow the model; an empty list allows all.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import AccessDenied

_EVERYTHING = frozenset({"*", "all-proxy-models", "all-team-models"})


def may_use(caller: Caller, model_name: str) -> bool:
    """Whether every scope of the caller allows the model group."""
    return _find_forbidding(caller, model_name) is None


def check_model(caller: Caller, model_name: str) -> None:
    """Raises AccessDenied, naming the narrowest scope that forbids the model group and what it allows instead."""
    if (scope := _find_forbidding(caller, model_name)) is not None:
        allowed = ", ".join(name for name in scope.models if name != "no-default-models") or "none"
        who = scope.kind.replace("_", " ")
        raise AccessDenied(
            f"The {who} is not allowed to use the model '{model_name}'. Models it may use: {allowed}.",
            kind=f"{scope.kind}_model_access_denied",
            param="model",
        )


def _find_forbidding(caller: Caller, model_name: str) -> Scope | None:
    """The narrowest scope that has a list without the model group; most scopes have none."""
    for scope in caller.scopes:
        if scope.models and not _allow(scope.models, model_name):
            return scope
    return None


def _allow(models: Sequence[str], model_name: str) -> bool:
    if model_name in models or not _EVERYTHING.isdisjoint(models):
        return True
    return any("*" in pattern and fnmatchcase(model_name, pattern) for pattern in models)
