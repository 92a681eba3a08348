"""Calibrations, verdicts, zero points; a wrapper may be left out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from desdm.schema.triggers import append_only

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ccds = "CCDs that a mosaic exposure should have, as ranges: 1:62"
    op.add_column("image", sa.Column("ccds", sa.String(length=240), nullable=True, comment=ccds))
    _widen(
        "planned', 'running', 'done', 'reused', 'failed",
        "planned', 'running', 'done', 'reused', 'failed', 'left",
    )
    op.create_table(
        "exclude_list",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the row, in order"),
        sa.Column("expnum", sa.Integer(), nullable=False, comment="Exposure number"),
        sa.Column("ccdnum", sa.Integer(), nullable=False, comment="CCD number; 0: the whole exposure"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why it must not be used"),
        sa.Column("analyst", sa.String(length=32), nullable=False, comment="Who says so"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclude_list")),
        comment="Exposures and CCDs that calibrations and coadds must not use",
    )
    with op.batch_alter_table("exclude_list", schema=None) as batch_op:
        batch_op.create_index("ix_exclude_list_expnum", ["expnum"], unique=False)

    op.create_table(
        "ops_epoch",
        sa.Column("name", sa.String(length=32), nullable=False, comment="Epoch, for instance Y1E1"),
        sa.Column("minexpnum", sa.Integer(), nullable=False, comment="First exposure of the epoch"),
        sa.Column("maxexpnum", sa.Integer(), nullable=False, comment="Last exposure of the epoch"),
        sa.Column(
            "description",
            sa.Text(),
            nullable=False,
            comment="Why an epoch begins here: a warm-up, a new amplifier setting …",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ops_epoch")),
        comment="Epochs of the camera: ranges of exposures that share calibrations",
    )
    op.create_table(
        "finalcut_eval",
        sa.Column(
            "id", sa.Integer(), nullable=False, comment="Number of the row; the newest of an exposure counts"
        ),
        sa.Column(
            "exposurename", sa.String(length=48), nullable=False, comment="Exposure, for instance D00229686"
        ),
        sa.Column("expnum", sa.Integer(), nullable=False, comment="Exposure number"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Attempt that it judges"),
        sa.Column("camsym", sa.String(length=4), nullable=False, comment="Camera symbol"),
        sa.Column(
            "processed",
            sa.String(length=8),
            nullable=False,
            comment="Whether it was processed: True or False",
        ),
        sa.Column(
            "accepted",
            sa.String(length=8),
            nullable=False,
            comment="Verdict: True, False or Unknown (an analyst decides)",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="Why: badF, badT, unkn with what is missing, or an analyst's words",
        ),
        sa.Column(
            "program",
            sa.String(length=32),
            nullable=False,
            comment="Who judged: assess, or the analyst's program",
        ),
        sa.Column("analyst", sa.String(length=32), nullable=False, comment="Person or program"),
        sa.Column("analyst_comment", sa.Text(), nullable=True, comment="What the analyst says"),
        sa.Column("lastchanged_time", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column(
            "t_eff", sa.Float(), nullable=True, comment="Effective exposure time over the real one: F·B·C"
        ),
        sa.Column("f_eff", sa.Float(), nullable=True, comment="Seeing factor F"),
        sa.Column("b_eff", sa.Float(), nullable=True, comment="Sky factor B"),
        sa.Column("c_eff", sa.Float(), nullable=True, comment="Cloud factor C"),
        sa.Column("fwhm_asec", sa.Float(), nullable=True, comment="Seeing"),
        sa.Column("ellipticity", sa.Float(), nullable=True, comment="Mean ellipticity of the PSF"),
        sa.Column("skybrightness", sa.Float(), nullable=True, comment="Sky"),
        sa.Column(
            "cloud", sa.Float(), nullable=True, comment="Extinction by clouds against the reference catalogue"
        ),
        sa.Column(
            "cloud_catalog",
            sa.String(length=32),
            nullable=True,
            comment="Reference catalogue of the cloud estimate",
        ),
        sa.Column("n_match", sa.Integer(), nullable=True, comment="Stars matched with it"),
        sa.Column("depth", sa.Float(), nullable=True, comment="Magnitude at which its error is 0.1"),
        sa.Column(
            "astrom_rms", sa.Float(), nullable=True, comment="Scatter against the astrometric reference"
        ),
        sa.Column("magzero", sa.Float(), nullable=True, comment="Zero point: magnitude of one electron"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_finalcut_eval_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finalcut_eval")),
        comment="Verdicts on exposures after Final Cut; only ever added to, the newest row of an exposure counts",
    )
    with op.batch_alter_table("finalcut_eval", schema=None) as batch_op:
        batch_op.create_index("ix_finalcut_eval_expnum", ["expnum"], unique=False)

    op.create_table(
        "firstcut_eval",
        sa.Column(
            "id", sa.Integer(), nullable=False, comment="Number of the row; the newest of an exposure counts"
        ),
        sa.Column(
            "exposurename", sa.String(length=48), nullable=False, comment="Exposure, for instance D00229686"
        ),
        sa.Column("expnum", sa.Integer(), nullable=False, comment="Exposure number"),
        sa.Column("nite", sa.String(length=8), nullable=True, comment="Night of observation, YYYYMMDD"),
        sa.Column("band", sa.String(length=8), nullable=True, comment="Band"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Attempt that it judges"),
        sa.Column("camsym", sa.String(length=4), nullable=False, comment="Camera symbol"),
        sa.Column(
            "processed",
            sa.String(length=8),
            nullable=False,
            comment="Whether it was processed: True or False",
        ),
        sa.Column(
            "accepted",
            sa.String(length=8),
            nullable=False,
            comment="Verdict: True, False or Unknown (an analyst decides)",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="Why: badF, badT, unkn with what is missing, or an analyst's words",
        ),
        sa.Column(
            "program",
            sa.String(length=32),
            nullable=False,
            comment="Who judged: assess, or the analyst's program",
        ),
        sa.Column("analyst", sa.String(length=32), nullable=False, comment="Person or program"),
        sa.Column("analyst_comment", sa.Text(), nullable=True, comment="What the analyst says"),
        sa.Column("lastchanged_time", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.Column(
            "t_eff", sa.Float(), nullable=True, comment="Effective exposure time over the real one: F·B·C"
        ),
        sa.Column("f_eff", sa.Float(), nullable=True, comment="Seeing factor F"),
        sa.Column("b_eff", sa.Float(), nullable=True, comment="Sky factor B"),
        sa.Column("c_eff", sa.Float(), nullable=True, comment="Cloud factor C"),
        sa.Column("fwhm_asec", sa.Float(), nullable=True, comment="Seeing"),
        sa.Column("ellipticity", sa.Float(), nullable=True, comment="Mean ellipticity of the PSF"),
        sa.Column("skybrightness", sa.Float(), nullable=True, comment="Sky"),
        sa.Column(
            "cloud", sa.Float(), nullable=True, comment="Extinction by clouds against the reference catalogue"
        ),
        sa.Column(
            "cloud_catalog",
            sa.String(length=32),
            nullable=True,
            comment="Reference catalogue of the cloud estimate",
        ),
        sa.Column("n_match", sa.Integer(), nullable=True, comment="Stars matched with it"),
        sa.Column("depth", sa.Float(), nullable=True, comment="Magnitude at which its error is 0.1"),
        sa.Column(
            "astrom_rms", sa.Float(), nullable=True, comment="Scatter against the astrometric reference"
        ),
        sa.Column("magzero", sa.Float(), nullable=True, comment="Zero point: magnitude of one electron"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_firstcut_eval_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firstcut_eval")),
        comment="Verdicts on exposures after First Cut; only ever added to, the newest row of an exposure counts",
    )
    with op.batch_alter_table("firstcut_eval", schema=None) as batch_op:
        batch_op.create_index("ix_firstcut_eval_expnum", ["expnum"], unique=False)

    op.create_table(
        "ops_epoch_inputs_per_band",
        sa.Column(
            "id",
            sa.Integer(),
            nullable=False,
            comment="Number of the row; of two that fit, the newest counts",
        ),
        sa.Column("name", sa.String(length=32), nullable=False, comment="Epoch"),
        sa.Column("filetype", sa.String(length=24), nullable=False, comment="File type of the calibration"),
        sa.Column(
            "band", sa.String(length=8), nullable=False, comment="Band that it serves, or empty: every band"
        ),
        sa.Column(
            "campaign",
            sa.String(length=32),
            nullable=False,
            comment="Campaign that it serves, or empty: every campaign",
        ),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=True, comment="Attempt whose files serve"),
        sa.Column(
            "filepat",
            sa.String(length=160),
            nullable=True,
            comment="Or: pattern (SQL LIKE) of the names of delivered files",
        ),
        sa.Column("who", sa.String(length=32), nullable=False, comment="Who registered it"),
        sa.Column("since", sa.DateTime(), nullable=False, comment="When, UTC"),
        sa.ForeignKeyConstraint(
            ["filetype"], ["ops_filetype.filetype"], name=op.f("fk_ops_epoch_inputs_per_band_filetype")
        ),
        sa.ForeignKeyConstraint(["name"], ["ops_epoch.name"], name=op.f("fk_ops_epoch_inputs_per_band_name")),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_ops_epoch_inputs_per_band_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ops_epoch_inputs_per_band")),
        comment="Which calibrations serve in an epoch, by file type, band and campaign; only ever added to",
    )
    with op.batch_alter_table("ops_epoch_inputs_per_band", schema=None) as batch_op:
        batch_op.create_index("ix_ops_epoch_inputs", ["filetype", "name"], unique=False)

    op.create_table(
        "zeropoint",
        sa.Column("id", sa.Integer(), nullable=False, comment="Number of the row"),
        sa.Column("imagename", sa.String(length=160), nullable=False, comment="Image that it is for"),
        sa.Column("expnum", sa.Integer(), nullable=False, comment="Exposure number"),
        sa.Column("ccdnum", sa.Integer(), nullable=False, comment="CCD number"),
        sa.Column("band", sa.String(length=8), nullable=False, comment="Band"),
        sa.Column("mag_zero", sa.Float(), nullable=False, comment="AB magnitude of one electron"),
        sa.Column("sigma_mag_zero", sa.Float(), nullable=True, comment="Its error"),
        sa.Column("nstars", sa.Integer(), nullable=False, comment="Stars behind it"),
        sa.Column(
            "source", sa.String(length=16), nullable=False, comment="Who made it: nightly, gcm, fgcm …"
        ),
        sa.Column("version", sa.String(length=32), nullable=False, comment="Version: the run that made it"),
        sa.Column("flag", sa.Integer(), nullable=False, comment="0: good; bits say why not"),
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt that made it"),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_zeropoint_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zeropoint")),
        comment="Zero points of images by source and version",
    )
    with op.batch_alter_table("zeropoint", schema=None) as batch_op:
        batch_op.create_index("ix_zeropoint_exposure", ["expnum", "ccdnum"], unique=False)

    op.create_table(
        "pfw_calibration",
        sa.Column("pfw_attempt_id", sa.Integer(), nullable=False, comment="Attempt that uses it"),
        sa.Column("desfile_id", sa.Integer(), nullable=False, comment="Calibration file"),
        sa.Column("filetype", sa.String(length=24), nullable=False, comment="Its file type"),
        sa.Column("ccdnum", sa.Integer(), nullable=True, comment="CCD that it is for; NULL: all"),
        sa.Column(
            "how", sa.String(length=12), nullable=False, comment="Rule that chose it: epoch, night or tag"
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="The choice in words: what was near, what was passed over and why",
        ),
        sa.ForeignKeyConstraint(["desfile_id"], ["desfile.id"], name=op.f("fk_pfw_calibration_desfile_id")),
        sa.ForeignKeyConstraint(
            ["pfw_attempt_id"], ["pfw_attempt.id"], name=op.f("fk_pfw_calibration_pfw_attempt_id")
        ),
        sa.PrimaryKeyConstraint("pfw_attempt_id", "desfile_id", name=op.f("pk_pfw_calibration")),
        comment="Calibrations that an attempt uses, each with the reason why it was chosen",
    )
    for statement in append_only(op.get_bind().dialect.name, ("firstcut_eval", "finalcut_eval")):
        op.execute(statement)


def _widen(old: str, new: str) -> None:
    """Give the states of pfw_wrapper a new member."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_pfw_wrapper_state"), "pfw_wrapper", type_="check")
        op.create_check_constraint(op.f("ck_pfw_wrapper_state"), "pfw_wrapper", f"state IN ('{new}')")
        return
    # SQLite changes a CHECK in the schema's own text (sqlite.org/lang_altertable.html, section 7): other tables refer to
    # this one, so it cannot be dropped and made anew.
    version = op.get_bind().exec_driver_sql("PRAGMA schema_version").scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    op.get_bind().execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :old, :new) WHERE type = 'table' AND name = 'pfw_wrapper'"
        ),
        {"old": f"'{old}'", "new": f"'{new}'"},
    )
    op.execute(f"PRAGMA schema_version = {int(version) + 1}")
    op.execute("PRAGMA writable_schema = OFF")
