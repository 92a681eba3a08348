"""The SQL of findings on delivered files, and of raw frames that are one exposure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, exists, func, insert, select, update

from desdm.archive.store.common import among, packed
from desdm.schema import CopyState, desfile, file_archive_info, file_finding, image
from desdm.survey.findings import Finding, Severity

__all__ = [
    "RawFrame",
    "add_findings",
    "findings_of",
    "frame_paths",
    "frames_of_exposures",
    "frames_of_nights",
    "frames_with_pixels",
    "set_digest",
]


class RawFrame(NamedTuple):
    """A registered raw frame, by what tells exposures apart; an unknown value is None.

    Attributes
    ----------
    digest
        Digest of its pixels.
    """

    id: int
    filename: str
    expnum: int | None
    digest: str | None
    mjd_obs: float | None
    instrument: str | None
    sha256: str


def add_findings(conn: Connection, by_file: Mapping[int, Sequence[Finding]]) -> None:
    """Note findings, by number of the file."""
    rows = [
        {
            "desfile_id": number,
            "severity": each.severity.value,
            "keyword": each.key[:160],
            "value": _printable(each.value),
            "text": _printable(each.text),
            "assumed": each.assumed,
        }
        for number, findings in by_file.items()
        for each in findings
    ]
    if rows:
        conn.execute(insert(file_finding), rows)


def _printable(text: str) -> str:
    """Replace characters that cannot be printed by question marks."""
    # PostgreSQL takes no NUL, and a header may hold any byte.
    return "".join(c if c.isprintable() else "?" for c in text)


def findings_of(conn: Connection, ids: Sequence[int]) -> dict[int, list[Finding]]:
    """Findings by number of the file, in the order in which they were recorded; of those files that have any."""
    columns = file_finding.c
    rows = conn.execute(
        select(
            columns.desfile_id,
            columns.severity,
            columns.text,
            columns.keyword,
            columns.value,
            columns.assumed,
        )
        .where(among(conn, columns.desfile_id))
        .order_by(columns.id),
        {"among": packed(conn, ids)},
    )
    by_file: dict[int, list[Finding]] = {}
    for number, severity, *rest in rows:
        by_file.setdefault(number, []).append(Finding(Severity(severity), *rest))
    return by_file


def _frames() -> Select[Any]:
    """Return the statement for raw frames of an exposure number that have a good copy."""
    copy = exists().where(
        file_archive_info.c.desfile_id == desfile.c.id, file_archive_info.c.state == CopyState.OK.value
    )
    return (
        select(
            desfile.c.id,
            desfile.c.filename + desfile.c.compression,
            image.c.expnum,
            image.c.data_digest,
            image.c.mjd_obs,
            image.c.instrument,
            desfile.c.sha256,
        )
        .select_from(image.join(desfile, desfile.c.id == image.c.desfile_id))
        # Found by exposure, night or digest of the image: without statistics SQLite would read all raw files by their type.
        .where(func.coalesce(desfile.c.filetype, "") == "raw", copy)
        .order_by(desfile.c.id)
    )


def frames_with_pixels(conn: Connection, digests: Sequence[str]) -> list[RawFrame]:
    """Raw frames that have a sound copy and pixels of one of these digests, in the order of registration."""
    if not digests:
        return []
    rows = conn.execute(_frames().where(among(conn, image.c.data_digest)), {"among": packed(conn, digests)})
    return list(map(RawFrame._make, rows))


def frames_of_exposures(conn: Connection, expnums: Sequence[int]) -> list[RawFrame]:
    """Raw frames of these exposures that have a sound copy, in the order of registration."""
    if not expnums:
        return []
    rows = conn.execute(_frames().where(among(conn, image.c.expnum)), {"among": packed(conn, expnums)})
    return list(map(RawFrame._make, rows))


def frames_of_nights(conn: Connection, nights: Sequence[str]) -> list[RawFrame]:
    """Raw frames of these nights that have a sound copy, in the order of registration."""
    if not nights:
        return []
    rows = conn.execute(_frames().where(among(conn, image.c.nite)), {"among": packed(conn, nights)})
    return list(map(RawFrame._make, rows))


def frame_paths(conn: Connection, archive: str, ids: Sequence[int]) -> dict[int, str]:
    """Paths below an archive's root of the sound copies of files, by number of the file."""
    copies = file_archive_info.c
    rows = conn.execute(
        select(copies.desfile_id, copies.path, desfile.c.filename + desfile.c.compression)
        .join(desfile, desfile.c.id == copies.desfile_id)
        .where(
            copies.archive_name == archive,
            copies.state == CopyState.OK.value,
            among(conn, copies.desfile_id),
        ),
        {"among": packed(conn, ids)},
    )
    return {number: f"{path}/{name}" if path else name for number, path, name in rows}


def set_digest(conn: Connection, number: int, digest: str) -> None:
    """Record the digest of the pixels of a raw frame."""
    conn.execute(update(image).where(image.c.desfile_id == number).values(data_digest=digest))
