"""Who may do what in the admin API, and which paths a key opens."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

from sekisho.core.caller import Caller, Role
from sekisho.core.errors import AccessDenied

Right = Literal["administer", "oversee", "organize", "manage_own", "see_own"]
"""administer: change anything. oversee: see anything. organize: change what belongs to an organisation that one is
administrator of. manage_own: make and delete one's own keys, and manage the teams one is administrator of. see_own: see
what belongs to oneself. The services narrow the last three to what is one's own; being administrator of an organisation
or a team is a membership, not a role."""

RIGHTS: Final[dict[str, Right]] = {
    "/key/generate": "manage_own",
    "/key/service-account/generate": "manage_own",
    "/key/info": "see_own",
    "/v2/key/info": "see_own",
    "/key/aliases": "see_own",
    "/key/list": "see_own",
    "/key/health": "see_own",
    "/key/update": "manage_own",
    "/key/bulk_update": "manage_own",
    "/key/delete": "manage_own",
    "/key/block": "manage_own",
    "/key/unblock": "manage_own",
    "/key/regenerate": "manage_own",
    "/key/{key}/regenerate": "manage_own",
    "/key/{key}/reset_spend": "manage_own",
    "/key/aws_credentials": "manage_own",
    "/team/new": "organize",
    "/team/info": "see_own",
    "/team/list": "see_own",
    "/team/update": "manage_own",
    "/team/delete": "organize",
    "/team/block": "organize",
    "/team/unblock": "organize",
    "/team/member_add": "manage_own",
    "/team/bulk_member_add": "manage_own",
    "/team/member_update": "manage_own",
    "/team/member_delete": "manage_own",
    "/team/model/add": "organize",
    "/team/model/delete": "organize",
    "/v2/team/list": "see_own",
    "/team/available": "see_own",
    "/team/permissions_list": "see_own",
    "/team/permissions_update": "manage_own",
    "/user/new": "organize",
    "/user/info": "see_own",
    "/v2/user/info": "see_own",
    "/user/available_roles": "see_own",
    "/user/list": "oversee",
    "/user/update": "administer",
    "/user/bulk_update": "administer",
    "/user/delete": "administer",
    "/organization/new": "administer",
    "/organization/info": "see_own",
    "/organization/list": "see_own",
    "/organization/update": "organize",
    "/organization/delete": "administer",
    "/organization/member_add": "organize",
    "/organization/member_update": "organize",
    "/organization/member_delete": "organize",
    "/project/new": "manage_own",
    "/project/info": "see_own",
    "/project/list": "see_own",
    "/project/update": "manage_own",
    "/project/delete": "manage_own",
    "/budget/new": "administer",
    "/budget/info": "oversee",
    "/budget/list": "oversee",
    "/budget/alerts": "oversee",
    "/budget/settings": "oversee",
    "/budget/update": "administer",
    "/budget/delete": "administer",
    "/customer/new": "administer",
    "/customer/info": "oversee",
    "/customer/list": "oversee",
    "/customer/update": "administer",
    "/customer/delete": "administer",
    "/customer/block": "administer",
    "/customer/unblock": "administer",
    "/end_user/new": "administer",
    "/end_user/info": "oversee",
    "/end_user/list": "oversee",
    "/end_user/update": "administer",
    "/end_user/delete": "administer",
    "/end_user/block": "administer",
    "/end_user/unblock": "administer",
    "/tag/new": "administer",
    "/tag/info": "oversee",
    "/tag/list": "oversee",
    "/tag/update": "administer",
    "/tag/delete": "administer",
    "/access_group/new": "administer",
    "/access_group/info": "oversee",
    "/access_group/list": "oversee",
    "/access_group/update": "administer",
    "/access_group/delete": "administer",
    "/access_group/{access_group}/info": "oversee",
    "/access_group/{access_group}/update": "administer",
    "/access_group/{access_group}/delete": "administer",
    "/models": "see_own",
    "/models/{model}": "see_own",
    "/v1/models": "see_own",
    "/v1/models/{model}": "see_own",
    "/anthropic/v1/models": "see_own",
    "/anthropic/v1/models/{model}": "see_own",
    "/model/info": "see_own",
    "/v1/model/info": "see_own",
    "/v2/model/info": "see_own",
    "/model_group/info": "see_own",
    "/model/new": "administer",
    "/model/update": "administer",
    "/model/{model_id}/update": "administer",
    "/model/delete": "administer",
    "/fallback": "administer",
    "/fallback/{model}": "administer",
    "/spend/logs": "see_own",
    "/spend/logs/v2": "see_own",
    "/spend/tags": "see_own",
    "/spend/calculate": "see_own",
    "/global/spend": "oversee",
    "/global/spend/report": "oversee",
    "/key/spend/report": "see_own",
    "/user/spend/report": "see_own",
    "/team/spend/report": "see_own",
    "/organization/spend/report": "see_own",
    "/user/daily/activity": "see_own",
    "/team/daily/activity": "see_own",
    "/organization/daily/activity": "see_own",
    "/customer/daily/activity": "oversee",
    "/tag/daily/activity": "see_own",
    "/audit": "oversee",
    "/config/reload": "administer",
    "/health": "oversee",
}
"""The right that each path of the admin API needs.

