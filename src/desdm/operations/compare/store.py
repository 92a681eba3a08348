"""The SQL of comparisons: inputs and outputs of an attempt, its verdicts, its CPU seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from desdm.archive.calibrations import CalibrationChoice
from desdm.operations.compare.model import InputFile
from desdm.schema import (
    EVALUATIONS,
    calibration,
    desfile,
    file_archive_info,
    image,
    opm_used,
    opm_was_derived_from,
    pfw_calibration,
    pfw_exec,
    pfw_wrapper,
    task,
)
from desdm.schema.states import CopyState

__all__ = [
    "OutputFile",
    "TakenCalibration",
    "calibrations",
    "cpu_seconds",
    "inputs",
    "module_seconds",
    "outputs",
    "planned_calibrations",
    "span",
    "verdict_numbers",
]

#: Files that one query names, below the limit of bound parameters of either database.
_BATCH = 500
_VERDICT = (
    "accepted",
    "reason",
    "t_eff",
    "f_eff",
    "b_eff",
    "c_eff",
    "fwhm_asec",
    "ellipticity",
    "skybrightness",
    "cloud",
    "cloud_catalog",
    "n_match",
    "depth",
    "astrom_rms",
    "magzero",
)


class OutputFile(NamedTuple):
    """A file that an attempt made, with its place in the archive; empty: it has no sound copy there."""

    filename: str
    filetype: str
    place: str


def inputs(conn: Connection, attempt_id: int) -> set[InputFile]:
    """Return the files of others that an attempt used, or derived its own from, without its calibrations."""
    child = desfile.alias("child")
    used = (
        select(opm_used.c.desfile_id)
        .join(pfw_wrapper, pfw_wrapper.c.task_id == opm_used.c.task_id)
        .where(pfw_wrapper.c.pfw_attempt_id == attempt_id)
    )
    edge = opm_was_derived_from.c
    parents = (
        select(edge.parent_desfile_id)
        .join(child, child.c.id == edge.child_desfile_id)
        .where(child.c.pfw_attempt_id == attempt_id)
    )
    calibrations = select(pfw_calibration.c.desfile_id).where(pfw_calibration.c.pfw_attempt_id == attempt_id)
    d = desfile.c
    query = select((d.filename + d.compression).label("name"), d.filetype, d.sha256).where(
        or_(d.id.in_(used), d.id.in_(parents)),
        d.pfw_attempt_id.is_distinct_from(attempt_id),
        d.id.not_in(calibrations),
    )
    return {InputFile(row.name, row.filetype, row.sha256) for row in conn.execute(query)}


def outputs(conn: Connection, attempt_id: int, archive: str) -> list[OutputFile]:
    """Return the files that an attempt made, by name.

    Parameters
    ----------
    conn
        The database.
    attempt_id
        The attempt.
    archive
        Archive that is asked for copies.
    """
    d, copy = desfile.c, file_archive_info.c
    sound = (copy.desfile_id == d.id) & (copy.archive_name == archive) & (copy.state == CopyState.OK.value)
    query = (
        select((d.filename + d.compression).label("name"), d.filetype, copy.path)
        .select_from(desfile.outerjoin(file_archive_info, sound))
        .where(d.pfw_attempt_id == attempt_id)
        .order_by(d.filename, d.compression)
    )
    return [
        OutputFile(row.name, row.filetype, "" if row.path is None else f"{row.path}/{row.name}")
        for row in conn.execute(query)
    ]


def verdict_numbers(conn: Connection, attempt_id: int) -> dict[str, str | float | None]:
    """Return verdict, reason and numbers of the assessments that an attempt made, by cut, exposure and column."""
    numbers: dict[str, str | float | None] = {}
    for cut, table in EVALUATIONS.items():
        query = select(table).where(table.c.pfw_attempt_id == attempt_id).order_by(table.c.id)
        for row in conn.execute(query).mappings():
            numbers |= {f"{cut}.{name}": row[name] for name in _VERDICT}
    return numbers


def module_seconds(conn: Connection, attempt_id: int) -> dict[str, float]:
    """Return the seconds that the wrappers of each module took, in the order of the modules."""
    w, t = pfw_wrapper.c, task.c
    query = (
        select(w.modname, t.start_time, t.end_time)
        .join(task, t.id == w.task_id)
        .where(w.pfw_attempt_id == attempt_id, t.start_time.is_not(None), t.end_time.is_not(None))
        .order_by(w.wrapnum)
    )
    seconds: dict[str, float] = {}
    for row in conn.execute(query):
        seconds[row.modname] = seconds.get(row.modname, 0.0) + (row.end_time - row.start_time).total_seconds()
    return seconds


class TakenCalibration(NamedTuple):
    """A calibration that an attempt took, with the rule that chose it."""

    filetype: str
    ccdnum: int | None
    band: str
    filename: str
    rule: str


def calibrations(conn: Connection, attempt_id: int) -> list[TakenCalibration]:
    """Return the calibrations of an attempt by type, CCD, band and name."""
    c, d = pfw_calibration.c, desfile.c
    band = func.coalesce(calibration.c.band, image.c.band, "").label("band")
    query = (
        select(c.filetype, c.ccdnum, band, (d.filename + d.compression).label("filename"), c.how)
        .join(desfile, d.id == c.desfile_id)
        .outerjoin(calibration, calibration.c.desfile_id == d.id)
        .outerjoin(image, image.c.desfile_id == d.id)
        .where(c.pfw_attempt_id == attempt_id)
        .order_by(c.filetype, c.ccdnum, band, d.filename)
    )
    return [TakenCalibration(*row) for row in conn.execute(query)]


def planned_calibrations(conn: Connection, choices: Sequence[CalibrationChoice]) -> list[TakenCalibration]:
    """Return the calibrations that a plan chose, as `calibrations` returns those of an attempt.

    Parameters
    ----------
    conn
        The database.
    choices
        What was chosen.
    """
    c, d = calibration.c, desfile.c
    query = (
        select(d.id, func.coalesce(c.band, image.c.band, "").label("band"))
        .outerjoin(calibration, c.desfile_id == d.id)
        .outerjoin(image, image.c.desfile_id == d.id)
    )
    bands: dict[int, str] = {}
    for start in range(0, len(choices), _BATCH):
        batch = query.where(d.id.in_([choice.file.id for choice in choices[start : start + _BATCH]]))
        bands |= {row.id: row.band for row in conn.execute(batch)}
    planned = [
        TakenCalibration(
            choice.file.filetype,
            choice.file.ccdnum,
            bands[choice.file.id],
            choice.file.record.filename,
            choice.rule.value,
        )
        for choice in choices
    ]
    return sorted(planned, key=lambda taken: (taken.filetype, taken.ccdnum or 0, taken.band, taken.filename))


def cpu_seconds(conn: Connection, attempt_id: int) -> float:
    """Return the seconds of CPU that the programs of an attempt took."""
    e = pfw_exec.c
    query = select(func.coalesce(func.sum(e.utime + e.stime), 0.0)).where(e.pfw_attempt_id == attempt_id)
    return float(conn.execute(query).scalar_one())


def span(conn: Connection, attempt_id: int) -> tuple[datetime | None, datetime | None]:
    """Return the first start and the last end of the wrappers of an attempt."""
    query = (
        select(func.min(task.c.start_time), func.max(task.c.end_time))
        .join(pfw_wrapper, pfw_wrapper.c.task_id == task.c.id)
        .where(pfw_wrapper.c.pfw_attempt_id == attempt_id)
    )
    first, last = conn.execute(query).one()
    return first, last
