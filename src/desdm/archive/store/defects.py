"""The SQL of files and attempts that a person has marked defective: the newest mark of each counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, not_, select

from desdm.archive.store.common import among, packed
from desdm.schema import desfile, pfw_attempt, qa_mark
from desdm.schema.operationstates import Mark, SubjectKind
from desdm.schema.states import DataState

__all__ = [
    "Defect",
    "any_defective",
    "defective_attempts",
    "defective_files",
    "files_of_defective_attempts",
    "not_defective",
]

#: Kinds of subjects whose marks set the data state of an attempt.
_WHOLE = (SubjectKind.EXPOSURE.value, SubjectKind.TILE.value, SubjectKind.ATTEMPT.value)


class Defect(NamedTuple):
    """Who marked a file or an attempt defective, and why."""

    author: str
    reason: str

    @property
    def text(self) -> str:
        """The same in words."""
        return f"marked defective by {self.author}: {self.reason}"


def any_defective(conn: Connection) -> bool:
    """Whether anything was ever marked defective: without, no number need be looked at."""
    query = select(qa_mark.c.id).where(qa_mark.c.verdict == Mark.DEFECTIVE.value).limit(1)
    return conn.execute(query).first() is not None


def defective_attempts(conn: Connection, attempts: Sequence[int]) -> dict[int, Defect]:
    """Return, of attempts whose newest mark as a whole says that they are defective, that mark."""
    if not attempts or not any_defective(conn):
        return {}
    c = qa_mark.c
    newest = (
        select(func.max(c.id))
        .where(c.subject_kind.in_(_WHOLE), among(conn, c.pfw_attempt_id))
        .group_by(c.pfw_attempt_id)
    )
    query = select(c.pfw_attempt_id, c.author, c.reason).where(
        c.id.in_(newest), c.verdict == Mark.DEFECTIVE.value
    )
    rows = conn.execute(query.order_by(c.pfw_attempt_id), {"among": packed(conn, attempts)})
    return {row[0]: Defect(row[1], row[2]) for row in rows}


def defective_files(conn: Connection, ids: Sequence[int]) -> dict[int, Defect]:
    """Return, of files whose newest mark says that they are defective, that mark."""
    if not ids or not any_defective(conn):
        return {}
    c = qa_mark.c
    newest = (
        select(func.max(c.id))
        .where(c.subject_kind == SubjectKind.FILE.value, among(conn, c.desfile_id))
        .group_by(c.desfile_id)
    )
    query = select(c.desfile_id, c.author, c.reason).where(
        c.id.in_(newest), c.verdict == Mark.DEFECTIVE.value
    )
    rows = conn.execute(query.order_by(c.desfile_id), {"among": packed(conn, ids)})
    return {row[0]: Defect(row[1], row[2]) for row in rows}


def files_of_defective_attempts(conn: Connection, ids: Sequence[int]) -> dict[int, Defect]:
    """Return, of files whose attempt is marked defective and yet not JUNK, that mark."""
    if not ids or not any_defective(conn):
        return {}
    c = qa_mark.c
    marked = select(c.pfw_attempt_id).where(c.verdict == Mark.DEFECTIVE.value, c.subject_kind.in_(_WHOLE))
    query = (
        select(desfile.c.id, desfile.c.pfw_attempt_id)
        .join(pfw_attempt, pfw_attempt.c.id == desfile.c.pfw_attempt_id)
        .where(
            pfw_attempt.c.data_state != DataState.JUNK.value,
            pfw_attempt.c.id.in_(marked),
            among(conn, desfile.c.id),
        )
        .order_by(desfile.c.id)
    )
    of_file = {row[0]: row[1] for row in conn.execute(query, {"among": packed(conn, ids)})}
    defects = defective_attempts(conn, sorted(set(of_file.values())))
    return {number: defects[attempt] for number, attempt in of_file.items() if attempt in defects}


def not_defective() -> ColumnElement[bool]:
    """Condition on ``desfile`` that the newest mark of a file does not say that it is defective."""
    c = qa_mark.c
    newest = (
        select(func.max(c.id))
        .where(c.subject_kind == SubjectKind.FILE.value, c.desfile_id.is_not(None))
        .group_by(c.desfile_id)
    )
    marked = select(c.desfile_id).where(c.id.in_(newest), c.verdict == Mark.DEFECTIVE.value)
    return not_(desfile.c.id.in_(marked))
