"""Appeals, overrides, totals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _appeals()
    _overrides()
    _totals()
    op.create_table(
        "seal_checks",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_seal_checks"),
    )


def _appeals() -> None:
    op.create_table(
        "appeals",
        sa.Column("receipt", sa.String(12), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("list_id", sa.String(100)),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("contact", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("decided_at", _TIME),
        sa.Column("answer", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("receipt", name="pk_appeals"),
    )
    op.create_index("ix_appeals_state_created_at", "appeals", ["state", "created_at"])
    op.create_table(
        "appeal_moves",
        sa.Column("receipt", sa.String(12), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("from_state", sa.String(16), nullable=False),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["receipt"], ["appeals.receipt"], name="fk_appeal_moves_receipt"),
        sa.PrimaryKeyConstraint("receipt", "step", name="pk_appeal_moves"),
    )


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("list_id", sa.String(100), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("receipt", sa.String(12)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.Column("revoked_by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["receipt"], ["appeals.receipt"], name="fk_overrides_receipt"),
        sa.PrimaryKeyConstraint("id", name="pk_overrides"),
    )
    op.create_index("ix_overrides_expires_at", "overrides", ["expires_at"])
    op.create_table(
        "override_approvals",
        sa.Column("override_id", sa.String(32), nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["override_id"], ["overrides.id"], name="fk_override_approvals_override_id"),
        sa.PrimaryKeyConstraint("override_id", "person", name="pk_override_approvals"),
    )


def _totals() -> None:
    op.create_table(
        "totals",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("list_id", sa.String(100), nullable=False),
        sa.Column("frontend", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "list_id", "frontend", "action", name="pk_totals"),
    )
    op.create_table(
        "total_batches",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_total_batches"),
    )
    op.create_index("ix_total_batches_at", "total_batches", ["at"])


def downgrade() -> None:
    """Drop every table: nothing is older than this."""
    for table in (
        "seal_checks", "total_batches", "totals", "override_approvals", "overrides", "appeal_moves", "appeals",
    ):  # fmt: skip
        op.drop_table(table)
