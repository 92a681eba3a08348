"""The SQL of the nightly queue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from desdm.archive.store.common import among, packed
from desdm.operations.arrival import CALIBRATIONS
from desdm.operations.queue.model import NEEDS, PROGRAMS, RULE, Policy, QueueRow
from desdm.schema import desfile, file_archive_info, image, pfw_attempt, problem
from desdm.schema.arrival import delivery, ops_propid
from desdm.schema.events import event
from desdm.schema.operationstates import ProblemState, QueueState, Severity
from desdm.schema.queue import ops_auto_queue, ops_policy
from desdm.schema.runname import RunName
from desdm.schema.states import CopyState, EventKind
from desdm.schema.store import exposure_name

__all__ = [
    "Unit",
    "arrival_times",
    "change_row",
    "change_rows",
    "count_states",
    "decisions",
    "end_policy",
    "exposures_in_archive",
    "find_row",
    "find_rows",
    "first_pause",
    "insert_policy",
    "insert_row",
    "judged_nites",
    "newest_event",
    "newest_file",
    "policies",
    "programmes",
    "ready_rows",
    "row_by_id",
    "rows_before",
    "rows_of_nites",
    "rows_of_query",
    "stopping_problems",
    "uncovered_nites",
    "wake_rows",
]

_Q = ops_auto_queue.c
_UNSETTLED = (QueueState.WAITING, QueueState.HELD, QueueState.SUBMITTED)
_OPEN_PROBLEMS = (ProblemState.CONFIRMED, ProblemState.IN_WORK)


# -- policies


def policies(conn: Connection, *, ended: bool = False) -> list[Policy]:
    """Return the policies in force, by rank and number; with ``ended`` also those that held once."""
    query = select(ops_policy).order_by(ops_policy.c.rank, ops_policy.c.id)
    if not ended:
        query = query.where(ops_policy.c.until.is_(None))
    return [Policy(**row) for row in conn.execute(query).mappings()]


def insert_policy(conn: Connection, policy: Policy) -> int:
    """Insert a policy and return its number."""
    row = {column.name: getattr(policy, column.name) for column in ops_policy.c if column.name != "id"}
    key = conn.execute(insert(ops_policy).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def end_policy(conn: Connection, number: int, until: datetime) -> bool:
    """End a policy; False: none of that number is in force."""
    mine = (ops_policy.c.id == number) & ops_policy.c.until.is_(None)
    return conn.execute(update(ops_policy).where(mine).values(until=until)).rowcount == 1


# -- what has arrived


def uncovered_nites(conn: Connection, campaign: str, *, after: int = 0) -> list[str]:
    """Return the nights with raw files in the archive that no row of a campaign covers.

    Parameters
    ----------
    conn
        The database.
    campaign
        Campaign of the rows.
    after
        Number of a file: those up to it are not looked at.
    """
    calibration = func.lower(func.coalesce(image.c.obstype, "")).in_(CALIBRATIONS)
    of_night = exists().where(
        _Q.nite == image.c.nite,
        _Q.campaign == campaign,
        _Q.expnum.is_(None),
        _Q.newest_desfile_id >= image.c.desfile_id,
    )
    of_exposure = exists().where(_Q.expnum == image.c.expnum, _Q.campaign == campaign)
    sound = exists().where(
        file_archive_info.c.desfile_id == image.c.desfile_id, file_archive_info.c.state == CopyState.OK.value
    )
    query = (
        select(image.c.nite)
        .join(desfile, desfile.c.id == image.c.desfile_id)
        .where(
            desfile.c.filetype == "raw",
            desfile.c.id > after,
            image.c.nite.is_not(None),
            image.c.expnum.is_not(None),
            or_(and_(calibration, not_(of_night)), and_(not_(calibration), not_(of_exposure))),
            sound,
        )
        .distinct()
        .order_by(image.c.nite)
    )
    return [str(nite) for nite in conn.execute(query).scalars()]


def newest_file(conn: Connection) -> int:
    """Return the highest number of a file; 0: there is none."""
    return int(conn.execute(select(func.coalesce(func.max(desfile.c.id), 0))).scalar_one())


def newest_event(conn: Connection) -> int:
    """Return the highest number of an event; 0: there is none."""
    return int(conn.execute(select(func.coalesce(func.max(event.c.id), 0))).scalar_one())


def decisions(conn: Connection, after: int) -> set[int]:
    """Return the events that may free a row that a rule dismissed.

    An exclusion that is lifted, a policy, the programme of a proposal, a file that is deleted.

    Parameters
    ----------
    conn
        The database.
    after
        Number of an event: those up to it are not looked at.
    """
    by_people = and_(
        event.c.kind.in_((EventKind.QUEUE.value, EventKind.DELIVERY.value)), event.c.who.not_in(PROGRAMS)
    )
    always = event.c.kind.in_((EventKind.EXCLUDE.value, EventKind.DELETE.value))
    query = select(event.c.id).where(event.c.id > after, or_(always, by_people))
    return {int(number) for number in conn.execute(query).scalars()}


def judged_nites(conn: Connection, campaign: str) -> list[str]:
    """Return the nights with rows of a campaign that a rule dismissed.

    Parameters
    ----------
    conn
        The database.
    campaign
        Campaign of the rows.
    """
    query = (
        select(_Q.nite)
        .where(
            _Q.state == QueueState.DISMISSED.value,
            _Q.held_by == RULE,
            _Q.campaign == campaign,
            _Q.nite.is_not(None),
        )
        .distinct()
        .order_by(_Q.nite)
    )
    return [str(nite) for nite in conn.execute(query).scalars()]


def arrival_times(conn: Connection, files: Sequence[int]) -> dict[int, datetime]:
    """Return when deliveries were in the catalogue, by number of their file."""
    query = select(delivery.c.desfile_id, delivery.c.ingested_at).where(
        among(conn, delivery.c.desfile_id), delivery.c.ingested_at.is_not(None)
    )
    rows = conn.execute(query, {"among": packed(conn, files)})
    return {int(row.desfile_id): row.ingested_at for row in rows}


class Unit(NamedTuple):
    """A unit of a campaign: name, and of an exposure its number, night and band."""

    name: str
    expnum: int | None
    nite: str
    band: str


def exposures_in_archive(conn: Connection, expnums: Sequence[int]) -> list[Unit]:
    """Return the exposures of which there is a raw file, each once, by number."""
    i = image.c
    query = (
        select(i.expnum, func.coalesce(func.min(i.nite), ""), func.coalesce(func.min(i.band), ""))
        .join(desfile, desfile.c.id == i.desfile_id)
        .where(desfile.c.filetype == "raw", among(conn, i.expnum))
        .group_by(i.expnum)
        .order_by(i.expnum)
    )
    rows = conn.execute(query, {"among": packed(conn, expnums)})
    return [Unit(exposure_name(number), int(number), nite, band) for number, nite, band in rows]


def programmes(conn: Connection) -> dict[str, str]:
    """Return the programmes by proposal."""
    rows = conn.execute(select(ops_propid.c.propid, ops_propid.c.programme))
    return {str(row.propid): str(row.programme) for row in rows}


# -- rows


def _rows_query() -> tuple[ColumnElement[object], ...]:
    """Columns of a row with the name of its attempt."""
    a = pfw_attempt.c
    return (
        *ops_auto_queue.c,
        a.unitname.label("run_unit"),
        a.reqnum.label("run_req"),
        a.attnum.label("run_att"),
    )


_JOINED = ops_auto_queue.outerjoin(pfw_attempt, pfw_attempt.c.id == _Q.pfw_attempt_id)


def _row(row: RowMapping) -> QueueRow:
    """Return the record of a row of `_rows_query`."""
    run = "" if row["run_unit"] is None else RunName(row["run_unit"], row["run_req"], row["run_att"]).text
    settings = json.loads(row["settings"])
    return QueueRow(
        id=row["id"],
        unitname=row["unitname"],
        pipeline=row["pipeline"],
        campaign=row["campaign"],
        nite=row["nite"] or "",
        expnum=row["expnum"],
        band=row["band"] or "",
        programme=row["programme"] or "",
        state=QueueState(row["state"]),
        rank=row["rank"],
        why=row["why"],
        due_at=row["due_at"],
        tries=row["tries"],
        max_tries=row["max_tries"],
        settings={str(key): str(value) for key, value in settings.items()},
        policy_id=row["policy_id"],
        attempt_id=row["pfw_attempt_id"],
        run=run,
        held_by=row["held_by"] or "",
        newest_desfile_id=row["newest_desfile_id"],
        not_before=row["not_before"],
        arrived_at=row["arrived_at"],
        updated_at=row["updated_at"],
    )


_ORDER = (_Q.rank, func.coalesce(_Q.due_at, _Q.arrived_at), _Q.arrived_at, _Q.id)


def find_rows(
    conn: Connection,
    *,
    states: Iterable[QueueState] = (),
    nite: str = "",
    unit: str = "",
    campaign: str = "",
    limit: int | None = None,
) -> list[QueueRow]:
    """Return rows in the order of the queue.

    Parameters
    ----------
    conn
        The database.
    states
        Their states; none: all.
    nite, unit, campaign
        Night, unit and campaign; empty: all.
    limit
        At most so many.
    """
    query = select(*_rows_query()).select_from(_JOINED).order_by(*_ORDER)
    wanted = [state.value for state in states]
    if wanted:
        query = query.where(_Q.state.in_(wanted))
    for column, value in ((_Q.nite, nite), (_Q.unitname, unit), (_Q.campaign, campaign)):
        if value:
            query = query.where(column == value)
    return [_row(row) for row in conn.execute(query if limit is None else query.limit(limit)).mappings()]


def rows_of_query(
    conn: Connection,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    limit: int,
) -> list[QueueRow]:
    """Return rows of the table of the queue.

    Parameters
    ----------
    conn
        The database.
    conditions, order
        Conditions on its columns, and the order of the rows.
    limit
        At most so many.
    """
    query = select(*_rows_query()).select_from(_JOINED).where(*conditions).order_by(*order).limit(limit)
    return [_row(row) for row in conn.execute(query).mappings()]


def rows_of_nites(conn: Connection, nites: Sequence[str], campaign: str) -> list[QueueRow]:
    """Return the rows of nights.

    Parameters
    ----------
    conn
        The database.
    nites
        The nights.
    campaign
        Campaign of the rows.
    """
    query = (
        select(*_rows_query()).select_from(_JOINED).where(_Q.nite.in_(list(nites)), _Q.campaign == campaign)
    )
    return [_row(row) for row in conn.execute(query).mappings()]


def row_by_id(conn: Connection, number: int) -> QueueRow:
    """Return the row of that number."""
    query = select(*_rows_query()).select_from(_JOINED).where(_Q.id == number)
    return _row(conn.execute(query).mappings().one())


def find_row(conn: Connection, number: int) -> QueueRow | None:
    """Return the row of that number; None: there is none."""
    rows = rows_of_query(conn, [_Q.id == number], [_Q.id], 1)
    return rows[0] if rows else None


def _blocked() -> ColumnElement[bool]:
    """The condition that the night's rows that a row needs have not ended."""
    before = ops_auto_queue.alias("before")
    return or_(
        *(
            and_(
                _Q.pipeline == pipeline,
                exists().where(
                    before.c.pipeline == needed,
                    before.c.nite == _Q.nite,
                    before.c.campaign == _Q.campaign,
                    before.c.state.in_([state.value for state in _UNSETTLED]),
                ),
            )
            for pipeline, needed in NEEDS.items()
        )
    )


