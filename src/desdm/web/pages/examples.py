"""Example queries for the published tables."""

from __future__ import annotations

from collections.abc import Sequence

from desdm.release.model import ReleaseColumn, ReleaseTable

__all__ = ["example", "examples"]

_NUMBERS = ("float", "double")


def example(table: ReleaseTable) -> str:
    """Return a query for the principal columns of a table."""
    return f"SELECT TOP 100 {_columns(table)}\nFROM {table.release}.{table.name}"


def examples(tables: Sequence[ReleaseTable]) -> list[tuple[str, str]]:
    """Return (title, query) for the largest table with positions; tables are sorted by release, newest first."""
    if not tables:
        return []
    newest = [t for t in tables if t.release == tables[0].release and t.name != "footprint"]
    table = max(newest or list(tables), key=lambda t: (t.ra_column is not None, t.row_count))
    name = f"{table.release}.{table.name}"
    queries = [("A first look", example(table))]
    centre = _centre(table)
    if centre is not None:
        ra, dec = centre
        at = f"POINT({table.ra_column}, {table.dec_column}), CIRCLE({ra:.4f}, {dec:.4f}, 0.05)"
        queries.append(
            ("Around a position", f"SELECT {_columns(table)}\nFROM {name}\nWHERE 1 = CONTAINS({at})")
        )
    magnitude = _magnitude(table)
    if magnitude is not None:
        queries.append(
            (
                "Counts by magnitude",
                f"SELECT FLOOR(2*{magnitude})/2 AS mag, COUNT(*) AS n\nFROM {name}\n"
                f"WHERE {magnitude} BETWEEN 14 AND 28\nGROUP BY FLOOR(2*{magnitude})/2\nORDER BY 1",
            )
        )
    if centre is not None:
        queries.append(
            (
                "Density on the sky",
                f"SELECT ivo_healpix_index(8, {table.ra_column}, {table.dec_column}) AS hpx, COUNT(*) AS n\n"
                f"FROM {name}\nGROUP BY 1",
            )
        )
    queries.append(("Which tables there are", "SELECT table_name, description\nFROM tap_schema.tables"))
    queries.append(
        (
            "Which columns hold magnitudes",
            "SELECT table_name, column_name, unit, description\nFROM tap_schema.columns\n"
            "WHERE ucd LIKE 'phot.mag%'",
        )
    )
    return queries


def _columns(table: ReleaseTable) -> str:
    """Return the principal columns and some magnitudes of a table."""
    principal = [c.name for c in table.columns if c.principal and c.name != "hpix29"]
    more = [name for name in _magnitudes(table) if name not in principal]
    return ", ".join(principal + more[:3]) or "*"


def _centre(table: ReleaseTable) -> tuple[float, float] | None:
    """Return the centre of a table's ranges in RA and Dec; None if they are unknown."""
    columns = {c.name: c for c in table.columns}
    ra, dec = columns.get(table.ra_column or ""), columns.get(table.dec_column or "")
    if ra is None or dec is None or None in (ra.minimum, ra.maximum, dec.minimum, dec.maximum):
        return None
    return _middle(ra), _middle(dec)


def _middle(column: ReleaseColumn) -> float:
    """Return the middle of a column's range."""
    assert column.minimum is not None
    assert column.maximum is not None
    return (column.minimum + column.maximum) / 2


def _magnitudes(table: ReleaseTable) -> list[str]:
    """Return the names of the columns with magnitudes."""
    return [
        c.name
        for c in table.columns
        if c.ucd.lower().startswith("phot.mag") and c.datatype in _NUMBERS and c.arraysize is None
    ]


def _magnitude(table: ReleaseTable) -> str | None:
    """Return a column with magnitudes, preferably in r or i."""
    names = _magnitudes(table)
    return next((n for n in names if n.lower().endswith(("_r", "_i"))), names[0] if names else None)
