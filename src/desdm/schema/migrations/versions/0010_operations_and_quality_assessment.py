"""Operations and quality assessment: deliveries, queue, logbook, review, marks, problems with a history, notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desdm.schema.triggers import OPERATIONS, append_only, statements

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("qa_mark", "problem_note", "dispatch_answer", "logbook", "logbook_subject")

_OPEN_DELIVERY = "state IN ('delivered', 'checked')"

_RESOLUTIONS = "'fixed', 'worked_round', 'data_marked', 'not_a_fault', 'duplicate', 'wont_fix'"
_SEVERITIES = "'stop', 'block', 'degrade', 'nuisance', 'watch'"
_STATES = "'new', 'confirmed', 'in_work', 'fixed', 'closed', 'rejected'"

#: (table, column, SQL of its type and constraints, text): neither engine's ALTER TABLE takes them from alembic on SQLite.
_COLUMNS = (
    (
        "pfw_attempt",
        "replaces_id",
        "INTEGER CONSTRAINT fk_pfw_attempt_replaces_id REFERENCES pfw_attempt (id)",
        "Attempt that it repeats, with a reason",
    ),
    (
        "pfw_attempt",
        "exclusions_digest",
        "VARCHAR(64)",
        "sha-256 of the verdicts and exclusions that its plan saw",
    ),
    ("problem", "title", "VARCHAR(160) DEFAULT '' NOT NULL", "What is wrong, in one line"),
    (
        "problem",
        "state",
        f"VARCHAR(12) DEFAULT 'confirmed' NOT NULL CONSTRAINT ck_problem_state CHECK (state IN ({_STATES}))",
        "Where it stands",
    ),
    (
        "problem",
        "severity",
        f"VARCHAR(12) DEFAULT 'block' NOT NULL CONSTRAINT ck_problem_severity CHECK (severity IN ({_SEVERITIES}))",
        "Severity, by its effect",
    ),
    ("problem", "impression", "TEXT DEFAULT '' NOT NULL", "What is affected, and how much it matters"),
    ("problem", "dedupe_key", "VARCHAR(200)", "Key: the same trouble again counts as an occurrence"),
    ("problem", "occurrences", "INTEGER DEFAULT 1 NOT NULL", "How often it was seen"),
    ("problem", "first_seen", "TIMESTAMP", "When it was first seen, UTC"),
    ("problem", "last_seen", "TIMESTAMP", "When it was last seen, UTC"),
    ("problem", "owner", "VARCHAR(32)", "Who works on it"),
    (
        "problem",
        "resolution_code",
        f"VARCHAR(12) CONSTRAINT ck_problem_resolution_code CHECK (resolution_code IN ({_RESOLUTIONS}))",
        "How it was resolved, from a closed list",
    ),
    ("problem", "confirmed_by", "VARCHAR(32)", "Who confirmed it"),
    (
        "problem",
        "pfw_attempt_id",
        "INTEGER CONSTRAINT fk_problem_pfw_attempt_id REFERENCES pfw_attempt (id)",
        "Attempt in which it was seen",
    ),
)


def upgrade() -> None:
    _create_tables()
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, column, kind, text in _COLUMNS:
        # SQLite knows times by the name that SQLAlchemy gives them.
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN {column} {kind if postgresql else kind.replace('TIMESTAMP', 'DATETIME')}"
        )
        if postgresql:
            op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{text}'")
    if postgresql:
        text = "Kind of what it is about: release, tag, tile, exposure, ccd, attempt, file, nite …"
        op.execute(f"COMMENT ON COLUMN problem.subject_kind IS '{text}'")
    op.create_index("ix_problem_dedupe_key", "problem", ["dedupe_key"], unique=False)
    op.create_index("ix_problem_state", "problem", ["state"], unique=False)
    op.execute(
        "UPDATE problem SET title = substr(text, 1, 160), first_seen = opened_at, last_seen = opened_at"
    )
    op.execute("UPDATE problem SET severity = 'degrade' WHERE NOT blocks")
    op.execute("UPDATE problem SET state = 'closed' WHERE closed_at IS NOT NULL")
    dialect = op.get_bind().dialect.name
    for statement in (*statements(dialect, OPERATIONS), *append_only(dialect, _APPEND_ONLY)):
        op.execute(statement)


def _create_tables() -> None:
    """Create the new tables."""
    op.create_table(
        "pfw_planned_exposure",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt"),
        sa.Column("expnum", sa.Integer(), autoincrement=False, nullable=False, comment="Exposure number"),
        sa.Column(
            "own", sa.Boolean(), nullable=False, comment="Whether the attempt processes just this exposure"
        ),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_planned_exposure_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", "expnum", name=op.f("pk_pfw_planned_exposure")),
        comment="Exposures whose verdicts and exclusions the plan of an attempt read",
    )
    op.create_index("ix_pfw_planned_exposure_expnum", "pfw_planned_exposure", ["expnum"], unique=False)
    op.create_table(
        "delivery_expected",
        sa.Column("source", sa.String(length=32), nullable=False, comment="Who sends"),
        sa.Column("filename", sa.String(length=160), nullable=False, comment="Name of the file"),
        sa.Column("nite", sa.String(length=8), nullable=False, comment="Night of observation, YYYYMMDD"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("expected_at", sa.DateTime(), nullable=False, comment="When it is expected, UTC"),
        sa.Column(
            "listed_in", sa.String(length=160), nullable=False, comment="List or manifest that names it"
        ),
        sa.Column(
            "delivered", sa.Boolean(), nullable=False, comment="Whether the observatory marks it as delivered"
        ),
        sa.PrimaryKeyConstraint("source", "filename", name=op.f("pk_delivery_expected")),
        comment="Files that the observatory lists as taken",
    )
    op.create_index("ix_delivery_expected_nite", "delivery_expected", ["nite"], unique=False)
    op.create_table(
        "dispatch",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the dispatch"),
        sa.Column(
            "working_group", sa.String(length=32), nullable=False, comment="Working group that is asked"
        ),
        sa.Column("subject_kind", sa.String(length=12), nullable=False, comment="Kind of the data"),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="Data that are sent"),
        sa.Column("question", sa.Text(), nullable=False, comment="What is asked"),
        sa.Column("criteria", sa.Text(), nullable=False, comment="By what the answer is judged"),
        sa.Column("due_at", sa.DateTime(), nullable=False, comment="When the answer is due, UTC"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="Where it stands"),
        sa.Column("opened_by", sa.String(length=32), nullable=False, comment="Who asks"),
        sa.Column("opened_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'answered', 'expired', 'withdrawn')",
            name=op.f("ck_dispatch_state"),
        ),
        sa.CheckConstraint(
            "subject_kind IN ('nite', 'exposure', 'ccd', 'tile', 'unit', 'attempt', 'file', 'tag', 'release', 'delivery', 'notice')",
            name=op.f("ck_dispatch_subject_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatch")),
        comment="Data sent to working groups with a question",
    )
    op.create_index("ix_dispatch_state", "dispatch", ["state"], unique=False)
    op.create_table(
        "notice_rule",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the rule"),
        sa.Column("name", sa.String(length=48), nullable=False, comment="Name of the rule, unique"),
        sa.Column(
            "kind", sa.String(length=12), nullable=False, comment="Kind of event that it is for; *: all"
        ),
        sa.Column(
            "subject", sa.String(length=200), nullable=False, comment="Pattern of the subject with * and ?"
        ),
        sa.Column(
            "severity",
            sa.String(length=12),
            nullable=False,
            comment="Least severity of a problem that is told",
        ),
        sa.Column(
            "target",
            sa.Text(),
            nullable=False,
            comment="mailto:address, or the URL of a webhook, chat or ticket system",
        ),
        sa.Column("mode", sa.String(length=12), nullable=False, comment="First, every one, or together"),
        sa.Column(
            "quiet_from",
            sa.String(length=5),
            nullable=False,
            comment="Quiet hours begin, HH:MM UTC; empty: none",
        ),
        sa.Column("quiet_to", sa.String(length=5), nullable=False, comment="Quiet hours end, HH:MM UTC"),
        sa.Column("owner", sa.String(length=32), nullable=False, comment="Whose rule it is"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="Since when it holds, UTC"),
        sa.Column("until", sa.DateTime(), nullable=True, comment="Until when it held, UTC; none: it holds"),
        sa.Column(
            "after_event",
            sa.Integer(),
            nullable=False,
            comment="Newest event when it was added: it tells later ones",
        ),
        sa.Column(
            "after_note",
            sa.Integer(),
            nullable=False,
            comment="Newest note on a problem when it was added: it tells later ones",
        ),
        sa.CheckConstraint("mode IN ('first', 'every', 'digest')", name=op.f("ck_notice_rule_mode")),
        sa.CheckConstraint(
            "severity IN ('stop', 'block', 'degrade', 'nuisance', 'watch')",
            name=op.f("ck_notice_rule_severity"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_rule")),
        sa.UniqueConstraint("name", name=op.f("uq_notice_rule_name")),
        comment="Rules of who is told what, where and how often",
    )
    op.create_table(
        "ops_lease",
        sa.Column(
            "name",
            sa.String(length=32),
            nullable=False,
            comment="What is leased: queue, dts watcher, notifier",
        ),
        sa.Column(
            "holder",
            sa.String(length=96),
            nullable=False,
            comment="Process that has it: machine, number, start",
        ),
        sa.Column(
            "token",
            sa.String(length=32),
            nullable=False,
            comment="Token of the lease; a write with another one is refused",
        ),
        sa.Column("since", sa.DateTime(), nullable=False, comment="Since when, UTC"),
        sa.Column("until", sa.DateTime(), nullable=False, comment="When it ends unless it is renewed, UTC"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ops_lease")),
        comment="Leases of processes of which one at a time may run",
    )
    op.create_table(
        "ops_policy",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the policy"),
        sa.Column(
            "programme", sa.String(length=32), nullable=False, comment="Programme that it is for; *: all"
        ),
        sa.Column("pipeline", sa.String(length=32), nullable=False, comment="Pipeline that it queues"),
        sa.Column("band", sa.String(length=8), nullable=False, comment="Band that it is for; *: all"),
        sa.Column("nite_from", sa.String(length=8), nullable=False, comment="First night, YYYYMMDD"),
        sa.Column("nite_to", sa.String(length=8), nullable=False, comment="Last night, YYYYMMDD"),
        sa.Column("rank", sa.Integer(), nullable=False, comment="Order: the least goes first"),
        sa.Column(
            "deadline_h",
            sa.Float(),
            nullable=False,
            comment="Hours from arrival within which it should be done",
        ),
        sa.Column(
            "max_tries",
            sa.Integer(),
            nullable=False,
            comment="Attempts at most, if its failures are transient",
        ),
        sa.Column("statement", sa.Text(), nullable=False, comment="Statement that set it: who agreed what"),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who entered it"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="Since when it holds, UTC"),
        sa.Column("until", sa.DateTime(), nullable=True, comment="Until when it held, UTC; none: it holds"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ops_policy")),
        comment="Policies by which exposures and nights are queued",
    )
    op.create_table(
        "ops_propid",
        sa.Column("propid", sa.String(length=32), nullable=False, comment="Proposal"),
        sa.Column(
            "programme",
            sa.String(length=32),
            nullable=False,
            comment="Programme: survey, supernova, standards, community …",
        ),
        sa.Column("project", sa.String(length=16), nullable=False, comment="Project of its attempts"),
        sa.Column(
            "accept", sa.Boolean(), nullable=False, comment="Whether its exposures are taken into the archive"
        ),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who entered it"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="Since when, UTC"),
        sa.PrimaryKeyConstraint("propid", name=op.f("pk_ops_propid")),
        comment="Proposals and the programmes that they belong to",
    )
    op.create_table(
        "qa_threshold",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the threshold"),
        sa.Column("metric", sa.String(length=48), nullable=False, comment="Number that it bounds"),
        sa.Column("band", sa.String(length=8), nullable=False, comment="Band that it is for; *: all"),
        sa.Column("ccdnum", sa.Integer(), nullable=False, comment="CCD that it is for; 0: all"),
        sa.Column("low_warn", sa.Float(), nullable=True, comment="Below it: looked at"),
        sa.Column("high_warn", sa.Float(), nullable=True, comment="Above it: looked at"),
        sa.Column("low_bad", sa.Float(), nullable=True, comment="Below it: a problem"),
        sa.Column("high_bad", sa.Float(), nullable=True, comment="Above it: a problem"),
        sa.Column(
            "relative_to",
            sa.String(length=16),
            nullable=False,
            comment="Empty: bounds are values; history: they are deviations from the history",
        ),
        sa.Column("expnum_from", sa.Integer(), nullable=False, comment="First exposure"),
        sa.Column("expnum_to", sa.Integer(), nullable=False, comment="Last exposure"),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who set it"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("until", sa.DateTime(), nullable=True, comment="Until when it held, UTC; none: it holds"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_threshold")),
        comment="Thresholds of QA numbers, by band, CCD and range of exposures",
    )
    op.create_index("ix_qa_threshold_metric", "qa_threshold", ["metric"], unique=False)
    op.create_table(
        "survey_field",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the row"),
        sa.Column(
            "hex", sa.String(length=32), nullable=False, comment="Hexagon of the survey, or supernova field"
        ),
        sa.Column("tiling", sa.Integer(), nullable=False, comment="Tiling: which of the overlapping layers"),
        sa.Column("band", sa.String(length=8), nullable=False, comment="Band"),
        sa.Column("ra", sa.Float(), nullable=False, comment="Right ascension of the pointing, ICRS"),
        sa.Column("dec", sa.Float(), nullable=False, comment="Declination of the pointing, ICRS"),
        sa.Column("exptime", sa.Float(), nullable=False, comment="Exposure time that is planned"),
        sa.Column(
            "priority",
            sa.Integer(),
            nullable=False,
            comment="Priority of the observation: the least goes first",
        ),
        sa.Column("t_eff_goal", sa.Float(), nullable=False, comment="Sum of t_eff at which it is done"),
        sa.Column("season", sa.String(length=16), nullable=False, comment="Season in which it is due"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_survey_field")),
        sa.UniqueConstraint("hex", "tiling", "band", name=op.f("uq_survey_field_hex_tiling_band")),
        comment="Fields of the survey: hexagon, tiling and band, with what is owed",
    )
    op.create_index("ix_survey_field_band", "survey_field", ["band"], unique=False)
    op.create_table(
        "person_office",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the row"),
        sa.Column("person_id", sa.Integer(), nullable=False, comment="Person"),
        sa.Column("office", sa.String(length=12), nullable=False, comment="Office that the person holds"),
        sa.Column("working_group", sa.String(length=32), nullable=False, comment="Working group of a member"),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who gave it"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="Since when, UTC"),
        sa.Column("until", sa.DateTime(), nullable=True, comment="Until when, UTC; none: it is held"),
        sa.CheckConstraint(
            "office IN ('operator', 'qa', 'prod_sci', 'wg_member')", name=op.f("ck_person_office_office")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_person_office_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_office")),
        comment="Offices that people hold in the organisation",
    )
    op.create_index("ix_person_office_person_id", "person_office", ["person_id"], unique=False)
    op.create_table(
        "ops_auto_queue",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the row"),
        sa.Column("unitname", sa.String(length=48), nullable=False, comment="Unit: an exposure or a night"),
        sa.Column("pipeline", sa.String(length=32), nullable=False, comment="Pipeline"),
        sa.Column("campaign", sa.String(length=32), nullable=False, comment="Campaign of its attempts"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night, YYYYMMDD"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band"),
        sa.Column("programme", sa.String(length=32), nullable=True, comment="Programme"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="Where it stands"),
        sa.Column("rank", sa.Integer(), nullable=False, comment="Order: the least goes first"),
        sa.Column("why", sa.Text(), nullable=False, comment="Why it stands there"),
        sa.Column("due_at", sa.DateTime(), nullable=True, comment="When it should be done, UTC"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="Attempts so far"),
        sa.Column("max_tries", sa.Integer(), nullable=False, comment="Attempts at most"),
        sa.Column("settings", sa.Text(), nullable=False, comment="Settings of its next attempt, JSON"),
        sa.Column("policy_id", sa.Integer(), nullable=True, comment="Policy that queued it"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Newest attempt"),
        sa.Column(
            "held_by",
            sa.String(length=32),
            nullable=True,
            comment="Who holds or dismissed it: a person, a problem by its number, or rule",
        ),
        sa.Column("newest_desfile_id", sa.Integer(), nullable=True, comment="Newest raw file that it covers"),
        sa.Column("not_before", sa.DateTime(), nullable=True, comment="Not to be submitted before, UTC"),
        sa.Column(
            "arrived_at", sa.DateTime(), nullable=False, comment="When what it is for had arrived, UTC"
        ),
        sa.Column("updated_at", sa.DateTime(), nullable=False, comment="When the row was changed, UTC"),
        sa.CheckConstraint(
            "state IN ('waiting', 'held', 'submitted', 'done', 'gave_up', 'dismissed')",
            name=op.f("ck_ops_auto_queue_state"),
        ),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_ops_auto_queue_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(
            ["newest_desfile_id"], ["desfile.id"], name=op.f("fk_ops_auto_queue_newest_desfile_id")
        ),
        sa.ForeignKeyConstraint(["policy_id"], ["ops_policy.id"], name=op.f("fk_ops_auto_queue_policy_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ops_auto_queue")),
        sa.UniqueConstraint(
            "unitname", "pipeline", "campaign", name=op.f("uq_ops_auto_queue_unitname_pipeline_campaign")
        ),
        comment="The nightly queue: what is to be processed, in which order, and why it stands where it stands",
    )
    op.create_index("ix_ops_auto_queue_nite", "ops_auto_queue", ["nite"], unique=False)
    op.create_index("ix_ops_auto_queue_state", "ops_auto_queue", ["state", "rank", "due_at"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the delivery, in order of arrival"),
        sa.Column(
            "source",
            sa.String(length=32),
            nullable=False,
            comment="Who sends: the observatory, a simulator, a person",
        ),
        sa.Column(
            "filename", sa.String(length=160), nullable=False, comment="Name of the file as it was sent"
        ),
        sa.Column("path", sa.Text(), nullable=False, comment="Where it lies, or lay when it was noticed"),
        sa.Column("filesize", sa.BigInteger(), nullable=True, comment="Size"),
        sa.Column(
            "modified_ns",
            sa.BigInteger(),
            nullable=True,
            comment="When the file was last changed, as it was noticed: nanoseconds since 1970",
        ),
        sa.Column(
            "md5_announced",
            sa.String(length=32),
            nullable=True,
            comment="md5 that the sender announces; none: it announces none",
        ),
        sa.Column("md5_found", sa.String(length=32), nullable=True, comment="md5 of the bytes that arrived"),
        sa.Column("sha256", sa.String(length=64), nullable=True, comment="sha-256 of the bytes that arrived"),
        sa.Column("expnum", sa.Integer(), nullable=True, comment="Exposure number"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column(
            "propid", sa.String(length=32), nullable=True, comment="Proposal under which it was observed"
        ),
        sa.Column(
            "programme", sa.String(length=32), nullable=True, comment="Programme that the proposal belongs to"
        ),
        sa.Column("state", sa.String(length=12), nullable=False, comment="Where it stands"),
        sa.Column(
            "reason_code",
            sa.String(length=12),
            nullable=True,
            comment="Why it is quarantined or put aside, from a closed list",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="The same in words"),
        sa.Column(
            "waived",
            sa.String(length=64),
            nullable=False,
            comment="Rules that people waived when they released it, with commas between",
        ),
        sa.Column("desfile_id", sa.Integer(), nullable=True, comment="File in the archive"),
        sa.Column("problem_id", sa.Integer(), nullable=True, comment="Problem that was opened of it"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="How often it was tried in vain"),
        sa.Column("next_try", sa.DateTime(), nullable=True, comment="Not to be tried before, UTC"),
        sa.Column("noticed_at", sa.DateTime(), nullable=False, comment="When it was noticed, UTC"),
        sa.Column("checked_at", sa.DateTime(), nullable=True, comment="When it was checked, UTC"),
        sa.Column("ingested_at", sa.DateTime(), nullable=True, comment="When it was in the catalogue, UTC"),
        sa.Column(
            "acknowledged_at",
            sa.DateTime(),
            nullable=True,
            comment="When its arrival was acknowledged to the sender, UTC",
        ),
        sa.CheckConstraint(
            "reason_code IN ('checksum', 'truncated', 'not_fits', 'structure', 'keyword', 'conflict', 'duplicate', 'propid', 'unreadable', 'register')",
            name=op.f("ck_delivery_reason_code"),
        ),
        sa.CheckConstraint(
            "state IN ('expected', 'delivered', 'checked', 'ingested', 'duplicate', 'quarantined', 'dismissed')",
            name=op.f("ck_delivery_state"),
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_delivery_desfile_id")),
        sa.ForeignKeyConstraint(["problem_id"], ["problem.id"], name=op.f("fk_delivery_problem_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        comment="Deliveries of the telescope: a row before any judgement, and how each ended",
    )
    op.create_index("ix_delivery_filename", "delivery", ["filename"], unique=False)
    op.create_index("ix_delivery_desfile", "delivery", ["desfile_id"], unique=False)
    op.create_index("ix_delivery_nite", "delivery", ["nite"], unique=False)
    op.create_index("ix_delivery_path", "delivery", ["path"], unique=False)
    op.create_index(
        "uq_delivery_open_path",
        "delivery",
        ["path"],
        unique=True,
        sqlite_where=sa.text(_OPEN_DELIVERY),
        postgresql_where=sa.text(_OPEN_DELIVERY),
    )
    op.create_index("ix_delivery_state", "delivery", ["state"], unique=False)
    op.create_table(
        "dispatch_answer",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the answer"),
        sa.Column("dispatch_id", sa.Integer(), nullable=False, comment="Dispatch"),
        sa.Column("verdict", sa.String(length=12), nullable=False, comment="What the group says"),
        sa.Column("text", sa.Text(), nullable=False, comment="Why"),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who answers"),
        sa.Column("answered_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("desfile_id", sa.Integer(), nullable=True, comment="File with the group's findings"),
        sa.CheckConstraint(
            "verdict IN ('valid', 'partly', 'invalid', 'unclear')", name=op.f("ck_dispatch_answer_verdict")
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_dispatch_answer_desfile_id")),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatch.id"], name=op.f("fk_dispatch_answer_dispatch_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatch_answer")),
        comment="Answers of working groups; only ever added to",
    )
    op.create_index("ix_dispatch_answer_dispatch_id", "dispatch_answer", ["dispatch_id"], unique=False)
    op.create_table(
        "logbook",
        sa.Column(
            "event_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Event that holds author, time and text",
        ),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night that it is about, YYYYMMDD"),
        sa.Column("category", sa.String(length=12), nullable=False, comment="What it is about"),
        sa.Column("time_lost_h", sa.Float(), nullable=True, comment="Time lost"),
        sa.Column("loss", sa.String(length=12), nullable=True, comment="Why it was lost"),
        sa.Column("corrects_id", sa.Integer(), nullable=True, comment="Entry that it corrects"),
        sa.CheckConstraint(
            "category IN ('weather', 'telescope', 'transfer', 'processing', 'quality', 'system', 'other')",
            name=op.f("ck_logbook_category"),
        ),
        sa.CheckConstraint("loss IN ('weather', 'fault', 'other')", name=op.f("ck_logbook_loss")),
        sa.ForeignKeyConstraint(["corrects_id"], ["event.id"], name=op.f("fk_logbook_corrects_id")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_logbook_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_logbook")),
        comment="Entries that people wrote in the logbook; only ever added to",
    )
    op.create_index("ix_logbook_corrects", "logbook", ["corrects_id"], unique=False)
    op.create_index("ix_logbook_nite", "logbook", ["nite"], unique=False)
    op.create_table(
        "logbook_subject",
        sa.Column("event_id", sa.Integer(), autoincrement=False, nullable=False, comment="Event"),
        sa.Column("kind", sa.String(length=12), nullable=False, comment="Kind of the subject"),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="Subject"),
        sa.CheckConstraint(
            "kind IN ('nite', 'exposure', 'ccd', 'tile', 'unit', 'attempt', 'file', 'tag', 'release', 'delivery', 'notice')",
            name=op.f("ck_logbook_subject_kind"),
        ),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_logbook_subject_event_id")),
        sa.PrimaryKeyConstraint("event_id", "kind", "subject", name=op.f("pk_logbook_subject")),
        comment="Further subjects of entries in the logbook",
    )
    op.create_index("ix_logbook_subject_subject", "logbook_subject", ["subject"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the notice, in order"),
        sa.Column("notice_rule_id", sa.Integer(), nullable=False, comment="Rule that made it"),
        sa.Column(
            "notice_key",
            sa.String(length=200),
            nullable=False,
            comment="Key: the same cause makes no second one",
        ),
        sa.Column("event_id", sa.Integer(), nullable=True, comment="Event that caused it"),
        sa.Column("target", sa.Text(), nullable=False, comment="Where it goes"),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="Subject"),
        sa.Column("severity", sa.String(length=12), nullable=False, comment="Severity of its cause"),
        sa.Column("body", sa.Text(), nullable=False, comment="Text"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="Where it stands"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="How often it was tried"),
        sa.Column("next_try", sa.DateTime(), nullable=True, comment="Not to be sent before, UTC"),
        sa.Column("made_at", sa.DateTime(), nullable=False, comment="When it was made, UTC"),
        sa.Column("sent_at", sa.DateTime(), nullable=True, comment="When the channel took it, UTC"),
        sa.Column(
            "batch",
            sa.String(length=48),
            nullable=True,
            comment="Message that carries it, the same at each try; left part of the Message-ID of a mail",
        ),
        sa.Column("last_error", sa.Text(), nullable=True, comment="What the channel said at the last try"),
        sa.Column("acked_by", sa.String(length=32), nullable=True, comment="Who acknowledged it"),
        sa.Column("resolves_id", sa.Integer(), nullable=True, comment="Notice whose cause is gone"),
        sa.CheckConstraint(
            "severity IN ('stop', 'block', 'degrade', 'nuisance', 'watch')", name=op.f("ck_notice_severity")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'failed', 'suppressed', 'acked', 'resolved')",
            name=op.f("ck_notice_state"),
        ),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_notice_event_id")),
        sa.ForeignKeyConstraint(
            ["notice_rule_id"], ["notice_rule.id"], name=op.f("fk_notice_notice_rule_id")
        ),
        sa.ForeignKeyConstraint(["resolves_id"], ["notice.id"], name=op.f("fk_notice_resolves_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("notice_key", name=op.f("uq_notice_notice_key")),
        comment="Notices: the outbox, committed with their causes",
    )
    op.create_index("ix_notice_state", "notice", ["state", "next_try"], unique=False)
    op.create_table(
        "notice_cursor",
        sa.Column(
            "source", sa.String(length=12), nullable=False, comment="Where causes come from: event, problem"
        ),
        sa.Column("last_id", sa.Integer(), nullable=False, comment="Newest row of it that was looked at"),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_notice_cursor")),
        comment="How far causes were looked at for notices",
    )
    op.create_table(
        "problem_evidence",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the evidence"),
        sa.Column("problem_id", sa.Integer(), nullable=False, comment="Problem"),
        sa.Column(
            "kind",
            sa.String(length=12),
            nullable=False,
            comment="run, file, message, number, page, bundle or test",
        ),
        sa.Column(
            "ref", sa.Text(), nullable=False, comment="Name of the run or file, text of the message, address"
        ),
        sa.Column("sha256", sa.String(length=64), nullable=True, comment="sha-256 of the bytes"),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who added it"),
        sa.Column("added_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.ForeignKeyConstraint(["problem_id"], ["problem.id"], name=op.f("fk_problem_evidence_problem_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problem_evidence")),
        comment="Evidence for problems",
    )
    op.create_index("ix_problem_evidence_problem_id", "problem_evidence", ["problem_id"], unique=False)
    op.create_table(
        "problem_note",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the note, in order"),
        sa.Column("problem_id", sa.Integer(), nullable=False, comment="Problem"),
        sa.Column("noted_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who"),
        sa.Column("from_state", sa.String(length=12), nullable=True, comment="State before"),
        sa.Column("to_state", sa.String(length=12), nullable=True, comment="State after"),
        sa.Column("severity", sa.String(length=12), nullable=True, comment="New severity"),
        sa.Column("text", sa.Text(), nullable=False, comment="What was done, and why"),
        sa.ForeignKeyConstraint(["problem_id"], ["problem.id"], name=op.f("fk_problem_note_problem_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problem_note")),
        comment="History of problems; only ever added to",
    )
    op.create_index("ix_problem_note_problem_id", "problem_note", ["problem_id"], unique=False)
    op.create_table(
        "qa_mark",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the mark, in order"),
        sa.Column(
            "subject_kind",
            sa.String(length=12),
            nullable=False,
            comment="Kind of what is marked: exposure, ccd, tile, attempt, file",
        ),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="What is marked"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Attempt whose data were looked at"),
        sa.Column("desfile_id", sa.Integer(), nullable=True, comment="File that was looked at"),
        sa.Column(
            "verdict", sa.String(length=12), nullable=False, comment="Blessed, defective, or withdrawn"
        ),
        sa.Column("defect_code", sa.String(length=24), nullable=True, comment="Kind of defect"),
        sa.Column(
            "severity", sa.String(length=12), nullable=True, comment="Severity of a defect, by its effect"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why, in the author's words"),
        sa.Column(
            "evidence", sa.Text(), nullable=False, comment="Numbers and files that the author saw, JSON"
        ),
        sa.Column(
            "seen_digest", sa.String(length=64), nullable=False, comment="sha-256 of what the author saw"
        ),
        sa.Column("author", sa.String(length=32), nullable=False, comment="Who marked it"),
        sa.Column("office", sa.String(length=12), nullable=True, comment="Office in which the author acted"),
        sa.Column(
            "own_work",
            sa.Boolean(),
            nullable=False,
            comment="Whether the author blessed what they had processed themselves",
        ),
        sa.Column("marked_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("supersedes_id", sa.Integer(), nullable=True, comment="Earlier mark of the same subject"),
        sa.CheckConstraint(
            "severity IN ('stop', 'block', 'degrade', 'nuisance', 'watch')", name=op.f("ck_qa_mark_severity")
        ),
        sa.CheckConstraint(
            "subject_kind IN ('nite', 'exposure', 'ccd', 'tile', 'unit', 'attempt', 'file', 'tag', 'release', 'delivery', 'notice')",
            name=op.f("ck_qa_mark_subject_kind"),
        ),
        sa.CheckConstraint(
            "verdict IN ('blessed', 'defective', 'withdrawn')", name=op.f("ck_qa_mark_verdict")
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_qa_mark_desfile_id")),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_qa_mark_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(["supersedes_id"], ["qa_mark.id"], name=op.f("fk_qa_mark_supersedes_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_mark")),
        comment="Marks of people on data: blessed or defective; only ever added to, the newest of a subject counts",
    )
    op.create_index("ix_qa_mark_attempt", "qa_mark", ["pfw_attempt_id"], unique=False)
    op.create_index("ix_qa_mark_desfile_id", "qa_mark", ["desfile_id"], unique=False)
    op.create_index("ix_qa_mark_subject", "qa_mark", ["subject_kind", "subject"], unique=False)
    op.create_table(
        "qa_review",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the entry"),
        sa.Column("subject_kind", sa.String(length=12), nullable=False, comment="Kind of what is reviewed"),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="What is reviewed"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt that made it"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night, YYYYMMDD"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band"),
        sa.Column("cause", sa.String(length=12), nullable=False, comment="Why it is reviewed"),
        sa.Column("text", sa.Text(), nullable=False, comment="The same in words"),
        sa.Column("state", sa.String(length=12), nullable=False, comment="Where it stands"),
        sa.Column("taken_by", sa.String(length=32), nullable=True, comment="Who looks at it"),
        sa.Column(
            "lease_until", sa.DateTime(), nullable=True, comment="Until when it is kept for that person, UTC"
        ),
        sa.Column("qa_mark_id", sa.Integer(), nullable=True, comment="Mark that decided it"),
        sa.Column("opened_at", sa.DateTime(), nullable=False, comment="When it was put up, UTC"),
        sa.CheckConstraint(
            "cause IN ('flagged', 'unknown', 'outlier', 'sample', 'asked')", name=op.f("ck_qa_review_cause")
        ),
        sa.CheckConstraint("state IN ('open', 'taken', 'decided')", name=op.f("ck_qa_review_state")),
        sa.CheckConstraint(
            "subject_kind IN ('nite', 'exposure', 'ccd', 'tile', 'unit', 'attempt', 'file', 'tag', 'release', 'delivery', 'notice')",
            name=op.f("ck_qa_review_subject_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_qa_review_pfw_attempt_id")
        ),
        sa.ForeignKeyConstraint(["qa_mark_id"], ["qa_mark.id"], name=op.f("fk_qa_review_qa_mark_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_review")),
        comment="The review queue: what people are asked to look at",
    )
    op.create_index("ix_qa_review_attempt", "qa_review", ["pfw_attempt_id"], unique=False)
    op.create_index("ix_qa_review_state", "qa_review", ["state", "id"], unique=False)
