"""Who is calling, and the scopes the call is counted in."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

Role = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
ScopeKind = Literal[
    "key", "member", "organization_member", "user", "project", "team", "organization", "customer", "tag", "installation"
]


class BudgetWindow(Struct, frozen=True, kw_only=True, gc=False):
    """Money for a time: `limit` nano-dollars in each window of length `duration` (None: for ever).

    `resets_at` is the end of some window, in seconds since the epoch; those after it follow from the duration, on the
    clock of the time zone `zone` (None: UTC).
    """

    limit: int
    duration: str | None = None
    resets_at: float | None = None
    zone: str | None = None


class ModelLimits(Struct, frozen=True, kw_only=True, gc=False):
    """What a scope may use of one model group."""

    budgets: tuple[BudgetWindow, ...] = ()
    rpm_limit: int | None = None
    tpm_limit: int | None = None


class Scope(Struct, frozen=True, kw_only=True, gc=False):
    """One level of the hierarchy with its limits, as last read from the store. None means unlimited.

    `models` empty means every model. Money is in nano-dollars. `model_limits` is by model group. `counted` are windows
    in which money is counted without a limit. `soft_budget` is a window whose limit is told when it is passed.
    """

    kind: ScopeKind
    id: str
    alias: str | None = None
    models: tuple[str, ...] = ()
    budgets: tuple[BudgetWindow, ...] = ()
    counted: tuple[BudgetWindow, ...] = ()
    soft_budget: BudgetWindow | None = None
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    tpd_limit: int | None = None
    max_parallel_requests: int | None = None
    model_limits: Mapping[str, ModelLimits] = {}


class Caller(Struct, frozen=True, kw_only=True, gc=False):
    """An authenticated caller.

    `key_hash` is the SHA-256 of the virtual key in hex; None for the master key. `scopes` run from the narrowest
    (key) to the widest (installation); the master key has that one only. `allowed_routes` empty means that the key
    opens every path that its role may use; otherwise each is a path, a path ending in `*`, or a group such as
    `llm_api_routes`. `tags` are those of the key and its team, `aliases` their own names for models, and `routing`
    what they say in place of the installation's routing, by the snapshot's fields. `owner` keeps this caller's data
    apart from everyone else's in shared memory; it is the key's hash, if there is one.
    """

    role: Role
    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    project_id: str | None = None
    organization_id: str | None = None
    scopes: tuple[Scope, ...] = ()
    allowed_routes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}
    routing: Mapping[str, Any] = {}
    metadata: dict[str, object] = {}
    owner: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "owner", self.key_hash or "master")

    def scope(self, kind: ScopeKind) -> Scope | None:
        """The caller's scope of this kind, if it has one."""
        return next((scope for scope in self.scopes if scope.kind == kind), None)
