"""Who may do what in the admin API, and which paths a key opens."""

from typing import Final, Literal

from sekisho.core.caller import Caller, Role
from sekisho.core.errors import AccessDenied

Right = Literal["administer", "oversee", "manage_own", "see_own"]
"""administer: change anything. oversee: see anything. manage_own: make and delete one's own keys, and manage the teams
one is administrator of. see_own: see what belongs to oneself. The services narrow the last two to what is one's own."""

RIGHTS: Final[dict[str, Right]] = {
    "/key/generate": "manage_own",
    "/key/info": "see_own",
    "/key/update": "manage_own",
    "/key/delete": "manage_own",
    "/key/list": "see_own",
    "/key/block": "manage_own",
    "/key/unblock": "manage_own",
    "/key/aws_credentials": "manage_own",
    "/team/new": "administer",
    "/team/info": "see_own",
    "/team/list": "see_own",
    "/team/update": "manage_own",
    "/team/member_add": "manage_own",
    "/user/new": "administer",
    "/user/info": "see_own",
    "/user/list": "oversee",
    "/models": "see_own",
    "/models/*": "see_own",
    "/v1/models": "see_own",
    "/v1/models/*": "see_own",
    "/anthropic/v1/models": "see_own",
    "/anthropic/v1/models/*": "see_own",
    "/model/info": "see_own",
    "/v1/model/info": "see_own",
    "/spend/logs": "see_own",
}
"""By path; one that ends in `*` stands for all paths that begin so."""

_WILDCARDS: Final = tuple(path for path in RIGHTS if path.endswith("*"))

_ROLES: Final[dict[Right, frozenset[Role]]] = {
    "administer": frozenset({"proxy_admin"}),
    "oversee": frozenset({"proxy_admin", "proxy_admin_viewer"}),
    "manage_own": frozenset({"proxy_admin", "internal_user"}),
    "see_own": frozenset({"proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"}),
}

_MODELS: Final = frozenset(
    {*("/models", "/v1/models", "/anthropic/v1/models", "/model/info", "/v1/model/info"), *_WILDCARDS}
)
_INFO: Final = frozenset(
    {*_MODELS, "/key/info", "/key/list", "/team/info", "/team/list", "/user/info", "/user/list", "/spend/logs"}
)

ROUTES_OF_KEY_TYPE: Final[dict[str, tuple[str, ...]]] = {
    "default": (),
    "llm_api": ("llm_api_routes",),
    "management": ("management_routes",),
    "read_only": ("info_routes",),
}
"""What the `key_type` of LiteLLM's API stands for in `allowed_routes`."""


def endpoint_of(path: str) -> str | None:
    """The row of `RIGHTS` for a path; None when it belongs to no endpoint that needs rights."""
    if path in RIGHTS:
        return path
    return next((endpoint for endpoint in _WILDCARDS if path.startswith(endpoint[:-1])), None)


def check_endpoint(caller: Caller, path: str) -> None:
    """Refuse a caller whose role, or whose key, does not open this path of the admin API.

    Raises:
        AccessDenied: with what is needed.
    """
    endpoint = endpoint_of(path)
    assert endpoint is not None
    if caller.role not in _ROLES[RIGHTS[endpoint]]:
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
    return caller.role in _ROLES["oversee"]


def is_administrator(caller: Caller) -> bool:
    """Whether the caller may change what belongs to others."""
    return caller.role in _ROLES["administer"]


def _covers(route: str, path: str) -> bool:
    if route in {"llm_api_routes", "openai_routes"}:
        endpoint = endpoint_of(path)
        return endpoint is None or endpoint in _MODELS
    if route == "management_routes":
        return endpoint_of(path) is not None
    if route == "info_routes":
        return endpoint_of(path) in _INFO
    return path.startswith(route[:-1]) if route.endswith("*") else path == route
