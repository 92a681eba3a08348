"""The SQL of calibrations: epochs, what serves in them, what runs chose, and what is excluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select, update

from desdm.archive.store.common import among, packed
from desdm.schema import (
    METADATA_TABLES,
    desfile,
    exclude_list,
    image,
    opm_used,
    ops_epoch,
    ops_epoch_inputs_per_band,
    pfw_attempt,
    pfw_calibration,
    task,
)
from desdm.schema.database import new_ids

__all__ = [
    "EpochInput",
    "attempt_names",
    "calibrations_of",
    "ccds_of_exposure",
    "epoch_inputs",
    "epochs",
    "exclude",
    "excluded",
    "exposures_of_attempt",
    "insert_epoch",
    "insert_epoch_input",
    "keep_choices",
    "lift_exclusion",
    "lock_exclusions",
]


class EpochInput(NamedTuple):
    """A row of the epoch table that fits: the newest counts."""

    id: int
    epoch: str
    filetype: str
    band: str
    campaign: str
    attempt: str | None
    filepat: str | None
    who: str


_RUN = (pfw_attempt.c.unitname, pfw_attempt.c.reqnum, pfw_attempt.c.attnum)


def _run(unitname: str | None, reqnum: int | None, attnum: int | None) -> str | None:
    """Return the name of a run, or None without an attempt."""
    return None if unitname is None or attnum is None else f"{unitname}_r{reqnum}p{attnum:02d}"


def epoch_inputs(
    conn: Connection, filetype: str | None, expnum: int | None, band: str, campaign: str
) -> list[EpochInput]:
    """Rows for a file type, exposure, band and campaign; the most particular first, of equals the newest.

    Parameters
    ----------
    conn
        Connection to the database.
    filetype
        File type; None: every type.
    expnum
        Exposure number; None: every epoch.
    band
        Band; rows for all bands match too; empty: every band.
    campaign
        Campaign; rows for all campaigns match too; empty: every campaign.
    """
    c, e = ops_epoch_inputs_per_band.c, ops_epoch.c
    query = (
        select(c.id, c.name, c.filetype, c.band, c.campaign, *_RUN, c.filepat, c.who)
        .select_from(
            ops_epoch_inputs_per_band.join(ops_epoch, e.name == c.name).outerjoin(
                pfw_attempt, pfw_attempt.c.id == c.pfw_attempt_id
            )
        )
        .order_by(c.id.desc())
    )
    if filetype is not None:
        query = query.where(c.filetype == filetype)
    if expnum is not None:
        query = query.where(and_(e.minexpnum <= expnum, e.maxexpnum >= expnum))
    if band:
        query = query.where(c.band.in_(("", band)))
    if campaign:
        query = query.where(c.campaign.in_(("", campaign)))
    rows = [EpochInput._make([*r[:5], _run(*r[5:8]), *r[8:]]) for r in conn.execute(query)]
    rows.sort(key=lambda r: (not r.campaign, not r.band))
    return rows


def epochs(conn: Connection) -> list[tuple[str, int, int, str]]:
    """(name, first exposure, last exposure, description) of each epoch."""
    rows = conn.execute(select(ops_epoch).order_by(ops_epoch.c.minexpnum))
    return [(r[0], r[1], r[2], r[3]) for r in rows]


def insert_epoch(conn: Connection, name: str, low: int, high: int, text: str) -> None:
    """A new epoch.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Name of the epoch.
    low
        Its first exposure number.
    high
        Its last exposure number.
    text
        Description of the epoch.
    """
    conn.execute(ops_epoch.insert(), {"name": name, "minexpnum": low, "maxexpnum": high, "description": text})


def insert_epoch_input(conn: Connection, row: Mapping[str, Any]) -> None:
    """A new row of the epoch table."""
    number = new_ids(conn, ops_epoch_inputs_per_band, 1)[0]
    conn.execute(ops_epoch_inputs_per_band.insert(), {"id": number, "since": _now(), **row})


def attempt_names(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(run, state) of attempts by number."""
    epochs: dict[int, tuple[str, str]] = {}
    for start in range(0, len(numbers), 500):
        query = select(pfw_attempt.c.id, *_RUN, pfw_attempt.c.state).where(
            pfw_attempt.c.id.in_(numbers[start : start + 500])
        )
        for row in conn.execute(query):
            epochs[row[0]] = (str(_run(*row[1:4])), row[4])
    return epochs


