"""Tables of quality control: log patterns as data, messages in logs, and QA numbers."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from desdm.schema.columns import STATE, col, metadata

__all__ = ["ops_message_filter", "ops_message_ignore", "ops_message_pattern", "qa_metric", "task_message"]

ops_message_pattern = Table(
    "ops_message_pattern",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the pattern", ucd="meta.id;meta.main"),
    col("name", String(80), text="Its name, unique"),
    col("pattern", Text, text="Regular expression, matched on each line"),
    col("lvl", Integer, text="Level of the message: 1 error, 2 warning, 3 info"),
    col("priority", Integer, text="Order of trial; the least wins"),
    col("execname", String(64), default="global", text="Program it is for, or global"),
    col("used", Boolean, default=True, text="Whether it is in use"),
    col("only_matched", Boolean, default=False, text="Store only the matched part of the line"),
    col("number_of_lines", Integer, default=1, text="Lines to capture from the match on"),
    col("action", STATE, default="none", text="What a match does: none, flag or stop"),
    UniqueConstraint("name"),
    comment="Patterns that the quality controls look for in every log line",
)

ops_message_ignore = Table(
    "ops_message_ignore",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the ignore", ucd="meta.id;meta.main"),
    col("pattern", Text, text="Regular expression of lines to pass over"),
    col("execname", String(64), default="global", text="Program it is for, or global"),
    col("used", Boolean, default=True, text="Whether it is in use"),
    comment="Lines that the quality controls pass over",
)

ops_message_filter = Table(
    "ops_message_filter",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the filter", ucd="meta.id;meta.main"),
    col("replace_pattern", Text, text="Text to replace"),
    col("with_pattern", Text, text="What to put there"),
    col("execname", String(64), default="global", text="Program it is for, or global"),
    col("used", Boolean, default=True, text="Whether it is in use"),
    comment="Replacements made in a message's text",
)

task_message = Table(
    "task_message",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the message", ucd="meta.id;meta.main"),
    col("task_id", Integer, ForeignKey("task.id"), text="Task whose log it stands in"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt"),
    col("message_time", DateTime, text="When, UTC", ucd="time"),
    col("message_lvl", Integer, text="Level: 1 error, 2 warning, 3 info"),
    col("pattern", String(80), text="Name of the pattern that found it"),
    col("action", STATE, text="What it did: none, flag or stop"),
    col("message", String(4000), text="Text, at most 4000 characters"),
    col("log_file", String(160), text="Log file"),
    col("log_line", Integer, text="Line in it, from 1"),
    Index("ix_task_message_attempt", "pfw_attempt_id", "message_lvl"),
    comment="Messages that the quality controls found in logs",
)

qa_metric = Table(
    "qa_metric",
    metadata,
    col("task_id", Integer, ForeignKey("task.id"), primary_key=True, text="Wrapper that measured it"),
    col("name", String(48), primary_key=True, text="Name of the number"),
    col("band", String(8), primary_key=True, default="", text="Band, or empty", ucd="instr.bandpass"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), text="Attempt"),
    col("wrapkeys", String(96), text="Loop values of the wrapper"),
    col("value", Float, text="The number"),
    col("unit", String(24), text="Its unit"),
    col("text", Text, text="What it is of"),
    Index("ix_qa_metric_attempt", "pfw_attempt_id", "name"),
    comment="QA numbers that wrappers measured",
)
