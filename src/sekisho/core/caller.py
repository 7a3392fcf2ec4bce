"""Who is calling, and the scopes the call is counted in."""

from typing import Literal

from msgspec import Struct

Role = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
ScopeKind = Literal["key", "user", "team"]


class Scope(Struct, frozen=True, kw_only=True):
    """One level of the hierarchy with its limits, as last read from the store. None means unlimited.

    `models` empty means every model. Money is in nano-dollars, times in seconds since the epoch.
    `spend` is the spend of the current budget window.
    """

    kind: ScopeKind
    id: str
    alias: str | None = None
    models: tuple[str, ...] = ()
    max_budget: int | None = None
    budget_duration: str | None = None
    budget_reset_at: float | None = None
    spend: int = 0
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    max_parallel_requests: int | None = None


class Caller(Struct, frozen=True, kw_only=True):
    """An authenticated caller.

    `key_hash` is the SHA-256 of the virtual key in hex; None for the master key. `scopes` run from the narrowest
    (key) to the widest; the master key has none. `allowed_routes` empty means that the key opens every path that its
    role may use; otherwise each is a path, a path ending in `*`, or a group such as `llm_api_routes`.
    """

    role: Role
    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    scopes: tuple[Scope, ...] = ()
    allowed_routes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: dict[str, object] = {}

    def scope(self, kind: ScopeKind) -> Scope | None:
        """The caller's scope of this kind, if it has one."""
        return next((scope for scope in self.scopes if scope.kind == kind), None)

    @property
    def owner(self) -> str:
        """What keeps this caller's data apart from everyone else's in shared memory."""
        return self.key_hash or "master"
