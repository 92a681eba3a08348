"""Rows of the queue are found by the number of their exposure."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_ops_auto_queue_expnum", "ops_auto_queue", ["expnum"])
