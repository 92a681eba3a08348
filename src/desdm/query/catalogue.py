"""Catalogue of the tables that a query can name: of releases, of users, and the service's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from desdm.release.model import ReleaseColumn, ReleaseTable

__all__ = ["MYDB", "Catalogue", "Entry", "Visible", "own_entry", "release_entry", "user_entry"]

MYDB = "mydb"
#: Column of the service's own tables whose name decides on the visibility of a row.
_FILTERED = {
    ("tap_schema", "schemas"): "schema_name",
    ("tap_schema", "tables"): "table_name",
    ("tap_schema", "columns"): "table_name",
    ("tap_schema", "keys"): "from_table",
    ("ivoa", "obscore"): "obs_collection",
}


#: Columns that number the rows of such tables: with gaps they would reveal how many rows are hidden.
_NUMBERING = {("tap_schema", "schemas"): "schema_index", ("tap_schema", "tables"): "table_index"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One table.

    Attributes
    ----------
    schema, name
        Name of the table in queries.
    physical
        Its qualified name in the engine, in parts.
    ra, dec, hpix
        Columns of its position (ICRS, degrees) and of its HEALPix number of order 29; None: it has none.
    row_filter
        (column, values): only rows are visible whose column has one of the values; None: all.
    numbering
        Column that numbers the visible rows from 0, in the order of its stored values; None: there is none.
    """

    schema: str
    name: str
    columns: tuple[ReleaseColumn, ...]
    physical: tuple[str, ...]
    ra: str | None = None
    dec: str | None = None
    hpix: str | None = None
    row_filter: tuple[str, frozenset[str]] | None = None
    row_count: int = 0
    numbering: str | None = None


class Catalogue:
    """Tables by schema and name, whatever their case.

    Parameters
    ----------
    entries
        The tables.
    refuse
        Called with schema and table of a name that is not in the catalogue; the table may be hidden from the caller.
    """

    def __init__(self, entries: Iterable[Entry], refuse: Callable[[str, str], None] | None = None) -> None:
        self._refuse = refuse
        self._entries = {(e.schema.lower(), e.name.lower()): e for e in entries}

    def entry(self, schema: str | None, table: str) -> Entry | None:
        """Return a table, or None; without schema the only table of that name."""
        if schema is not None:
            entry = self._entries.get((schema.lower(), table.lower()))
            if entry is None and self._refuse is not None:
                self._refuse(schema, table)
            return entry
        candidates = [e for (_, name), e in self._entries.items() if name == table.lower()]
        return candidates[0] if len(candidates) == 1 else None

    def named(self, table: str) -> list[Entry]:
        """Return the tables of a name in all schemas."""
        return [e for (_, name), e in self._entries.items() if name == table.lower()]

    def schemas(self) -> list[str]:
        """Return the names of the schemas."""
        return sorted({e.schema for e in self._entries.values()})

    def entries(self) -> list[Entry]:
        """Return all tables, ordered by schema and name."""
        return [self._entries[key] for key in sorted(self._entries)]


def release_entry(table: ReleaseTable) -> Entry:
    """Return the entry of a table of a release."""
    hpix = next((c.name for c in table.columns if c.name.lower() == "hpix29"), None)
    return Entry(
        table.release,
        table.name,
        table.columns,
        (table.release, table.name),
        table.ra_column,
        table.dec_column,
        hpix,
        row_count=table.row_count,
    )


@dataclass(frozen=True, slots=True)
class Visible:
    """Names that decide which rows of the service's own tables a caller may see.

    Attributes
    ----------
    tables
        Names of schemas and tables, for ``tap_schema``.
    collections
        Releases whose images the caller may see, for ``ivoa.obscore``: a right to a table brings no image.
    """

    tables: frozenset[str]
    collections: frozenset[str]


def own_entry(schema: str, name: str, columns: tuple[ReleaseColumn, ...], visible: Visible | None) -> Entry:
    """Return the entry of one of the service's own tables, of which only the visible rows can be read.

    Parameters
    ----------
    schema, name
        ``tap_schema`` or ``ivoa``, and the table.
    columns
        Its columns.
    visible
        Names that the caller may see; None for all.
    """
    known = {c.name.lower(): c.name for c in columns}
    column = known.get(_FILTERED.get((schema.lower(), name.lower()), ""))
    wanted = None
    if column is not None and visible is not None:
        wanted = (column, visible.collections if schema.lower() == "ivoa" else visible.tables)
    ra, dec = known.get("s_ra"), known.get("s_dec")
    numbering = known.get(_NUMBERING.get((schema.lower(), name.lower()), ""))
    return Entry(schema, name, columns, (schema, name), ra, dec, row_filter=wanted, numbering=numbering)


def user_entry(owner: str, name: str, columns: tuple[ReleaseColumn, ...], rows: int = 0) -> Entry:
    """Return the entry of a user's own table.

    Parameters
    ----------
    owner
        User name.
    name
        Table in ``mydb``.
    columns
        Its columns.
    rows
        Number of its rows.
    """
    known = {c.name.lower(): c.name for c in columns}
    hpix = known.get("hpix29")
    ra = next((known[c] for c in ("ra", "alphawin_j2000", "raj2000") if c in known), None)
    dec = next((known[c] for c in ("dec", "deltawin_j2000", "dej2000", "decj2000") if c in known), None)
    return Entry(
        MYDB, name, columns, (f"mydb_{owner}", name), ra, dec, hpix if ra and dec else None, None, rows
    )