def ready_rows(conn: Connection, now: datetime, limit: int) -> list[QueueRow]:
    """Return the first rows that can be submitted: waiting, not paused, and their night's calibrations have ended.

    Parameters
    ----------
    conn
        The database.
    now
        Time, UTC.
    limit
        At most so many.
    """
    query = (
        select(*_rows_query())
        .select_from(_JOINED)
        .where(
            _Q.state == QueueState.WAITING.value,
            or_(_Q.not_before.is_(None), _Q.not_before <= now),
            not_(_blocked()),
        )
        .order_by(*_ORDER)
        .limit(limit)
    )
    return [_row(row) for row in conn.execute(query).mappings()]


def first_pause(conn: Connection) -> datetime | None:
    """Return when the first row that pauses after a failed try goes on; None: none pauses."""
    query = select(func.min(_Q.not_before)).where(_Q.state == QueueState.WAITING.value, _Q.tries > 0)
    moment: datetime | None = conn.execute(query.where(not_(_blocked()))).scalar()
    return moment


def shorten_quiet(conn: Connection, until: datetime) -> int:
    """Let nights that wait for more calibration frames wait until a time at most; return how many waited longer.

    Rows of nights that pause after a failed try are left.
    """
    longer = (
        (_Q.state == QueueState.WAITING.value)
        & (_Q.tries == 0)
        & _Q.expnum.is_(None)
        & _Q.nite.is_not(None)
        & (_Q.not_before > until)
    )
    return conn.execute(update(ops_auto_queue).where(longer).values(not_before=until)).rowcount


