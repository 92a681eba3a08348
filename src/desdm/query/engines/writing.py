"""SQL of both engines: types, quoted names, and the kinds of columns."""

from __future__ import annotations

import hashlib
from typing import Literal

from desdm.release.model import ReleaseColumn
from desdm.timestamps import XTYPES

__all__ = ["GEOMETRIES", "SQL_TYPES", "Dialect", "kind_of", "postgresql_name", "quote"]

Dialect = Literal["duckdb", "postgresql"]

GEOMETRIES = ("point", "circle", "polygon", "box", "region")
SQL_TYPES: dict[str, dict[str, str]] = {
    "duckdb": {
        "short": "SMALLINT",
        "int": "INTEGER",
        "long": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "char": "VARCHAR",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMP",
        "null": "VARCHAR",
    },
    "postgresql": {
        "short": "smallint",
        "int": "integer",
        "long": "bigint",
        "float": "real",
        "double": "double precision",
        "char": "text",
        "boolean": "boolean",
        "timestamp": "timestamp",
        "null": "text",
    },
}

#: PostgreSQL 17, section 5.6 of its manual, and NAMEDATALEN - 1 of section 4.1.1.
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_LONGEST_NAME = 63


def postgresql_name(name: str) -> str:
    """Return a name, or a replacement if PostgreSQL truncates it (at 63 bytes) or reserves it for a system column."""
    if name.lower() in _SYSTEM_COLUMNS or len(name.encode()) > _LONGEST_NAME:
        return f"{name[:12]}~{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    return name


def quote(name: str, dialect: Dialect) -> str:
    """Quote an identifier for SQL; every name in a statement is quoted here."""
    if dialect == "duckdb":
        return '"' + name.replace('"', '""') + '"'
    return '"' + postgresql_name(name).replace('"', '""').replace("%", "%%") + '"'


def kind_of(column: ReleaseColumn) -> str:
    """Return the kind of a column's values."""
    if column.xtype in XTYPES:
        return "timestamp"
    if column.xtype in ("point", "circle", "polygon", "adql:REGION", "adql:region"):
        return "region" if column.xtype.lower() == "adql:region" else column.xtype
    if column.arraysize not in (None, "1") and column.datatype not in ("char", "unicodeChar"):
        return "array"
    return {"unicodeChar": "char", "unsignedByte": "short"}.get(column.datatype, column.datatype)
