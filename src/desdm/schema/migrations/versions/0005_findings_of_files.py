"""What in a delivered file could not be interpreted; the digest of a raw frame's pixels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file_finding",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the finding"),
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column(
            "severity",
            sa.String(length=12),
            nullable=False,
            comment="note, warning (something was assumed) or error (not used until a person decides)",
        ),
        sa.Column(
            "keyword",
            sa.String(length=160),
            nullable=False,
            comment="Keyword that it is about; empty: the file as a whole",
        ),
        sa.Column("value", sa.Text(), nullable=False, comment="Value of the keyword as it stands"),
        sa.Column("text", sa.Text(), nullable=False, comment="What is wrong"),
        sa.Column("assumed", sa.Text(), nullable=False, comment="What was assumed, or what follows"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_file_finding_desfile_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_finding")),
        comment="What in a delivered file could not be interpreted, or only by an assumption",
    )
    op.create_index("ix_file_finding_desfile_id", "file_finding", ["desfile_id"], unique=False)
    op.add_column(
        "image",
        sa.Column(
            "data_digest",
            sa.String(length=64),
            nullable=True,
            comment="Digest of the pixels of a raw frame, whatever its header and name",
        ),
    )
    op.create_index("ix_image_data_digest", "image", ["data_digest"], unique=False)
