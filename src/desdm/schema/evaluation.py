"""Tables of the verdict on exposures: firstcut_eval, finalcut_eval (append-only) and the zero points of images."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import Column, DateTime, Float, ForeignKey, Index, Integer, String, Table, Text

from desdm.schema.columns import col, metadata

__all__ = [
    "EVALUATIONS",
    "EvaluationRow",
    "ExclusionDocument",
    "ListedVerdict",
    "finalcut_eval",
    "firstcut_eval",
    "zeropoint",
]


def _columns() -> list[Column[Any]]:
    """Return the columns that the evaluations of both cuts have."""
    # The two cuts are judged alike; their tables differ in name alone.
    return [
        col("id", Integer, primary_key=True, text="Number of the row; the newest of an exposure counts", ucd="meta.id;meta.main"),
        col("exposurename", String(48), text="Exposure, for instance D00229686"),
        col("expnum", Integer, text="Exposure number", ucd="meta.id;obs.exposure"),
        col("nite", String(8), nullable=True, text="Night of observation, YYYYMMDD", ucd="time.epoch;obs"),
        col("band", String(8), nullable=True, text="Band", ucd="instr.bandpass"),
        col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), nullable=True, text="Attempt that it judges"),
        col("camsym", String(4), default="D", text="Camera symbol"),
        col("processed", String(8), text="Whether it was processed: True or False"),
        col("accepted", String(8), text="Verdict: True, False or Unknown (an analyst decides)"),
        col("reason", Text, text="Why: badF, badT, unkn with what is missing, or an analyst's words"),
        col("program", String(32), text="Who judged: assess, or the analyst's program"),
        col("analyst", String(32), text="Person or program"),
        col("analyst_comment", Text, nullable=True, text="What the analyst says"),
        col("lastchanged_time", DateTime, text="When, UTC", ucd="time"),
        col("t_eff", Float, nullable=True, text="Effective exposure time over the real one: F·B·C"),
        col("f_eff", Float, nullable=True, text="Seeing factor F"),
        col("b_eff", Float, nullable=True, text="Sky factor B"),
        col("c_eff", Float, nullable=True, text="Cloud factor C"),
        col("fwhm_asec", Float, nullable=True, text="Seeing", unit="arcsec", ucd="instr.obsty.seeing"),
        col("ellipticity", Float, nullable=True, text="Mean ellipticity of the PSF"),
        col("skybrightness", Float, nullable=True, text="Sky", unit="electron/(s.pixel)", ucd="instr.skyLevel"),
        col("cloud", Float, nullable=True, text="Extinction by clouds against the reference catalogue", unit="mag"),
        col("cloud_catalog", String(32), nullable=True, text="Reference catalogue of the cloud estimate"),
        col("n_match", Integer, nullable=True, text="Stars matched with it", ucd="meta.number"),
        col("depth", Float, nullable=True, text="Magnitude at which its error is 0.1", unit="mag", ucd="phot.mag"),
        col("astrom_rms", Float, nullable=True, text="Scatter against the astrometric reference", unit="mas", ucd="stat.stdev;pos"),
        col("magzero", Float, nullable=True, text="Zero point: magnitude of one electron", unit="mag", ucd="phot.mag;arith.zp"),
    ]  # fmt: skip


class EvaluationRow(TypedDict):
    """A row of firstcut_eval or finalcut_eval; the columns are described in the tables."""

    id: int
    exposurename: str
    expnum: int
    nite: str | None
    band: str | None
    pfw_attempt_id: int | None
    camsym: str
    processed: str
    accepted: str
    reason: str
    program: str
    analyst: str
    analyst_comment: str | None
    lastchanged_time: datetime
    t_eff: float | None
    f_eff: float | None
    b_eff: float | None
    c_eff: float | None
    fwhm_asec: float | None
    ellipticity: float | None
    skybrightness: float | None
    cloud: float | None
    cloud_catalog: str | None
    n_match: int | None
    depth: float | None
    astrom_rms: float | None
    magzero: float | None


class ExclusionDocument(TypedDict):
    """An exclusion in force, as JSON tells it; ``ccdnum`` None: the whole exposure."""

    expnum: int
    ccdnum: int | None
    reason: str
    analyst: str
    since: datetime


class ListedVerdict(EvaluationRow):
    """A verdict as lists of verdicts show it: whether it counts, and what is excluded of the exposure.

    ``unsound`` says why no image of the exposure may be used; empty: they may.
    """

    state: str
    unsound: str
    exclusions: list[ExclusionDocument]


firstcut_eval = Table(
    "firstcut_eval",
    metadata,
    *_columns(),
    Index("ix_firstcut_eval_expnum", "expnum"),
    comment="Verdicts on exposures after First Cut; only ever added to, the newest row of an exposure counts",
)

finalcut_eval = Table(
    "finalcut_eval",
    metadata,
    *_columns(),
    Index("ix_finalcut_eval_expnum", "expnum"),
    comment="Verdicts on exposures after Final Cut; only ever added to, the newest row of an exposure counts",
)

EVALUATIONS: dict[str, Table] = {"firstcut": firstcut_eval, "finalcut": finalcut_eval}

zeropoint = Table(
    "zeropoint",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row", ucd="meta.id;meta.main"),
    col("imagename", String(160), text="Image that it is for"),
    col("expnum", Integer, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("ccdnum", Integer, text="CCD number", ucd="meta.id;instr.det"),
    col("band", String(8), text="Band", ucd="instr.bandpass"),
    col("mag_zero", Float, text="AB magnitude of one electron", unit="mag", ucd="phot.mag;arith.zp"),
    col("sigma_mag_zero", Float, nullable=True, text="Its error", unit="mag", ucd="stat.error;phot.mag"),
    col("nstars", Integer, text="Stars behind it", ucd="meta.number"),
    col("source", String(16), text="Who made it: nightly, gcm, fgcm …"),
    col("version", String(32), text="Version: the run that made it"),
    col("flag", Integer, text="0: good; bits say why not", ucd="meta.code.qual"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt that made it"),
    Index("ix_zeropoint_exposure", "expnum", "ccdnum"),
    comment="Zero points of images by source and version",
)
