"""Translation of ADQL to the SQL of an engine; only names and functions that are known are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from desdm.errors import QueryError
from desdm.query.adql.parse import nodes
from desdm.query.adql.parse.grammar import parse
from desdm.query.adql.sql.fragments import GEOMETRIES, OutColumn
from desdm.query.adql.sql.queries import Queries
from desdm.query.catalogue import Catalogue
from desdm.query.engines.model import Query, Upload
from desdm.query.engines.writing import Dialect
from desdm.release.model import ReleaseColumn

__all__ = ["translate"]

_SIZES = {"point": "2", "circle": "3"}


def translate(
    text: str,
    catalogue: Catalogue,
    dialect: Dialect,
    *,
    uploads: Mapping[str, Upload] | None = None,
    maxrec: int | None = None,
) -> Query:
    """Translate an ADQL query to the engine's own SQL.

    Parameters
    ----------
    text
        The query (REC-ADQL-2.1).
    catalogue
        Tables that the caller may query.
    uploads
        Uploaded tables by name.
    maxrec
        Largest number of rows in the answer; the query reads one more, so that an overflow can be detected.

    Raises
    ------
    QueryError
        The text is not ADQL, or names a table, column or function that does not exist; the error has line and column.
    """
    tree = parse(text)
    queries = Queries(catalogue, dialect, uploads or {})
    try:
        written = queries.statement(tree, limit=None if maxrec is None else maxrec + 1, output=True)
    except RecursionError:
        raise QueryError("the query is nested too deeply; split it with WITH", 1, 1) from None
    sql, values = queries.parameters.bound(written.sql)
    return Query(
        sql=sql,
        params=values,
        columns=tuple(_column(c) for c in written.columns),
        tables=frozenset(queries.tables),
        top=_top(tree),
    )


def _top(node: nodes.Body) -> int | None:
    """Return the number of TOP of the outermost query."""
    while isinstance(node, nodes.Statement):
        node = node.body
    return node.top if isinstance(node, nodes.Select) else None


def _column(column: OutColumn) -> ReleaseColumn:
    """Return the description of a column of the answer, with that of its source column."""
    meta = column.meta or ReleaseColumn(column.name, column.kind)
    plain = column.fragment is not None and column.fragment.column is not None
    size, xtype, datatype = None, None, column.kind
    if column.kind in ("char", "null"):
        datatype, size, xtype = (
            "unicodeChar" if meta.datatype == "unicodeChar" else "char",
            "*",
            meta.xtype if plain else None,
        )
    elif column.kind == "timestamp":
        datatype, size, xtype = "char", "*", "timestamp"
    elif column.kind in GEOMETRIES:
        if plain or column.kind == "region":
            datatype, size, xtype = meta.datatype, meta.arraysize, meta.xtype
        else:
            datatype, size = "double", _SIZES.get(column.kind, "*")
            xtype = "polygon" if column.kind == "box" else column.kind
    elif column.kind == "array":
        datatype, size, xtype = meta.datatype, meta.arraysize, meta.xtype
    return replace(
        meta,
        name=column.name,
        datatype=datatype,
        arraysize=size,
        xtype=xtype,
        minimum=meta.minimum if plain else None,
        maximum=meta.maximum if plain else None,
        null_count=meta.null_count if plain else 0,
        principal=plain and meta.principal,
        indexed=plain and meta.indexed,
    )
