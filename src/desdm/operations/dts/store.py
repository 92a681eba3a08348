"""The SQL of the arrival of data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, or_, select, update

from desdm.archive.names import split_name
from desdm.archive.store import among, packed
from desdm.operations.dts.model import OPEN, Delivery, ListedFile, Notice, Programme, Verdict
from desdm.schema import desfile, file_archive_info, image
from desdm.schema.arrival import delivery, delivery_expected, ops_propid
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.schema.states import CopyState

__all__ = [
    "acknowledge",
    "archived_names",
    "change",
    "count_open",
    "deliveries_of_nites",
    "delivery_record",
    "dismissed_before",
    "due",
    "find_delivery",
    "insert_delivery",
    "listed_files",
    "newest_nites",
    "newest_of_path",
    "other_frame",
    "owner_of_file",
    "programmes",
    "put_listed",
    "put_programme",
    "same_file",
    "unacknowledged",
]

_D = delivery.c
_COLUMNS = [_D[field.name] for field in fields(Delivery)]
_OPEN = tuple(state.value for state in OPEN)
#: Names in one statement; SQLite takes no more than 32766 values.
_CHUNK = 500


def delivery_record(row: Row[Any]) -> Delivery:
    """Return the record of a row of ``delivery``."""
    values = row._asdict()
    values["state"] = DeliveryState(values["state"])
    values["reason_code"] = None if values["reason_code"] is None else DeliveryReason(values["reason_code"])
    values["waived"] = frozenset(DeliveryReason(code) for code in values["waived"].split(",") if code)
    return Delivery(**values)


def _deliveries(conn: Connection, query: Select[Any]) -> list[Delivery]:
    """Return the records of a query of ``_COLUMNS``."""
    return [delivery_record(row) for row in conn.execute(query)]


def find_delivery(conn: Connection, number: int, *, lock: bool = False) -> Delivery | None:
    """Return a delivery by its number.

    Parameters
    ----------
    conn
        Connection.
    number
        Number of the delivery.
    lock
        Whether nobody else may change it before the transaction ends.
    """
    query = select(*_COLUMNS).where(_D.id == number)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else delivery_record(row)


def newest_of_path(conn: Connection, path: str) -> Delivery | None:
    """Return the newest delivery of a path; one that is not judged yet before all others."""
    query = select(*_COLUMNS).where(_D.path == path).order_by(_D.state.in_(_OPEN).desc(), _D.id.desc())
    row = conn.execute(query.limit(1)).one_or_none()
    return None if row is None else delivery_record(row)


def insert_delivery(conn: Connection, notice: Notice, source: str, now: datetime) -> int:
    """Insert a delivery and return its number.

    Parameters
    ----------
    conn
        Connection in a transaction.
    notice
        What is known of the file.
    source
        Who sends it.
    now
        When it was noticed, UTC.
    """
    values = {
        **asdict(notice),
        "source": source,
        "state": DeliveryState.DELIVERED.value,
        "waived": "",
        "tries": 0,
        "noticed_at": now,
    }
    number: int = conn.execute(insert(delivery).values(values).returning(_D.id)).scalar_one()
    return number


def change(conn: Connection, before: Delivery, state: DeliveryState | None = None, **values: object) -> bool:
    """Change a delivery that is still in the state in which it was read; False: another process has changed it.

    Parameters
    ----------
    conn
        Connection in a transaction.
    before
        The delivery as it was read.
    state
        Its new state; None: the same.
    values
        New values by column.
    """
    if state is not None:
        values["state"] = state.value
    same = (_D.id == before.id) & (_D.state == before.state.value)
    return conn.execute(update(delivery).where(same).values(values)).rowcount == 1


def acknowledge(conn: Connection, number: int, now: datetime) -> None:
    """Note that the arrival of a delivery was acknowledged to its sender."""
    conn.execute(update(delivery).where(_D.id == number).values(acknowledged_at=now))


def due(conn: Connection, now: datetime) -> list[int]:
    """Return the numbers of the deliveries that are to be judged now, in order of arrival."""
    query = select(_D.id).where(_D.state.in_(_OPEN), or_(_D.next_try.is_(None), _D.next_try <= now))
    return list(conn.execute(query.order_by(_D.id)).scalars())


def count_open(conn: Connection) -> int:
    """Return the number of deliveries that are not judged yet, those of a later try among them."""
    return conn.execute(select(func.count()).select_from(delivery).where(_D.state.in_(_OPEN))).scalar_one()


def dismissed_before(conn: Connection, moment: datetime) -> list[Delivery]:
    """Return the deliveries that were dismissed before a moment (UTC), by number."""
    old = (_D.state == DeliveryState.DISMISSED.value) & (_D.checked_at < moment)
    return _deliveries(conn, select(*_COLUMNS).where(old).order_by(_D.id))


def unacknowledged(conn: Connection) -> list[Delivery]:
    """Return the deliveries whose bytes are in the archive and that the sender does not know of."""
    kept = (DeliveryState.INGESTED.value, DeliveryState.DUPLICATE.value)
    query = select(*_COLUMNS).where(_D.state.in_(kept), _D.acknowledged_at.is_(None))
    return _deliveries(conn, query.order_by(_D.id))


# -- what the archive has


def same_file(conn: Connection, archive: str, verdict: Verdict, name: str) -> int | None:
    """Return the number of the file with the bytes of a delivery of which an archive has a sound copy; None without one.

    Parameters
    ----------
    conn
        Connection.
    archive
        Name of the archive.
    verdict
        Digest of the bytes, and the exposure: its frames are compared whatever their names are.
    name
        Name of the file: what is of no exposure is compared with the file of that name.
    """
    copies = file_archive_info.c
    sound = (copies.archive_name == archive) & (copies.state == CopyState.OK.value)
    stem, compression = split_name(name)
    near: ColumnElement[bool] = (desfile.c.filename == stem) & (desfile.c.compression == compression)
    if verdict.expnum is not None:
        frames = select(image.c.desfile_id).where(image.c.expnum == verdict.expnum)
        near = or_(near, desfile.c.id.in_(frames))
    query = (
        select(desfile.c.id)
        .join(file_archive_info, copies.desfile_id == desfile.c.id)
        .where(near, desfile.c.sha256 == verdict.sha256, sound)
        .order_by(desfile.c.id)
        .limit(1)
    )
    return conn.execute(query).scalar_one_or_none()


def owner_of_file(conn: Connection, file: int, without: int) -> int | None:
    """Return the number of the ingested delivery that brought a file, other than ``without``; None without one."""
    query = select(_D.id).where(
        _D.desfile_id == file, _D.state == DeliveryState.INGESTED.value, _D.id != without
    )
    return conn.execute(query.order_by(_D.id).limit(1)).scalar_one_or_none()


def other_frame(conn: Connection, expnum: int, sha256: str) -> str | None:
    """Return the name of a raw frame of an exposure that has other bytes; None without one."""
    query = (
        select(desfile.c.filename + desfile.c.compression)
        .join(image, image.c.desfile_id == desfile.c.id)
        .where(desfile.c.filetype == "raw", image.c.expnum == expnum, desfile.c.sha256 != sha256)
        .order_by(desfile.c.id)
        .limit(1)
    )
    return conn.execute(query).scalar_one_or_none()


def archived_names(conn: Connection, names: Collection[str]) -> set[str]:
    """Return which of these file names, with the ending of their compression, the catalogue has."""
    if not names:
        return set()
    stems = {split_name(name)[0] for name in names}
    query = select(desfile.c.filename, desfile.c.compression).where(among(conn, desfile.c.filename))
    rows = conn.execute(query, {"among": packed(conn, stems)})
    return {stem + compression for stem, compression in rows} & set(names)


# -- lists of the observatory


def put_listed(conn: Connection, files: Sequence[ListedFile]) -> None:
    """Enter the files of a list; those that are listed already are entered anew, and stay marked as delivered."""
    e = delivery_expected.c
    by_source: dict[str, list[ListedFile]] = {}
    for file in files:
        by_source.setdefault(file.source, []).append(file)
    for source, group in by_source.items():
        for start in range(0, len(group), _CHUNK):
            part = {file.filename: file for file in group[start : start + _CHUNK]}
            mine = (e.source == source) & e.filename.in_(list(part))
            marked = set(conn.execute(select(e.filename).where(mine, e.delivered)).scalars())
            conn.execute(delete(delivery_expected).where(mine))
            rows = [
                asdict(file) | {"delivered": file.delivered or name in marked} for name, file in part.items()
            ]
            conn.execute(insert(delivery_expected), rows)


def listed_files(conn: Connection, nites: Collection[str]) -> list[ListedFile]:
    """Return the files of the observatory's lists of some nights, by night and name."""
    e = delivery_expected.c
    columns = [e[field.name] for field in fields(ListedFile)]
    query = select(*columns).where(among(conn, e.nite)).order_by(e.nite, e.filename)
    return [ListedFile(*row) for row in conn.execute(query, {"among": packed(conn, nites)})]


