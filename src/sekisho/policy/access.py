"""Which models a caller may use.

The lists on key, user and team are LiteLLM's: names of model groups, names with `*`, and the words
`all-proxy-models` (no restriction), `all-team-models` (what the team may) and `no-default-models` (none). Every scope
of the caller must allow the model; an empty list allows all.
"""

from fnmatch import fnmatchcase

from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import AccessDenied

_EVERYTHING = frozenset({"*", "all-proxy-models", "all-team-models"})


def may_use(caller: Caller, model_name: str) -> bool:
    """Whether every scope of the caller allows the model group."""
    return all(_allows(scope, model_name) for scope in caller.scopes)


def check_model(caller: Caller, model_name: str) -> None:
    """Raises AccessDenied, naming the narrowest scope that forbids the model group and what it allows instead."""
    for scope in caller.scopes:
        if not _allows(scope, model_name):
            allowed = ", ".join(name for name in scope.models if name != "no-default-models") or "none"
            who = scope.kind.replace("_", " ")
            raise AccessDenied(
                f"The {who} is not allowed to use the model '{model_name}'. Models it may use: {allowed}.",
                kind=f"{scope.kind}_model_access_denied",
                param="model",
            )


def _allows(scope: Scope, model_name: str) -> bool:
    if not scope.models:
        return True
    return any(name in _EVERYTHING or name == model_name or _matches(name, model_name) for name in scope.models)


def _matches(pattern: str, model_name: str) -> bool:
    return "*" in pattern and fnmatchcase(model_name, pattern)
