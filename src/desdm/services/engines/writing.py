"""What everybody who writes SQL for an engine shares: types, names, the kinds of columns."""

from __future__ import annotations

from typing import Literal

from desdm.release.model import ReleaseColumn

__all__ = ["GEOMETRIES", "SQL_TYPES", "Dialect", "kind_of", "quote"]

Dialect = Literal["duckdb", "postgresql"]

GEOMETRIES = ("point", "circle", "polygon", "box", "region")
SQL_TYPES: dict[str, dict[str, str]] = {
    "duckdb": {
        "short": "SMALLINT", "int": "INTEGER", "long": "BIGINT", "float": "FLOAT", "double": "DOUBLE",
        "char": "VARCHAR", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP", "null": "VARCHAR",
    },
    "postgresql": {
        "short": "smallint", "int": "integer", "long": "bigint", "float": "real", "double": "double precision",
        "char": "text", "boolean": "boolean", "timestamp": "timestamp", "null": "text",
    },
}  # fmt: skip


def quote(name: str, dialect: Dialect) -> str:
    """An identifier in SQL: the one place where a name comes into a statement."""
    written = '"' + name.replace('"', '""') + '"'
    return written if dialect == "duckdb" else written.replace("%", "%%")


def kind_of(column: ReleaseColumn) -> str:
    """The kind of a column's values."""
    if column.xtype in ("timestamp", "adql:TIMESTAMP"):
        return "timestamp"
    if column.xtype in ("point", "circle", "polygon", "adql:REGION", "adql:region"):
        return "region" if column.xtype.lower() == "adql:region" else column.xtype
    if column.arraysize not in (None, "1") and column.datatype not in ("char", "unicodeChar"):
        return "array"
    return {"unicodeChar": "char", "unsignedByte": "short"}.get(column.datatype, column.datatype)
