"""Finds files: by name, by what they are, by where they lie on the sky."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.filetypes import BY_NAME, FILETYPES
from desdm.archive.model import FileRecord, Scope
from desdm.archive.names import split_name
from desdm.archive.query import condition, overlap, region
from desdm.archive.unsound import unsound
from desdm.errors import UsageError
from desdm.schema import METADATA_TABLES, desfile

__all__ = ["attempt_number", "by_name", "define", "files", "find", "find_sound", "withheld_rows"]

_ATTEMPT = re.compile(r"(.+)_r(\d{1,9})p(\d{1,9})")
_SPECIAL = ("attempt", "region", "tag")


def define(conn: Connection, archive: Archive) -> None:
    """Write the archive and the file types that this program knows into the database; safe to call again."""
    store.define_filetypes(
        conn, [{"filetype": k.name, "metadata_table": k.table, "description": k.text} for k in FILETYPES]
    )
    store.define_archive(conn, archive.name, str(archive.root))


def attempt_number(conn: Connection, name: str) -> int:
    """Number of the attempt ``<unit>_r<request>p<attempt>``; `NotFoundError` if there is none."""
    match = _ATTEMPT.fullmatch(name.strip())
    wanted = [(match.group(1), int(match.group(2)), int(match.group(3)))] if match else []
    attempts = store.attempts_named(conn, wanted)
    if not attempts:
        raise store.no_such_run(conn, name.strip())
    return attempts[0]


def by_name(conn: Connection, name: str) -> FileRecord | None:
    """The file of that full name (with compression suffix), or None."""
    return store.by_name(conn, *split_name(name))


def missing_tag(conn: Connection, value: str) -> str:
    """Return the first tag that a query's value names and that does not exist; empty if there is none."""
    names = [part.strip() for part in value.split(",")]
    plain = [name for name in names if re.fullmatch(r"\w[\w.+-]*", name)]
    known = set(store.tags_like(conn, "")) if plain else set()
    return next((name for name in plain if name not in known), "")


def files(
    conn: Connection,
    *,
    attempt: str | int | None = None,
    filetype: str | None = None,
    band: str | None = None,
    tag: str | None = None,
    limit: int | None = None,
    junk: bool = False,
) -> list[FileRecord]:
    """Files that are not in the trash, in the order of their names.

    Files of attempts whose data are JUNK or PRUNED are left out, unless the attempt is named or ``junk`` is set.

    Parameters
    ----------
    attempt
        Name or number of the attempt that produced them.
    filetype, band, tag
        Exact values; a tag is the file's own or its attempt's.
    limit
        At most so many.
    junk
        Also files of attempts whose data are JUNK or PRUNED.

    Raises
    ------
    UsageError, NotFoundError
        If there is no such file type or attempt.
    """
    if filetype is not None and filetype not in BY_NAME:
        raise UsageError(f"no file type {filetype!r}; known: {', '.join(sorted(BY_NAME))}")
    number = attempt_number(conn, attempt) if isinstance(attempt, str) else attempt
    conditions = {"attempt": number, "filetype": filetype, "band": band, "tag": tag}
    return store.list_files(conn, {k: v for k, v in conditions.items() if v is not None}, limit, junk=junk)


def find(
    conn: Connection,
    query: Mapping[str, str],
    *,
    scope: Scope | None = None,
    blessed: bool = False,
    limit: int | None = None,
    archive: str | None = None,
) -> list[dict[str, Any]]:
    """Files by what they are, for planning: only what may be used.

    Keys are columns of ``desfile`` and of the metadata tables, and ``attempt`` (``<unit>_r<req>p<att>``, or a
    comma list of them), ``tag`` (of the file or its attempt) and ``region`` (``ra,dec,size`` in degrees). Values
    are in the syntax of `desdm.archive.query`.

    Copies that are not as registered (missing, corrupt, trash) are left out. Unless the query has ``attempt``, so are
    files of attempts whose data are JUNK or PRUNED, and superseded ones: of several attempts at one unit with
    one pipeline that produced a file type in a band, the newest blessed one stands, else the newest that is flagged (see
    `desdm.archive.store.superseding`). Of raw frames with one exposure number and the same pixels, the first registered
    stands.

    Parameters
    ----------
    query
        Key → value.
    scope
        Attempts whose files may be returned; None: of every project, campaign and run class. An ``attempt`` in the
        query names its files whatever the scope.
    blessed
        Only files of attempts that are done, or flagged and marked ACTIVE, and files that no attempt produced.
    limit
        At most so many rows.
    archive
        Only copies in this archive.

    Returns
    -------
    list of dict
        In the order of names: ``filename`` (with compression suffix), ``fullname`` (path relative to the
        archive's root), id, filetype, filesize, sha256, md5sum, compression, pfw_attempt_id, archive_name and
        the metadata columns of the file's table.

    Raises
    ------
    UsageError
        If a key is unknown or a value does not fit.
    NotFoundError
        If there is no such attempt.
    """
    criteria = {key.lower(): str(value) for key, value in query.items()}
    rows = _matching(conn, criteria, archive)
    if "attempt" not in criteria:
        rows = _standing(conn, rows, scope, blessed, criteria.get("tag"), {})
    rows = _once(rows)
    return rows if limit is None else rows[:limit]


