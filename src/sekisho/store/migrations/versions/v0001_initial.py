"""The first schema: keys, users, teams, members, usage, change counter, kept responses."""

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
    op.create_table(
        "changes",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
        comment="One row; its counter goes up with every administrative change, so that other processes notice",
    )
    _create_hierarchy()
    _create_keys()
    _create_usage()
    _create_responses()


def downgrade() -> None:
    """Drop every table."""
    for table in ("responses", "usage", "keys", "team_members", "teams", "users", "changes"):
        op.drop_table(table)


def _create_hierarchy() -> None:
    op.create_table(
        "users",
        _text("user_id", nullable=False),
        _text("user_email"),
        _text("user_alias"),
        _text("user_role", nullable=False),
        _flag("blocked"),
        *_budget(),
        *_administration(),
        sa.PrimaryKeyConstraint("user_id", name="pk_users"),
        sa.UniqueConstraint("user_email", name="uq_users_user_email"),
    )
    op.create_table(
        "teams",
        _text("team_id", nullable=False),
        _text("team_alias"),
        _flag("blocked"),
        *_budget(),
        *_administration(),
        sa.PrimaryKeyConstraint("team_id", name="pk_teams"),
    )
    op.create_table(
        "team_members",
        _text("team_id", nullable=False),
        _text("user_id", nullable=False),
        _text("role", nullable=False),
        *_budget(),
        sa.ForeignKeyConstraint(["team_id"], ["teams.team_id"], name="fk_team_members_team_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="fk_team_members_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("team_id", "user_id", name="pk_team_members"),
    )
    for table in ("users", "teams", "team_members"):
        op.create_index(f"ix_{table}_budget_reset_at", table, ["budget_reset_at"])
    op.create_index("ix_team_members_user_id", "team_members", ["user_id"])


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        _text("key_name", nullable=False),
        _text("key_alias"),
        _text("user_id"),
        _text("team_id"),
        sa.Column("expires", sa.Double),
        _flag("blocked"),
        _text("key_type", nullable=False),
        sa.Column("allowed_routes", _json(), nullable=False),
        sa.Column("tags", _json(), nullable=False),
        sa.Column("last_active", sa.Double),
        *_budget(),
        *_administration(),
        sa.ForeignKeyConstraint(["team_id"], ["teams.team_id"], name="fk_keys_team_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="fk_keys_user_id"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_keys"),
        sa.UniqueConstraint("key_alias", name="uq_keys_key_alias"),
    )
    for column in ("budget_reset_at", "user_id", "team_id"):
        op.create_index(f"ix_keys_{column}", "keys", [column])


def _create_usage() -> None:
    op.create_table(
        "usage",
        sa.Column("id", sa.LargeBinary, nullable=False),
        _text("call_type", nullable=False),
        _number("started_at"),
        _number("ended_at"),
        sa.Column("ttft_ms", sa.Integer),
        sa.Column("key_hash", sa.LargeBinary),
        *map(_text, ("key_alias", "user_id", "team_id")),
        _text("model", nullable=False),
        *map(_text, ("model_group", "deployment_id", "provider", "upstream_model", "account", "region")),
        *map(_number, ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")),
        sa.Column("cost_nano", sa.BigInteger),
        _text("price_version"),
        _text("status", nullable=False),
        sa.Column("http_status", sa.SmallInteger, nullable=False),
        _text("error_class"),
        *map(_flag, ("estimated", "simulated", "streamed")),
        *map(_text, ("session_id", "agent", "agent_version", "agent_id", "parent_id", "end_user", "requester_ip")),
        sa.Column("tags", _json()),
        sa.Column("retries", sa.SmallInteger, nullable=False),
        sa.Column("fallbacks", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
    )
    for columns in (["key_hash"], ["user_id"], ["team_id"], []):
        by_time = [*columns, "started_at"]
        op.create_index(f"ix_usage_{'_'.join(by_time)}", "usage", by_time)
    op.create_index("ix_usage_session_id", "usage", ["session_id"])


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


def _text(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _json() -> sa.JSON:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _budget() -> list[sa.Column[Any]]:
    return [
        sa.Column("models", _json(), nullable=False),
        sa.Column("max_budget", sa.BigInteger),
        sa.Column("soft_budget", sa.BigInteger),
        _text("budget_duration"),
        sa.Column("budget_reset_at", sa.Double),
        _number("spend"),
        _number("total_spend"),
        sa.Column("rpm_limit", sa.BigInteger),
        sa.Column("tpm_limit", sa.BigInteger),
        sa.Column("max_parallel_requests", sa.BigInteger),
    ]


def _administration() -> list[sa.Column[Any]]:
    return [
        sa.Column("metadata", _json(), nullable=False),
        sa.Column("extra", _json(), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        _text("created_by"),
        sa.Column("updated_at", sa.Double, nullable=False),
        _text("updated_by"),
    ]
