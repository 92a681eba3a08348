"""Run classes, omitted inputs; who, when and why of tags, exclusions and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_RUN_CLASS = "Purpose: survey (production), study, qualify or dev; only survey attempts are production"


def upgrade() -> None:
    # Written out: neither engine's ALTER TABLE takes a named CHECK of a new column from alembic on SQLite.
    op.execute(
        "ALTER TABLE pfw_attempt ADD COLUMN run_class VARCHAR(12) DEFAULT 'survey' NOT NULL "
        "CONSTRAINT ck_pfw_attempt_run_class CHECK (run_class IN ('dev', 'qualify', 'study', 'survey'))"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"COMMENT ON COLUMN pfw_attempt.run_class IS '{_RUN_CLASS}'")
    text = "Data state before its files were deleted, which recovery restores"
    op.add_column("pfw_attempt", sa.Column("pruned_from", sa.String(length=12), nullable=True, comment=text))

    text = "What it concerns: exposure, run, file, tag, release, account …"
    op.add_column("event", sa.Column("subject", sa.String(length=200), nullable=True, comment=text))
    text = "Why, in the words of who did it"
    op.add_column("event", sa.Column("reason", sa.Text(), nullable=True, comment=text))
    op.create_index("ix_event_subject", "event", ["subject"], unique=False)

    text = "Who lifted the exclusion; NULL: it is in force"
    op.add_column("exclude_list", sa.Column("lifted_by", sa.String(length=32), nullable=True, comment=text))
    text = "When it was lifted, UTC"
    op.add_column("exclude_list", sa.Column("lifted_at", sa.DateTime(), nullable=True, comment=text))
    op.add_column(
        "exclude_list", sa.Column("lift_reason", sa.Text(), nullable=True, comment="Why it was lifted")
    )

    for table in ("proctag", "file_tag"):
        op.add_column(table, sa.Column("who", sa.String(length=32), nullable=True, comment="Who set the tag"))
        op.add_column(table, sa.Column("since", sa.DateTime(), nullable=True, comment="When, UTC"))
        op.add_column(table, sa.Column("reason", sa.Text(), nullable=True, comment="Why"))

    op.create_table(
        "pfw_omitted_input",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File that it did not take"),
        sa.Column(
            "ccdnum",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="CCD that was left out of a file of several; 0: the whole file",
        ),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="Why: excluded, rejected, not assessed, or another image of the exposure is better",
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_pfw_omitted_input_desfile_id")),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_omitted_input_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", "desfile_id", "ccdnum", name=op.f("pk_pfw_omitted_input")),
        comment="Images that match an attempt's queries and that planning left out, each with the reason",
    )