def newest_nites(conn: Connection, count: int | None) -> list[str]:
    """Return the newest nights of deliveries and lists, in order; None: all."""
    both = select(_D.nite).where(_D.nite.is_not(None)).union(select(delivery_expected.c.nite)).subquery()
    query = select(both.c.nite).order_by(both.c.nite.desc())
    return sorted(conn.execute(query if count is None else query.limit(count)).scalars())


def deliveries_of_nites(
    conn: Connection, nites: Collection[str], names: Collection[str], *, unknown: bool
) -> list[Delivery]:
    """Return the deliveries of some nights, and those of some file names, in order of arrival.

    Parameters
    ----------
    conn
        Connection.
    nites
        Nights, YYYYMMDD.
    names
        File names: a file that was never read has no night of its own.
    unknown
        Whether deliveries without a night are returned too.
    """
    night = among(conn, _D.nite, "nites")
    name = among(conn, _D.filename, "names")
    wanted = or_(night, name, _D.nite.is_(None)) if unknown else or_(night, name)
    values: Mapping[str, object] = {"nites": packed(conn, nites), "names": packed(conn, names)}
    return [
        delivery_record(row) for row in conn.execute(select(*_COLUMNS).where(wanted).order_by(_D.id), values)
    ]


# -- proposals


def programmes(conn: Connection) -> list[Programme]:
    """Return all proposals with their programmes, by proposal."""
    columns = [ops_propid.c[field.name] for field in fields(Programme)]
    return [Programme(*row) for row in conn.execute(select(*columns).order_by(ops_propid.c.propid))]


def put_programme(conn: Connection, programme: Programme) -> None:
    """Enter a proposal, in the place of an earlier entry of it."""
    conn.execute(delete(ops_propid).where(ops_propid.c.propid == programme.propid))
    conn.execute(insert(ops_propid).values(asdict(programme)))
