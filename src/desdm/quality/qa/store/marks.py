"""The SQL of marks, and of what a person sees who marks: messages and QA numbers of a run, and offices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select

from desdm.archive.store import among, packed
from desdm.quality.qa.model import QaMark
from desdm.schema import (
    METADATA_TABLES,
    desfile,
    person,
    person_office,
    pfw_attempt,
    pfw_request,
    pfw_wrapper,
    qa_mark,
    qa_metric,
    task_message,
)
from desdm.schema.database import new_ids
from desdm.schema.operationstates import Mark, Office, Severity, SubjectKind

__all__ = [
    "MessageCount",
    "MetricValue",
    "attempts_of_unit",
    "count_own_marks",
    "files_of_ccd",
    "insert_file_marks",
    "insert_mark",
    "lock_marks",
    "mark_by_number",
    "marks_of",
    "marks_of_exposure",
    "marks_since",
    "message_counts",
    "metric_values",
    "newest_mark",
    "newest_mark_number",
    "operator_of",
    "other_holders",
]

#: Number of the advisory lock on marks.
_MARKS = 0x0DE55B31
_WHO = 32
_COLUMNS = [qa_mark.c[name] for name in QaMark.__slots__]


class MessageCount(NamedTuple):
    """How many messages of a level a pattern found in the logs of an attempt."""

    level: int
    pattern: str
    messages: int


class MetricValue(NamedTuple):
    """A QA number of an attempt, with the module that measured it; ``wrapkeys`` are values of its loops."""

    name: str
    band: str
    wrapkeys: str
    value: float
    unit: str
    module: str

    @property
    def keys(self) -> Mapping[str, str]:
        """Values of the loops of its module, by their names."""
        return dict(item.partition("=")[::2] for item in self.wrapkeys.split(",") if "=" in item)


def lock_marks(conn: Connection) -> None:
    """Until the end of the transaction nobody else marks; on SQLite the writer is alone anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_MARKS)))


def _mark(row: Row[tuple[object, ...]]) -> QaMark:
    """Return the record of a row of `_COLUMNS`."""
    values = dict(row._mapping)
    values["subject_kind"], values["verdict"] = SubjectKind(values["subject_kind"]), Mark(values["verdict"])
    values["severity"] = Severity(values["severity"]) if values["severity"] else None
    values["office"] = Office(values["office"]) if values["office"] else None
    return QaMark(**values)


def insert_mark(conn: Connection, mark: QaMark) -> int:
    """Add a mark, whose ``id`` is ignored; return its number."""
    number = new_ids(conn, qa_mark, 1)[0]
    values = {name: getattr(mark, name) for name in QaMark.__slots__}
    values |= {"id": number, "author": mark.author[:_WHO]}
    conn.execute(insert(qa_mark), values)
    return number


def insert_file_marks(conn: Connection, mark: QaMark, files: Mapping[int, str]) -> None:
    """Add the mark of a CCD to each of its files.

    Parameters
    ----------
    conn
        Connection to the database.
    mark
        Mark of the CCD.
    files
        Number of the file → name.
    """
    if not files:
        return
    c = qa_mark.c
    query = (
        select(c.desfile_id, func.max(c.id))
        .where(c.subject_kind == SubjectKind.FILE.value, among(conn, c.desfile_id))
        .group_by(c.desfile_id)
    )
    earlier = {row[0]: row[1] for row in conn.execute(query, {"among": packed(conn, files)})}
    common = {name: getattr(mark, name) for name in QaMark.__slots__}
    common |= {"subject_kind": SubjectKind.FILE.value, "own_work": False, "author": mark.author[:_WHO]}
    conn.execute(
        insert(qa_mark),
        [
            common | {"id": n, "subject": name, "desfile_id": file, "supersedes_id": earlier.get(file)}
            for n, (file, name) in zip(new_ids(conn, qa_mark, len(files)), files.items(), strict=True)
        ],
    )


def marks_of(conn: Connection, kind: SubjectKind, subject: str) -> list[QaMark]:
    """Return the marks of a subject, oldest first.

    Parameters
    ----------
    conn
        Connection to the database.
    kind, subject
        Kind and canonical name of the subject.
    """
    query = select(*_COLUMNS).where(qa_mark.c.subject_kind == kind.value, qa_mark.c.subject == subject)
    return [_mark(row) for row in conn.execute(query.order_by(qa_mark.c.id))]


def newest_mark(conn: Connection, kind: SubjectKind, subject: str) -> QaMark | None:
    """Return the mark of a subject that counts; None: nobody has marked it.

    Parameters
    ----------
    conn
        Connection to the database.
    kind, subject
        Kind and canonical name of the subject.
    """
    query = select(*_COLUMNS).where(qa_mark.c.subject_kind == kind.value, qa_mark.c.subject == subject)
    row = conn.execute(query.order_by(qa_mark.c.id.desc()).limit(1)).first()
    return None if row is None else _mark(row)


def newest_mark_number(conn: Connection) -> int:
    """Return the number of the newest mark of all; 0 without one."""
    return int(conn.execute(select(func.coalesce(func.max(qa_mark.c.id), 0))).scalar_one())