def keep_choices(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down which calibrations an attempt uses and why."""
    if rows:
        conn.execute(pfw_calibration.insert(), rows)


def calibrations_of(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """Calibrations of an attempt: filename, filetype, ccdnum, how, reason; by type and CCD."""
    c = pfw_calibration.c
    query = (
        select(
            (desfile.c.filename + desfile.c.compression).label("filename"),
            c.filetype,
            c.ccdnum,
            c.how,
            c.reason,
        )
        .join(desfile, desfile.c.id == c.desfile_id)
        .where(c.pfw_attempt_id == attempt_id)
        .order_by(c.filetype, c.ccdnum, desfile.c.filename)
    )
    return [dict(row._mapping) for row in conn.execute(query)]


#: Number of the advisory lock on exclusions; any number that nothing else of ours uses.
_EXCLUSIONS = 0x0DE55B18


def lock_exclusions(conn: Connection, *, shared: bool = False) -> None:
    """Keep what plans read of judgements as it is until the end of the transaction: exclusions, verdicts, data states.

    On SQLite the writer is alone anyway.

    Parameters
    ----------
    conn
        Connection in a transaction.
    shared
        Of those who add a verdict or change a data state: they do not wait for each other, only for plans and exclusions.
    """
    if conn.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        conn.execute(select(lock(_EXCLUSIONS)))


def exclude(conn: Connection, expnum: int, ccdnum: int, reason: str, analyst: str) -> None:
    """Put an exposure (``ccdnum`` 0) or one CCD of it on the exclude list.

    Parameters
    ----------
    conn
        Connection to the database.
    expnum
        Exposure number.
    ccdnum
        CCD number; 0: the whole exposure.
    reason
        Why it must not be used.
    analyst
        Login of the person who excludes it.
    """
    row = {"expnum": expnum, "ccdnum": ccdnum, "reason": reason, "analyst": analyst, "since": _now()}
    conn.execute(exclude_list.insert(), row)


def excluded(
    conn: Connection, expnums: Sequence[int] | None = None, *, lifted: bool = False
) -> list[dict[str, Any]]:
    """Return rows of the exclude list in force, of those exposures or of all; with ``lifted`` also lifted ones.

    Parameters
    ----------
    conn
        Connection to the database.
    expnums
        Exposure numbers; None: all.
    lifted
        Also return rows that are lifted.
    """
    query = select(exclude_list).order_by(exclude_list.c.id)
    parameters: dict[str, Any] = {}
    if expnums is not None:
        query = query.where(among(conn, exclude_list.c.expnum))
        parameters["among"] = packed(conn, expnums)
    if not lifted:
        query = query.where(exclude_list.c.lifted_at.is_(None))
    return [dict(row._mapping) for row in conn.execute(query, parameters)]


def ccds_of_exposure(conn: Connection, expnum: int) -> set[int] | None:
    """Return the CCDs of which there is an image of an exposure; None if no file of the exposure is registered."""
    query = select(image.c.ccdnum).where(image.c.expnum == expnum).distinct()
    numbers = set(conn.execute(query).scalars())
    return numbers - {None} if numbers else None


def exposures_of_attempt(conn: Connection, attempt_id: int) -> dict[int, set[int]]:
    """Return the exposures of which an attempt has files, or that it took in, with the CCDs of these files."""
    used = (
        select(opm_used.c.desfile_id)
        .join(task, task.c.id == opm_used.c.task_id)
        .join(
            pfw_attempt, or_(pfw_attempt.c.task_id == task.c.root_task_id, pfw_attempt.c.task_id == task.c.id)
        )
        .where(pfw_attempt.c.id == attempt_id)
    )
    exposures: dict[int, set[int]] = {}
    for table in METADATA_TABLES.values():
        query = (
            select(table.c.expnum, table.c.ccdnum)
            .join(desfile, desfile.c.id == table.c.desfile_id)
            .where(
                table.c.expnum.is_not(None),
                or_(desfile.c.pfw_attempt_id == attempt_id, desfile.c.id.in_(used)),
            )
        )
        for expnum, ccdnum in conn.execute(query.distinct()):
            ccds = exposures.setdefault(expnum, set())
            if ccdnum is not None:
                ccds.add(ccdnum)
    return exposures


def lift_exclusion(conn: Connection, expnum: int, ccdnum: int | None, reason: str, who: str) -> int:
    """Lift the exclusions in force of an exposure (``ccdnum`` 0), of a CCD, or both (None); return how many.

    Parameters
    ----------
    conn
        Connection to the database.
    expnum
        Exposure number.
    ccdnum
        CCD number; 0: the whole exposure; None: both.
    reason
        Why it is lifted.
    who
        Login of the person who lifts it.
    """
    lock_exclusions(conn)
    wanted = (exclude_list.c.expnum == expnum) & exclude_list.c.lifted_at.is_(None)
    if ccdnum is not None:
        wanted &= exclude_list.c.ccdnum == ccdnum
    values = {"lifted_by": who[:32], "lifted_at": _now(), "lift_reason": reason}
    return conn.execute(update(exclude_list).where(wanted).values(values)).rowcount


def _now() -> datetime:
    """Return the current time in UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)
