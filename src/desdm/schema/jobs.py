"""Tables of the data services: UWS jobs with parameters and results, and the tables that users keep."""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, Float, ForeignKey, Index, Integer, String, Table, Text

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.states import Phase

__all__ = ["mydb_table", "uws_job", "uws_parameter", "uws_result"]

uws_job = Table(
    "uws_job",
    metadata,
    col("id", String(32), primary_key=True, text="Job"),
    col("service", String(16), text="Service: tap, soda, cutout"),
    col("owner", String(32), default="", text="Login of its owner; empty: anybody"),
    col("run_id", String(64), default="", text="The client's own name for it (RUNID)"),
    col("phase", STATE, default="PENDING", text="UWS phase"),
    col("creation_time", DateTime, text="When it was made, UTC"),
    col("start_time", DateTime, nullable=True, text="When it began to run, UTC"),
    col("end_time", DateTime, nullable=True, text="When it ended, UTC"),
    col("execution_duration", Float, text="How long it may run; 0: no limit", unit="s"),
    col("destruction", DateTime, text="When job and results go, UTC"),
    col("error_type", String(12), nullable=True, text="transient or fatal"),
    col("error_message", Text, nullable=True, text="What went wrong"),
    col("server", String(64), nullable=True, text="Server process that runs it"),
    col("tries", Integer, default=0, text="How often a server took it up"),
    closed("phase", Phase),
    Index("ix_uws_job_owner", "service", "owner", "creation_time"),
    comment="Asynchronous jobs (IVOA UWS 1.1)",
)

uws_parameter = Table(
    "uws_parameter",
    metadata,
    col("job_id", String(32), ForeignKey("uws_job.id", ondelete="CASCADE"), primary_key=True, text="Job"),
    col("ordinal", Integer, primary_key=True, text="Its place, from 0"),
    col("name", String(64), text="Parameter, in capitals"),
    col("value", Text, text="Its value"),
    comment="Parameters of asynchronous jobs",
)

uws_result = Table(
    "uws_result",
    metadata,
    col("job_id", String(32), ForeignKey("uws_job.id", ondelete="CASCADE"), primary_key=True, text="Job"),
    col("result_id", String(64), primary_key=True, text="Result"),
    col("ordinal", Integer, text="Its place, from 0"),
    col("path", String(240), text="File, relative to the results' directory"),
    col("mime", String(120), text="Media type"),
    col("filesize", BigInteger, text="Size", unit="byte", ucd="phys.size;meta.file"),
    comment="Results of asynchronous jobs",
)

mydb_table = Table(
    "mydb_table",
    metadata,
    col("owner", String(32), primary_key=True, text="Login of its owner"),
    col("table_name", String(48), primary_key=True, text="Table"),
    col("row_count", BigInteger, text="Rows", ucd="meta.number"),
    col("bytes", BigInteger, text="Room that it takes", unit="byte", ucd="phys.size"),
    col("columns", Text, text="Its columns with type, unit, UCD and text, JSON"),
    col("text", Text, default="", text="What it is"),
    col("created_at", DateTime, text="When it was made, UTC"),
    comment="Tables that users keep (mydb)",
)
