"""Tables of the arrival of data: deliveries of the telescope, the observatory's list, programmes by proposal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)
from sqlalchemy import (
    text as sql,
)

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import DeliveryReason, DeliveryState

__all__ = ["delivery", "delivery_expected", "ops_propid"]

#: A place has one delivery at a time that is not judged.
_OPEN = "state IN ('delivered', 'checked')"

delivery = Table(
    "delivery",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the delivery, in order of arrival", ucd="meta.id;meta.main"),
    col("source", String(32), text="Who sends: the observatory, a simulator, a person"),
    col("filename", String(160), text="Name of the file as it was sent"),
    col("path", Text, text="Where it lies, or lay when it was noticed"),
    col("filesize", BigInteger, nullable=True, text="Size", unit="byte"),
    col("modified_ns", BigInteger, nullable=True, text="When the file was last changed, as it was noticed: nanoseconds since 1970"),
    col("md5_announced", String(32), nullable=True, text="md5 that the sender announces; none: it announces none"),
    col("md5_found", String(32), nullable=True, text="md5 of the bytes that arrived"),
    col("sha256", String(64), nullable=True, text="sha-256 of the bytes that arrived"),
    col("expnum", Integer, nullable=True, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("nite", String(8), nullable=True, text="Night of observation, YYYYMMDD", ucd="time.epoch;obs"),
    col("propid", String(32), nullable=True, text="Proposal under which it was observed"),
    col("programme", String(32), nullable=True, text="Programme that the proposal belongs to"),
    col("state", STATE, text="Where it stands"),
    col("reason_code", STATE, nullable=True, text="Why it is quarantined or put aside, from a closed list"),
    col("reason", Text, nullable=True, text="The same in words"),
    col("waived", String(64), default="", text="Rules that people waived when they released it, with commas between"),
    col("desfile_id", Integer, ForeignKey("desfile.id"), nullable=True, text="File in the archive"),
    col("problem_id", Integer, ForeignKey("problem.id"), nullable=True, text="Problem that was opened of it"),
    col("tries", Integer, default=0, text="How often it was tried in vain"),
    col("next_try", DateTime, nullable=True, text="Not to be tried before, UTC", ucd="time"),
    col("noticed_at", DateTime, text="When it was noticed, UTC", ucd="time"),
    col("checked_at", DateTime, nullable=True, text="When it was checked, UTC", ucd="time"),
    col("ingested_at", DateTime, nullable=True, text="When it was in the catalogue, UTC", ucd="time"),
    col("acknowledged_at", DateTime, nullable=True, text="When its arrival was acknowledged to the sender, UTC", ucd="time"),
    closed("state", DeliveryState),
    closed("reason_code", DeliveryReason),
    Index("ix_delivery_state", "state"),
    Index("ix_delivery_nite", "nite"),
    Index("ix_delivery_filename", "filename"),
    Index("ix_delivery_path", "path"),
    Index("uq_delivery_open_path", "path", unique=True, sqlite_where=sql(_OPEN), postgresql_where=sql(_OPEN)),
    Index("ix_delivery_desfile", "desfile_id"),
    comment="Deliveries of the telescope: a row before any judgement, and how each ended",
)  # fmt: skip

delivery_expected = Table(
    "delivery_expected",
    metadata,
    col("source", String(32), primary_key=True, text="Who sends"),
    col("filename", String(160), primary_key=True, text="Name of the file"),
    col("nite", String(8), text="Night of observation, YYYYMMDD", ucd="time.epoch;obs"),
    col("expnum", Integer, nullable=True, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("expected_at", DateTime, text="When it is expected, UTC", ucd="time"),
    col("listed_in", String(160), text="List or manifest that names it"),
    col("delivered", Boolean, default=False, text="Whether the observatory marks it as delivered"),
    Index("ix_delivery_expected_nite", "nite"),
    comment="Files that the observatory lists as taken",
)

ops_propid = Table(
    "ops_propid",
    metadata,
    col("propid", String(32), primary_key=True, text="Proposal"),
    col("programme", String(32), text="Programme: survey, supernova, standards, community …"),
    col("project", String(16), text="Project of its attempts"),
    col("accept", Boolean, text="Whether its exposures are taken into the archive"),
    col("who", String(32), text="Who entered it"),
    col("since", DateTime, text="Since when, UTC"),
    comment="Proposals and the programmes that they belong to",
)
