"""The SQL of the pages of quality assessment: images to draw, facts of an exposure, problems of a subject."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from desdm.schema import (
    METADATA_TABLES,
    desfile,
    file_archive_info,
    image,
    problem,
    release_file,
)
from desdm.schema.operationstates import ProblemState, Severity
from desdm.schema.states import CopyState

__all__ = [
    "ExposureFile",
    "FrameFacts",
    "ImageFile",
    "ProblemLine",
    "files_of_exposure",
    "frame_of",
    "images_of_attempt",
    "images_of_exposure",
    "problem_counts",
    "problem_lines",
    "problems_about",
    "releases_with_files",
]


class ImageFile(NamedTuple):
    """An image file of which a sound copy is in the archive; ``ccdnum`` 0: of no single CCD."""

    id: int
    filetype: str
    ccdnum: int
    band: str


class FrameFacts(NamedTuple):
    """How an exposure was observed, as its raw frame says, or another image of it; None: not known."""

    nite: str | None
    band: str | None
    title: str | None
    obstype: str | None
    exptime: float | None
    airmass: float | None
    mjd_obs: float | None
    ra: float | None
    dec: float | None


class ExposureFile(NamedTuple):
    """A file of an exposure; ``attempt_id`` None: no run made it."""

    id: int
    name: str
    filetype: str
    ccdnum: int | None
    filesize: int
    attempt_id: int | None


class ProblemLine(NamedTuple):
    """A line of the problem list."""

    id: int
    subject_kind: str
    subject: str
    title: str
    state: ProblemState
    severity: Severity
    owner: str
    occurrences: int
    opened_by: str
    opened_at: datetime
    last_seen: datetime | None


_IMAGE = (
    image.c.desfile_id,
    desfile.c.filetype,
    func.coalesce(image.c.ccdnum, 0),
    func.coalesce(image.c.band, ""),
)


def images_of_attempt(conn: Connection, attempt_id: int) -> list[ImageFile]:
    """Return the images that an attempt made, by number of the file."""
    query = (
        select(*_IMAGE)
        .join(desfile, desfile.c.id == image.c.desfile_id)
        .join(file_archive_info, file_archive_info.c.desfile_id == desfile.c.id)
        .where(desfile.c.pfw_attempt_id == attempt_id, file_archive_info.c.state == CopyState.OK.value)
        .order_by(desfile.c.id)
    )
    return [ImageFile(*row) for row in conn.execute(query)]


def images_of_exposure(conn: Connection, expnum: int) -> list[ImageFile]:
    """Return the images of an exposure that no attempt made: raw ones, and delivered ones."""
    query = (
        select(*_IMAGE)
        .join(desfile, desfile.c.id == image.c.desfile_id)
        .join(file_archive_info, file_archive_info.c.desfile_id == desfile.c.id)
        .where(
            image.c.expnum == expnum,
            desfile.c.pfw_attempt_id.is_(None),
            file_archive_info.c.state == CopyState.OK.value,
        )
        .order_by(desfile.c.id)
    )
    return [ImageFile(*row) for row in conn.execute(query)]


def frame_of(conn: Connection, expnum: int) -> FrameFacts | None:
    """Return how an exposure was observed; None if the archive has no image of it."""
    i = image.c
    query = (
        select(i.nite, i.band, i.object, i.obstype, i.exptime, i.airmass, i.mjd_obs, i.ra_cent, i.dec_cent)
        .join(desfile, desfile.c.id == i.desfile_id)
        .where(i.expnum == expnum)
        .order_by(desfile.c.filetype != "raw", desfile.c.id)
        .limit(1)
    )
    row = conn.execute(query).first()
    return None if row is None else FrameFacts(*row)


def files_of_exposure(
    conn: Connection, expnum: int, attempt_id: int | None, ccdnum: int | None = None
) -> list[ExposureFile]:
    """Return the files of an exposure that no attempt made, or a certain one, by CCD and type.

    Parameters
    ----------
    conn
        Connection to the database.
    expnum
        Exposure.
    attempt_id
        The attempt that counts for it; None: no attempt.
    ccdnum
        Only of this CCD; None: all.
    """
    mine: ColumnElement[bool] = desfile.c.pfw_attempt_id.is_(None)
    if attempt_id is not None:
        mine = or_(mine, desfile.c.pfw_attempt_id == attempt_id)
    files = []
    for table in METADATA_TABLES.values():
        # A table without an index on the exposure is read by attempt alone.
        if table.name == "miscfile" and attempt_id is None:
            continue
        conditions = [table.c.expnum == expnum]
        conditions.append(desfile.c.pfw_attempt_id == attempt_id if table.name == "miscfile" else mine)
        if ccdnum is not None:
            conditions.append(table.c.ccdnum == ccdnum)
        query = (
            select(
                desfile.c.id,
                desfile.c.filename + desfile.c.compression,
                desfile.c.filetype,
                table.c.ccdnum,
                desfile.c.filesize,
                desfile.c.pfw_attempt_id,
            )
            .join(desfile, desfile.c.id == table.c.desfile_id)
            .where(*conditions)
        )
        files += [ExposureFile(*row) for row in conn.execute(query)]
    return sorted(files, key=lambda f: (f.ccdnum or 0, f.filetype, f.name))


def releases_with_files(conn: Connection, ids: Sequence[int]) -> list[str]:
    """Return the names of the releases that hold one of the files."""
    names: set[str] = set()
    for start in range(0, len(ids), 500):
        query = select(release_file.c.release_name).where(
            release_file.c.desfile_id.in_(ids[start : start + 500])
        )
        names |= set(conn.execute(query.distinct()).scalars())
    return sorted(names)


_LINE = (
    problem.c.id,
    problem.c.subject_kind,
    problem.c.subject,
    problem.c.title,
    problem.c.state,
    problem.c.severity,
    problem.c.owner,
    problem.c.occurrences,
    problem.c.opened_by,
    problem.c.opened_at,
    problem.c.last_seen,
)
_ENDED = (ProblemState.CLOSED.value, ProblemState.REJECTED.value)
_OPEN = tuple(state.value for state in ProblemState if state.value not in _ENDED)


def _line(row: Row[*tuple[Any, ...]]) -> ProblemLine:
    """Return a line of the problem list from a row of `_LINE`."""
    m = row._mapping
    words = {
        "state": ProblemState(m["state"]),
        "severity": Severity(m["severity"]),
        "owner": m["owner"] or "",
    }
    return ProblemLine(**(dict(m) | words))


def problem_lines(
    conn: Connection,
    *,
    states: Sequence[ProblemState] = (),
    severity: Severity | None = None,
    kind: str = "",
    owner: str = "",
    before: int | None = None,
    limit: int = 100,
) -> list[ProblemLine]:
    """Return a page of the problem list, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    states
        Only in these states; empty: those that are open.
    severity, kind, owner
        Only of this severity, of this kind of subject, or that this person works on.
    before
        Only with smaller numbers than this: the page after the one that ends there.
    limit
        Lines of a page.
    """
    c = problem.c
    query = select(*_LINE).where(c.state.in_([s.value for s in states] or _OPEN))
    if severity is not None:
        query = query.where(c.severity == severity.value)
    if kind:
        query = query.where(c.subject_kind == kind)
    if owner:
        query = query.where(c.owner == owner)
    if before is not None:
        query = query.where(c.id < before)
    return [_line(row) for row in conn.execute(query.order_by(c.id.desc()).limit(limit))]


def problem_counts(conn: Connection) -> dict[tuple[ProblemState, Severity], int]:
    """Return how many open problems there are, by state and severity."""
    c = problem.c
    query = select(c.state, c.severity, func.count()).where(c.state.in_(_OPEN)).group_by(c.state, c.severity)
    return {(ProblemState(row[0]), Severity(row[1])): row[2] for row in conn.execute(query)}


def problems_about(
    conn: Connection, subjects: Sequence[tuple[str, str]], limit: int = 100
) -> list[ProblemLine]:
    """Return the problems of subjects, closed ones too, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    subjects
        (kind, name) as people and programs write them.
    limit
        At most so many.
    """
    if not subjects:
        return []
    c = problem.c
    fits = or_(*(and_(c.subject_kind == kind, c.subject == name) for kind, name in subjects))
    return [_line(row) for row in conn.execute(select(*_LINE).where(fits).order_by(c.id.desc()).limit(limit))]
