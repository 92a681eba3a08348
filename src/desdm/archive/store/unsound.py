"""The SQL of files whose lineage holds a frame that is excluded, or a file of a run that is JUNK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, exists, func, or_, select

from desdm.archive.store.common import among, packed
from desdm.schema import METADATA_TABLES, desfile, exclude_list, pfw_attempt, pfw_omitted_input, qa_mark
from desdm.schema.operationstates import Mark
from desdm.schema.states import DataState

__all__ = [
    "ExcludedFile",
    "FilePlace",
    "anything_unsound",
    "attempts_of",
    "excluded_files",
    "file_places",
    "files_of_attempts",
    "files_of_exposure",
    "files_of_type",
    "images_of_attempts",
    "junk_files",
    "names_of_files",
    "omitted_ccds",
]


class ExcludedFile(NamedTuple):
    """A file of an excluded exposure; ``banned`` is the CCD that is excluded, 0 for all of it."""

    id: int
    filetype: str
    expnum: int
    ccdnum: int | None
    banned: int
    reason: str
    analyst: str


class FilePlace(NamedTuple):
    """Of what a file is: ``kind`` names its metadata table; exposure and CCD are None where it is of none or several."""

    kind: str
    attempt_id: int | None
    expnum: int | None
    ccdnum: int | None


def _junk() -> Any:
    """Condition that the data of an attempt are JUNK, or were before their files were deleted."""
    value = DataState.JUNK.value
    return or_(pfw_attempt.c.data_state == value, pfw_attempt.c.pruned_from == value)


def anything_unsound(conn: Connection) -> bool:
    """Whether any exposure is excluded, any run is JUNK or anything is marked defective: else no lineage is looked at."""
    excluded = exists().where(exclude_list.c.lifted_at.is_(None))
    defective = exists().where(qa_mark.c.verdict == Mark.DEFECTIVE.value)
    return bool(conn.execute(select(or_(excluded, exists().where(_junk()), defective))).scalar_one())


def excluded_files(conn: Connection, ids: Sequence[int]) -> list[ExcludedFile]:
    """Return those of the files that are of an excluded exposure, once for each exclusion in force."""
    excluded = []
    parameters = {"among": packed(conn, ids)}
    for table in METADATA_TABLES.values():
        if "expnum" not in table.c:
            continue
        query = (
            select(
                table.c.desfile_id,
                desfile.c.filetype,
                table.c.expnum,
                table.c.ccdnum,
                exclude_list.c.ccdnum,
                exclude_list.c.reason,
                exclude_list.c.analyst,
            )
            .join(desfile, desfile.c.id == table.c.desfile_id)
            .join(exclude_list, exclude_list.c.expnum == table.c.expnum)
            .where(exclude_list.c.lifted_at.is_(None), among(conn, table.c.desfile_id))
        )
        excluded += [ExcludedFile._make(row) for row in conn.execute(query, parameters)]
    return sorted(excluded, key=lambda one: (one.id, one.banned))


def junk_files(conn: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return those of the files that a JUNK run produced, with the number of its attempt."""
    query = (
        select(desfile.c.id, desfile.c.pfw_attempt_id)
        .join(pfw_attempt, pfw_attempt.c.id == desfile.c.pfw_attempt_id)
        .where(_junk(), among(conn, desfile.c.id))
        .order_by(desfile.c.pfw_attempt_id, desfile.c.id)
    )
    return {row[0]: row[1] for row in conn.execute(query, {"among": packed(conn, ids)})}


def files_of_type(conn: Connection, ids: Sequence[int], filetype: str) -> set[int]:
    """Return those of the files that are of a file type.

    Parameters
    ----------
    conn
        Connection to the database.
    ids
        Numbers of the files.
    filetype
        Name of the file type.
    """
    query = select(desfile.c.id).where(desfile.c.filetype == filetype, among(conn, desfile.c.id))
    return set(conn.execute(query, {"among": packed(conn, ids)}).scalars())


def file_places(conn: Connection, ids: Sequence[int]) -> dict[int, FilePlace]:
    """Return of which exposure and CCD files are, and which attempt produced them."""
    places: dict[int, FilePlace] = {}
    parameters = {"among": packed(conn, ids)}
    for kind, table in METADATA_TABLES.items():
        if "expnum" not in table.c:
            continue
        query = (
            select(desfile.c.id, desfile.c.pfw_attempt_id, table.c.expnum, table.c.ccdnum)
            .join(table, table.c.desfile_id == desfile.c.id)
            .where(among(conn, desfile.c.id))
        )
        places |= {row[0]: FilePlace(kind, *row[1:]) for row in conn.execute(query, parameters)}
    rest = select(desfile.c.id, desfile.c.pfw_attempt_id).where(among(conn, desfile.c.id))
    for number, attempt_id in conn.execute(rest, parameters):
        places.setdefault(number, FilePlace("miscfile", attempt_id, None, None))
    return places


def omitted_ccds(conn: Connection, ids: Sequence[int]) -> set[tuple[int | None, int, int]]:
    """Return (attempt, file, CCD) of the CCDs that attempts left out of files of several."""
    table = pfw_omitted_input.c
    query = select(table.pfw_attempt_id, table.desfile_id, table.ccdnum).where(
        table.ccdnum > 0, among(conn, table.desfile_id)
    )
    return {(row[0], row[1], row[2]) for row in conn.execute(query, {"among": packed(conn, ids)})}


def files_of_attempts(conn: Connection, attempts: Sequence[int]) -> dict[int, int]:
    """Return the files that attempts produced, with the number of the attempt."""
    query = select(desfile.c.id, desfile.c.pfw_attempt_id).where(among(conn, desfile.c.pfw_attempt_id))
    return {row[0]: row[1] for row in conn.execute(query, {"among": packed(conn, attempts)})}


def names_of_files(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Return the full names of files."""
    query = select(desfile.c.id, desfile.c.filename + desfile.c.compression).where(among(conn, desfile.c.id))
    return {row[0]: row[1] for row in conn.execute(query, {"among": packed(conn, ids)})}


def files_of_exposure(conn: Connection, expnum: int) -> list[int]:
    """Return every file that is of an exposure."""
    numbers: list[int] = []
    for table in METADATA_TABLES.values():
        if "expnum" in table.c:
            numbers += conn.execute(select(table.c.desfile_id).where(table.c.expnum == expnum)).scalars()
    return numbers


def attempts_of(conn: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return the attempts that produced files, each with the number of these."""
    query = (
        select(desfile.c.pfw_attempt_id, func.count())
        .where(desfile.c.pfw_attempt_id.is_not(None), among(conn, desfile.c.id))
        .group_by(desfile.c.pfw_attempt_id)
    )
    return {row[0]: row[1] for row in conn.execute(query, {"among": packed(conn, ids)})}


def images_of_attempts(
    conn: Connection, attempts: Sequence[int], filetypes: Sequence[str]
) -> list[tuple[int, int, int | None]]:
    """Return (file, attempt, exposure) of the images of these types that attempts produced.

    Parameters
    ----------
    conn
        Connection to the database.
    attempts
        Numbers of the attempts.
    filetypes
        Names of the file types.
    """
    table = METADATA_TABLES["image"]
    query = (
        select(desfile.c.id, desfile.c.pfw_attempt_id, table.c.expnum)
        .join(table, table.c.desfile_id == desfile.c.id)
        .where(among(conn, desfile.c.pfw_attempt_id), desfile.c.filetype.in_(filetypes))
    )
    return [(r[0], r[1], r[2]) for r in conn.execute(query, {"among": packed(conn, attempts)})]
