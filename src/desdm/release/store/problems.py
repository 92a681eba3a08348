"""Rows of the problem list, of its history and of its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from desdm.release.model import Evidence, Problem, ProblemNote
from desdm.schema import problem, problem_evidence, problem_note
from desdm.schema.operationstates import ProblemState, Resolution, Severity

__all__ = [
    "BLOCKING",
    "count_again",
    "evidence_of",
    "insert_evidence",
    "insert_note",
    "insert_problem",
    "lock_problem_keys",
    "notes_of",
    "open_problem_with_key",
    "open_problems",
    "problem_by_number",
    "problems",
    "set_impression",
    "set_owner",
    "set_problem_state",
    "set_severity",
]

#: Severities that block.
BLOCKING = (Severity.STOP, Severity.BLOCK)

#: Characters of a title, and of a person's or program's name.
_TITLE, _WHO = 160, 32
_COLUMNS = [problem.c[name] for name in Problem.__slots__]
_ENDED = (ProblemState.CLOSED.value, ProblemState.REJECTED.value)
#: Number of the advisory lock on keys of problems.
_KEYS = 0x0DE55B21


def _problem(row: Row[tuple[object, ...]]) -> Problem:
    """Return the record of a row of `_COLUMNS`."""
    values = dict(row._mapping)
    code = values["resolution_code"]
    values["state"], values["severity"] = ProblemState(values["state"]), Severity(values["severity"])
    values["resolution_code"] = Resolution(code) if code else None
    return Problem(**values)


def problems(conn: Connection) -> list[Problem]:
    """Return the whole problem list, oldest first."""
    return [_problem(row) for row in conn.execute(select(*_COLUMNS).order_by(problem.c.id))]


def open_problems(conn: Connection) -> list[Problem]:
    """Return the problems that are neither closed nor rejected, oldest first."""
    query = select(*_COLUMNS).where(problem.c.state.not_in(_ENDED), problem.c.closed_at.is_(None))
    return [_problem(row) for row in conn.execute(query.order_by(problem.c.id))]


def problem_by_number(conn: Connection, number: int) -> Problem | None:
    """Return a problem, whose row nobody else changes until the end of a writing transaction; None: no such number."""
    query = select(*_COLUMNS).where(problem.c.id == number)
    if conn.get_execution_options().get("desdm_write"):
        query = query.with_for_update()
    row = conn.execute(query).first()
    return None if row is None else _problem(row)


def lock_problem_keys(conn: Connection) -> None:
    """Until the end of the transaction no other program proposes a problem; on SQLite the writer is alone anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_KEYS)))


def open_problem_with_key(conn: Connection, key: str) -> Problem | None:
    """Return the newest open problem with the key of a program; None without one."""
    query = select(*_COLUMNS).where(problem.c.dedupe_key == key, problem.c.state.not_in(_ENDED))
    row = conn.execute(query.order_by(problem.c.id.desc()).limit(1)).first()
    return None if row is None else _problem(row)


def insert_problem(
    conn: Connection,
    kind: str,
    subject: str,
    text: str,
    *,
    severity: Severity,
    state: ProblemState,
    who: str,
    when: datetime,
    title: str = "",
    impression: str = "",
    dedupe_key: str | None = None,
    attempt_id: int | None = None,
) -> int:
    """Insert an open problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    kind, subject
        Kind of the subject, and its name.
    text
        Description of the problem.
    severity, state
        Severity, which decides whether it blocks; new or confirmed.
    who, when
        User or program that opens it, and time (UTC).
    title, impression
        One line; what is affected.
    dedupe_key
        Key of a program for the same trouble; None: of a person.
    attempt_id
        Attempt in which it was seen.

    Returns
    -------
    int
        Number of the problem.
    """
    values = insert(problem).values(
        subject_kind=kind,
        subject=subject,
        text=text,
        blocks=severity in BLOCKING,
        opened_by=who[:_WHO],
        opened_at=when,
        title=(title or text.splitlines()[0])[:_TITLE],
        state=state.value,
        severity=severity.value,
        impression=impression,
        dedupe_key=dedupe_key,
        occurrences=1,
        first_seen=when,
        last_seen=when,
        confirmed_by=who[:_WHO] if state is ProblemState.CONFIRMED else None,
        pfw_attempt_id=attempt_id,
    )
    key = conn.execute(values).inserted_primary_key
    assert key is not None
    return int(key[0])


