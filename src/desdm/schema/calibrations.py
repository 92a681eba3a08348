"""Tables of calibrations: epochs, which calibrations serve in them, and which ones a run chose and why."""

from __future__ import annotations

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, Table, Text

from desdm.schema.columns import STATE, col, metadata

__all__ = ["exclude_list", "ops_epoch", "ops_epoch_inputs_per_band", "pfw_calibration"]

ops_epoch = Table(
    "ops_epoch",
    metadata,
    col("name", String(32), primary_key=True, text="Epoch, for instance Y1E1"),
    col("minexpnum", Integer, text="First exposure of the epoch", ucd="meta.id;obs.exposure"),
    col("maxexpnum", Integer, text="Last exposure of the epoch", ucd="meta.id;obs.exposure"),
    col("description", Text, text="Why an epoch begins here: a warm-up, a new amplifier setting …"),
    comment="Epochs of the camera: ranges of exposures that share calibrations",
)

ops_epoch_inputs_per_band = Table(
    "ops_epoch_inputs_per_band",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row; of two that fit, the newest counts", ucd="meta.id;meta.main"),
    col("name", String(32), ForeignKey("ops_epoch.name"), text="Epoch"),
    col("filetype", String(24), ForeignKey("ops_filetype.filetype"), text="File type of the calibration"),
    col("band", String(8), default="", text="Band that it serves, or empty: every band", ucd="instr.bandpass"),
    col("campaign", String(32), default="", text="Campaign that it serves, or empty: every campaign"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), nullable=True, text="Attempt whose files serve"),
    col("filepat", String(160), nullable=True, text="Or: pattern (SQL LIKE) of the names of delivered files"),
    col("who", String(32), text="Who registered it"),
    col("since", DateTime, text="When, UTC", ucd="time"),
    Index("ix_ops_epoch_inputs", "filetype", "name"),
    comment="Which calibrations serve in an epoch, by file type, band and campaign; only ever added to",
)  # fmt: skip

pfw_calibration = Table(
    "pfw_calibration",
    metadata,
    col(
        "pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt that uses it"
    ),
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="Calibration file"),
    col("filetype", String(24), text="Its file type"),
    col("ccdnum", Integer, nullable=True, text="CCD that it is for; NULL: all", ucd="meta.id;instr.det"),
    col("how", STATE, text="Rule that chose it: epoch, night or tag"),
    col("reason", Text, text="The choice in words: what was near, what was passed over and why"),
    comment="Calibrations that an attempt uses, each with the reason why it was chosen",
)

exclude_list = Table(
    "exclude_list",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row, in order", ucd="meta.id;meta.main"),
    col("expnum", Integer, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("ccdnum", Integer, default=0, text="CCD number; 0: the whole exposure", ucd="meta.id;instr.det"),
    col("reason", Text, text="Why it must not be used"),
    col("analyst", String(32), text="Who says so"),
    col("since", DateTime, text="When, UTC", ucd="time"),
    col("lifted_by", String(32), nullable=True, text="Who lifted the exclusion; NULL: it is in force"),
    col("lifted_at", DateTime, nullable=True, text="When it was lifted, UTC", ucd="time"),
    col("lift_reason", Text, nullable=True, text="Why it was lifted"),
    Index("ix_exclude_list_expnum", "expnum"),
    comment="Exposures and CCDs that calibrations and coadds must not use",
)
