"""Tables of what happened (events) and of the sky's tiles."""

from __future__ import annotations

from sqlalchemy import DateTime, Float, ForeignKey, Index, Integer, String, Table, Text

from desdm.schema.columns import col, metadata

__all__ = ["coaddtile_geom", "event"]

event = Table(
    "event",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the event, in order", ucd="meta.id;meta.main"),
    col("event_time", DateTime, text="When, UTC", ucd="time"),
    col("kind", String(24), text="What happened: attempt, job, ingest, delete, tag, audit …"),
    col("who", String(32), text="Person or program"),
    col(
        "subject",
        String(200),
        nullable=True,
        text="What it concerns: exposure, run, file, tag, release, account …",
    ),
    col(
        "pfw_attempt_id",
        Integer,
        ForeignKey("pfw_attempt.id"),
        nullable=True,
        text="Attempt that it concerns",
    ),
    col("text", Text, text="What was done, in words"),
    col("reason", Text, nullable=True, text="Why, in the words of who did it"),
    Index("ix_event_attempt", "pfw_attempt_id"),
    Index("ix_event_subject", "subject"),
    comment="What happened, in order; only ever added to",
)

coaddtile_geom = Table(
    "coaddtile_geom",
    metadata,
    col("tilename", String(24), primary_key=True, text="Tile", ucd="meta.id;meta.main"),
    col("ra_cent", Float, text="Right ascension of the centre, ICRS", unit="deg", ucd="pos.eq.ra"),
    col("dec_cent", Float, text="Declination of the centre, ICRS", unit="deg", ucd="pos.eq.dec"),
    col("naxis1", Integer, text="Columns", unit="pixel"),
    col("naxis2", Integer, text="Rows", unit="pixel"),
    col("pixelscale", Float, text="Pixel scale", unit="arcsec/pixel", ucd="instr.pixel"),
    comment="Geometry of coadd tiles: gnomonic projection about the centre",
)