def count_again(conn: Connection, number: int, when: datetime, attempt_id: int | None = None) -> None:
    """Count one more occurrence of a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    when
        Time of the occurrence, UTC.
    attempt_id
        Attempt in which it was seen; None: the one that is known stays.
    """
    values: dict[str, Any] = {"occurrences": problem.c.occurrences + 1, "last_seen": when}
    if attempt_id is not None:
        values["pfw_attempt_id"] = attempt_id
    conn.execute(update(problem).where(problem.c.id == number).values(values))


def set_problem_state(
    conn: Connection,
    number: int,
    before: ProblemState,
    after: ProblemState,
    *,
    who: str,
    when: datetime,
    resolution: str | None = None,
    code: Resolution | None = None,
) -> bool:
    """Change the state of a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    before, after
        States; the database refuses a change that is not lawful.
    who, when
        User who changes it, and time (UTC).
    resolution, code
        How it was resolved, in words and from the closed list, of one that is closed or rejected.

    Returns
    -------
    bool
        False if it was not in the state before.
    """
    values: dict[str, str | datetime | None] = {"state": after.value}
    if after is ProblemState.CONFIRMED and before is ProblemState.NEW:
        values["confirmed_by"] = who[:_WHO]
    if after.value in _ENDED:
        values |= {"closed_by": who[:_WHO], "closed_at": when, "resolution": resolution}
        values["resolution_code"] = code.value if code else None
    where = (problem.c.id == number) & (problem.c.state == before.value)
    return conn.execute(update(problem).where(where).values(values)).rowcount == 1


def set_owner(conn: Connection, number: int, owner: str) -> None:
    """Set who works on a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    owner
        Login.
    """
    conn.execute(update(problem).where(problem.c.id == number).values(owner=owner[:_WHO]))


def set_impression(conn: Connection, number: int, text: str) -> None:
    """Set what a problem affects, and how much it matters.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    text
        The words.
    """
    conn.execute(update(problem).where(problem.c.id == number).values(impression=text))


def set_severity(conn: Connection, number: int, severity: Severity) -> None:
    """Set the severity of a problem; whether it blocks follows.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    severity
        The new severity.
    """
    values = {"severity": severity.value, "blocks": severity in BLOCKING}
    conn.execute(update(problem).where(problem.c.id == number).values(values))


def insert_note(
    conn: Connection,
    number: int,
    text: str,
    *,
    who: str,
    when: datetime,
    change: tuple[ProblemState | None, ProblemState] | None = None,
    severity: Severity | None = None,
) -> None:
    """Add an entry to the history of a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    text
        What was done, and why.
    who, when
        Author and time (UTC).
    change
        State before (None: it was opened) and after, of an entry that changed the state.
    severity
        New severity, of an entry that changed it.
    """
    before, after = change or (None, None)
    conn.execute(
        insert(problem_note).values(
            problem_id=number,
            noted_at=when,
            who=who[:_WHO],
            from_state=before.value if before else None,
            to_state=after.value if after else None,
            severity=severity.value if severity else None,
            text=text,
        )
    )


def notes_of(conn: Connection, number: int) -> list[ProblemNote]:
    """Return the history of a problem, oldest first."""
    c = problem_note.c
    query = select(c.id, c.noted_at, c.who, c.from_state, c.to_state, c.severity, c.text)
    return [
        ProblemNote(
            row[0],
            row[1],
            row[2],
            ProblemState(row[3]) if row[3] else None,
            ProblemState(row[4]) if row[4] else None,
            Severity(row[5]) if row[5] else None,
            row[6],
        )
        for row in conn.execute(query.where(c.problem_id == number).order_by(c.id))
    ]


def insert_evidence(
    conn: Connection, number: int, kind: str, ref: str, *, sha256: str | None, who: str, when: datetime
) -> None:
    """Add evidence to a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    kind, ref
        Kind of the evidence, and its name, text or address.
    sha256
        Digest of its bytes.
    who, when
        Author and time (UTC).
    """
    values = {"problem_id": number, "kind": kind, "ref": ref, "sha256": sha256}
    conn.execute(insert(problem_evidence).values(**values, who=who[:_WHO], added_at=when))


def evidence_of(conn: Connection, number: int) -> Sequence[Evidence]:
    """Return the evidence of a problem, oldest first."""
    c = problem_evidence.c
    query = select(c.id, c.kind, c.ref, c.sha256, c.who, c.added_at).where(c.problem_id == number)
    return [Evidence(*row) for row in conn.execute(query.order_by(c.id))]