class WaitingRows(NamedTuple):
    """How many rows wait, and when the first of those that wait for a time goes on (None: none waits for a time)."""

    rows: int
    until: datetime | None


def waiting_rows(conn: Connection, now: datetime) -> WaitingRows:
    """Return how many rows wait, and until when."""
    timed = case((_Q.not_before > now, _Q.not_before))
    query = select(func.count(), func.min(timed)).where(_Q.state == QueueState.WAITING.value)
    return WaitingRows(*conn.execute(query).one())


def rows_before(conn: Connection, row: QueueRow) -> int:
    """Return how many waiting rows come before a row."""
    due = func.coalesce(_Q.due_at, _Q.arrived_at)
    mine = row.due_at or row.arrived_at
    earlier = or_(
        _Q.rank < row.rank,
        and_(_Q.rank == row.rank, due < mine),
        and_(_Q.rank == row.rank, due == mine, _Q.arrived_at < row.arrived_at),
        and_(_Q.rank == row.rank, due == mine, _Q.arrived_at == row.arrived_at, _Q.id < row.id),
    )
    query = (
        select(func.count()).select_from(ops_auto_queue).where(_Q.state == QueueState.WAITING.value, earlier)
    )
    return int(conn.execute(query).scalar_one())


def count_states(conn: Connection) -> dict[QueueState, int]:
    """Return how many rows are in each state."""
    counted = conn.execute(select(_Q.state, func.count()).group_by(_Q.state)).all()
    counts = dict.fromkeys(QueueState, 0)
    return counts | {QueueState(state): int(count) for state, count in counted}


