"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desdm.schema.triggers import statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "coaddtile_geom",
        sa.Column("tilename", sa.String(length=24), nullable=False, comment="Tile"),
        sa.Column("ra_cent", sa.Float(), nullable=False, comment="Right ascension of the centre, ICRS"),
        sa.Column("dec_cent", sa.Float(), nullable=False, comment="Declination of the centre, ICRS"),
        sa.Column("naxis1", sa.Integer(), nullable=False, comment="Columns"),
        sa.Column("naxis2", sa.Integer(), nullable=False, comment="Rows"),
        sa.Column("pixelscale", sa.Float(), nullable=False, comment="Pixel scale"),
        sa.PrimaryKeyConstraint("tilename", name=op.f("pk_coaddtile_geom")),
        comment="Geometry of coadd tiles: gnomonic projection about the centre",
    )
    op.create_table(
        "ops_archive",
        sa.Column("name", sa.String(length=16), nullable=False, comment="Archive"),
        sa.Column("root", sa.String(length=240), nullable=False, comment="Its root directory"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ops_archive")),
        comment="Archives: places that hold copies of files",
    )
    op.create_table(
        "ops_data_state_def",
        sa.Column("state", sa.String(length=12), nullable=False, comment="Data state"),
        sa.Column("description", sa.Text(), nullable=False, comment="What it means"),
        sa.PrimaryKeyConstraint("state", name=op.f("pk_ops_data_state_def")),
        comment="Data states of attempts, with their meaning",
    )
    op.create_table(
        "ops_filetype",
        sa.Column("filetype", sa.String(length=24), nullable=False, comment="File type"),
        sa.Column("metadata_table", sa.String(length=24), nullable=False, comment="Table of its metadata"),
        sa.Column("description", sa.Text(), nullable=False, comment="What such a file is"),
        sa.PrimaryKeyConstraint("filetype", name=op.f("pk_ops_filetype")),
        comment="File types known to this installation, from archive/filetypes",
    )
    op.create_table(
        "ops_message_filter",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the filter"),
        sa.Column("replace_pattern", sa.Text(), nullable=False, comment="Text to replace"),
        sa.Column("with_pattern", sa.Text(), nullable=False, comment="What to put there"),
        sa.Column("execname", sa.String(length=64), nullable=False, comment="Program it is for, or global"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="Whether it is in use"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ops_message_filter")),
        comment="Replacements made in a message's text",
    )
    op.create_table(
        "ops_message_ignore",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the ignore"),
        sa.Column("pattern", sa.Text(), nullable=False, comment="Regular expression of lines to pass over"),
        sa.Column("execname", sa.String(length=64), nullable=False, comment="Program it is for, or global"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="Whether it is in use"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ops_message_ignore")),
        comment="Lines that the quality controls pass over",
    )
    op.create_table(
        "ops_message_pattern",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the pattern"),
        sa.Column("name", sa.String(length=80), nullable=False, comment="Its name, unique"),
        sa.Column("pattern", sa.Text(), nullable=False, comment="Regular expression, matched on each line"),
        sa.Column(
            "lvl", sa.Integer(), nullable=False, comment="Level of the message: 1 error, 2 warning, 3 info"
        ),
        sa.Column("priority", sa.Integer(), nullable=False, comment="Order of trial; the least wins"),
        sa.Column("execname", sa.String(length=64), nullable=False, comment="Program it is for, or global"),
        sa.Column("used", sa.Boolean(), nullable=False, comment="Whether it is in use"),
        sa.Column(
            "only_matched", sa.Boolean(), nullable=False, comment="Store only the matched part of the line"
        ),
        sa.Column(
            "number_of_lines", sa.Integer(), nullable=False, comment="Lines to capture from the match on"
        ),
        sa.Column(
            "action", sa.String(length=12), nullable=False, comment="What a match does: none, flag or stop"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ops_message_pattern")),
        sa.UniqueConstraint("name", name=op.f("uq_ops_message_pattern_name")),
        comment="Patterns that the quality controls look for in every log line",
    )
    op.create_table(
        "ops_proctag_def",
        sa.Column("tag", sa.String(length=32), nullable=False, comment="Tag"),
        sa.Column("description", sa.Text(), nullable=False, comment="What it stands for"),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_ops_proctag_def")),
        comment="Tags and what they stand for",
    )
    op.create_table(
        "ops_state_change",
        sa.Column("kind", sa.String(length=12), nullable=False, comment="attempt or job"),
        sa.Column("from_state", sa.String(length=12), nullable=False, comment="State before"),
        sa.Column("to_state", sa.String(length=12), nullable=False, comment="State after"),
        sa.PrimaryKeyConstraint("kind", "from_state", "to_state", name=op.f("pk_ops_state_change")),
        comment="Lawful changes of state; triggers refuse every other",
    )
    op.create_table(
        "pfw_request",
        sa.Column("reqnum", sa.Integer(), nullable=False, comment="Request number"),
        sa.Column(
            "project",
            sa.String(length=16),
            nullable=False,
            comment="Project: OPS for production, ACT and TEST for trials",
        ),
        sa.Column("campaign", sa.String(length=32), nullable=False, comment="Campaign, for instance Y6A1"),
        sa.Column("pipeline", sa.String(length=32), nullable=False, comment="Name of the pipeline"),
        sa.Column("jira_id", sa.String(length=32), nullable=True, comment="Ticket that asks for it"),
        sa.PrimaryKeyConstraint("reqnum", name=op.f("pk_pfw_request")),
        sa.UniqueConstraint(
            "project",
            "campaign",
            "pipeline",
            "jira_id",
            name=op.f("uq_pfw_request_project_campaign_pipeline_jira_id"),
        ),
        comment="A request: why data of one campaign are processed by one pipeline",
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the task"),
        sa.Column(
            "name",
            sa.String(length=64),
            nullable=False,
            comment="What it is: run, block, job, wrapper or exec by its name",
        ),
        sa.Column(
            "info_table",
            sa.String(length=24),
            nullable=False,
            comment="Table that holds the rest of it, for instance pfw_wrapper",
        ),
        sa.Column("parent_task_id", sa.Integer(), nullable=True, comment="Task that holds this one"),
        sa.Column("root_task_id", sa.Integer(), nullable=True, comment="Task of the whole run"),
        sa.Column(
            "label", sa.String(length=64), nullable=True, comment="Further name, for instance its loop values"
        ),
        sa.Column("start_time", sa.DateTime(), nullable=True, comment="Begin, UTC"),
        sa.Column("end_time", sa.DateTime(), nullable=True, comment="End, UTC"),
        sa.Column("status", sa.Integer(), nullable=True, comment="Exit status; NULL while it runs"),
        sa.Column("exec_host", sa.String(length=64), nullable=True, comment="Machine that ran it"),
        sa.ForeignKeyConstraint(["parent_task_id"], ["task.id"], name=op.f("fk_task_parent_task_id")),
        sa.ForeignKeyConstraint(["root_task_id"], ["task.id"], name=op.f("fk_task_root_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        comment="One tree of tasks for each attempt: run, blocks, jobs, wrappers, execs",
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index("ix_task_root_task_id", ["root_task_id"], unique=False)

    op.create_table(
        "pfw_unit",
        sa.Column("reqnum", sa.Integer(), nullable=False, comment="Request number"),
        sa.Column(
            "unitname",
            sa.String(length=48),
            nullable=False,
            comment="Unit: exposure D00229686, nite 20160101 or tile DES2157-5248",
        ),
        sa.ForeignKeyConstraint(["reqnum"], ["pfw_request.reqnum"], name=op.f("fk_pfw_unit_reqnum")),
        sa.PrimaryKeyConstraint("reqnum", "unitname", name=op.f("pk_pfw_unit")),
        comment="A unit of work of a request",
    )
    op.create_table(
        "pfw_attempt",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the attempt"),
        sa.Column("reqnum", sa.Integer(), nullable=False, comment="Request number"),
        sa.Column("unitname", sa.String(length=48), nullable=False, comment="Unit"),
        sa.Column("attnum", sa.Integer(), nullable=False, comment="Attempt number within the unit, from 1"),
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task of the whole run"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="Processing state"),
        sa.Column("data_state", sa.String(length=12), nullable=False, comment="What its data are worth"),
        sa.Column("operator", sa.String(length=32), nullable=False, comment="Who submitted it"),
        sa.Column("pipeprod", sa.String(length=32), nullable=False, comment="Pipeline product"),
        sa.Column("pipever", sa.String(length=16), nullable=False, comment="Pipeline version"),
        sa.Column("submittime", sa.DateTime(), nullable=False, comment="Submission, UTC"),
        sa.Column("endtime", sa.DateTime(), nullable=True, comment="End, UTC"),
        sa.Column("numexpblk", sa.Integer(), nullable=False, comment="Blocks expected"),
        sa.Column("numexpjobs", sa.Integer(), nullable=False, comment="Jobs expected"),
        sa.Column("numexpwrap", sa.Integer(), nullable=False, comment="Wrappers expected"),
        sa.Column(
            "archive_path",
            sa.String(length=160),
            nullable=False,
            comment="Its directory, relative to the archive's root",
        ),
        sa.Column(
            "fingerprint",
            sa.String(length=64),
            nullable=False,
            comment="sha-256 of pipeline, settings and inputs: equal for equal work",
        ),
        sa.Column("token", sa.String(length=32), nullable=True, comment="Token of the submitter that has it"),
        sa.Column("submitter_host", sa.String(length=64), nullable=True, comment="Machine of the submitter"),
        sa.Column("submitter_pid", sa.Integer(), nullable=True, comment="Process of the submitter"),
        sa.Column(
            "submitter_start",
            sa.BigInteger(),
            nullable=True,
            comment="Start time of that process, clock ticks since boot",
        ),
        sa.Column(
            "heartbeat", sa.DateTime(), nullable=True, comment="Last sign of life of the submitter, UTC"
        ),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False, comment="An operator wants it to end"),
        sa.Column("comment", sa.Text(), nullable=True, comment="Why it ended as it did"),
        sa.CheckConstraint(
            "data_state IN ('NEW', 'ACTIVE', 'JUNK', 'PRUNED')", name=op.f("ck_pfw_attempt_data_state")
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'running', 'done', 'flagged', 'failed', 'cancelled', 'interrupted')",
            name=op.f("ck_pfw_attempt_state"),
        ),
        sa.ForeignKeyConstraint(
            ["data_state"], ["ops_data_state_def.state"], name=op.f("fk_pfw_attempt_data_state")
        ),
        sa.ForeignKeyConstraint(
            ["reqnum", "unitname"],
            ["pfw_unit.reqnum", "pfw_unit.unitname"],
            name=op.f("fk_pfw_attempt_reqnum_unitname"),
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_pfw_attempt_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pfw_attempt")),
        sa.UniqueConstraint(
            "reqnum", "unitname", "attnum", name=op.f("uq_pfw_attempt_reqnum_unitname_attnum")
        ),
        comment="One attempt at a unit: <unit>_r<req>p<att>",
    )
    with op.batch_alter_table("pfw_attempt", schema=None) as batch_op:
        batch_op.create_index("ix_pfw_attempt_state", ["state"], unique=False)

    op.create_table(
        "desfile",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the file"),
        sa.Column(
            "filename",
            sa.String(length=160),
            nullable=False,
            comment="Name without compression suffix, unique with it",
        ),
        sa.Column(
            "compression",
            sa.String(length=5),
            nullable=False,
            comment="Compression suffix: empty, .fz or .gz",
        ),
        sa.Column("filetype", sa.String(length=24), nullable=False, comment="File type"),
        sa.Column("filesize", sa.BigInteger(), nullable=False, comment="Size"),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="sha-256 of the bytes, hexadecimal"
        ),
        sa.Column(
            "md5sum",
            sa.String(length=32),
            nullable=False,
            comment="md5 of the bytes, hexadecimal, for the field's tools",
        ),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Attempt that made it"),
        sa.ForeignKeyConstraint(["filetype"], ["ops_filetype.filetype"], name=op.f("fk_desfile_filetype")),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_desfile_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desfile")),
        sa.UniqueConstraint("filename", "compression", name=op.f("uq_desfile_filename_compression")),
        comment="Every file ever registered: its identity, size and digests",
    )
    with op.batch_alter_table("desfile", schema=None) as batch_op:
        batch_op.create_index("ix_desfile_filetype", ["filetype"], unique=False)
        batch_op.create_index("ix_desfile_pfw_attempt_id", ["pfw_attempt_id"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the event, in order"),
        sa.Column("event_time", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column(
            "kind",
            sa.String(length=24),
            nullable=False,
            comment="What happened: attempt, job, ingest, delete, tag, audit …",
        ),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Person or program"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Attempt that it concerns"),
        sa.Column("text", sa.Text(), nullable=False, comment="What was done, in words"),
        sa.ForeignKeyConstraint(["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_event_pfw_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        comment="What happened, in order; only ever added to",
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_attempt", ["pfw_attempt_id"], unique=False)

    op.create_table(
        "pfw_attempt_label",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("label", sa.String(length=30), nullable=False, comment="Label"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_attempt_label_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", "label", name=op.f("pk_pfw_attempt_label")),
        comment="Labels that operators give to attempts",
    )
    op.create_table(
        "pfw_attempt_val",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("key", sa.String(length=64), nullable=False, comment="Setting"),
        sa.Column("val", sa.Text(), nullable=False, comment="Its value"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_attempt_val_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", "key", name=op.f("pk_pfw_attempt_val")),
        comment="Settings of an attempt (save_run_vals)",
    )
    op.create_table(
        "pfw_block",
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task of the block"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("blknum", sa.Integer(), nullable=False, comment="Number within the attempt, from 1"),
        sa.Column("name", sa.String(length=32), nullable=False, comment="Name of the block"),
        sa.Column(
            "modulelist", sa.Text(), nullable=False, comment="Its modules in running order, comma separated"
        ),
        sa.Column("numexpjobs", sa.Integer(), nullable=False, comment="Jobs expected"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_block_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_pfw_block_task_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_pfw_block")),
        sa.UniqueConstraint("pfw_attempt_id", "blknum", name=op.f("uq_pfw_block_pfw_attempt_id_blknum")),
        comment="A block of an attempt; blocks run in series",
    )
    op.create_table(
        "pfw_data_query",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("modname", sa.String(length=48), nullable=False, comment="Module"),
        sa.Column("dataname", sa.String(length=48), nullable=False, comment="Name of the file set"),
        sa.Column("query", sa.Text(), nullable=False, comment="The query as it was asked"),
        sa.Column("nfound", sa.Integer(), nullable=False, comment="Files found"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_data_query_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", "modname", "dataname", name=op.f("pk_pfw_data_query")),
        comment="Queries for inputs that planning asked",
    )
    op.create_table(
        "proctag",
        sa.Column("tag", sa.String(length=32), nullable=False, comment="Tag"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_proctag_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(["tag"], ["ops_proctag_def.tag"], name=op.f("fk_proctag_tag")),
        sa.PrimaryKeyConstraint("tag", "pfw_attempt_id", name=op.f("pk_proctag")),
        comment="Tagged attempts",
    )
    op.create_table(
        "qa_metric",
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Wrapper that measured it"),
        sa.Column("name", sa.String(length=48), nullable=False, comment="Name of the number"),
        sa.Column("band", sa.String(length=8), nullable=False, comment="Band, or empty"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("wrapkeys", sa.String(length=96), nullable=False, comment="Loop values of the wrapper"),
        sa.Column("value", sa.Float(), nullable=False, comment="The number"),
        sa.Column("unit", sa.String(length=24), nullable=False, comment="Its unit"),
        sa.Column("text", sa.Text(), nullable=False, comment="What it is of"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_qa_metric_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_qa_metric_task_id")),
        sa.PrimaryKeyConstraint("task_id", "name", "band", name=op.f("pk_qa_metric")),
        comment="QA numbers that wrappers measured",
    )
    with op.batch_alter_table("qa_metric", schema=None) as batch_op:
        batch_op.create_index("ix_qa_metric_attempt", ["pfw_attempt_id", "name"], unique=False)

    op.create_table(
        "task_message",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the message"),
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task whose log it stands in"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("message_time", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("message_lvl", sa.Integer(), nullable=False, comment="Level: 1 error, 2 warning, 3 info"),
        sa.Column(
            "pattern", sa.String(length=80), nullable=False, comment="Name of the pattern that found it"
        ),
        sa.Column("action", sa.String(length=12), nullable=False, comment="What it did: none, flag or stop"),
        sa.Column("message", sa.String(length=4000), nullable=False, comment="Text, at most 4000 characters"),
        sa.Column("log_file", sa.String(length=160), nullable=False, comment="Log file"),
        sa.Column("log_line", sa.Integer(), nullable=False, comment="Line in it, from 1"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_task_message_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_task_message_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_message")),
        comment="Messages that the quality controls found in logs",
    )
    with op.batch_alter_table("task_message", schema=None) as batch_op:
        batch_op.create_index("ix_task_message_attempt", ["pfw_attempt_id", "message_lvl"], unique=False)

    op.create_table(
        "calibration",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("ccdnum", sa.Integer(), nullable=True, comment="CCD number"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band: u g r i z Y VR"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column("tilename", sa.String(length=24), nullable=True, comment="Coadd tile"),
        sa.Column("ra_cent", sa.Float(), nullable=True, comment="Right ascension of the centre, ICRS"),
        sa.Column("dec_cent", sa.Float(), nullable=True, comment="Declination of the centre, ICRS"),
        sa.Column("racmin", sa.Float(), nullable=True, comment="Least right ascension of the corners"),
        sa.Column("racmax", sa.Float(), nullable=True, comment="Largest right ascension of the corners"),
        sa.Column("deccmin", sa.Float(), nullable=True, comment="Least declination of the corners"),
        sa.Column("deccmax", sa.Float(), nullable=True, comment="Largest declination of the corners"),
        sa.Column(
            "crossra0",
            sa.String(length=1),
            nullable=True,
            comment="Y if it lies across RA 0: then racmin > racmax",
        ),
        sa.Column(
            "version",
            sa.String(length=32),
            nullable=True,
            comment="Version of the calibration or reference catalogue",
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_calibration_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", name=op.f("pk_calibration")),
        comment="Metadata of calibrations, PSF models and reference catalogues",
    )
    with op.batch_alter_table("calibration", schema=None) as batch_op:
        batch_op.create_index("ix_calibration_expnum", ["expnum", "ccdnum"], unique=False)

    op.create_table(
        "catalog",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("ccdnum", sa.Integer(), nullable=True, comment="CCD number"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band: u g r i z Y VR"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column("tilename", sa.String(length=24), nullable=True, comment="Coadd tile"),
        sa.Column("ra_cent", sa.Float(), nullable=True, comment="Right ascension of the centre, ICRS"),
        sa.Column("dec_cent", sa.Float(), nullable=True, comment="Declination of the centre, ICRS"),
        sa.Column("racmin", sa.Float(), nullable=True, comment="Least right ascension of the corners"),
        sa.Column("racmax", sa.Float(), nullable=True, comment="Largest right ascension of the corners"),
        sa.Column("deccmin", sa.Float(), nullable=True, comment="Least declination of the corners"),
        sa.Column("deccmax", sa.Float(), nullable=True, comment="Largest declination of the corners"),
        sa.Column(
            "crossra0",
            sa.String(length=1),
            nullable=True,
            comment="Y if it lies across RA 0: then racmin > racmax",
        ),
        sa.Column("objects", sa.BigInteger(), nullable=True, comment="Rows of the catalogue"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_catalog_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", name=op.f("pk_catalog")),
        comment="Metadata of catalogues",
    )
    with op.batch_alter_table("catalog", schema=None) as batch_op:
        batch_op.create_index("ix_catalog_expnum", ["expnum", "ccdnum"], unique=False)

    op.create_table(
        "file_archive_info",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("archive_name", sa.String(length=16), nullable=False, comment="Archive"),
        sa.Column(
            "path", sa.String(length=160), nullable=False, comment="Directory relative to the archive's root"
        ),
        sa.Column("state", sa.String(length=12), nullable=False, comment="State of the copy"),
        sa.CheckConstraint(
            "state IN ('ok', 'corrupt', 'missing', 'trash')", name=op.f("ck_file_archive_info_state")
        ),
        sa.ForeignKeyConstraint(
            ["archive_name"], ["ops_archive.name"], name=op.f("fk_file_archive_info_archive_name")
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_file_archive_info_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", "archive_name", name=op.f("pk_file_archive_info")),
        comment="Where copies of a file lie; a file may lie in many archives",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "file_tag",
        sa.Column("tag", sa.String(length=32), nullable=False, comment="Tag"),
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_file_tag_desfile_id")),
        sa.ForeignKeyConstraint(["tag"], ["ops_proctag_def.tag"], name=op.f("fk_file_tag_tag")),
        sa.PrimaryKeyConstraint("tag", "desfile_id", name=op.f("pk_file_tag")),
        comment="Tagged files",
    )
    with op.batch_alter_table("file_tag", schema=None) as batch_op:
        batch_op.create_index("ix_file_tag_desfile_id", ["desfile_id"], unique=False)

    op.create_table(
        "file_trash",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("archive_name", sa.String(length=16), nullable=False, comment="Archive"),
        sa.Column("deleted_by", sa.String(length=32), nullable=False, comment="Who deleted it"),
        sa.Column("deleted_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("purge_after", sa.DateTime(), nullable=False, comment="When its bytes may go, UTC"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.ForeignKeyConstraint(
            ["archive_name"], ["ops_archive.name"], name=op.f("fk_file_trash_archive_name")
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_file_trash_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", "archive_name", name=op.f("pk_file_trash")),
        comment="Deleted copies that can be recovered until their grace time ends",
    )
    op.create_table(
        "image",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("ccdnum", sa.Integer(), nullable=True, comment="CCD number"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band: u g r i z Y VR"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column("tilename", sa.String(length=24), nullable=True, comment="Coadd tile"),
        sa.Column("ra_cent", sa.Float(), nullable=True, comment="Right ascension of the centre, ICRS"),
        sa.Column("dec_cent", sa.Float(), nullable=True, comment="Declination of the centre, ICRS"),
        sa.Column("racmin", sa.Float(), nullable=True, comment="Least right ascension of the corners"),
        sa.Column("racmax", sa.Float(), nullable=True, comment="Largest right ascension of the corners"),
        sa.Column("deccmin", sa.Float(), nullable=True, comment="Least declination of the corners"),
        sa.Column("deccmax", sa.Float(), nullable=True, comment="Largest declination of the corners"),
        sa.Column(
            "crossra0",
            sa.String(length=1),
            nullable=True,
            comment="Y if it lies across RA 0: then racmin > racmax",
        ),
        sa.Column("obstype", sa.String(length=16), nullable=True, comment="Type of observation"),
        sa.Column("object", sa.String(length=80), nullable=True, comment="Title of the observation"),
        sa.Column("propid", sa.String(length=24), nullable=True, comment="Proposal"),
        sa.Column("instrument", sa.String(length=24), nullable=True, comment="Instrument"),
        sa.Column("exptime", sa.Float(), nullable=True, comment="Exposure time"),
        sa.Column("mjd_obs", sa.Float(), nullable=True, comment="Begin of the exposure"),
        sa.Column("airmass", sa.Float(), nullable=True, comment="Airmass"),
        sa.Column("naxis1", sa.Integer(), nullable=True, comment="Columns"),
        sa.Column("naxis2", sa.Integer(), nullable=True, comment="Rows"),
        sa.Column("pixscale", sa.Float(), nullable=True, comment="Pixel scale"),
        sa.Column("gain", sa.Float(), nullable=True, comment="Gain"),
        sa.Column("saturate", sa.Float(), nullable=True, comment="Saturation level"),
        sa.Column("mag_zero", sa.Float(), nullable=True, comment="Zero point"),
        sa.Column("fwhm", sa.Float(), nullable=True, comment="Full width at half maximum of the PSF"),
        sa.Column("skybrite", sa.Float(), nullable=True, comment="Sky level"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_image_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", name=op.f("pk_image")),
        comment="Metadata of images: raw, reduced, masks, weights, coadds",
    )
    with op.batch_alter_table("image", schema=None) as batch_op:
        batch_op.create_index("ix_image_expnum", ["expnum", "ccdnum"], unique=False)
        batch_op.create_index("ix_image_nite", ["nite"], unique=False)

    op.create_table(
        "miscfile",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("ccdnum", sa.Integer(), nullable=True, comment="CCD number"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band: u g r i z Y VR"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column("tilename", sa.String(length=24), nullable=True, comment="Coadd tile"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_miscfile_desfile_id")),
        sa.PrimaryKeyConstraint("desfile_id", name=op.f("pk_miscfile")),
        comment="Metadata of all other files: logs, WCL, plots, lists",
    )
    op.create_table(
        "opm_used",
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task"),
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File that it used"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_opm_used_desfile_id")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_opm_used_task_id")),
        sa.PrimaryKeyConstraint("task_id", "desfile_id", name=op.f("pk_opm_used")),
        comment="Provenance: which task used which file",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("opm_used", schema=None) as batch_op:
        batch_op.create_index("ix_opm_used_desfile_id", ["desfile_id"], unique=False)

    op.create_table(
        "opm_was_derived_from",
        sa.Column("child_desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("parent_desfile_id", sa.Integer(), nullable=False, comment="File it was derived from"),
        sa.ForeignKeyConstraint(
            ["child_desfile_id"], ["desfile.id"], name=op.f("fk_opm_was_derived_from_child_desfile_id")
        ),
        sa.ForeignKeyConstraint(
            ["parent_desfile_id"], ["desfile.id"], name=op.f("fk_opm_was_derived_from_parent_desfile_id")
        ),
        sa.PrimaryKeyConstraint(
            "child_desfile_id", "parent_desfile_id", name=op.f("pk_opm_was_derived_from")
        ),
        comment="Provenance: which file was derived from which",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("opm_was_derived_from", schema=None) as batch_op:
        batch_op.create_index(
            "ix_opm_was_derived_from_parent", ["parent_desfile_id", "child_desfile_id"], unique=False
        )

    op.create_table(
        "opm_was_generated_by",
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="File"),
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task that made it"),
        sa.ForeignKeyConstraint(
            ["desfile_id"], ["desfile.id"], name=op.f("fk_opm_was_generated_by_desfile_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_opm_was_generated_by_task_id")),
        sa.PrimaryKeyConstraint("desfile_id", name=op.f("pk_opm_was_generated_by")),
        comment="Provenance: which task made a file",
    )
    with op.batch_alter_table("opm_was_generated_by", schema=None) as batch_op:
        batch_op.create_index("ix_opm_was_generated_by_task_id", ["task_id"], unique=False)

    op.create_table(
        "pfw_job",
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task of the job"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("pfw_block_task_id", sa.Integer(), nullable=False, comment="Block"),
        sa.Column("jobnum", sa.Integer(), nullable=False, comment="Number within the attempt, from 1"),
        sa.Column(
            "jobkeys", sa.String(length=96), nullable=False, comment="Loop values that its wrappers share"
        ),
        sa.Column("expect_num_wrap", sa.Integer(), nullable=False, comment="Wrappers expected"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="State"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="How often it was given to an engine"),
        sa.Column(
            "token", sa.String(length=32), nullable=True, comment="Token of the try that may register outputs"
        ),
        sa.Column("engine", sa.String(length=16), nullable=True, comment="Engine that has it"),
        sa.Column("handle", sa.String(length=64), nullable=True, comment="What the engine calls it"),
        sa.Column("jobroot", sa.String(length=240), nullable=True, comment="Its work folder"),
        sa.Column(
            "junktar", sa.String(length=240), nullable=True, comment="Tarball of a failed job's work folder"
        ),
        sa.Column("comment", sa.Text(), nullable=True, comment="Why it ended as it did"),
        sa.CheckConstraint(
            "state IN ('planned', 'queued', 'running', 'done', 'failed', 'lost', 'cancelled')",
            name=op.f("ck_pfw_job_state"),
        ),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_job_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(
            ["pfw_block_task_id"], ["pfw_block.task_id"], name=op.f("fk_pfw_job_pfw_block_task_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_pfw_job_task_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_pfw_job")),
        sa.UniqueConstraint("pfw_attempt_id", "jobnum", name=op.f("uq_pfw_job_pfw_attempt_id_jobnum")),
        comment="A job: a bundle of wrappers with one work folder; jobs of a block are independent",
    )
    op.create_table(
        "pfw_wrapper",
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task of the wrapper"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("pfw_job_task_id", sa.Integer(), nullable=False, comment="Job"),
        sa.Column("wrapnum", sa.Integer(), nullable=False, comment="Number within the attempt, from 1"),
        sa.Column("modname", sa.String(length=48), nullable=False, comment="Module"),
        sa.Column(
            "name",
            sa.String(length=96),
            nullable=False,
            comment="Dotted name of the wrapper's function, or genwrap",
        ),
        sa.Column("wrapkeys", sa.String(length=96), nullable=False, comment="Its loop values"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="State"),
        sa.Column("log", sa.String(length=160), nullable=True, comment="Name of its log file"),
        sa.Column("diskusage", sa.BigInteger(), nullable=True, comment="Bytes of its outputs"),
        sa.CheckConstraint(
            "state IN ('planned', 'running', 'done', 'reused', 'failed')", name=op.f("ck_pfw_wrapper_state")
        ),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_wrapper_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(
            ["pfw_job_task_id"], ["pfw_job.task_id"], name=op.f("fk_pfw_wrapper_pfw_job_task_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_pfw_wrapper_task_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_pfw_wrapper")),
        sa.UniqueConstraint("pfw_attempt_id", "wrapnum", name=op.f("uq_pfw_wrapper_pfw_attempt_id_wrapnum")),
        comment="A wrapper: one run of a module's code for one combination of loop values",
    )
    with op.batch_alter_table("pfw_wrapper", schema=None) as batch_op:
        batch_op.create_index("ix_pfw_wrapper_job", ["pfw_job_task_id"], unique=False)

    op.create_table(
        "pfw_exec",
        sa.Column("task_id", sa.Integer(), nullable=False, comment="Task of the exec"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("pfw_wrapper_task_id", sa.Integer(), nullable=False, comment="Wrapper"),
        sa.Column("execnum", sa.Integer(), nullable=False, comment="Number within the wrapper, from 1"),
        sa.Column("name", sa.String(length=64), nullable=False, comment="Program or function"),
        sa.Column("version", sa.String(length=48), nullable=False, comment="What it said of its version"),
        sa.Column("cmdargs", sa.Text(), nullable=False, comment="Its arguments"),
        sa.Column("utime", sa.Float(), nullable=False, comment="CPU seconds in user mode"),
        sa.Column("stime", sa.Float(), nullable=False, comment="CPU seconds in the system"),
        sa.Column("maxrss", sa.BigInteger(), nullable=False, comment="Largest resident memory"),
        sa.Column("minflt", sa.BigInteger(), nullable=False, comment="Page faults without input"),
        sa.Column("majflt", sa.BigInteger(), nullable=False, comment="Page faults with input"),
        sa.Column("inblock", sa.BigInteger(), nullable=False, comment="Blocks read"),
        sa.Column("oublock", sa.BigInteger(), nullable=False, comment="Blocks written"),
        sa.Column("nvcsw", sa.BigInteger(), nullable=False, comment="Voluntary context switches"),
        sa.Column("nivcsw", sa.BigInteger(), nullable=False, comment="Involuntary context switches"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_exec_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(
            ["pfw_wrapper_task_id"], ["pfw_wrapper.task_id"], name=op.f("fk_pfw_exec_pfw_wrapper_task_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_pfw_exec_task_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_pfw_exec")),
        comment="A program or function that a wrapper ran, with its version and use of the machine",
    )
    with op.batch_alter_table("pfw_exec", schema=None) as batch_op:
        batch_op.create_index("ix_pfw_exec_wrapper", ["pfw_wrapper_task_id"], unique=False)

    for statement in statements(op.get_bind().dialect.name):
        op.execute(statement)
