"""Decisions on entries in quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "quarantine_decisions",
        sa.Column("list_id", sa.String(100), nullable=False),
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("choice", sa.String(16), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "entry_id", "step", name="pk_quarantine_decisions"),
    )


def downgrade() -> None:
    """Forget every decision: what was released is held again."""
    op.drop_table("quarantine_decisions")
