"""The tables. What a person typed is in LargeBinary columns only, sealed (sealing.py); every time is UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so the column holds UTC and the value always says so."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment as the database keeps it. Raises ValueError where it has no time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


appeals: Final = Table(
    "appeals",
    metadata,
    Column("receipt", String(12), primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("list_id", String(100)),
    Column("subject", LargeBinary, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("contact", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("decided_at", UtcTime),
    Column("answer", LargeBinary),
    Index(None, "state", "created_at"),
)

appeal_moves: Final = Table(
    "appeal_moves",
    metadata,
    Column("receipt", String(12), ForeignKey("appeals.receipt"), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("note", LargeBinary, nullable=False),
)

overrides: Final = Table(
    "overrides",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("list_id", String(100), nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("reason", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("needed", Integer, nullable=False),
    Column("receipt", String(12), ForeignKey("appeals.receipt")),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Column("revoked_at", UtcTime),
    Column("revoked_by", String(200), nullable=False),
)

override_approvals: Final = Table(
    "override_approvals",
    metadata,
    Column("override_id", String(32), ForeignKey("overrides.id"), primary_key=True),
    Column("person", String(200), primary_key=True),  # the name as core.appeals.person() compares it
    Column("by", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
)

quarantine_decisions: Final = Table(
    "quarantine_decisions",
    metadata,
    Column("list_id", String(100), primary_key=True),
    Column("entry_id", String(64), primary_key=True),  # a keyed digest, which says nothing of the entry
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("choice", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("note", LargeBinary, nullable=False),
)

totals: Final = Table(
    "totals",
    metadata,
    Column("day", Date, primary_key=True),
    Column("list_id", String(100), primary_key=True),
    Column("frontend", String(16), primary_key=True),
    Column("action", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

total_batches: Final = Table(
    "total_batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False, index=True),
)

seal_checks: Final = Table(
    "seal_checks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)