def insert_row(conn: Connection, row: QueueRow) -> None:
    """Insert a row of a unit, pipeline and campaign that have none; its number is drawn anew."""
    conn.execute(
        insert(ops_auto_queue).values(
            unitname=row.unitname,
            pipeline=row.pipeline,
            campaign=row.campaign,
            nite=row.nite or None,
            expnum=row.expnum,
            band=row.band or None,
            programme=row.programme or None,
            state=row.state.value,
            rank=row.rank,
            why=row.why,
            due_at=row.due_at,
            tries=row.tries,
            max_tries=row.max_tries,
            settings=json.dumps(dict(row.settings), sort_keys=True),
            policy_id=row.policy_id,
            pfw_attempt_id=row.attempt_id,
            held_by=row.held_by or None,
            newest_desfile_id=row.newest_desfile_id,
            not_before=row.not_before,
            arrived_at=row.arrived_at,
            updated_at=row.updated_at,
        )
    )


def change_row(
    conn: Connection, row: QueueRow, state: QueueState, *, why: str, now: datetime, **values: object
) -> bool:
    """Change a row that is still in the state of ``row``; False: somebody else changed its state meanwhile.

    Parameters
    ----------
    conn
        The transaction.
    row
        The row, as it was read.
    state, why
        Its new state, and why it stands there.
    now
        Time, UTC.
    values
        Further columns.
    """
    same = (_Q.id == row.id) & (_Q.state == row.state.value)
    changed = update(ops_auto_queue).where(same).values(state=state.value, why=why, updated_at=now, **values)
    return conn.execute(changed).rowcount == 1


def change_rows(
    conn: Connection,
    rows: Iterable[QueueRow],
    state: QueueState,
    *,
    why: str,
    held_by: str | None,
    now: datetime,
) -> None:
    """Change the state of rows.

    Parameters
    ----------
    conn
        The transaction.
    rows
        The rows, as they were read.
    state, why, held_by
        New state, why they stand there, and who holds them.
    now
        Time, UTC.
    """
    for row in rows:
        change_row(conn, row, state, why=why, now=now, held_by=held_by)


def wake_rows(conn: Connection) -> None:
    """Let the rows that wait for calibrations be planned at once."""
    waiting = (
        (_Q.state == QueueState.WAITING.value)
        & (_Q.tries == 0)
        & _Q.not_before.is_not(None)
        & _Q.expnum.is_not(None)
    )
    conn.execute(update(ops_auto_queue).where(waiting).values(not_before=None))


# -- problems


def stopping_problems(conn: Connection) -> Mapping[int, tuple[str, str, str]]:
    """Return the confirmed problems of severity stop: number → kind and name of the subject, pipeline of its attempt."""
    query = (
        select(problem.c.id, problem.c.subject_kind, problem.c.subject, pfw_attempt.c.pipeprod)
        .select_from(problem.outerjoin(pfw_attempt, pfw_attempt.c.id == problem.c.pfw_attempt_id))
        .where(
            problem.c.severity == Severity.STOP.value,
            problem.c.closed_at.is_(None),
            problem.c.state.in_([state.value for state in _OPEN_PROBLEMS]),
        )
        .order_by(problem.c.id)
    )
    return {row.id: (row.subject_kind, row.subject, row.pipeprod or "") for row in conn.execute(query)}