def find_sound(
    conn: Connection, query: Mapping[str, str], scope: Scope | None = None, *, replaced: bool = False
) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str]]]:
    """Return what `find` does, but for files that must not be used because of their lineage; these apart, each with why.

    Such a file supersedes nothing: where another attempt has the product, that one is returned. Parameters as of `find`.

    Parameters
    ----------
    conn
        Connection to the database.
    query
        Keys and values, as of `find`.
    scope
        Project, campaign and run classes of the attempts; None: all.
    replaced
        Also return, of what must not be used, the files of which another of the same subject is returned.
    """
    criteria = {key.lower(): str(value) for key, value in query.items()}
    rows = _matching(conn, criteria, None)
    reasons = unsound(conn, {int(row["id"]): row.get("expnum") for row in rows})
    if "attempt" not in criteria:
        rows = _standing(conn, rows, scope, False, criteria.get("tag"), reasons)
    rows = _once(rows)
    sound = [row for row in rows if row["id"] not in reasons]
    have = set() if replaced else {_subject(row) for row in sound}
    left = [(row, reasons[row["id"]]) for row in rows if row["id"] in reasons and _subject(row) not in have]
    return sound, left


def _subject(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What a file is of: another of the same may stand for it."""
    return tuple(row.get(key) for key in ("filetype", "expnum", "ccdnum", "band", "nite", "tilename"))


def _matching(conn: Connection, criteria: Mapping[str, str], archive: str | None) -> list[dict[str, Any]]:
    """Files that fit a query, of whatever attempt, in the order of their names."""
    rows: list[dict[str, Any]] = []
    selections = _selections(conn, criteria)
    for table, conditions in selections:
        columns, matches = store.find_rows(conn, table, conditions, archive)
        rows += [_row(dict(zip(columns, row, strict=True))) for row in matches]
    if len(selections) > 1:
        rows.sort(key=lambda row: (row["filename"], row["id"]))
    return rows


def withheld_rows(
    conn: Connection, query: Mapping[str, str], scope: Scope | None = None
) -> list[dict[str, Any]]:
    """Return the files that fit a query and that `find` never returns; see `desdm.archive.withheld`.

    Their attempt is JUNK, PRUNED or of another run class than ``scope`` has (unless the query names attempts), or no sound
    copy of them is in the archive. Parameters as of `find`; columns id, filename, filetype, pfw_attempt_id, expnum,
    ccdnum, band and nite.

    Parameters
    ----------
    conn
        Connection to the database.
    query
        Keys and values, as of `find`.
    scope
        Project, campaign and run classes of the attempts; None: all.
    """
    criteria = {key.lower(): str(value) for key, value in query.items()}
    named = "attempt" in criteria
    return [
        row
        for table, conditions in _selections(conn, criteria)
        for row in store.withheld_rows(conn, table, conditions, scope, named)
    ]


def _selections(
    conn: Connection, criteria: Mapping[str, str]
) -> list[tuple[Table, list[ColumnElement[bool]]]]:
    """Each metadata table in which files that fit a query may stand, with the conditions."""
    conditions = _file_conditions(conn, criteria)
    selections = []
    for table in _tables(criteria):
        of_table = [condition(table.c[k], v) for k, v in criteria.items() if k in table.c]
        if "region" in criteria:
            of_table.append(overlap(region(criteria["region"]), _column_of(table)))
        selections.append((table, [*conditions, *of_table]))
    return selections


def _column_of(table: Table) -> Callable[[str], ColumnElement[float]]:
    """Return a function that maps a column's name to the column of a table."""
    return lambda name: table.c[name]


def _tables(criteria: Mapping[str, str]) -> Sequence[Table]:
    """Return the metadata tables that can answer a query; an unknown key raises `UsageError`."""
    known = {c.name for t in METADATA_TABLES.values() for c in t.c if c.name != "desfile_id"}
    known |= {c.name for c in desfile.c} | set(_SPECIAL)
    for key in criteria:
        if key not in known:
            raise UsageError(f"no such query key: {key!r}; known: {', '.join(sorted(known))}")
    tables = list(METADATA_TABLES.values())
    names = [part.strip() for part in criteria.get("filetype", "").split(",")]
    if all(name in BY_NAME for name in names):
        wanted = {BY_NAME[name].table for name in names}
        tables = [t for t in tables if t.name in wanted]
    of_files = {c.name for c in desfile.c} | set(_SPECIAL)
    needed = [key for key in criteria if key not in of_files]
    if "region" in criteria:
        needed += ["racmin"]
    return [t for t in tables if all(key in t.c for key in needed)]


def _file_conditions(conn: Connection, criteria: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Return the conditions on the columns of ``desfile``, on attempts and on tags."""
    conditions: list[ColumnElement[bool]] = []
    for key, value in criteria.items():
        if key == "attempt":
            numbers = [attempt_number(conn, name) for name in value.split(",")]
            conditions.append(desfile.c.pfw_attempt_id.in_(numbers))
        elif key == "tag":
            conditions.append(store.tagged(partial(condition, value=value)))
        elif key == "filename":
            # People write the full name; the column has it without compression suffix.
            conditions.append(condition(desfile.c.filename + desfile.c.compression, value))
        elif key in desfile.c:
            conditions.append(condition(desfile.c[key], value))
    return conditions


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Add the full name to a row, and the compression to its file name."""
    row["filename"] += row["compression"]
    row["fullname"] = f"{row['path']}/{row['filename']}" if row["path"] else row["filename"]
    return row


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without raw frames that are there under another name already: same exposure number, same bytes or pixels."""
    earlier: set[tuple[int, str]] = set()
    again: set[int] = set()
    for row in sorted((r for r in rows if r["filetype"] == "raw"), key=lambda r: int(r["id"])):
        keys = {(row["expnum"], row[k]) for k in ("sha256", "data_digest") if row[k] is not None}
        if row["expnum"] is not None and earlier & keys:
            again.add(row["id"])
        earlier |= keys
    return [row for row in rows if row["id"] not in again] if again else rows


def _standing(
    conn: Connection,
    rows: list[dict[str, Any]],
    scope: Scope | None,
    blessed: bool,
    tag: str | None,
    reasons: Mapping[int, str],
) -> list[dict[str, Any]]:
    """The rows whose attempt is in scope, for use and not superseded by another that has the tag too.

    Those with a reason not to be used supersede nothing.
    """
    attempts = sorted({row["pfw_attempt_id"] for row in rows if row["pfw_attempt_id"] is not None})
    tagged = None if tag is None else lambda column: condition(column, tag)
    gone = store.superseded(
        conn, attempts, scope, blessed=blessed, tag_condition=tagged, spoiled=_spoiled(rows, reasons)
    )
    if not gone:
        return rows
    return [row for row in rows if _stands(row, gone.get(row["pfw_attempt_id"], ()))]


def _spoiled(rows: Sequence[Mapping[str, Any]], reasons: Mapping[int, str]) -> dict[int, store.Spoiled]:
    """The products of each attempt that must not be used, and those of which none may be."""
    if not reasons:
        return {}
    single: dict[int, set[tuple[str, str | None, int | None]]] = {}
    usable: dict[int, set[tuple[str, str | None]]] = {}
    for row in rows:
        attempt, product = row["pfw_attempt_id"], (row["filetype"], row.get("band"))
        if attempt is None:
            continue
        if row["id"] in reasons:
            single.setdefault(attempt, set()).add((*product, row.get("ccdnum")))
        else:
            usable.setdefault(attempt, set()).add(product)
    return {
        attempt: store.Spoiled(
            frozenset(products), frozenset({p[:2] for p in products} - usable.get(attempt, set()))
        )
        for attempt, products in single.items()
    }


def _stands(row: Mapping[str, Any], rivals: Sequence[store.Rival] | None) -> bool:
    """Whether a product may be used and no rival of its attempt supersedes it."""
    if rivals is None:
        return False
    product = row["filetype"], row.get("band"), row.get("ccdnum")
    return not any(rival.supersedes(*product) for rival in rivals)
