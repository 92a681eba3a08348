"""Model queries: ADQL to begin with on a release's tables, run before it is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import FatalError
from desdm.release.hats import parts
from desdm.release.model import ReleaseColumn, ReleaseTable

__all__ = ["Ask", "QueryResult", "model_queries", "run"]

#: Answers an ADQL query on the release's own tables.
Ask = Callable[[str], pa.Table]


class QueryResult(NamedTuple):
    """A model query and the number of rows that it returned."""

    title: str
    adql: str
    rows: int


_COUNT = Template("SELECT COUNT(*) AS n FROM $table")
_LOOK = Template("SELECT TOP 10 $columns FROM $table")
_CONE = Template(
    "SELECT $columns FROM $table\nWHERE 1 = CONTAINS(POINT($ra, $dec), CIRCLE($ra0, $dec0, 0.05))\nORDER BY hpix29"
)
_BRIGHT = Template("SELECT TOP 20 $columns, $mag FROM $table\nWHERE $mag < $limit\nORDER BY $mag, hpix29")
_BESIDE = Template("SELECT COUNT(*) AS n FROM $one AS a\nJOIN $two AS b ON a.$key = b.$key")

#: Column names that ADQL takes for words of its own.
_RESERVED = frozenset(
    (
        "size",
        "section",
        "value",
        "values",
        "date",
        "time",
        "timestamp",
        "user",
        "level",
        "position",
        "zone",
        "year",
        "month",
        "day",
        "first",
        "last",
        "key",
        "order",
        "group",
        "table",
        "column",
        "count",
        "distance",
        "area",
        "box",
        "circle",
        "point",
        "polygon",
        "region",
        "power",
        "mod",
        "log",
        "exp",
        "abs",
        "floor",
        "round",
        "pi",
    )
)


def model_queries(root: Path, tables: Sequence[ReleaseTable]) -> list[tuple[str, str]]:
    """Return title and ADQL of the queries for each table: count, first rows, cone, brightest rows, joins."""
    queries = [query for table in tables for query in _of_table(root, table)]
    return queries + _joins(tables)


def _name(table: ReleaseTable) -> str:
    """Return the qualified name of a table."""
    return f"{table.release}.{table.name}"


def _of_table(root: Path, table: ReleaseTable) -> list[tuple[str, str]]:
    """Return title and ADQL of the queries on one table."""
    name = _name(table)
    first = [c.name for c in table.columns if c.principal][:6] or [c.name for c in table.columns[:6]]
    columns = ", ".join(map(_quoted, first))
    queries = [
        (f"Rows of {name}", _COUNT.substitute(table=name)),
        (f"A first look at {name}", _LOOK.substitute(table=name, columns=columns)),
    ]
    if table.ra_column is None or table.dec_column is None:
        return queries
    ra0, dec0 = _centre(root, table)
    cone = _CONE.substitute(
        table=name,
        columns=columns,
        ra=_quoted(table.ra_column),
        dec=_quoted(table.dec_column),
        ra0=ra0,
        dec0=dec0,
    )
    queries.append((f"{name} within 3 arcmin of a position", cone))
    mag = next((c for c in table.columns if _is_magnitude(c, table)), None)
    if mag is not None and mag.minimum is not None:
        limit, q = round(mag.minimum + 2.0, 1), _quoted(mag.name)
        queries.append(
            (f"The brightest of {name}", _BRIGHT.substitute(table=name, columns=columns, mag=q, limit=limit))
        )
    return queries


def _is_magnitude(column: ReleaseColumn, table: ReleaseTable) -> bool:
    """Tell whether a column is a magnitude with values, not in the first columns already."""
    return column.ucd.startswith("phot.mag") and not column.principal and column.null_count < table.row_count


def _joins(tables: Sequence[ReleaseTable]) -> list[tuple[str, str]]:
    """Return the queries that join value-added tables with the table of the same key."""
    keyed = {t.id_column: t for t in tables if t.id_column and t.kind == "release"}
    queries = []
    for table in tables:
        base = keyed.get(table.id_column or "")
        if table.kind == "value-added" and base is not None and table.id_column is not None:
            adql = _BESIDE.substitute(one=_name(base), two=_name(table), key=_quoted(table.id_column))
            queries.append((f"{_name(table)} beside {_name(base)}", adql))
    return queries


def _centre(root: Path, table: ReleaseTable) -> tuple[float, float]:
    """Return the position of the row in the middle of the table, so that an example matches rows."""
    files = parts(root / table.path)
    path = files[len(files) // 2]
    columns = [str(table.ra_column), str(table.dec_column)]
    with pq.ParquetFile(path) as file:
        rows = file.read_row_group(file.num_row_groups // 2, columns=columns)
    ra, dec = (rows.column(name)[rows.num_rows // 2].as_py() for name in columns)
    return round(ra % 360.0, 3), round(dec, 3)


def _quoted(name: str) -> str:
    """Quote a column name that is a reserved word of ADQL."""
    return f'"{name}"' if name.lower() in _RESERVED else name


def run(root: Path, tables: Sequence[ReleaseTable], ask: Ask) -> list[QueryResult]:
    """Run the model queries.

    Parameters
    ----------
    root
        Directory of the release.
    tables
        Tables of the release.
    ask
        Runs an ADQL query on these tables.

    Returns
    -------
    list of QueryResult
        The queries, each with its number of rows.

    Raises
    ------
    FatalError
        The engine counts another number of rows than the release has.
    """
    results = []
    counts = {_COUNT.substitute(table=_name(t)): t.row_count for t in tables}
    for title, adql in model_queries(root, tables):
        answer = ask(adql)
        if adql in counts and answer.column(0)[0].as_py() != counts[adql]:
            raise FatalError(
                f"{adql} gave {answer.column(0)[0].as_py()}, and the table has {counts[adql]} rows; report it"
            )
        results.append(QueryResult(title, adql, answer.num_rows))
    return results
