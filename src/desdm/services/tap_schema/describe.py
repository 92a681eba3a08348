"""Writes TAP_SCHEMA and ``ivoa.obscore`` into the engine, again whenever a release is published."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from desdm.release.model import ReleaseColumn
from desdm.services.context import Services
from desdm.services.obscore.columns import COLUMNS as OBSCORE
from desdm.services.obscore.columns import PLAN_ARROW, PLAN_COLUMNS, PLAN_UTYPES, UTYPES
from desdm.services.obscore.rows import obscore_rows
from desdm.services.published import Holdings
from desdm.services.tap_schema.columns import ARROW, KEYS, TABLES, TEXTS

__all__ = [
    "OBSCORE_MODEL",
    "PLAN_MODEL",
    "SCHEMA_TEXTS",
    "TableDescription",
    "TapSchema",
    "table_descriptions",
]

OBSCORE_MODEL = "ivo://ivoa.net/std/ObsCore#core-1.1"
PLAN_MODEL = "ivo://ivoa.net/std/obsloctap#table-1.0"
_PLAN_TEXT = "Planned observations (ObsLocTAP 1.0): none, the survey's observations are done"
#: A row of TAP_SCHEMA by column.
Row = dict[str, str | int | None]
SCHEMA_TEXTS = {
    "tap_schema": "Tables that describe all tables here",
    "ivoa": "Tables that IVOA standards define",
    "mydb": "Tables of your own",
}


@dataclass(frozen=True, slots=True)
class TableDescription:
    """Description of a table for TAP_SCHEMA and VOSI."""

    schema: str
    name: str
    text: str
    columns: tuple[ReleaseColumn, ...]
    utypes: dict[str, str]
    std: bool
    utype: str | None = None


def table_descriptions(holdings: Holdings) -> Iterator[TableDescription]:
    """Yield the descriptions of all tables: those of the releases in the order of publication, then the service's own."""
    for release in holdings.releases:
        for table in holdings.tables.values():
            if table.release == release.name:
                yield TableDescription(release.name, table.name, table.text, table.columns, {}, False)
    yield TableDescription(
        "ivoa", "obscore", "Images of the releases (ObsCore 1.1)", OBSCORE, UTYPES, True, OBSCORE_MODEL
    )
    yield TableDescription("ivoa", "obsplan", _PLAN_TEXT, PLAN_COLUMNS, PLAN_UTYPES, True, PLAN_MODEL)
    for name, columns in TABLES.items():
        yield TableDescription("tap_schema", name, TEXTS[name], columns, {}, True)


class TapSchema:
    """Keeps the engine's TAP_SCHEMA and ObsCore in step with the published releases."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._generation = -1

    def refresh(self) -> None:
        """Write the tables again if a release was published since."""
        holdings = self._services.published.current()
        if holdings.generation == self._generation:
            return
        with self._lock:
            if holdings.generation == self._generation:
                return
            engine = self._services.engine
            for name, rows in _rows(holdings).items():
                engine.replace("tap_schema", name, TABLES[name], rows)
            files = [file for release_files in holdings.files.values() for file in release_files]
            engine.replace("ivoa", "obscore", OBSCORE, obscore_rows(files))
            engine.replace("ivoa", "obsplan", PLAN_COLUMNS, PLAN_ARROW.empty_table())
            self._generation = holdings.generation


def _rows(holdings: Holdings) -> dict[str, pa.Table]:
    """Return the tables of TAP_SCHEMA."""
    tables = list(table_descriptions(holdings))
    titles = {release.name: release.title or release.text for release in holdings.releases} | SCHEMA_TEXTS
    schemas = list(dict.fromkeys([*(r.name for r in holdings.releases), *(t.schema for t in tables)]))
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}
    for number, schema in enumerate(schemas):
        rows["schemas"].append(
            {
                "schema_name": schema,
                "utype": None,
                "description": titles.get(schema, ""),
                "schema_index": number,
            }
        )
    for number, table in enumerate(tables):
        whole = f"{table.schema}.{table.name}"
        rows["tables"].append(
            {
                "schema_name": table.schema,
                "table_name": whole,
                "table_type": "table",
                "utype": table.utype,
                "description": table.text,
                "table_index": number,
            }
        )
        rows["columns"] += [
            _column(whole, table, column, place) for place, column in enumerate(table.columns)
        ]
    for key in KEYS:
        rows["keys"].append(
            {
                "key_id": key.id,
                "from_table": key.table,
                "target_table": key.target,
                "description": key.text,
                "utype": None,
            }
        )
        rows["key_columns"].append(
            {"key_id": key.id, "from_column": key.column, "target_column": key.target_column}
        )
    return {name: pa.Table.from_pylist(rows, schema=ARROW[name]) for name, rows in rows.items()}


def _column(whole: str, table: TableDescription, column: ReleaseColumn, place: int) -> Row:
    """Return the row of a column."""
    length = re.fullmatch(r"\d+", column.arraysize or "")
    # A reserved word of ADQL is in quotes, as a query must write it (TAP 1.1, section 4).
    name = '"size"' if (table.schema, column.name) == ("tap_schema", "size") else column.name
    return {
        "table_name": whole,
        "column_name": name,
        "datatype": column.datatype,
        "arraysize": column.arraysize,
        "xtype": column.xtype,
        "size": int(length[0]) if length else None,
        "description": column.text + (" (guessed)" if column.inferred else ""),
        "utype": table.utypes.get(column.name),
        "unit": column.unit or None,
        "ucd": column.ucd or None,
        "indexed": int(column.indexed),
        "principal": int(column.principal),
        "std": int(table.std),
        "column_index": place,
    }