def marks_since(conn: Connection, number: int) -> list[QaMark]:
    """Return the marks that are newer than the one with a number, oldest first."""
    rows = conn.execute(select(*_COLUMNS).where(qa_mark.c.id > number).order_by(qa_mark.c.id))
    return [_mark(row) for row in rows]


def marks_of_exposure(conn: Connection, name: str) -> list[QaMark]:
    """Return the marks of an exposure and of its CCDs, newest first."""
    c = qa_mark.c
    # The names of the CCDs of an exposure begin with its own and "_c"; "_d" is the first text after all of them.
    of_ccds = and_(c.subject_kind == SubjectKind.CCD.value, c.subject >= f"{name}_c", c.subject < f"{name}_d")
    of_exposure = and_(c.subject_kind == SubjectKind.EXPOSURE.value, c.subject == name)
    query = select(*_COLUMNS).where(or_(of_exposure, of_ccds)).order_by(c.id.desc())
    return [_mark(row) for row in conn.execute(query)]


def mark_by_number(conn: Connection, number: int) -> QaMark | None:
    """Return a mark; None if there is none of this number."""
    row = conn.execute(select(*_COLUMNS).where(qa_mark.c.id == number)).first()
    return None if row is None else _mark(row)


def count_own_marks(conn: Connection) -> int:
    """Return how many marks bless what their author has processed."""
    return conn.execute(select(func.count()).where(qa_mark.c.own_work)).scalar_one()


def files_of_ccd(conn: Connection, attempt_id: int, expnum: int, ccdnum: int) -> dict[int, str]:
    """Return the files of one CCD of an exposure that an attempt produced: number → name.

    Parameters
    ----------
    conn
        Connection to the database.
    attempt_id
        The attempt.
    expnum, ccdnum
        Exposure and CCD.
    """
    files: dict[int, str] = {}
    for table in METADATA_TABLES.values():
        if "expnum" not in table.c:
            continue
        query = (
            select(desfile.c.id, desfile.c.filename + desfile.c.compression)
            .join(table, table.c.desfile_id == desfile.c.id)
            .where(desfile.c.pfw_attempt_id == attempt_id, table.c.expnum == expnum, table.c.ccdnum == ccdnum)
        )
        files |= {row[0]: row[1] for row in conn.execute(query)}
    return dict(sorted(files.items()))


def attempts_of_unit(conn: Connection, unitname: str) -> list[tuple[int, str]]:
    """Return (attempt, pipeline) of the attempts at a unit, newest first."""
    query = (
        select(pfw_attempt.c.id, pfw_request.c.pipeline)
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .where(pfw_attempt.c.unitname == unitname)
        .order_by(pfw_attempt.c.id.desc())
    )
    return [(row[0], row[1]) for row in conn.execute(query)]


def operator_of(conn: Connection, attempt_id: int) -> str:
    """Return who submitted an attempt."""
    query = select(pfw_attempt.c.operator).where(pfw_attempt.c.id == attempt_id)
    return str(conn.execute(query).scalar_one())


def message_counts(conn: Connection, attempt_id: int) -> list[MessageCount]:
    """Return how many errors and warnings each pattern found in the logs of an attempt."""
    c = task_message.c
    query = (
        select(c.message_lvl, c.pattern, func.count())
        .where(c.pfw_attempt_id == attempt_id, c.message_lvl <= 2)
        .group_by(c.message_lvl, c.pattern)
        .order_by(c.message_lvl, c.pattern)
    )
    return [MessageCount(row[0], row[1], row[2]) for row in conn.execute(query)]


def metric_values(conn: Connection, attempt_id: int) -> list[MetricValue]:
    """Return the QA numbers of an attempt, by name, band and loop values."""
    c = qa_metric.c
    module = func.coalesce(pfw_wrapper.c.modname, "")
    query = (
        select(c.name, func.coalesce(c.band, ""), c.wrapkeys, c.value, c.unit, module)
        .select_from(qa_metric.outerjoin(pfw_wrapper, pfw_wrapper.c.task_id == c.task_id))
        .where(c.pfw_attempt_id == attempt_id)
    )
    rows = conn.execute(query.order_by(c.name, c.band, c.wrapkeys, c.task_id))
    return [MetricValue._make(row) for row in rows]


def _in_force(now: datetime) -> Select[str, str]:
    """Statement for (login, office) of those who hold an office at a time."""
    o = person_office.c
    return (
        select(person.c.login, o.office)
        .join(person, person.c.id == o.person_id)
        .where(person.c.disabled_at.is_(None), o.since <= now, or_(o.until.is_(None), o.until > now))
    )


def other_holders(conn: Connection, office: Office, login: str, now: datetime) -> list[str]:
    """Return the logins of the other people who hold an office.

    Parameters
    ----------
    conn
        Connection to the database.
    office
        The office.
    login
        Login of the person who does not count.
    now
        Time, UTC.
    """
    query = _in_force(now).where(and_(person_office.c.office == office.value, person.c.login != login))
    return sorted({holder for holder, _ in conn.execute(query)})
