"""The first schema: the hierarchy and its limits, keys, usage, kept responses."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _create_hierarchy()
    _create_models()
    _create_keys()
    _create_usage()
    _create_money()
    _create_daily()
    _create_responses()
    _create_audit()
    _create_jobs()
    _create_roads()


def downgrade() -> None:
    """Drop every table."""
    hierarchy = ("tags", "customers", "projects", "team_members", "teams", "organization_members", "organizations")
    limits = ("users", "fallbacks", "models", "access_groups", "budgets")
    money = ("accounts", "budget_alerts", "workers", "leases", "grants", "daily", "daily_tags", "daily_parts")
    calls = ("roads", "jobs", "audit_head", "audit", "responses", *money, "usage", "usage_callers", "usage_roads")
    for table in (*calls, "replaced_keys", "keys", *hierarchy, *limits):
        op.drop_table(table)


def _create_hierarchy() -> None:
    op.create_table(
        "budgets",
        _text("budget_id", nullable=False),
        *_limits(),
        *_authorship(),
        sa.PrimaryKeyConstraint("budget_id", name="pk_budgets"),
        comment="Limits with a name, which others refer to",
    )
    op.create_table(
        "access_groups",
        _text("access_group", nullable=False),
        sa.Column("model_names", _json(), nullable=False),
        _text("description"),
        *_authorship(),
        sa.PrimaryKeyConstraint("access_group", name="pk_access_groups"),
    )
    _create_level(
        "users",
        _text("user_id", nullable=False),
        _text("user_email"),
        _text("user_alias"),
        _text("user_role", nullable=False),
        sa.UniqueConstraint("user_email", name="uq_users_user_email"),
    )
    _create_level(
        "organizations",
        _text("organization_id", nullable=False),
        _text("organization_alias", nullable=False),
    )
    _create_level(
        "teams",
        _text("team_id", nullable=False),
        _text("team_alias"),
        _text("organization_id"),
        sa.Column("access_group_ids", _json(), nullable=False),
        sa.Column("member_limits", _json()),
        sa.Column("member_permissions", _json(), nullable=False),
        _refers("teams", "organization_id", "organizations"),
    )
    _create_members()
    _create_level(
        "projects",
        _text("project_id", nullable=False),
        _text("team_id", nullable=False),
        _text("project_alias"),
        _text("description"),
        _refers("projects", "team_id", "teams"),
    )
    _create_level(
        "customers",
        _text("user_id", nullable=False),
        _text("alias"),
        _text("default_model"),
        comment="End users: whom callers say that they call for",
    )
    _create_level("tags", _text("name", nullable=False), _text("description"))
    op.create_index("ix_teams_organization_id", "teams", ["organization_id"])
    for table, identity in (("users", "user_id"), ("teams", "team_id"), ("customers", "user_id")):
        op.create_index(f"ix_{table}_created_at_{identity}", table, ["created_at", identity])
    op.create_index("ix_projects_team_id", "projects", ["team_id"])


def _create_models() -> None:
    op.create_table(
        "models",
        _text("model_id", nullable=False),
        _text("model_name", nullable=False),
        sa.Column("litellm_params", _json(), nullable=False),
        sa.Column("model_info", _json(), nullable=False),
        *_authorship(),
        sa.PrimaryKeyConstraint("model_id", name="pk_models"),
        comment="Deployments beside those of the configuration file; secrets only as names of environment variables",
    )
    op.create_table(
        "fallbacks",
        _text("model", nullable=False),
        sa.Column("fallback_models", _json(), nullable=False),
        *_authorship(),
        sa.PrimaryKeyConstraint("model", name="pk_fallbacks"),
        comment="Fallbacks in place of those of the configuration file",
    )


def _create_level(
    table: str, identity: sa.Column[Any], *others: sa.schema.SchemaItem, comment: str | None = None
) -> None:
    """A table of what an administrator made, with limits; its key is `identity`."""
    op.create_table(
        table,
        identity,
        *others,
        *_budget(),
        *_administration(),
        sa.PrimaryKeyConstraint(identity.name, name=f"pk_{table}"),
        _refers(table, "budget_id", "budgets"),
        comment=comment,
    )
    op.create_index(f"ix_{table}_budget_id", table, ["budget_id"])


def _create_members() -> None:
    op.create_table(
        "organization_members",
        _text("organization_id", nullable=False),
        _text("user_id", nullable=False),
        _text("role", nullable=False),
        *_budget(),
        _refers("organization_members", "organization_id", "organizations", ondelete="CASCADE"),
        _refers("organization_members", "user_id", "users", ondelete="CASCADE"),
        _refers("organization_members", "budget_id", "budgets"),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name="pk_organization_members"),
    )
    op.create_table(
        "team_members",
        _text("team_id", nullable=False),
        _text("user_id", nullable=False),
        _text("role", nullable=False),
        *_budget(),
        _refers("team_members", "team_id", "teams", ondelete="CASCADE"),
        _refers("team_members", "user_id", "users", ondelete="CASCADE"),
        _refers("team_members", "budget_id", "budgets"),
        sa.PrimaryKeyConstraint("team_id", "user_id", name="pk_team_members"),
    )
    op.create_index("ix_organization_members_user_id", "organization_members", ["user_id"])
    op.create_index("ix_organization_members_budget_id", "organization_members", ["budget_id"])
    op.create_index("ix_team_members_user_id", "team_members", ["user_id"])
    op.create_index("ix_team_members_budget_id", "team_members", ["budget_id"])


def _create_keys() -> None:
    _create_level(
        "keys",
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        _text("key_name", nullable=False),
        _text("account_id", nullable=False),
        *map(_text, ("key_alias", "user_id", "team_id", "project_id", "organization_id")),
        sa.Column("access_group_ids", _json(), nullable=False),
        _text("key_type", nullable=False),
        sa.Column("allowed_routes", _json(), nullable=False),
        sa.Column("tags", _json(), nullable=False),
        sa.Column("last_active", sa.Double),
        _refers("keys", "team_id", "teams"),
        _refers("keys", "user_id", "users"),
        _refers("keys", "project_id", "projects"),
        _refers("keys", "organization_id", "organizations"),
        sa.UniqueConstraint("account_id", name="uq_keys_account_id"),
        sa.UniqueConstraint("key_alias", name="uq_keys_key_alias"),
    )
    for column in ("user_id", "team_id", "project_id", "organization_id"):
        op.create_index(f"ix_keys_{column}", "keys", [column])
    op.create_index("ix_keys_created_at_key_hash", "keys", ["created_at", "key_hash"])
    op.create_table(
        "replaced_keys",
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        _text("account_id", nullable=False),
        sa.Column("valid_until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_replaced_keys"),
        comment="The former texts of regenerated keys, which open the same door for a while",
    )
    op.create_index("ix_replaced_keys_account_id", "replaced_keys", ["account_id"])


def _create_usage() -> None:
    _create_repeated(
        "usage_callers",
        sa.Column("key_hash", sa.LargeBinary),
        *map(_text, ("key_alias", "user_id", "team_id", "organization_id", "project_id")),
        comment="Who called, once for all calls; `digest` is of all that follows it",
    )
    for column in ("key_hash", "user_id", "team_id"):
        op.create_index(f"ix_usage_callers_{column}", "usage_callers", [column])
    served_by = ("model_group", "deployment_id", "provider", "upstream_model", "account", "region", "price_version")
    _create_repeated(
        "usage_roads",
        _text("call_type", nullable=False),
        *map(_text, served_by),
        _flag("simulated"),
        comment="What was asked of whom, once for all calls; `digest` is of all that follows it",
    )
    op.create_table(
        "usage",
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("caller_id", sa.Integer, nullable=False),
        sa.Column("road_id", sa.Integer, nullable=False),
        *map(_number, ("started_at", "ended_at")),
        sa.Column("ttft_ms", sa.Integer),
        sa.Column("queued_ms", sa.Integer),
        _text("model", nullable=False),
        *map(_number, ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")),
        sa.Column("cost_nano", sa.BigInteger),
        _text("status", nullable=False),
        sa.Column("http_status", sa.SmallInteger, nullable=False),
        _text("error_class"),
        *map(_flag, ("estimated", "streamed")),
        *map(_text, ("session_id", "agent", "agent_version", "agent_id", "parent_id", "end_user", "requester_ip")),
        sa.Column("tags", _json()),
        sa.Column("retries", sa.SmallInteger, nullable=False),
        sa.Column("fallbacks", sa.SmallInteger, nullable=False),
        sa.Column("overrun_nano", sa.BigInteger),
        sa.Column("attempts", _json()),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
        comment="Every call; what repeats is in `usage_callers` and `usage_roads`, which stay when rows are deleted",
    )
    op.create_index("ix_usage_started_at", "usage", ["started_at"])
    op.create_index("ix_usage_caller_id_started_at", "usage", ["caller_id", "started_at"])
    op.create_index("ix_usage_session_id", "usage", ["session_id"])


def _create_repeated(table: str, *columns: sa.Column[Any], comment: str) -> None:
    """What repeats in usage rows, under a number."""
    op.create_table(
        table,
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("digest", name=f"uq_{table}_digest"),
        comment=comment,
    )


def _create_money() -> None:
    op.create_table(
        "accounts",
        _text("account", nullable=False),
        _number("spent"),
        _number("leased"),
        sa.Column("wanted_at", sa.Double),
        sa.PrimaryKeyConstraint("account", name="pk_accounts"),
        comment="What is spent of every budget window, and what workers have set aside of it; nano-dollars, or calls",
    )
    was_wanted = sa.text("wanted_at IS NOT NULL")
    op.create_index(
        "ix_accounts_wanted_at", "accounts", ["wanted_at"], sqlite_where=was_wanted, postgresql_where=was_wanted
    )
    op.create_table(
        "budget_alerts",
        _text("account", nullable=False),
        *(_text(name, nullable=False) for name in ("kind", "object_id")),
        _text("alias"),
        *map(_number, ("soft_budget", "spent")),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("account", "soft_budget", name="pk_budget_alerts"),
        comment="The accounts that have passed their soft budget, each told once",
    )
    op.create_index("ix_budget_alerts_at", "budget_alerts", ["at"])
    op.create_table(
        "workers",
        _text("worker", nullable=False),
        _text("host", nullable=False),
        sa.Column("heartbeat", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_workers"),
        comment="The processes that hold leases",
    )
    op.create_table(
        "leases",
        _text("worker", nullable=False),
        _text("account", nullable=False),
        _number("amount"),
        sa.PrimaryKeyConstraint("worker", "account", name="pk_leases"),
    )
    op.create_table(
        "grants",
        _text("account", nullable=False),
        _text("worker", nullable=False),
        _number("stamp"),
        _number("amount"),
        sa.PrimaryKeyConstraint("account", "worker", "stamp", name="pk_grants"),
        comment="Requests and tokens granted to workers, by the second at whose end they count",
    )


def _create_daily() -> None:
    op.create_table(
        "daily",
        *_day_of(),
        sa.PrimaryKeyConstraint("digest", name="pk_daily"),
        comment="Usage rows added up by day (UTC, counted from the epoch); a call that its client left is no failure",
    )
    op.create_table(
        "daily_tags",
        *_day_of(),
        _text("tag", nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_daily_tags"),
        comment="The same for each tag; a call with two tags counts for both",
    )
    op.create_table(
        "daily_parts",
        *_day_of(),
        _text("tag", nullable=False),
        _text("part", nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_daily_parts"),
        comment="The roll-ups added up further, by fewer columns: what everybody did costs few rows to read",
    )
    op.create_index("ix_daily_parts_part_day", "daily_parts", ["part", "day"])
    for table, columns in {"daily": ("key_hash", "user_id", "team_id"), "daily_tags": ("tag", "key_hash")}.items():
        op.create_index(f"ix_{table}_day", table, ["day"])
        for column in columns:
            op.create_index(f"ix_{table}_{column}_day", table, [column, "day"])


def _day_of() -> list[sa.Column[Any]]:
    who = ("user_id", "team_id", "organization_id", "project_id", "end_user")
    what = ("model_group", "model", "provider", "upstream_model")
    tokens = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
    return [
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        *(_text(name, nullable=False) for name in (*who, *what)),
        *map(_number, (*tokens, "cost_nano", "requests", "successes", "failures")),
    ]


def _create_responses() -> None:
    op.create_table(
        "responses",
        _text("owner", nullable=False),
        _text("response_id", nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("owner", "response_id", name="pk_responses"),
        comment="Prompts and answers, of clients that asked for them to be kept, where that is switched on",
    )
    op.create_index("ix_responses_expires_at", "responses", ["expires_at"])


def _create_roads() -> None:
    op.create_table(
        "roads",
        _text("worker", nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_roads"),
        comment="What each process uses of upstreams' quotas and who waits there, told to the others",
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        _text("job", nullable=False),
        sa.Column("busy_until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_jobs"),
        comment="Work that one process at a time does, and until when it has the turn unless it says so again",
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        _number("at"),
        *(_text(name, nullable=False) for name in ("actor", "actor_role")),
        *map(_text, ("source_ip", "request")),
        *(_text(name, nullable=False) for name in ("action", "object_kind", "object_id")),
        *map(_text, ("before", "after")),
        *(sa.Column(name, sa.LargeBinary, nullable=False) for name in ("previous_hash", "hash")),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        comment="Every administrative change, each sealed with the hash of the one before; see audit_chain.py",
    )
    op.create_index("ix_audit_object_kind_object_id", "audit", ["object_kind", "object_id"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        _number("seq"),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
        comment="One row; the number of the last audit record and its hash, so that none can be cut off the end unseen",
    )


def _text(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _json() -> sa.JSON:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _refers(table: str, column: str, to: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}"
    return sa.ForeignKeyConstraint([column], [f"{to}.{column}"], name=name, ondelete=ondelete)


def _limits() -> list[sa.Column[Any]]:
    return [
        sa.Column("max_budget", sa.BigInteger),
        sa.Column("soft_budget", sa.BigInteger),
        _text("budget_duration"),
        _text("budget_timezone"),
        sa.Column("budget_reset_at", sa.Double),
        sa.Column("budget_started_at", sa.Double),
        _flag("budget_rollover"),
        sa.Column("budget_limits", _json(), nullable=False),
        sa.Column("rpm_limit", sa.BigInteger),
        sa.Column("tpm_limit", sa.BigInteger),
        sa.Column("tpd_limit", sa.BigInteger),
        sa.Column("max_parallel_requests", sa.BigInteger),
        sa.Column("model_limits", _json(), nullable=False),
    ]


def _budget() -> list[sa.Column[Any]]:
    return [
        *_limits(),
        sa.Column("models", _json(), nullable=False),
        _text("budget_id"),
        sa.Column("temp_budget_increase", sa.BigInteger),
        sa.Column("temp_budget_expiry", sa.Double),
        _flag("blocked"),
        sa.Column("expires", sa.Double),
    ]


def _authorship() -> list[sa.Column[Any]]:
    return [
        sa.Column("created_at", sa.Double, nullable=False),
        _text("created_by"),
        sa.Column("updated_at", sa.Double, nullable=False),
        _text("updated_by"),
    ]


def _administration() -> list[sa.Column[Any]]:
    return [
        sa.Column("metadata", _json(), nullable=False),
        sa.Column("extra", _json(), nullable=False),
        *_authorship(),
    ]