A part in braces stands for any text without a slash; as the last part of its path, for any text at all.
"""

ROLES: Final[dict[Right, frozenset[Role]]] = {
    "administer": frozenset({"proxy_admin"}),
    "oversee": frozenset({"proxy_admin", "proxy_admin_viewer"}),
    "organize": frozenset({"proxy_admin", "internal_user"}),
    "manage_own": frozenset({"proxy_admin", "internal_user"}),
    "see_own": frozenset({"proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"}),
}
"""The roles that have each right."""

Permission = Literal[
    "/key/info",
    "/key/list",
    "/key/aliases",
    "/key/generate",
    "/key/service-account/generate",
    "/key/update",
    "/key/bulk_update",
    "/key/delete",
    "/key/block",
    "/key/unblock",
    "/key/regenerate",
    "/key/{key_id}/regenerate",
    "/key/{key_id}/reset_spend",
]
"""What the members of a team who are no administrators can be allowed to do with its keys, by LiteLLM's names."""
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_LISTS: Final = ("/models", "/v1/models", "/anthropic/v1/models")
_INFOS: Final = ("/model/info", "/v1/model/info", "/v2/model/info", "/model_group/info")
_MODELS: Final = frozenset({*_LISTS, *(f"{path}/{{model}}" for path in _LISTS), *_INFOS})
_READS: Final = frozenset({"oversee", "see_own"})
"""The rights of paths that change nothing."""
_PATTERNS: Final = {path: tuple(path.split("/")) for path in RIGHTS if "{" in path}

ROUTES_OF_KEY_TYPE: Final[dict[str, tuple[str, ...]]] = {
    "default": (),
    "llm_api": ("llm_api_routes",),
    "management": ("management_routes",),
    "read_only": ("info_routes",),
}
"""What the `key_type` of LiteLLM's API stands for in `allowed_routes`."""


def route_of(path: str) -> str | None:
    """The path of the table that `path` is one of; None when it is none of the admin API."""
    if path in RIGHTS:
        return path
    parts = path.split("/")
    return next((route for route, pattern in _PATTERNS.items() if _fits(pattern, parts)), None)


def right_of(path: str) -> Right | None:
    """The right that a path needs; None when it is none of the admin API."""
    route = route_of(path)
    return None if route is None else RIGHTS[route]


def check_endpoint(caller: Caller, path: str) -> None:
    """Refuse a caller whose role, or whose key, does not open this path of the admin API.

    Raises:
        AccessDenied: with what is needed.
    """
    right = right_of(path)
    if right is None or caller.role not in ROLES[right]:
        raise AccessDenied(f"The role {caller.role} may not use {path}. Ask a proxy administrator.")
    check_route(caller, path)


def check_route(caller: Caller, path: str) -> None:
    """Refuse a caller whose key is only for other paths than this one, of either plane.

    Raises:
        AccessDenied: with what the key is for.
    """
    routes = caller.allowed_routes
    if routes and not any(_covers(route, path) for route in routes):
        raise AccessDenied(f"This key does not open {path}: it is for {', '.join(routes)} only.")


def sees_everything(caller: Caller) -> bool:
    """Whether the caller may see what belongs to others."""
    return caller.role in ROLES["oversee"]


def is_administrator(caller: Caller) -> bool:
    """Whether the caller may change what belongs to others."""
    return caller.role in ROLES["administer"]


def _covers(route: str, path: str) -> bool:
    right = right_of(path)
    if route in {"llm_api_routes", "openai_routes"}:
        return right is None or route_of(path) in _MODELS
    if route == "management_routes":
        return right is not None
    if route == "info_routes":
        return right in _READS
    return path.startswith(route[:-1]) if route.endswith("*") else path == route


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    if pattern[-1].startswith("{"):
        whole = len(pattern) - 1
        return len(parts) > whole and _fits_exactly(pattern[:whole], parts[:whole])
    return len(pattern) == len(parts) and _fits_exactly(pattern, parts)


def _fits_exactly(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    return all(part if wanted.startswith("{") else part == wanted for wanted, part in zip(pattern, parts, strict=True))
