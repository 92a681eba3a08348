"""The tables that users keep; their jobs stand in the service's own database (`desdm.schema.service`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, String, Table, Text

from desdm.schema.columns import col, metadata

__all__ = ["mydb_table"]

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
