"""Value-added products: tables from outside the production, with the same criteria and a review by a named person."""

from __future__ import annotations

from pathlib import Path

from desdm.archive.publish import digest
from desdm.errors import NotFoundError, UsageError
from desdm.release.addtable import add_table
from desdm.release.model import ReleaseTable
from desdm.release.source import TableSource
from desdm.schema.database import Database

__all__ = ["add_value_added"]

_LEAST = 200


def add_value_added(
    database: Database,
    root: Path,
    release: str,
    table: str,
    source: Path,
    *,
    schema: Path,
    documentation: Path,
    came_from: str,
    reviewed_by: str,
    review: str,
    ra: str | None,
    dec: str | None,
    id_column: str | None = None,
    public: bool = False,
    who: str,
) -> ReleaseTable:
    """Add a value-added product to a draft release, beside the release's own tables.

    Parameters
    ----------
    database
        Database of the installation.
    root, release
        Directory and name of the draft.
    table, source
        Name of the table, and its Parquet file.
    ra, dec
        Columns of the position, ICRS degrees; None without positions.
    id_column
        Column that identifies a row.
    public
        Take a product of a proprietary release for a release that everybody may see.
    who
        User who adds it.
    schema
        Schema file; missing descriptions are not guessed.
    documentation
        Text (Markdown) on how it was computed and what it is useful for; it goes to ``docs/<table>.md``.
    came_from
        Release, data and programs from which it was computed.
    reviewed_by, review
        Reviewer, and result of the review.

    Returns
    -------
    ReleaseTable
        The record of the table.

    Raises
    ------
    UsageError
        A criterion is not met; the text names it.
    """
    for option, value in (("--from", came_from), ("--reviewed-by", reviewed_by), ("--review", review)):
        if not value.strip():
            raise UsageError(f"a value-added product needs {option}; see docs/releases.md")
    if reviewed_by.strip().lower() == who.strip().lower():
        raise UsageError("who adds a product cannot review it; let another person look at it")
    text = _documentation(documentation)
    if not source.is_file():
        raise NotFoundError(f"no file {source}")
    record = add_table(
        database,
        root,
        release,
        table,
        source,
        ra=ra,
        dec=dec,
        schema=schema,
        kind="value-added",
        who=who,
        id_column=id_column,
        replace_it=False,
        public=public,
        provenance=TableSource(
            {
                "came_from": came_from.strip(),
                "reviewed_by": reviewed_by.strip(),
                "review": review.strip(),
                "file": source.name,
                "sha256": digest(source)[0],
                "documentation": f"docs/{table}.md",
            }
        ),
    )
    docs = root / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    (docs / f"{table}.md").write_text(text, "utf-8")
    return record


def _documentation(path: Path) -> str:
    """Read the documentation and check its length."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"documentation {path.name} cannot be read: {err}") from err
    if len(text.split()) * 5 < _LEAST:
        raise UsageError(
            f"documentation {path.name} is too short: say how the product was made, on which data, and what it is good for"
        )
    return text
