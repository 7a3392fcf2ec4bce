"""The kinds of columns that tables are made of, for SQLite and PostgreSQL alike."""

import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB


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


def text(name: str) -> sa.Column[str]:
    """A column of text that may be null."""
    return sa.Column(name, sa.Text)


def required(name: str, kind: type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    """A column that must have a value."""
    return sa.Column(name, kind, nullable=False)


def limit_columns() -> list[sa.Column[Any]]:
    """The columns of `records.Limits`."""
    return [
        sa.Column("max_budget", sa.BigInteger),
        sa.Column("soft_budget", sa.BigInteger),
        text("budget_duration"),
        text("budget_timezone"),
        sa.Column("budget_reset_at", sa.Double),
        sa.Column("budget_started_at", sa.Double),
        required("budget_rollover", sa.Boolean),
        required("budget_limits", Json),
        sa.Column("rpm_limit", sa.BigInteger),
        sa.Column("tpm_limit", sa.BigInteger),
        sa.Column("tpd_limit", sa.BigInteger),
        sa.Column("max_parallel_requests", sa.BigInteger),
        required("model_limits", Json),
    ]


def budget_columns() -> list[sa.Column[Any]]:
    """The columns of `records.Budgeted`."""
    return [
        *limit_columns(),
        required("models", Json),
        sa.Column("budget_id", sa.ForeignKey("budgets.budget_id"), index=True),
        sa.Column("temp_budget_increase", sa.BigInteger),
        sa.Column("temp_budget_expiry", sa.Double),
        required("blocked", sa.Boolean),
        sa.Column("expires", sa.Double),
    ]


def authorship_columns() -> list[sa.Column[Any]]:
    """Who made and changed it."""
    return [
        required("created_at", sa.Double),
        text("created_by"),
        required("updated_at", sa.Double),
        text("updated_by"),
    ]


def administration_columns() -> list[sa.Column[Any]]:
    """The columns of what an administrator made."""
    return [required("metadata", Json), required("extra", Json), *authorship_columns()]
