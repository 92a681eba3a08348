"""Finds files: by name, by what they are, by where they lie on the sky."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Table
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.catalogfile import CatalogFile, FileIdentity
from desdm.archive.filetypes import BY_NAME, FILETYPES
from desdm.archive.model import FileRecord, Scope
from desdm.archive.names import split_name
from desdm.archive.query import condition, overlap, region
from desdm.archive.unsound import unsound
from desdm.errors import UsageError
from desdm.schema import METADATA_TABLES, desfile

__all__ = ["attempt_number", "by_name", "define", "files", "find", "find_sound", "withheld_files"]

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

    Files that are marked defective, and those of attempts whose data are JUNK or PRUNED, are left out, unless the attempt
    is named or ``junk`` is set.

    Parameters
    ----------
    attempt
        Name or number of the attempt that produced them.
    filetype, band, tag
        Exact values; a tag is the file's own or its attempt's.
    limit
        At most so many.
    junk
        Also files that are marked defective, and those of attempts whose data are JUNK or PRUNED.

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
) -> list[CatalogFile]:
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
        At most so many files.
    archive
        Only copies in this archive.

    Returns
    -------
    list of CatalogFile
        In the order of names.

    Raises
    ------
    UsageError
        If a key is unknown or a value does not fit.
    NotFoundError
        If there is no such attempt.
    """
    criteria = {key.lower(): str(value) for key, value in query.items()}
    matches = _matching(conn, criteria, archive)
    if "attempt" not in criteria:
        matches = _standing(conn, matches, scope, blessed, criteria.get("tag"), {})
    matches = _once(matches)
    return matches if limit is None else matches[:limit]


def find_sound(
    conn: Connection, query: Mapping[str, str], scope: Scope | None = None, *, replaced: bool = False
) -> tuple[list[CatalogFile], list[tuple[CatalogFile, str]]]:
    """Return what `find` does, but for files that are marked defective or of such a lineage; these apart, each with why.

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
    matches = _matching(conn, criteria, None)
    reasons = unsound(conn, {file.id: file.expnum for file in matches})
    if "attempt" not in criteria:
        matches = _standing(conn, matches, scope, False, criteria.get("tag"), reasons)
    matches = _once(matches)
    sound = [file for file in matches if file.id not in reasons]
    have = set() if replaced else {_product(file) for file in sound}
    left = [(file, reasons[file.id]) for file in matches if file.id in reasons and _product(file) not in have]
    return sound, left


def _product(file: CatalogFile) -> tuple[object, ...]:
    """What a file is of: another of the same may stand for it."""
    return file.filetype, file.subject, file.nite, file.tilename


def _matching(conn: Connection, criteria: Mapping[str, str], archive: str | None) -> list[CatalogFile]:
    """Files that fit a query, of whatever attempt, in the order of their names."""
    selections = _selections(conn, criteria)
    matches = [
        file
        for table, conditions in selections
        for file in store.find_files(conn, table, conditions, archive)
    ]
    if len(selections) > 1:
        matches.sort(key=lambda file: (file.filename, file.id))
    return matches


def withheld_files(
    conn: Connection, query: Mapping[str, str], scope: Scope | None = None
) -> list[FileIdentity]:
    """Return the files that fit a query and that `find` never returns; see `desdm.archive.withheld`.

    Their attempt is JUNK, PRUNED or of another run class than ``scope`` has (unless the query names attempts), or no sound
    copy of them is in the archive. Parameters as of `find`.

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
        file
        for table, conditions in _selections(conn, criteria)
        for file in store.withheld_files(conn, table, conditions, scope, named)
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


def _once(files: list[CatalogFile]) -> list[CatalogFile]:
    """Without raw frames that are there under another name already: same exposure number, same bytes or pixels."""
    earlier: set[tuple[int, str]] = set()
    again: set[int] = set()
    for file in sorted((f for f in files if f.filetype == "raw"), key=lambda f: f.id):
        if file.expnum is None:
            continue
        keys = {(file.expnum, d) for d in (file.sha256, file.metadata.data_digest) if d is not None}
        if earlier & keys:
            again.add(file.id)
        earlier |= keys
    return [file for file in files if file.id not in again] if again else files


def _standing(
    conn: Connection,
    files: list[CatalogFile],
    scope: Scope | None,
    blessed: bool,
    tag: str | None,
    reasons: Mapping[int, str],
) -> list[CatalogFile]:
    """The files whose attempt is in scope, for use and not superseded by another that has the tag too.

    Those with a reason not to be used supersede nothing.
    """
    attempts = sorted({file.pfw_attempt_id for file in files if file.pfw_attempt_id is not None})
    tagged = None if tag is None else lambda column: condition(column, tag)
    gone = store.superseded(
        conn, attempts, scope, blessed=blessed, tag_condition=tagged, spoiled=_spoiled(files, reasons)
    )
    if not gone:
        return files
    return [file for file in files if _stands(file, gone.get(file.pfw_attempt_id or 0, ()))]


def _spoiled(files: Sequence[CatalogFile], reasons: Mapping[int, str]) -> dict[int, store.Spoiled]:
    """The products of each attempt that must not be used, and those of which none may be."""
    if not reasons:
        return {}
    single: dict[int, set[tuple[str, str | None, int | None]]] = {}
    usable: dict[int, set[tuple[str, str | None]]] = {}
    for file in files:
        attempt = file.pfw_attempt_id
        if attempt is None:
            continue
        if file.id in reasons:
            single.setdefault(attempt, set()).add((file.filetype, file.band, file.ccdnum))
        else:
            usable.setdefault(attempt, set()).add((file.filetype, file.band))
    return {
        attempt: store.Spoiled(
            frozenset(products), frozenset({p[:2] for p in products} - usable.get(attempt, set()))
        )
        for attempt, products in single.items()
    }


def _stands(file: CatalogFile, rivals: Sequence[store.Rival] | None) -> bool:
    """Whether a product may be used and no rival of its attempt supersedes it."""
    if rivals is None:
        return False
    return not any(rival.supersedes(file.filetype, file.band, file.ccdnum) for rival in rivals)
