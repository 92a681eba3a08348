"""The SQL of thresholds of QA numbers, and of the numbers themselves: of a run, and of the runs before it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, or_, select, update

from desdm.archive.model import Scope
from desdm.archive.store import among, in_scope, packed
from desdm.quality.qa.model import Number, Threshold
from desdm.schema import (
    EVALUATIONS,
    pfw_attempt,
    pfw_request,
    pfw_wrapper,
    qa_metric,
    qa_threshold,
)
from desdm.schema.database import new_ids
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, DataState

__all__ = [
    "attempts_with_numbers",
    "earlier_attempts",
    "end_threshold",
    "insert_threshold",
    "numbers_of",
    "thresholds",
]

_COLUMNS = [qa_threshold.c[name] for name in Threshold.__slots__]
_GOOD = (AttemptState.DONE.value, AttemptState.FLAGGED.value)


def insert_threshold(conn: Connection, row: Threshold) -> int:
    """Add a threshold, whose ``id`` is ignored; return its number."""
    number = new_ids(conn, qa_threshold, 1)[0]
    values = {name: getattr(row, name) for name in Threshold.__slots__}
    conn.execute(insert(qa_threshold), values | {"id": number, "who": row.who[:32]})
    return number


def thresholds(
    conn: Connection, *, metric: str = "", at: datetime | None = None, everything: bool = False
) -> list[Threshold]:
    """Return thresholds by metric and number.

    Parameters
    ----------
    conn
        Connection to the database.
    metric
        Only of this metric; empty: of all.
    at
        Those in force at this time, UTC; None: those that are not ended.
    everything
        Also those that are ended.
    """
    c = qa_threshold.c
    query = select(*_COLUMNS).order_by(c.metric, c.id)
    if metric:
        query = query.where(c.metric == metric)
    if at is not None:
        query = query.where(c.since <= at, or_(c.until.is_(None), c.until > at))
    elif not everything:
        query = query.where(c.until.is_(None))
    return [Threshold(*row) for row in conn.execute(query)]


def end_threshold(conn: Connection, number: int, until: datetime) -> bool:
    """End a threshold; False if none of this number is in force.

    Parameters
    ----------
    conn
        Connection to the database.
    number
        Number of the threshold.
    until
        Until when it held, UTC.
    """
    c = qa_threshold.c
    done = conn.execute(update(qa_threshold).where(c.id == number, c.until.is_(None)).values(until=until))
    return done.rowcount == 1


def numbers_of(
    conn: Connection, attempts: Sequence[int], metrics: Collection[str] | None = None
) -> list[Number]:
    """Return the QA numbers of attempts, with module, and with exposure, night and band of the verdict on it.

    Parameters
    ----------
    conn
        Connection to the database.
    attempts
        Numbers of the attempts.
    metrics
        Only of these names; None: all.
    """
    facts: dict[int, tuple[int, str | None, str | None]] = {}
    parameters = {"among": packed(conn, attempts)}
    for table in EVALUATIONS.values():
        t = table.c
        each = select(t.pfw_attempt_id, t.expnum, t.nite, t.band).where(among(conn, t.pfw_attempt_id))
        for attempt_id, expnum, nite, band in conn.execute(each.order_by(t.id), parameters):
            facts[attempt_id] = (expnum, nite, band)
    m, a = qa_metric.c, pfw_attempt.c
    query = (
        select(
            a.id,
            a.unitname,
            a.reqnum,
            a.attnum,
            m.name,
            pfw_wrapper.c.modname,
            m.band,
            m.wrapkeys,
            m.value,
            m.unit,
        )
        .select_from(qa_metric.join(pfw_attempt, a.id == m.pfw_attempt_id))
        .outerjoin(pfw_wrapper, pfw_wrapper.c.task_id == m.task_id)
        .where(among(conn, m.pfw_attempt_id))
        .order_by(a.id, m.name, m.task_id)
    )
    if metrics is not None:
        query = query.where(m.name.in_(sorted(metrics)))
    numbers = []
    for row in conn.execute(query, parameters):
        keys = dict(item.partition("=")[::2] for item in row[7].split(",") if "=" in item)
        expnum, nite, band = facts.get(row[0], (None, None, None))
        ccd = keys.get("ccdnum", "")
        numbers.append(
            Number(
                attempt_id=row[0],
                run=RunName(row[1], row[2], row[3]).text,
                metric=row[4],
                module=row[5] or "",
                band=row[6] or keys.get("band", "") or band or "",
                ccdnum=int(ccd) if ccd.isdecimal() else 0,
                expnum=expnum,
                nite=nite or keys.get("nite"),
                value=row[8],
                unit=row[9],
            )
        )
    return numbers


def earlier_attempts(
    conn: Connection, attempt_id: int, pipeline: str, band: str, scope: Scope, limit: int
) -> list[int]:
    """Return the last attempts of a pipeline at exposures of a band before an attempt, whose data may be used.

    Parameters
    ----------
    conn
        Connection to the database.
    attempt_id
        The attempt.
    pipeline, band
        Its pipeline and band.
    scope
        Project, campaign and run classes.
    limit
        At most so many.
    """
    table = EVALUATIONS.get(pipeline, EVALUATIONS["firstcut"])
    query = (
        select(pfw_attempt.c.id)
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .join(table, table.c.pfw_attempt_id == pfw_attempt.c.id)
        .where(
            in_scope(scope),
            table.c.band == band,
            pfw_request.c.pipeline == pipeline,
            pfw_attempt.c.id < attempt_id,
            pfw_attempt.c.state.in_(_GOOD),
            pfw_attempt.c.data_state != DataState.JUNK.value,
        )
        .group_by(pfw_attempt.c.id)
        .order_by(pfw_attempt.c.id.desc())
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def attempts_with_numbers(
    conn: Connection,
    scope: Scope,
    *,
    pipeline: str = "",
    nites: Sequence[str] = (),
    limit: int | None = None,
) -> list[int]:
    """Return the attempts in a scope that ended well and whose data may be used, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    scope
        Project, campaign and run classes.
    pipeline
        Only of this pipeline; empty: all.
    nites
        Only those that judged an exposure of these nights; empty: all.
    limit
        At most so many.
    """
    a = pfw_attempt.c
    query = (
        select(a.id)
        .join(pfw_request, pfw_request.c.reqnum == a.reqnum)
        .where(in_scope(scope), a.state.in_(_GOOD), a.data_state != DataState.JUNK.value)
        .order_by(a.id.desc())
        .limit(limit)
    )
    if pipeline:
        query = query.where(pfw_request.c.pipeline == pipeline)
    if nites:
        judged = [
            select(t.c.pfw_attempt_id).where(func.coalesce(t.c.nite, "").in_(nites))
            for t in EVALUATIONS.values()
        ]
        query = query.where(or_(*(a.id.in_(each) for each in judged)))
    return list(conn.execute(query).scalars())
