"""Files that an audit found damaged, and files that were made from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file_suspect",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File that is suspect"),
        sa.Column(
            "cause_desfile_id",
            sa.Integer(),
            nullable=False,
            comment="Damaged file that it was made from, or itself",
        ),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Person or program that marked it"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.ForeignKeyConstraint(
            ["cause_desfile_id"], ["desfile.id"], name=op.f("fk_file_suspect_cause_desfile_id")
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_file_suspect_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", "cause_desfile_id", name=op.f("pk_file_suspect")),
        comment="Files that an audit found damaged, and files that were made from them; not to be released",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_file_suspect_cause", "file_suspect", ["cause_desfile_id"], unique=False)
