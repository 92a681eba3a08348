"""Write the documents of a release below ``docs``: notes, data, queries, validation, and each table's schema."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from desdm.archive.model import Scope
from desdm.release import store
from desdm.release.contents import contents_of
from desdm.release.document import Document
from desdm.release.exposures import exposure_uses
from desdm.release.findings import Check
from desdm.release.model import Release, ReleaseColumn, ReleaseTable
from desdm.release.notes import notes
from desdm.release.queries import Ask, run
from desdm.release.select import verdict_scopes
from desdm.release.validate import selection_of, sources_of
from desdm.schema.database import Database

__all__ = ["write_documents"]


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
    checks
        What `validate` found.
    ask
        Answers ADQL on the release's tables; None: no engine is there, and no model queries are shown.
    production
        As of `desdm.release.validate.validate`.
    """
    scopes = verdict_scopes(release.selection, production)
    with database.read() as conn:
        tables, files = store.tables(conn, release.name), store.files(conn, release.name)
        sources = {name: json.loads(text) for name, text in store.provenance(conn, release.name).items()}
        # At this time, not when the draft was made: verdicts may have changed since.
        uses = exposure_uses(conn, contents_of(conn, sources_of(conn, root, files)), scopes)
    selection = selection_of(root)
    ran = run(root, tables, ask) if ask is not None else []
    docs = root / "docs"
    shutil.rmtree(docs / "schema", ignore_errors=True)
    (docs / "schema").mkdir(parents=True)
    # Notes tell of content, not of themselves: a file's own digest cannot stand in it.
    checks = [c for c in checks if c.check != "files"]
    page = notes(release, tables, files, sources, selection, checks, ran, uses)
    _put(docs / "notes", page)
    _put(docs / "data", data(release, tables, sources))
    _json(docs / "queries.json", {"release": release.name, "queries": [one._asdict() for one in ran]})
    _json(docs / "validation.json", {"release": release.name, "checks": [c._asdict() for c in checks]})
    for table in tables:
        _json(docs / "schema" / f"{table.name}.json", schema_file(table))


def _put(stem: Path, page: Document) -> None:
    stem.with_suffix(".md").write_text(page.markdown(), "utf-8")
    stem.with_suffix(".html").write_text(page.html(), "utf-8")


def _json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=False) + "\n", "utf-8")


def schema_file(table: ReleaseTable) -> dict[str, Any]:
    """The table's columns in the form that ``desdm release add-table --schema`` reads."""
    return {
        "description": table.text,
        "columns": [
            {"name": c.name, "description": c.text, "unit": c.unit, "ucd": c.ucd, "datatype": c.datatype,
             "principal": c.principal}
            for c in table.columns
        ],
    }  # fmt: skip


def data(release: Release, tables: Sequence[ReleaseTable], sources: Mapping[str, Any]) -> Document:
    """The data documentation: each table, where it came from, and each column."""
    page = Document(f"Data of release {release.name}")
    for table in tables:
        page.heading(f"{release.name}.{table.name}")
        text = table.text or "Nobody says what a row is"
        rows = f"{table.row_count} row{'' if table.row_count == 1 else 's'}"
        page.paragraph(f"{text.rstrip('. ')}. {rows}.")
        if table.ra_column:
            page.paragraph(
                f"Positions: {table.ra_column}, {table.dec_column} (ICRS, degrees). Rows are sorted by hpix29; the Parquet "
                f"files in {table.path} lie in HATS layout."
            )
        _source(page, sources.get(table.name, {}))
        page.table(
            ("column", "type", "unit", "UCD", "what it is", "least", "largest", "without value"),
            [
                (
                    c.name, c.xtype or (c.datatype if c.arraysize is None else "text"), c.unit, c.ucd,
                    c.text + (" (guessed)" if c.inferred else ""), _short(c, c.minimum), _short(c, c.maximum), c.null_count,
                )
                for c in table.columns
            ],
        )  # fmt: skip
    return page


def _source(page: Document, source: Mapping[str, Any]) -> None:
    if "tiles" in source:
        page.table(
            ("tile", "file", "rows", "kept", "sha-256"),
            [
                (tile, e["file"], e["rows"], e["kept"], e["sha256"])
                for tile, e in sorted(source["tiles"].items())
            ],
        )
    elif source:
        page.points([f"{key}: {_words(value)}" for key, value in sorted(source.items())])


def _words(value: object) -> str:
    """A value of a selection as text: several with commas."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _short(column: ReleaseColumn, value: float | None) -> str:
    """A limit of a column: integers whole, as far as a 64-bit float holds them."""
    whole = column.datatype in ("short", "int", "long") and value is not None and abs(value) <= 2**53
    return "" if value is None else f"{value:.0f}" if whole else f"{value:.6g}"
