"""Tables of the logbook: what an entry has beside its event, and the subjects of an event."""

from __future__ import annotations

from sqlalchemy import Float, ForeignKey, Index, Integer, String, Table

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import LogCategory, SubjectKind, TimeLoss

__all__ = ["logbook", "logbook_subject"]

logbook = Table(
    "logbook",
    metadata,
    col("event_id", Integer, ForeignKey("event.id"), primary_key=True, autoincrement=False, text="Event that holds author, time and text"),
    col("nite", String(8), nullable=True, text="Night that it is about, YYYYMMDD", ucd="time.epoch;obs"),
    col("category", STATE, text="What it is about"),
    col("time_lost_h", Float, nullable=True, text="Time lost", unit="h", ucd="time.duration"),
    col("loss", STATE, nullable=True, text="Why it was lost"),
    col("corrects_id", Integer, ForeignKey("event.id"), nullable=True, text="Entry that it corrects"),
    closed("category", LogCategory),
    closed("loss", TimeLoss),
    Index("ix_logbook_nite", "nite"),
    Index("ix_logbook_corrects", "corrects_id"),
    comment="Entries that people wrote in the logbook; only ever added to",
)  # fmt: skip

logbook_subject = Table(
    "logbook_subject",
    metadata,
    col("event_id", Integer, ForeignKey("event.id"), primary_key=True, autoincrement=False, text="Event"),
    col("kind", STATE, primary_key=True, text="Kind of the subject"),
    col("subject", String(200), primary_key=True, text="Subject"),
    closed("kind", SubjectKind),
    Index("ix_logbook_subject_subject", "subject"),
    comment="Further subjects of entries in the logbook",
)
