"""Columns of the five tables of TAP_SCHEMA (TAP 1.1, section 4)."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from desdm.release.model import ReleaseColumn

__all__ = ["ARROW", "KEYS", "TABLES", "TEXTS", "Key"]


class Key(NamedTuple):
    """A foreign key: a column whose values are in a column of another table."""

    id: str
    table: str
    column: str
    target: str
    target_column: str
    text: str


KEYS = (
    Key("1", "tap_schema.tables", "schema_name", "tap_schema.schemas", "schema_name", "Schema of a table"),
    Key("2", "tap_schema.columns", "table_name", "tap_schema.tables", "table_name", "Table of a column"),
    Key(
        "3",
        "tap_schema.keys",
        "from_table",
        "tap_schema.tables",
        "table_name",
        "Table that belongs to another",
    ),
    Key(
        "4",
        "tap_schema.keys",
        "target_table",
        "tap_schema.tables",
        "table_name",
        "Table that another belongs to",
    ),
    Key("5", "tap_schema.key_columns", "key_id", "tap_schema.keys", "key_id", "Pair of tables"),
)

TEXTS = {
    "schemas": "Schemas: each release, and the service's own",
    "tables": "Tables",
    "columns": "Columns of all tables",
    "keys": "Pairs of tables that belong together",
    "key_columns": "Columns by which they belong together",
}

_COLUMNS: dict[str, tuple[tuple[str, str, str, bool], ...]] = {
    "schemas": (
        ("schema_name", "char", "Schema", True),
        ("utype", "char", "Data model that it follows", False),
        ("description", "char", "What it is", True),
        ("schema_index", "int", "Its place among the schemas", False),
    ),
    "tables": (
        ("schema_name", "char", "Schema", True),
        ("table_name", "char", "Table, with its schema, as queries name it", True),
        ("table_type", "char", "table or view", False),
        ("utype", "char", "Data model that it follows", False),
        ("description", "char", "What a row is", True),
        ("table_index", "int", "Its place among the tables", False),
    ),
    "columns": (
        ("table_name", "char", "Table, with its schema", True),
        ("column_name", "char", "Column", True),
        ("datatype", "char", "VOTable data type", True),
        ("arraysize", "char", "VOTable array size", False),
        ("xtype", "char", "DALI extended type", False),
        ("size", "int", "Length, of fixed arrays (deprecated; arraysize says it)", False),
        ("description", "char", "What it is", True),
        ("utype", "char", "Its part in a data model", False),
        ("unit", "char", "Unit (VOUnits)", True),
        ("ucd", "char", "UCD1+", True),
        ("indexed", "int", "1: a condition on it is fast", False),
        ("principal", "int", "1: a first look should show it", False),
        ("std", "int", "1: a standard defines it", False),
        ("column_index", "int", "Its place among the columns of its table", False),
    ),
    "keys": (
        ("key_id", "char", "Pair", True),
        ("from_table", "char", "Table, with its schema", True),
        ("target_table", "char", "Table that it belongs to, with its schema", True),
        ("description", "char", "How they belong together", True),
        ("utype", "char", "Its part in a data model", False),
    ),
    "key_columns": (
        ("key_id", "char", "Pair", True),
        ("from_column", "char", "Column of from_table", True),
        ("target_column", "char", "Column of target_table", True),
    ),
}

TABLES: dict[str, tuple[ReleaseColumn, ...]] = {
    table: tuple(
        ReleaseColumn(name, datatype, "*" if datatype == "char" else None, text=text, principal=principal)
        for name, datatype, text, principal in columns
    )
    for table, columns in _COLUMNS.items()
}

_KINDS = {"char": pa.string(), "int": pa.int32()}
ARROW: dict[str, pa.Schema] = {
    table: pa.schema([(name, _KINDS[datatype]) for name, datatype, *_ in columns])
    for table, columns in _COLUMNS.items()
}
