"""Tables of the nightly queue: policies, the queue itself, and who runs it."""

from __future__ import annotations

from sqlalchemy import DateTime, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import QueueState

__all__ = ["ops_auto_queue", "ops_lease", "ops_policy"]

ops_policy = Table(
    "ops_policy",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the policy", ucd="meta.id;meta.main"),
    col("programme", String(32), default="*", text="Programme that it is for; *: all"),
    col("pipeline", String(32), text="Pipeline that it queues"),
    col("band", String(8), default="*", text="Band that it is for; *: all", ucd="instr.bandpass"),
    col("nite_from", String(8), default="00000000", text="First night, YYYYMMDD"),
    col("nite_to", String(8), default="99999999", text="Last night, YYYYMMDD"),
    col("rank", Integer, text="Order: the least goes first"),
    col("deadline_h", Float, text="Hours from arrival within which it should be done", unit="h"),
    col("max_tries", Integer, text="Attempts at most, if its failures are transient"),
    col("statement", Text, text="Statement that set it: who agreed what"),
    col("who", String(32), text="Who entered it"),
    col("since", DateTime, text="Since when it holds, UTC"),
    col("until", DateTime, nullable=True, text="Until when it held, UTC; none: it holds"),
    comment="Policies by which exposures and nights are queued",
)

ops_auto_queue = Table(
    "ops_auto_queue",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row", ucd="meta.id;meta.main"),
    col("unitname", String(48), text="Unit: an exposure or a night"),
    col("pipeline", String(32), text="Pipeline"),
    col("campaign", String(32), text="Campaign of its attempts"),
    col("nite", String(8), nullable=True, text="Night, YYYYMMDD", ucd="time.epoch;obs"),
    col("expnum", Integer, nullable=True, text="Exposure number", ucd="meta.id;obs.exposure"),
    col("band", String(8), nullable=True, text="Band", ucd="instr.bandpass"),
    col("programme", String(32), nullable=True, text="Programme"),
    col("state", STATE, text="Where it stands"),
    col("rank", Integer, text="Order: the least goes first"),
    col("why", Text, text="Why it stands there"),
    col("due_at", DateTime, nullable=True, text="When it should be done, UTC", ucd="time"),
    col("tries", Integer, default=0, text="Attempts so far"),
    col("max_tries", Integer, text="Attempts at most"),
    col("settings", Text, default="{}", text="Settings of its next attempt, JSON"),
    col("policy_id", Integer, ForeignKey("ops_policy.id"), nullable=True, text="Policy that queued it"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), nullable=True, text="Newest attempt"),
    col(
        "held_by",
        String(32),
        nullable=True,
        text="Who holds or dismissed it: a person, a problem by its number, or rule",
    ),
    col(
        "newest_desfile_id",
        Integer,
        ForeignKey("desfile.id"),
        nullable=True,
        text="Newest raw file that it covers",
    ),
    col("not_before", DateTime, nullable=True, text="Not to be submitted before, UTC", ucd="time"),
    col("arrived_at", DateTime, text="When what it is for had arrived, UTC", ucd="time"),
    col("updated_at", DateTime, text="When the row was changed, UTC", ucd="time"),
    UniqueConstraint("unitname", "pipeline", "campaign"),
    closed("state", QueueState),
    Index("ix_ops_auto_queue_state", "state", "rank", "due_at"),
    Index("ix_ops_auto_queue_nite", "nite"),
    Index("ix_ops_auto_queue_expnum", "expnum"),
    comment="The nightly queue: what is to be processed, in which order, and why it stands where it stands",
)

ops_lease = Table(
    "ops_lease",
    metadata,
    col("name", String(32), primary_key=True, text="What is leased: queue, dts watcher, notifier"),
    col("holder", String(96), text="Process that has it: machine, number, start"),
    col("token", String(32), text="Token of the lease; a write with another one is refused"),
    col("since", DateTime, text="Since when, UTC", ucd="time"),
    col("until", DateTime, text="When it ends unless it is renewed, UTC", ucd="time"),
    comment="Leases of processes of which one at a time may run",
)
