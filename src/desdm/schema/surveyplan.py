"""Table of the survey's fields: what is to be observed, in which band, to which depth."""

from __future__ import annotations

from sqlalchemy import Float, Index, Integer, String, Table, UniqueConstraint
from sqlalchemy import text as sql

from desdm.schema.columns import col, metadata

__all__ = ["survey_field"]

survey_field = Table(
    "survey_field",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row", ucd="meta.id;meta.main"),
    col("hex", String(32), text="Hexagon of the survey, or supernova field"),
    col("tiling", Integer, text="Tiling: which of the overlapping layers"),
    col("band", String(8), text="Band", ucd="instr.bandpass"),
    col("ra", Float, text="Right ascension of the pointing, ICRS", unit="deg", ucd="pos.eq.ra"),
    col("dec", Float, text="Declination of the pointing, ICRS", unit="deg", ucd="pos.eq.dec"),
    col("exptime", Float, text="Exposure time that is planned", unit="s", ucd="time.duration;obs.exposure"),
    col("priority", Integer, default=0, text="Priority of the observation: the least goes first"),
    col("t_eff_goal", Float, text="Sum of t_eff at which it is done"),
    col("season", String(16), text="Season in which it is due"),
    col(
        "season_begin",
        String(8),
        default="",
        server_default=sql("''"),
        text="First night of the season; empty: not known",
    ),
    col(
        "season_end",
        String(8),
        default="",
        server_default=sql("''"),
        text="Last night of the season; empty: not known",
    ),
    UniqueConstraint("hex", "tiling", "band"),
    Index("ix_survey_field_band", "band"),
    comment="Fields of the survey: hexagon, tiling and band, with what is owed",
)
