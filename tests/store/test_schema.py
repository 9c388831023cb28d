"""Times are moments, and what people typed has no column in clear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import LargeBinary
from sqlalchemy.dialects import postgresql, sqlite

from filterproxy.store.schema import UtcTime, metadata

TYPED = {
    "appeals.subject", "appeals.message", "appeals.contact", "appeals.reference", "appeals.answer", "appeal_moves.note",
    "overrides.entry", "overrides.reason", "overrides.reference", "quarantine_decisions.note",
}  # fmt: skip
OTHER_BYTES = {"appeals.secret_hash", "seal_checks.sealed"}


def test_what_people_typed_is_kept_in_bytes_only():
    """Every column that holds a person's words is one that seals, and no column tells of a client."""
    columns = {f"{table.name}.{column.name}": column for table in metadata.tables.values() for column in table.columns}
    assert {name for name, column in columns.items() if isinstance(column.type, LargeBinary)} == TYPED | OTHER_BYTES
    assert not [name for name in columns if any(word in name for word in ("client", "address", "agent", "host", "url"))]


@pytest.mark.parametrize("dialect", [sqlite, postgresql], ids=["sqlite", "postgresql"])
def test_a_moment_is_the_same_in_any_zone(dialect):
    """What goes in with one zone comes out in UTC as the same moment; nothing goes in without a zone."""
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    column = UtcTime()
    back = column.process_result_value(column.process_bind_param(there, dialect.dialect()), dialect.dialect())
    assert back == there
    assert back is not None
    assert back.tzinfo is UTC
    assert (
        column.process_bind_param(None, dialect.dialect())
        is column.process_result_value(None, dialect.dialect())
        is None
    )
    with pytest.raises(ValueError, match="zone"):
        column.process_bind_param(there.replace(tzinfo=None), dialect.dialect())
