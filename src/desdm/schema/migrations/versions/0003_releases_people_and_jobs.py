"""Releases, people and their rights, jobs of the data services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desdm.schema.triggers import append_only, published

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_denial",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the denial"),
        sa.Column("at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column(
            "login", sa.String(length=32), nullable=False, comment="Who asked; empty: nobody that is known"
        ),
        sa.Column("address", sa.String(length=64), nullable=False, comment="From which address"),
        sa.Column("action", sa.String(length=48), nullable=False, comment="What was asked for"),
        sa.Column("subject", sa.Text(), nullable=False, comment="Of what"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why it was denied"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_denial")),
        comment="What was denied to whom; only ever added to",
    )
    op.create_index("ix_access_denial_at", "access_denial", ["at"], unique=False)

    op.create_table(
        "data_right",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the right"),
        sa.Column("grantee_kind", sa.String(length=8), nullable=False, comment="role or person"),
        sa.Column("grantee", sa.String(length=32), nullable=False, comment="Name of the role, or login"),
        sa.Column("release_name", sa.String(length=32), nullable=False, comment="Release"),
        sa.Column(
            "table_name", sa.String(length=48), nullable=False, comment="Table; * for all, with the files"
        ),
        sa.Column("granted_by", sa.String(length=32), nullable=False, comment="Who granted it"),
        sa.Column("granted_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_right")),
        sa.UniqueConstraint(
            "grantee_kind",
            "grantee",
            "release_name",
            "table_name",
            name=op.f("uq_data_right_grantee_kind_grantee_release_name_table_name"),
        ),
        comment="Who may see what is not public",
    )
    op.create_table(
        "mydb_table",
        sa.Column("owner", sa.String(length=32), nullable=False, comment="Login of its owner"),
        sa.Column("table_name", sa.String(length=48), nullable=False, comment="Table"),
        sa.Column("row_count", sa.BigInteger(), nullable=False, comment="Rows"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, comment="Room that it takes"),
        sa.Column(
            "columns", sa.Text(), nullable=False, comment="Its columns with type, unit, UCD and text, JSON"
        ),
        sa.Column("text", sa.Text(), nullable=False, comment="What it is"),
        sa.Column("created_at", sa.DateTime(), nullable=False, comment="When it was made, UTC"),
        sa.PrimaryKeyConstraint("owner", "table_name", name=op.f("pk_mydb_table")),
        comment="Tables that users keep (mydb)",
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the person"),
        sa.Column("login", sa.String(length=32), nullable=False, comment="Login name"),
        sa.Column("name", sa.Text(), nullable=False, comment="Full name"),
        sa.Column("email", sa.String(length=120), nullable=False, comment="Mail address"),
        sa.Column("role", sa.String(length=12), nullable=False, comment="Role"),
        sa.Column(
            "password_hash", sa.Text(), nullable=True, comment="argon2id hash; none: no login by password"
        ),
        sa.Column("disabled_at", sa.DateTime(), nullable=True, comment="When the account was closed, UTC"),
        sa.Column("created_by", sa.String(length=32), nullable=False, comment="Who made the account"),
        sa.Column("created_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.CheckConstraint(
            "role IN ('public', 'collaborator', 'operator', 'admin')", name=op.f("ck_person_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("login", name=op.f("uq_person_login")),
        comment="Accounts of people",
    )
    op.create_table(
        "problem",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the problem"),
        sa.Column(
            "subject_kind",
            sa.String(length=12),
            nullable=False,
            comment="What it is about: release, tag, tile, exposure, attempt, file",
        ),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="Its name"),
        sa.Column("text", sa.Text(), nullable=False, comment="What is wrong"),
        sa.Column(
            "blocks",
            sa.Boolean(),
            nullable=False,
            comment="Whether it blocks a release that holds its subject",
        ),
        sa.Column("opened_by", sa.String(length=32), nullable=False, comment="Who opened it"),
        sa.Column("opened_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("closed_by", sa.String(length=32), nullable=True, comment="Who closed it"),
        sa.Column("closed_at", sa.DateTime(), nullable=True, comment="When, UTC"),
        sa.Column("resolution", sa.Text(), nullable=True, comment="How it was resolved"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problem")),
        comment="The problem list",
    )
    op.create_index("ix_problem_subject", "problem", ["subject_kind", "subject"], unique=False)

    op.create_table(
        "release",
        sa.Column(
            "name",
            sa.String(length=32),
            nullable=False,
            comment="Release, for instance Y6; the schema's name in ADQL",
        ),
        sa.Column("state", sa.String(length=12), nullable=False, comment="State of the release"),
        sa.Column("title", sa.Text(), nullable=False, comment="Title, one line"),
        sa.Column("text", sa.Text(), nullable=False, comment="What it is"),
        sa.Column("selection", sa.Text(), nullable=False, comment="How its data were selected"),
        sa.Column(
            "erratum_of", sa.String(length=32), nullable=True, comment="Release that this one corrects"
        ),
        sa.Column(
            "proprietary",
            sa.Boolean(),
            nullable=False,
            comment="Whether only those with a data right may see it once published",
        ),
        sa.Column("created_by", sa.String(length=32), nullable=False, comment="Who made it"),
        sa.Column("created_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column("frozen_at", sa.DateTime(), nullable=True, comment="When its content was frozen, UTC"),
        sa.Column("published_by", sa.String(length=32), nullable=True, comment="Who published it"),
        sa.Column("published_at", sa.DateTime(), nullable=True, comment="When, UTC"),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=True, comment="sha-256 of its manifest"),
        sa.CheckConstraint("state IN ('draft', 'frozen', 'published')", name=op.f("ck_release_state")),
        sa.ForeignKeyConstraint(["erratum_of"], ["release.name"], name=op.f("fk_release_erratum_of")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_release")),
        comment="Releases: frozen selections of blessed data; a published one never changes",
    )
    op.create_table(
        "uws_job",
        sa.Column("id", sa.String(length=32), nullable=False, comment="Job"),
        sa.Column("service", sa.String(length=16), nullable=False, comment="Service: tap, soda, cutout"),
        sa.Column(
            "owner", sa.String(length=32), nullable=False, comment="Login of its owner; empty: anybody"
        ),
        sa.Column(
            "run_id", sa.String(length=64), nullable=False, comment="The client's own name for it (RUNID)"
        ),
        sa.Column("phase", sa.String(length=12), nullable=False, comment="UWS phase"),
        sa.Column("creation_time", sa.DateTime(), nullable=False, comment="When it was made, UTC"),
        sa.Column("start_time", sa.DateTime(), nullable=True, comment="When it began to run, UTC"),
        sa.Column("end_time", sa.DateTime(), nullable=True, comment="When it ended, UTC"),
        sa.Column(
            "execution_duration", sa.Float(), nullable=False, comment="How long it may run; 0: no limit"
        ),
        sa.Column("destruction", sa.DateTime(), nullable=False, comment="When job and results go, UTC"),
        sa.Column("error_type", sa.String(length=12), nullable=True, comment="transient or fatal"),
        sa.Column("error_message", sa.Text(), nullable=True, comment="What went wrong"),
        sa.Column("server", sa.String(length=64), nullable=True, comment="Server process that runs it"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="How often a server took it up"),
        sa.CheckConstraint(
            "phase IN ('PENDING', 'QUEUED', 'EXECUTING', 'COMPLETED', 'ERROR', 'ABORTED', 'HELD', 'SUSPENDED', 'UNKNOWN', 'ARCHIVED')",
            name=op.f("ck_uws_job_phase"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uws_job")),
        comment="Asynchronous jobs (IVOA UWS 1.1)",
    )
    op.create_index("ix_uws_job_owner", "uws_job", ["service", "owner", "creation_time"], unique=False)

    op.create_table(
        "access_token",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the token"),
        sa.Column("person_id", sa.Integer(), nullable=False, comment="Whose it is"),
        sa.Column("kind", sa.String(length=12), nullable=False, comment="api, or session (of a browser)"),
        sa.Column("name", sa.Text(), nullable=False, comment="What it is for"),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="sha-256 of the token; the token itself is shown once and never kept",
        ),
        sa.Column("scopes", sa.Text(), nullable=False, comment="What it allows, names with spaces between"),
        sa.Column("created_at", sa.DateTime(), nullable=False, comment="When it was made, UTC"),
        sa.Column("expires_at", sa.DateTime(), nullable=False, comment="When it ends, UTC"),
        sa.Column("revoked_at", sa.DateTime(), nullable=True, comment="When it was revoked, UTC"),
        sa.Column(
            "last_used_at", sa.DateTime(), nullable=True, comment="When it was last used, UTC, to the minute"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_access_token_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_token_digest")),
        comment="Tokens by which programs and browsers act for a person",
    )
    op.create_index("ix_access_token_person_id", "access_token", ["person_id"], unique=False)

    op.create_table(
        "announcement",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the announcement"),
        sa.Column("release_name", sa.String(length=32), nullable=False, comment="Release"),
        sa.Column("subject", sa.Text(), nullable=False, comment="Subject"),
        sa.Column("body", sa.Text(), nullable=False, comment="Text"),
        sa.Column("announced_by", sa.String(length=32), nullable=False, comment="Who announced it"),
        sa.Column("announced_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column(
            "mailed_to", sa.Text(), nullable=False, comment="Addresses that it was mailed to, one a line"
        ),
        sa.ForeignKeyConstraint(
            ["release_name"], ["release.name"], name=op.f("fk_announcement_release_name")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcement")),
        comment="Announcements of releases, as mail and in the web feed",
    )
    op.create_table(
        "release_table",
        sa.Column("release_name", sa.String(length=32), nullable=False, comment="Release"),
        sa.Column("table_name", sa.String(length=48), nullable=False, comment="Table"),
        sa.Column("kind", sa.String(length=12), nullable=False, comment="release, or value-added"),
        sa.Column("text", sa.Text(), nullable=False, comment="What a row is"),
        sa.Column("row_count", sa.BigInteger(), nullable=False, comment="Rows"),
        sa.Column(
            "ra_column",
            sa.String(length=64),
            nullable=True,
            comment="Column of right ascension, ICRS degrees",
        ),
        sa.Column(
            "dec_column", sa.String(length=64), nullable=True, comment="Column of declination, ICRS degrees"
        ),
        sa.Column("id_column", sa.String(length=64), nullable=True, comment="Column that names a row"),
        sa.Column(
            "path",
            sa.String(length=160),
            nullable=False,
            comment="Directory of its Parquet files (HATS layout), relative to the release's",
        ),
        sa.Column("provenance", sa.Text(), nullable=False, comment="Where it came from, JSON"),
        sa.Column("added_by", sa.String(length=32), nullable=False, comment="Who added it"),
        sa.Column("added_at", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.ForeignKeyConstraint(
            ["release_name"], ["release.name"], name=op.f("fk_release_table_release_name")
        ),
        sa.PrimaryKeyConstraint("release_name", "table_name", name=op.f("pk_release_table")),
        comment="Tables of a release",
    )
    op.create_table(
        "uws_parameter",
        sa.Column("job_id", sa.String(length=32), nullable=False, comment="Job"),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="Its place, from 0"),
        sa.Column("name", sa.String(length=64), nullable=False, comment="Parameter, in capitals"),
        sa.Column("value", sa.Text(), nullable=False, comment="Its value"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["uws_job.id"], name=op.f("fk_uws_parameter_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_uws_parameter")),
        comment="Parameters of asynchronous jobs",
    )
    op.create_table(
        "uws_result",
        sa.Column("job_id", sa.String(length=32), nullable=False, comment="Job"),
        sa.Column("result_id", sa.String(length=64), nullable=False, comment="Result"),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="Its place, from 0"),
        sa.Column(
            "path", sa.String(length=240), nullable=False, comment="File, relative to the results' directory"
        ),
        sa.Column("mime", sa.String(length=120), nullable=False, comment="Media type"),
        sa.Column("filesize", sa.BigInteger(), nullable=False, comment="Size"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["uws_job.id"], name=op.f("fk_uws_result_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "result_id", name=op.f("pk_uws_result")),
        comment="Results of asynchronous jobs",
    )
    op.create_table(
        "release_column",
        sa.Column("release_name", sa.String(length=32), nullable=False, comment="Release"),
        sa.Column("table_name", sa.String(length=48), nullable=False, comment="Table"),
        sa.Column("column_name", sa.String(length=64), nullable=False, comment="Column"),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="Its place, from 0"),
        sa.Column(
            "datatype",
            sa.String(length=16),
            nullable=False,
            comment="VOTable data type: boolean, short, int, long, float, double, char, unicodeChar",
        ),
        sa.Column("arraysize", sa.String(length=16), nullable=True, comment="VOTable array size; * for text"),
        sa.Column("xtype", sa.String(length=16), nullable=True, comment="DALI extended type"),
        sa.Column("unit", sa.String(length=48), nullable=False, comment="Unit (VOUnits 1.1)"),
        sa.Column("ucd", sa.String(length=80), nullable=False, comment="UCD1+"),
        sa.Column("text", sa.Text(), nullable=False, comment="What it is"),
        sa.Column("principal", sa.Boolean(), nullable=False, comment="Whether a first look should show it"),
        sa.Column("indexed", sa.Boolean(), nullable=False, comment="Whether a condition on it is fast"),
        sa.Column(
            "inferred",
            sa.Boolean(),
            nullable=False,
            comment="Whether text, unit or UCD are guesses of the program",
        ),
        sa.Column("minimum", sa.Float(), nullable=True, comment="Least value"),
        sa.Column("maximum", sa.Float(), nullable=True, comment="Largest value"),
        sa.Column("null_count", sa.BigInteger(), nullable=False, comment="Rows without a value"),
        sa.ForeignKeyConstraint(
            ["release_name", "table_name"],
            ["release_table.release_name", "release_table.table_name"],
            name=op.f("fk_release_column_release_name_table_name"),
        ),
        sa.PrimaryKeyConstraint("release_name", "table_name", "column_name", name=op.f("pk_release_column")),
        comment="Columns of the tables of a release",
    )
    op.create_table(
        "release_file",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the row"),
        sa.Column("release_name", sa.String(length=32), nullable=False, comment="Release"),
        sa.Column(
            "path", sa.String(length=240), nullable=False, comment="Path relative to the release's directory"
        ),
        sa.Column(
            "filetype",
            sa.String(length=24),
            nullable=False,
            comment="coadd, coadd_color, table, footprint, moc, hips, document, manifest",
        ),
        sa.Column("mime", sa.String(length=80), nullable=False, comment="Media type"),
        sa.Column("tilename", sa.String(length=24), nullable=True, comment="Coadd tile"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band"),
        sa.Column("filesize", sa.BigInteger(), nullable=False, comment="Size"),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="sha-256 of the bytes, hexadecimal"
        ),
        sa.Column("desfile_id", sa.Integer(), nullable=True, comment="Archive's file that it was made from"),
        sa.Column("source_sha256", sa.String(length=64), nullable=True, comment="sha-256 of that file"),
        sa.Column("ra_cent", sa.Float(), nullable=True, comment="Right ascension of the centre, ICRS"),
        sa.Column("dec_cent", sa.Float(), nullable=True, comment="Declination of the centre, ICRS"),
        sa.Column("radius", sa.Float(), nullable=True, comment="Radius of the circle that holds it"),
        sa.Column("s_region", sa.Text(), nullable=True, comment="Outline, STC-S polygon, ICRS"),
        sa.Column("naxis1", sa.Integer(), nullable=True, comment="Columns"),
        sa.Column("naxis2", sa.Integer(), nullable=True, comment="Rows"),
        sa.Column("pixscale", sa.Float(), nullable=True, comment="Pixel scale"),
        sa.Column("fwhm", sa.Float(), nullable=True, comment="Full width at half maximum of the PSF"),
        sa.Column("t_min", sa.Float(), nullable=True, comment="Begin of its first exposure"),
        sa.Column("t_max", sa.Float(), nullable=True, comment="End of its last exposure"),
        sa.Column("t_exptime", sa.Float(), nullable=True, comment="Summed exposure time"),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_release_file_desfile_id")),
        sa.ForeignKeyConstraint(
            ["release_name"], ["release.name"], name=op.f("fk_release_file_release_name")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release_file")),
        comment="Files of a release, each with its digest and the archive's file that it was made from",
    )
    op.create_index("ix_release_file_release", "release_file", ["release_name", "path"], unique=True)
    op.create_index("ix_release_file_tile", "release_file", ["release_name", "tilename"], unique=False)

    dialect = op.get_bind().dialect.name
    for statement in (*append_only(dialect, ("access_denial",)), *published(dialect)):
        op.execute(statement)
