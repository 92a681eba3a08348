"""The whole configuration of an attempt, and digests of the software that ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pfw_attempt_config",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("settings", sa.Text(), nullable=False, comment="Its settings with their sections, as JSON"),
        sa.Column(
            "modules", sa.Text(), nullable=False, comment="Settings of each module as they held, as JSON"
        ),
        sa.Column(
            "software",
            sa.Text(),
            nullable=False,
            comment="The system's own software at submission: name, version, digest, as JSON",
        ),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_attempt_config_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", name=op.f("pk_pfw_attempt_config")),
        comment="The configuration that an attempt ran with, whole",
    )
    op.add_column(
        "pfw_exec",
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=True,
            comment="sha-256 of the code's files, or of the program's",
        ),
    )
