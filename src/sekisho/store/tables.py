"""Every table, for SQLite and PostgreSQL alike. The migrations must lead to exactly this."""

import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class HexBytes(sa.types.TypeDecorator[str]):
    """Hexadecimal text outside, half as many bytes inside."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        """From the database."""
        return None if value is None else value.hex()


class UuidBytes(sa.types.TypeDecorator[str]):
    """A UUID's 36-character form outside, its 16 bytes inside."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else bytes.fromhex(value.replace("-", ""))

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        """From the database."""
        return None if value is None else str(uuid.UUID(bytes=value))


Json: Final = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text)


def _required(name: str, kind: type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _budget() -> list[sa.Column[Any]]:
    """The columns of `records.Budgeted`."""
    return [
        _required("models", Json),
        sa.Column("max_budget", sa.BigInteger),
        sa.Column("soft_budget", sa.BigInteger),
        sa.Column("budget_duration", sa.Text),
        sa.Column("budget_reset_at", sa.Double, index=True),
        _required("spend", sa.BigInteger),
        _required("total_spend", sa.BigInteger),
        sa.Column("rpm_limit", sa.BigInteger),
        sa.Column("tpm_limit", sa.BigInteger),
        sa.Column("max_parallel_requests", sa.BigInteger),
    ]


def _administration() -> list[sa.Column[Any]]:
    """The columns of what an administrator made."""
    return [
        _required("metadata", Json),
        _required("extra", Json),
        _required("created_at", sa.Double),
        sa.Column("created_by", sa.Text),
        _required("updated_at", sa.Double),
        sa.Column("updated_by", sa.Text),
    ]


users: Final = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("user_email", sa.Text, unique=True),
    _text("user_alias"),
    _required("user_role", sa.Text),
    _required("blocked", sa.Boolean),
    *_budget(),
    *_administration(),
)

teams: Final = sa.Table(
    "teams",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    _text("team_alias"),
    _required("blocked", sa.Boolean),
    *_budget(),
    *_administration(),
)

team_members: Final = sa.Table(
    "team_members",
    metadata,
    sa.Column("team_id", sa.ForeignKey("teams.team_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True, index=True),
    _required("role", sa.Text),
    *_budget(),
)

keys: Final = sa.Table(
    "keys",
    metadata,
    sa.Column("key_hash", HexBytes, primary_key=True),
    _required("key_name", sa.Text),
    sa.Column("key_alias", sa.Text, unique=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id"), index=True),
    sa.Column("team_id", sa.ForeignKey("teams.team_id"), index=True),
    sa.Column("expires", sa.Double),
    _required("blocked", sa.Boolean),
    _required("key_type", sa.Text),
    _required("allowed_routes", Json),
    _required("tags", Json),
    sa.Column("last_active", sa.Double),
    *_budget(),
    *_administration(),
)

usage: Final = sa.Table(
    "usage",
    metadata,
    sa.Column("id", UuidBytes, primary_key=True),
    _required("call_type", sa.Text),
    _required("started_at", sa.BigInteger),
    _required("ended_at", sa.BigInteger),
    sa.Column("ttft_ms", sa.Integer),
    sa.Column("key_hash", HexBytes),
    _text("key_alias"),
    _text("user_id"),
    _text("team_id"),
    _required("model", sa.Text),
    _text("model_group"),
    _text("deployment_id"),
    _text("provider"),
    _text("upstream_model"),
    _text("account"),
    _text("region"),
    *(
        _required(kind, sa.BigInteger)
        for kind in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
    ),
    sa.Column("cost_nano", sa.BigInteger),
    _text("price_version"),
    _required("status", sa.Text),
    _required("http_status", sa.SmallInteger),
    _text("error_class"),
    _required("estimated", sa.Boolean),
    _required("simulated", sa.Boolean),
    _required("streamed", sa.Boolean),
    _text("session_id"),
    _text("agent"),
    _text("agent_version"),
    _text("agent_id"),
    _text("parent_id"),
    _text("end_user"),
    _text("requester_ip"),
    sa.Column("tags", Json),
    _required("retries", sa.SmallInteger),
    _required("fallbacks", sa.SmallInteger),
    sa.Index(None, "started_at"),
    sa.Index(None, "key_hash", "started_at"),
    sa.Index(None, "user_id", "started_at"),
    sa.Index(None, "team_id", "started_at"),
    sa.Index(None, "session_id"),
)

responses: Final = sa.Table(
    "responses",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("response_id", sa.Text, primary_key=True),
    _required("body", sa.LargeBinary),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
    comment="Prompts and answers, of clients that asked for them to be kept, where that is switched on",
)

changes: Final = sa.Table(
    "changes",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    _required("counter", sa.BigInteger),
    comment="One row; its counter goes up with every administrative change, so that other processes notice",
)
