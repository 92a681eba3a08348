"""The SQL of the report on a night."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, String, and_, cast, func, or_, select

from desdm.archive.model import Scope
from desdm.archive.store import in_scope
from desdm.archive.store.common import among, packed
from desdm.operations.nightreport.model import CalibrationUse, Loss, ProblemOfNight
from desdm.schema import (
    calibration,
    desfile,
    image,
    pfw_attempt,
    pfw_calibration,
    pfw_exec,
    pfw_request,
    pfw_wrapper,
    problem,
)
from desdm.schema.arrival import delivery, delivery_expected, ops_propid
from desdm.schema.entries import logbook
from desdm.schema.operationstates import SubjectKind
from desdm.schema.queue import ops_auto_queue
from desdm.schema.runname import RunName

__all__ = [
    "RawFile",
    "RunOfNight",
    "calibrations",
    "cpu_seconds",
    "deliveries",
    "ingest_times",
    "losses",
    "problems",
    "queue_states",
    "raw_files",
    "runs",
]


class RawFile(NamedTuple):
    """A raw file of the night."""

    expnum: int
    mjd_obs: float | None
    exptime: float | None
    programme: str


class RunOfNight(NamedTuple):
    """A run on the night or an exposure of it; ``production``: of its project, campaign and run class."""

    id: int
    run: str
    pipeline: str
    state: str
    unitname: str
    endtime: datetime | None
    production: bool


def deliveries(conn: Connection, nite: str) -> dict[str, int]:
    """Return the deliveries of a night by state."""
    query = select(delivery.c.state, func.count()).where(delivery.c.nite == nite).group_by(delivery.c.state)
    return {str(state): int(count) for state, count in conn.execute(query)}


def raw_files(conn: Connection, nite: str) -> list[RawFile]:
    """Return the raw files of a night by exposure number."""
    i = image.c
    query = (
        select(i.expnum, i.mjd_obs, i.exptime, func.coalesce(ops_propid.c.programme, ""))
        .join(desfile, desfile.c.id == i.desfile_id)
        .outerjoin(ops_propid, ops_propid.c.propid == i.propid)
        # By the night of the image: without statistics SQLite would read all raw files by their type.
        .where(func.coalesce(desfile.c.filetype, "") == "raw", i.nite == nite, i.expnum.is_not(None))
        .order_by(i.expnum, desfile.c.id)
    )
    return [RawFile(*row) for row in conn.execute(query)]


def ingest_times(conn: Connection, nite: str, campaign: str) -> dict[int, datetime]:
    """Return when the exposures of a night had arrived, as rows of the queue say, by exposure number."""
    q = ops_auto_queue.c
    query = select(q.expnum, func.min(q.arrived_at)).where(
        q.nite == nite, q.campaign == campaign, q.expnum.is_not(None)
    )
    return {int(number): moment for number, moment in conn.execute(query.group_by(q.expnum))}


def queue_states(conn: Connection, nite: str, campaign: str) -> dict[str, dict[str, int]]:
    """Return the rows of the queue of a night by pipeline and state."""
    q = ops_auto_queue.c
    query = (
        select(q.pipeline, q.state, func.count())
        .where(q.nite == nite, q.campaign == campaign)
        .group_by(q.pipeline, q.state)
    )
    states: dict[str, dict[str, int]] = {}
    for pipeline, state, count in conn.execute(query.order_by(q.pipeline, q.state)):
        states.setdefault(pipeline, {})[state] = int(count)
    return states


def runs(conn: Connection, units: Sequence[str], scope: Scope) -> list[RunOfNight]:
    """Return the runs on units, in the order of their numbers.

    Parameters
    ----------
    conn
        The database.
    units
        Names of the units.
    scope
        Attempts that are production.
    """
    a = pfw_attempt.c
    # With the request first, as the index has them.
    requests = select(pfw_request.c.reqnum).scalar_subquery()
    query = (
        select(
            a.id,
            a.unitname,
            a.reqnum,
            a.attnum,
            a.pipeprod,
            a.state,
            a.endtime,
            in_scope(scope).label("production"),
        )
        .join(pfw_request, pfw_request.c.reqnum == a.reqnum)
        .where(a.reqnum.in_(requests), among(conn, a.unitname))
        .order_by(a.id)
    )
    rows = conn.execute(query, {"among": packed(conn, units)})
    return [
        RunOfNight(
            r.id,
            RunName(r.unitname, r.reqnum, r.attnum).text,
            r.pipeprod,
            r.state,
            r.unitname,
            r.endtime,
            bool(r.production),
        )
        for r in rows
    ]


def cpu_seconds(conn: Connection, attempts: Sequence[int]) -> float:
    """Return the seconds of CPU of the programs of attempts."""
    e = pfw_exec.c
    # By wrappers, on which the table has an index.
    query = (
        select(func.coalesce(func.sum(e.utime + e.stime), 0.0))
        .join(pfw_wrapper, pfw_wrapper.c.task_id == e.pfw_wrapper_task_id)
        .where(among(conn, pfw_wrapper.c.pfw_attempt_id))
    )
    return float(conn.execute(query, {"among": packed(conn, attempts)}).scalar_one())


def calibrations(conn: Connection, nite: str, attempts: Sequence[int]) -> list[CalibrationUse]:
    """Return which calibrations attempts took, with the number of their units: by type, rule, night and run that made them.

    Parameters
    ----------
    conn
        The database.
    nite
        Night of the exposures, YYYYMMDD, from which ages are counted.
    attempts
        Numbers of the runs.
    """
    c, maker, taker = pfw_calibration.c, pfw_attempt.c, pfw_attempt.alias("taker")
    of_nite = func.coalesce(calibration.c.nite, image.c.nite, "")
    columns = (c.filetype, c.how, of_nite, maker.unitname, maker.reqnum, maker.attnum)
    query = (
        select(*columns, func.count(taker.c.unitname.distinct()), func.count(c.desfile_id.distinct()))
        .join(taker, taker.c.id == c.pfw_attempt_id)
        .join(desfile, desfile.c.id == c.desfile_id)
        .outerjoin(pfw_attempt, maker.id == desfile.c.pfw_attempt_id)
        .outerjoin(calibration, calibration.c.desfile_id == c.desfile_id)
        .outerjoin(image, image.c.desfile_id == c.desfile_id)
        .where(among(conn, c.pfw_attempt_id))
        .group_by(*columns)
        .order_by(*columns)
    )
    rows = conn.execute(query, {"among": packed(conn, attempts)}).all()
    return [
        CalibrationUse(
            row[0],
            row[1],
            row[2],
            "" if row[3] is None else RunName(row[3], row[4], row[5]).text,
            _age(row[2], nite),
            int(row[6]),
            int(row[7]),
        )
        for row in rows
    ]


def _age(earlier: str, later: str) -> int | None:
    """Return the nights from one night to another; None if the first is not a date."""
    try:
        begin = datetime.strptime(earlier, "%Y%m%d")
    except ValueError:
        return None
    return (datetime.strptime(later, "%Y%m%d") - begin).days


def problems(
    conn: Connection, nite: str, subjects: Sequence[str], attempts: Sequence[int]
) -> list[ProblemOfNight]:
    """Return the open problems of subjects, attempts and deliveries of a night, oldest first.

    Parameters
    ----------
    conn
        The database.
    nite
        The night.
    subjects
        Names of the night, its exposures and its runs.
    attempts
        Numbers of the runs.
    """
    p = problem.c
    # A delivery is named by its number, which another kind of subject may have as its name.
    listed = select(delivery_expected.c.filename).where(delivery_expected.c.nite == nite)
    numbers = select(cast(delivery.c.id, String)).where(
        or_(delivery.c.nite == nite, delivery.c.filename.in_(listed))
    )
    of_delivery = and_(p.subject_kind == SubjectKind.DELIVERY.value, p.subject.in_(numbers))
    query = (
        select(p.id, p.subject_kind, p.subject, p.severity, p.state, p.title, p.text)
        .where(
            p.closed_at.is_(None),
            or_(among(conn, p.subject), among(conn, p.pfw_attempt_id, "attempts"), of_delivery),
        )
        .order_by(p.id)
    )
    parameters = {"among": packed(conn, subjects), "attempts": packed(conn, attempts)}
    return [ProblemOfNight(*row) for row in conn.execute(query, parameters)]


def losses(conn: Connection, nite: str) -> list[Loss]:
    """Return the time lost in a night by cause; an entry that was corrected does not count."""
    entry = logbook.c
    corrected = select(entry.corrects_id).where(entry.corrects_id.is_not(None))
    query = (
        select(func.coalesce(entry.loss, ""), func.sum(entry.time_lost_h))
        .where(entry.nite == nite, entry.time_lost_h.is_not(None), entry.event_id.not_in(corrected))
        .group_by(entry.loss)
        .order_by(entry.loss)
    )
    return [Loss(str(cause) or "other", float(hours)) for cause, hours in conn.execute(query)]
