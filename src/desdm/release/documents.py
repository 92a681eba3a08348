"""Write the documents of a release below ``docs``: notes, data, queries, validation, and each table's schema."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from desdm.archive.model import Scope
from desdm.release import store
from desdm.release.checktable import extremes_of
from desdm.release.contents import contents_of
from desdm.release.document import Document
from desdm.release.exposures import exposure_uses
from desdm.release.findings import Check
from desdm.release.hats import parts
from desdm.release.known import add_known_problems, known_problems, write_problems
from desdm.release.model import Release, ReleaseColumn, ReleaseTable
from desdm.release.notes import notes
from desdm.release.queries import Ask, run
from desdm.release.reviewed import unreviewed_runs
from desdm.release.rights import reader_view
from desdm.release.select import verdict_scopes
from desdm.release.selection import read_selection
from desdm.release.source import TableSource
from desdm.release.validate import sources_of
from desdm.schema.database import Database

__all__ = ["write_documents"]


class ColumnSchema(TypedDict):
    """A column in a schema file."""

    name: str
    description: str
    unit: str
    ucd: str
    datatype: str
    principal: bool


class TableSchema(TypedDict):
    """A schema file: the text of a table, and its columns."""

    description: str
    columns: list[ColumnSchema]


def write_documents(
    database: Database,
    root: Path,
    release: Release,
    checks: Sequence[Check],
    ask: Ask | None,
    production: Scope | None = None,
) -> None:
    """Write all documents of a release; the same content gives the same bytes.

    Parameters
    ----------
    database
        Database of the installation.
    root, release
        Directory and record of the release.
    checks
        Findings of `validate`.
    ask
        Answers ADQL on the release's tables; None: without model queries.
    production
        As of `desdm.release.validate.validate`.
    """
    scopes = verdict_scopes(release.selection, production)
    with database.read() as conn:
        release = reader_view(conn, release)
        tables, files = store.tables(conn, release.name), store.files(conn, release.name)
        sources = store.provenance(conn, release.name)
        # Read now, not when the draft was created: verdicts may have changed since.
        origins = sources_of(conn, root, files)
        uses = exposure_uses(conn, contents_of(conn, origins), scopes)
        tiles = sorted({f.tilename for f in files if f.tilename})
        problems = known_problems(conn, release, tiles, origins)
        unreviewed = unreviewed_runs(conn, root)
    selection = read_selection(root)
    queries = run(root, tables, ask) if ask is not None else []
    docs = root / "docs"
    shutil.rmtree(docs / "schema", ignore_errors=True)
    (docs / "schema").mkdir(parents=True)
    # The notes cannot contain their own digest: the check of files is left out.
    checks = [c for c in checks if c.check != "files"]
    notes_page = notes(
        release, tables, files, sources, selection, checks, queries, uses, problems, unreviewed
    )
    write_problems(root, release.name, problems)
    _put(docs / "notes", notes_page)
    data_page = data(release, [_with_exact_limits(root, table) for table in tables], sources)
    add_known_problems(data_page, problems)
    _put(docs / "data", data_page)
    _json(docs / "queries.json", {"release": release.name, "queries": [one._asdict() for one in queries]})
    _json(docs / "validation.json", {"release": release.name, "checks": [c._asdict() for c in checks]})
    for table in tables:
        _json(docs / "schema" / f"{table.name}.json", schema_file(table))


def _put(stem: Path, page: Document) -> None:
    """Write a document as Markdown and as HTML."""
    stem.with_suffix(".md").write_text(page.markdown(), "utf-8")
    stem.with_suffix(".html").write_text(page.html(), "utf-8")


def _json(path: Path, document: object) -> None:
    """Write a document as JSON."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=False) + "\n", "utf-8")


def schema_file(table: ReleaseTable) -> TableSchema:
    """Return the columns of a table in the form of a schema file (``desdm release add-table --schema``)."""
    return {
        "description": table.text,
        "columns": [
            {
                "name": c.name,
                "description": c.text,
                "unit": c.unit,
                "ucd": c.ucd,
                "datatype": c.datatype,
                "principal": c.principal,
            }
            for c in table.columns
        ],
    }


def _with_exact_limits(root: Path, table: ReleaseTable) -> ReleaseTable:
    """Return a table whose large integers have exact limits: the record has 64-bit floats, exact up to 2**53."""
    if not any(c.datatype == "long" and _is_large(c) for c in table.columns):
        return table
    extremes = extremes_of(parts(root / table.path))
    columns = (
        replace(c, minimum=extremes[c.name][0], maximum=extremes[c.name][1])
        if c.datatype == "long" and c.name in extremes
        else c
        for c in table.columns
    )
    return replace(table, columns=tuple(columns))


def _is_large(column: ReleaseColumn) -> bool:
    """Whether a limit of a column is an integer that a 64-bit float may not represent."""
    return max(abs(column.minimum or 0.0), abs(column.maximum or 0.0)) > 2**53


def data(release: Release, tables: Sequence[ReleaseTable], sources: Mapping[str, TableSource]) -> Document:
    """Compose the data documentation: each table, its provenance, and each column.

    Parameters
    ----------
    release
        The release.
    tables
        Its tables.
    sources
        Provenance of the tables, by name.

    Returns
    -------
    Document
        The data documentation.
    """
    page = Document(f"Data of release {release.name}")
    for table in tables:
        page.heading(f"{release.name}.{table.name}")
        text = table.text or "Without a description of its rows"
        rows = f"{table.row_count} row{'' if table.row_count == 1 else 's'}"
        page.paragraph(f"{text.rstrip('. ')}. {rows}.")
        if table.ra_column:
            page.paragraph(
                f"Positions: {table.ra_column}, {table.dec_column} (ICRS, degrees). Rows are sorted by hpix29; the Parquet "
                f"files in {table.path} lie in HATS layout."
            )
        _source(page, sources.get(table.name, TableSource()))
        page.table(
            ("column", "type", "unit", "UCD", "what it is", "least", "largest", "without value"),
            [
                (
                    c.name,
                    c.xtype or (c.datatype if c.arraysize is None else "text"),
                    c.unit,
                    c.ucd,
                    c.text + (" (guessed)" if c.inferred else ""),
                    _short(c, c.minimum),
                    _short(c, c.maximum),
                    c.null_count,
                )
                for c in table.columns
            ],
        )
    return page


def _source(page: Document, source: TableSource) -> None:
    """Add the provenance of a table to the data documentation."""
    if source.tiles:
        page.table(
            ("tile", "file", "rows", "kept", "sha-256"),
            [(tile, e.file, e.rows, e.own, e.sha256) for tile, e in sorted(source.tiles.items())],
        )
    elif source.facts:
        page.points([f"{key}: {_words(value)}" for key, value in sorted(source.facts.items())])


def _words(value: str | Sequence[str]) -> str:
    """Return a value of the provenance as text: several with commas."""
    return str(value) if isinstance(value, str) else ", ".join(map(str, value))


def _short(column: ReleaseColumn, value: float | int | None) -> str:
    """Return a limit of a column as text: integers whole, as far as their representation is exact."""
    if isinstance(value, int):
        return str(value)
    whole = column.datatype in ("short", "int", "long") and value is not None and abs(value) <= 2**53
    return "" if value is None else f"{value:.0f}" if whole else f"{value:.6g}"
