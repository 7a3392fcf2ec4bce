"""Every table, for SQLite and PostgreSQL alike. The migrations must lead to exactly this."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from sekisho.store.columns import (
    HexBytes,
    Json,
    UuidBytes,
    administration_columns,
    authorship_columns,
    budget_columns,
    limit_columns,
    required,
    text,
)

metadata: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


budgets: Final = sa.Table(
    "budgets",
    metadata,
    sa.Column("budget_id", sa.Text, primary_key=True),
    *limit_columns(),
    *authorship_columns(),
    comment="Limits with a name, which others refer to",
)

access_groups: Final = sa.Table(
    "access_groups",
    metadata,
    sa.Column("access_group", sa.Text, primary_key=True),
    required("model_names", Json),
    text("description"),
    *authorship_columns(),
)

models: Final = sa.Table(
    "models",
    metadata,
    sa.Column("model_id", sa.Text, primary_key=True),
    required("model_name", sa.Text),
    *(required(name, Json) for name in ("litellm_params", "model_info")),
    *authorship_columns(),
    comment="Deployments beside those of the configuration file; secrets only as names of environment variables",
)

fallbacks: Final = sa.Table(
    "fallbacks",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    required("fallback_models", Json),
    *authorship_columns(),
    comment="Fallbacks in place of those of the configuration file",
)

users: Final = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("user_email", sa.Text, unique=True),
    text("user_alias"),
    required("user_role", sa.Text),
    *budget_columns(),
    *administration_columns(),
    sa.Index(None, "created_at", "user_id"),
)

organizations: Final = sa.Table(
    "organizations",
    metadata,
    sa.Column("organization_id", sa.Text, primary_key=True),
    required("organization_alias", sa.Text),
    *budget_columns(),
    *administration_columns(),
)

organization_members: Final = sa.Table(
    "organization_members",
    metadata,
    sa.Column("organization_id", sa.ForeignKey("organizations.organization_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True, index=True),
    required("role", sa.Text),
    *budget_columns(),
)

teams: Final = sa.Table(
    "teams",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    text("team_alias"),
    sa.Column("organization_id", sa.ForeignKey("organizations.organization_id"), index=True),
    required("access_group_ids", Json),
    sa.Column("member_limits", Json),
    required("member_permissions", Json),
    *budget_columns(),
    *administration_columns(),
    sa.Index(None, "created_at", "team_id"),
)

team_members: Final = sa.Table(
    "team_members",
    metadata,
    sa.Column("team_id", sa.ForeignKey("teams.team_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True, index=True),
    required("role", sa.Text),
    *budget_columns(),
)

projects: Final = sa.Table(
    "projects",
    metadata,
    sa.Column("project_id", sa.Text, primary_key=True),
    sa.Column("team_id", sa.ForeignKey("teams.team_id"), nullable=False, index=True),
    text("project_alias"),
    text("description"),
    *budget_columns(),
    *administration_columns(),
)

customers: Final = sa.Table(
    "customers",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    text("alias"),
    text("default_model"),
    *budget_columns(),
    *administration_columns(),
    sa.Index(None, "created_at", "user_id"),
    comment="End users: whom callers say that they call for",
)

tags: Final = sa.Table(
    "tags",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    text("description"),
    *budget_columns(),
    *administration_columns(),
)

keys: Final = sa.Table(
    "keys",
    metadata,
    sa.Column("key_hash", HexBytes, primary_key=True),
    required("key_name", sa.Text),
    sa.Column("account_id", sa.Text, nullable=False, unique=True),
    sa.Column("key_alias", sa.Text, unique=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id"), index=True),
    sa.Column("team_id", sa.ForeignKey("teams.team_id"), index=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), index=True),
    sa.Column("organization_id", sa.ForeignKey("organizations.organization_id"), index=True),
    required("access_group_ids", Json),
    required("key_type", sa.Text),
    *(required(name, Json) for name in ("allowed_routes", "tags")),
    sa.Column("last_active", sa.Double),
    *budget_columns(),
    *administration_columns(),
    sa.Index(None, "created_at", "key_hash"),
)

replaced_keys: Final = sa.Table(
    "replaced_keys",
    metadata,
    sa.Column("key_hash", HexBytes, primary_key=True),
    sa.Column("account_id", sa.Text, nullable=False, index=True),
    required("valid_until", sa.Double),
    comment="The former texts of regenerated keys, which open the same door for a while",
)

usage_callers: Final = sa.Table(
    "usage_callers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("key_hash", HexBytes, index=True),
    text("key_alias"),
    sa.Column("user_id", sa.Text, index=True),
    sa.Column("team_id", sa.Text, index=True),
    *map(text, ("organization_id", "project_id")),
    comment="Who called, once for all calls; `digest` is of all that follows it",
)

usage_roads: Final = sa.Table(
    "usage_roads",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    required("call_type", sa.Text),
    *map(text, ("model_group", "deployment_id", "provider", "upstream_model", "account", "region", "price_version")),
    required("simulated", sa.Boolean),
    comment="What was asked of whom, once for all calls; `digest` is of all that follows it",
)

usage: Final = sa.Table(
    "usage",
    metadata,
    sa.Column("id", UuidBytes, primary_key=True),
    *(required(name, sa.Integer) for name in ("caller_id", "road_id")),
    *(required(name, sa.BigInteger) for name in ("started_at", "ended_at")),
    *(sa.Column(name, sa.Integer) for name in ("ttft_ms", "queued_ms")),
    required("model", sa.Text),
    *(
        required(kind, sa.BigInteger)
        for kind in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
    ),
    sa.Column("cost_nano", sa.BigInteger),
    required("status", sa.Text),
    required("http_status", sa.SmallInteger),
    text("error_class"),
    *(required(name, sa.Boolean) for name in ("estimated", "streamed")),
    *map(text, ("session_id", "agent", "agent_version", "agent_id", "parent_id", "end_user", "requester_ip")),
    sa.Column("tags", Json),
    *(required(name, sa.SmallInteger) for name in ("retries", "fallbacks")),
    sa.Column("overrun_nano", sa.BigInteger),
    sa.Column("attempts", Json),
    sa.Index(None, "started_at"),
    sa.Index(None, "caller_id", "started_at"),
    sa.Index(None, "session_id"),
    comment="Every call; what repeats is in `usage_callers` and `usage_roads`, which stay when rows are deleted",
)

responses: Final = sa.Table(
    "responses",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("response_id", sa.Text, primary_key=True),
    required("body", sa.LargeBinary),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
    comment="Prompts and answers, of clients that asked for them to be kept, where that is switched on",
)

accounts: Final = sa.Table(
    "accounts",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    *(required(name, sa.BigInteger) for name in ("spent", "leased")),
    sa.Column("wanted_at", sa.Double),
    sa.Index(
        "ix_accounts_wanted_at",
        "wanted_at",
        sqlite_where=sa.text("wanted_at IS NOT NULL"),
        postgresql_where=sa.text("wanted_at IS NOT NULL"),
    ),
    comment="What is spent of every budget window, and what workers have set aside of it; nano-dollars, or calls",
)

budget_alerts: Final = sa.Table(
    "budget_alerts",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("soft_budget", sa.BigInteger, primary_key=True, autoincrement=False),
    *(required(name, sa.Text) for name in ("kind", "object_id")),
    text("alias"),
    required("spent", sa.BigInteger),
    sa.Column("at", sa.Double, nullable=False, index=True),
    comment="The accounts that have passed their soft budget, each told once",
)

workers: Final = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    required("host", sa.Text),
    required("heartbeat", sa.Double),
    comment="The processes that hold leases",
)

leases: Final = sa.Table(
    "leases",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    required("amount", sa.BigInteger),
)

grants: Final = sa.Table(
    "grants",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("stamp", sa.BigInteger, primary_key=True, autoincrement=False),
    required("amount", sa.BigInteger),
    comment="Requests and tokens granted to workers, by the second at whose end they count",
)

DAY_TEXTS: Final = (
    *("user_id", "team_id", "organization_id", "project_id", "end_user"),
    *("model_group", "model", "provider", "upstream_model"),
)
DAY_SUMS: Final = (
    *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning"),
    *("cost_nano", "requests", "successes", "failures"),
)


def _day_of() -> list[sa.Column[Any]]:
    """Whose day it was, and the sums over its usage rows. Nothing is the empty text, so that equal rows meet.

    digest: of the day and all that follows it up to `upstream_model`, since no index takes so much text.
    """
    return [
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        required("day", sa.Integer),
        required("key_hash", HexBytes),
        *(required(name, sa.Text) for name in DAY_TEXTS),
        *(required(name, sa.BigInteger) for name in DAY_SUMS),
    ]


daily: Final = sa.Table(
    "daily",
    metadata,
    *_day_of(),
    sa.Index(None, "day"),
    sa.Index(None, "key_hash", "day"),
    sa.Index(None, "user_id", "day"),
    sa.Index(None, "team_id", "day"),
    comment="Usage rows added up by day (UTC, counted from the epoch); a call that its client left is no failure",
)

daily_tags: Final = sa.Table(
    "daily_tags",
    metadata,
    *_day_of(),
    required("tag", sa.Text),
    sa.Index(None, "day"),
    sa.Index(None, "tag", "day"),
    sa.Index(None, "key_hash", "day"),
    comment="The same for each tag; a call with two tags counts for both",
)

DAY_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "models": ("model_group", "model", "provider", "upstream_model"),
    "customers": ("end_user",),
    "keys": ("key_hash", "user_id", "team_id", "organization_id", "project_id"),
    "tags": ("tag", "model_group", "model", "provider", "upstream_model"),
}
"""The columns that the rows of each part of `daily_parts` have; the fewest rows first."""

daily_parts: Final = sa.Table(
    "daily_parts",
    metadata,
    *_day_of(),
    *(required(name, sa.Text) for name in ("tag", "part")),
    sa.Index(None, "part", "day"),
    comment="The roll-ups added up further, by fewer columns: what everybody did costs few rows to read",
)

audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    required("at", sa.BigInteger),
    *(required(name, sa.Text) for name in ("actor", "actor_role")),
    *map(text, ("source_ip", "request")),
    *(required(name, sa.Text) for name in ("action", "object_kind", "object_id")),
    *map(text, ("before", "after")),
    *(required(name, HexBytes) for name in ("previous_hash", "hash")),
    sa.Index(None, "object_kind", "object_id"),
    comment="Every administrative change, each sealed with the hash of the one before; see audit_chain.py",
)

audit_head: Final = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    required("seq", sa.BigInteger),
    required("hash", HexBytes),
    comment="One row; the number of the last audit record and its hash, so that none can be cut off the end unseen",
)

jobs: Final = sa.Table(
    "jobs",
    metadata,
    sa.Column("job", sa.Text, primary_key=True),
    required("busy_until", sa.Double),
    comment="Work that one process at a time does, and until when it has the turn unless it says so again",
)

roads: Final = sa.Table(
    "roads",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    required("at", sa.Double),
    required("state", sa.LargeBinary),
    comment="What each process uses of upstreams' quotas and who waits there, told to the others",
)
