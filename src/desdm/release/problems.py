"""The problem list: programs propose problems, people confirm, work on and close them; each change is in its history."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive.catalog import attempt_number
from desdm.errors import ConflictError, DesdmError, NotFoundError, UsageError
from desdm.release import store
from desdm.release.model import Evidence, Problem, ProblemNote
from desdm.schema.database import Database
from desdm.schema.operationstates import PROBLEM_CHANGES, ProblemState, Resolution, Severity
from desdm.schema.states import EventKind
from desdm.schema.store import exposure_name, record_event, require_reason

__all__ = [
    "EVIDENCE_KINDS",
    "KINDS",
    "ProblemFile",
    "Proposal",
    "add_evidence",
    "add_note",
    "close_problem",
    "confirm_problem",
    "fix_problem",
    "open_problem",
    "problem_file",
    "problems",
    "propose_problem",
    "reject_problem",
    "reopen_problem",
    "report_file",
    "set_severity",
    "take_problem",
    "withdraw_proposal",
]

_LOG = logging.getLogger(__name__)

#: Kinds of subjects of a problem.
KINDS = (
    "release",
    "tag",
    "tile",
    "exposure",
    "ccd",
    "attempt",
    "unit",
    "file",
    "nite",
    "delivery",
    "notice",
)

#: Kinds of evidence.
EVIDENCE_KINDS = ("run", "test", "file", "message", "number", "page", "bundle", "answer")
#: Kinds of evidence by which a problem is shown to be gone.
_PROOFS = ("run", "test")

problems = store.problems


class Proposal(NamedTuple):
    """A problem that a program proposes.

    Attributes
    ----------
    kind, subject
        Kind of the subject (one of `KINDS`), and its name.
    title, text
        One line, and the description.
    severity
        Severity that the program suggests.
    dedupe_key
        Key of the trouble: while a problem with this key is open, the same trouble counts as an occurrence.
    impression
        What is affected, and how much it matters.
    attempt_id
        Number of the attempt in which it was seen.
    """

    kind: str
    subject: str
    title: str
    text: str
    severity: Severity
    dedupe_key: str
    impression: str = ""
    attempt_id: int | None = None


@dataclass(frozen=True, slots=True)
class ProblemFile:
    """A problem with its history and evidence."""

    problem: Problem
    notes: tuple[ProblemNote, ...]
    evidence: tuple[Evidence, ...]


def problem_file(conn: Connection, number: int) -> ProblemFile:
    """Return a problem with its history and evidence; `NotFoundError` if there is none of this number."""
    problem = _required(conn, number)
    return ProblemFile(problem, tuple(store.notes_of(conn, number)), tuple(store.evidence_of(conn, number)))


def open_problem(
    conn: Connection,
    kind: str,
    subject: str,
    text: str,
    *,
    blocks: bool = True,
    who: str,
    severity: Severity | None = None,
    title: str = "",
    impression: str = "",
    now: datetime | None = None,
) -> int:
    """Enter a problem that a person has seen: it is confirmed from the beginning.

    Parameters
    ----------
    conn
        Connection in a transaction.
    kind, subject
        Kind of the subject (one of `KINDS`), and its name.
    text
        Description of the problem.
    blocks
        Without ``severity``: whether it is of severity block, or else degrade.
    who
        User who opens it.
    severity
        Severity, by its effect; None: by ``blocks``.
    title, impression
        One line (default: the first of the text); what is affected, and how much it matters.
    now
        Time, UTC; None: the clock's.

    Returns
    -------
    int
        Number of the problem.

    Raises
    ------
    UsageError
        The kind is none of `KINDS`, or subject or text is empty.
    """
    _require_subject(kind, subject, text)
    severity = severity or (Severity.BLOCK if blocks else Severity.DEGRADE)
    when, subject, text = now or _now(), subject.strip(), text.strip()
    number = store.insert_problem(
        conn,
        kind,
        subject,
        text,
        severity=severity,
        state=ProblemState.CONFIRMED,
        who=who,
        when=when,
        title=title.strip(),
        impression=impression.strip(),
    )
    store.insert_note(
        conn, number, text, who=who, when=when, change=(None, ProblemState.CONFIRMED), severity=severity
    )
    event = f"problem {number} opened: {kind} {subject}"
    event += "" if severity in store.BLOCKING else ", blocks nothing"
    record_event(conn, EventKind.PROBLEM, who, event, subject=_event_subject(kind, subject), reason=text)
    return number


def propose_problem(conn: Connection, proposal: Proposal, *, who: str, now: datetime) -> int:
    """Enter a problem that a program has seen, or count it once more where one with its key is open.

    A new problem of severity stop or block forbids to bless its subject at once; it blocks a release once a person
    confirms it.

    Parameters
    ----------
    conn
        Connection in a transaction.
    proposal
        What the program saw.
    who, now
        Program, and time (UTC).

    Returns
    -------
    int
        Number of the problem.

    Raises
    ------
    UsageError
        The kind is none of `KINDS`, or subject, text or key is empty.
    """
    kind, subject, text = proposal.kind, proposal.subject.strip(), proposal.text.strip()
    _require_subject(kind, subject, text)
    if not proposal.dedupe_key.strip():
        raise UsageError(
            "a program that proposes a problem gives its key, by which the same trouble is known"
        )
    store.lock_problem_keys(conn)
    known = store.open_problem_with_key(conn, proposal.dedupe_key)
    if known is not None:
        store.count_again(conn, known.id, now, proposal.attempt_id)
        return known.id
    number = store.insert_problem(
        conn,
        kind,
        subject,
        text,
        severity=proposal.severity,
        state=ProblemState.NEW,
        who=who,
        when=now,
        title=proposal.title.strip(),
        impression=proposal.impression.strip(),
        dedupe_key=proposal.dedupe_key,
        attempt_id=proposal.attempt_id,
    )
    store.insert_note(
        conn, number, text, who=who, when=now, change=(None, ProblemState.NEW), severity=proposal.severity
    )
    event = f"problem {number} proposed: {kind} {subject}, {proposal.severity.value}"
    subject = _event_subject(kind, subject)
    record_event(conn, EventKind.PROBLEM, who, event, proposal.attempt_id, subject=subject, reason=text)
    return number


def withdraw_proposal(conn: Connection, key: str, reason: str, *, who: str, now: datetime) -> int | None:
    """Withdraw what a program proposed and nobody confirmed, as its cause is gone; return its number, None without one.

    Parameters
    ----------
    conn
        Connection in a transaction.
    key
        Key of the trouble.
    reason
        Why it does not hold any more.
    who, now
        Program, and time (UTC).
    """
    store.lock_problem_keys(conn)
    known = store.open_problem_with_key(conn, key)
    if known is None or known.state is not ProblemState.NEW:
        return None
    return reject_problem(conn, known.id, reason, who=who, now=now).id


def confirm_problem(conn: Connection, number: int, reason: str, *, who: str, now: datetime) -> Problem:
    """Confirm a new problem, or take back that one is fixed or in work; it then blocks releases by its severity.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number, reason
        Number of the problem, and why.
    who, now
        User, and time (UTC).

    Returns
    -------
    Problem
        The problem after the change; so do the other verbs.

    Raises
    ------
    NotFoundError
        There is no such problem.
    ConflictError
        Its state does not allow this.
    UsageError
        No reason is given.
    """
    require_reason(reason)
    return _change(conn, number, ProblemState.CONFIRMED, reason, who=who, now=now)


def take_problem(conn: Connection, number: int, reason: str, *, who: str, now: datetime) -> Problem:
    """Begin to work on a confirmed problem; ``who`` owns it from now on.

    Parameters
    ----------
    conn, number, reason, who, now
        As of `confirm_problem`; a reason may be empty here.
    """
    changed = _change(
        conn, number, ProblemState.IN_WORK, reason.strip() or f"{who} takes it", who=who, now=now
    )
    store.set_owner(conn, number, who)
    return _required(conn, changed.id)


def fix_problem(conn: Connection, number: int, reason: str, *, who: str, now: datetime) -> Problem:
    """Say that a problem is gone; it is closed when a test or run has shown it.

    Parameters
    ----------
    conn, number, reason, who, now
        As of `confirm_problem`.
    """
    require_reason(reason)
    return _change(conn, number, ProblemState.FIXED, reason, who=who, now=now)


def reject_problem(
    conn: Connection,
    number: int,
    reason: str,
    *,
    code: Resolution = Resolution.NOT_A_FAULT,
    who: str,
    now: datetime,
) -> Problem:
    """Say that what is on the list is not a problem.

    Parameters
    ----------
    conn, number, reason, who, now
        As of `confirm_problem`.
    code
        Not a fault, duplicate, or will not be fixed.
    """
    require_reason(reason)
    if code not in (Resolution.NOT_A_FAULT, Resolution.DUPLICATE, Resolution.WONT_FIX):
        raise UsageError(
            f"a problem that is {code.value} is closed, not rejected: desdm problem close {number} RESOLUTION"
        )
    return _change(conn, number, ProblemState.REJECTED, reason, who=who, now=now, code=code)


def reopen_problem(conn: Connection, number: int, reason: str, *, who: str, now: datetime) -> Problem:
    """Set a problem that was said to be fixed to confirmed again; one that is closed is entered anew.

    Parameters
    ----------
    conn, number, reason, who, now
        As of `confirm_problem`.

    Returns
    -------
    Problem
        The problem; of a closed or rejected one the new problem, which names the earlier one.
    """
    require_reason(reason)
    earlier = _required(conn, number)
    if earlier.state in (ProblemState.FIXED, ProblemState.IN_WORK):
        return _change(conn, number, ProblemState.CONFIRMED, reason, who=who, now=now)
    if earlier.closed_at is None:
        raise ConflictError(f"problem {number} is {earlier.state.value}: it is open")
    again = open_problem(
        conn,
        earlier.subject_kind,
        earlier.subject,
        f"{earlier.text}\nAgain, after problem {number}: {reason}",
        who=who,
        severity=earlier.severity,
        title=earlier.title,
        impression=earlier.impression,
        now=now,
    )
    store.insert_note(conn, number, f"opened again as problem {again}: {reason}", who=who, when=now)
    return _required(conn, again)


def set_severity(
    conn: Connection, number: int, severity: Severity, reason: str, *, who: str, now: datetime
) -> Problem:
    """Change the severity of an open problem; whether it blocks follows.

    Parameters
    ----------
    conn, number, reason, who, now
        As of `confirm_problem`.
    severity
        The new severity.
    """
    require_reason(reason)
    problem = _required_open(conn, number)
    if problem.severity is severity:
        return problem
    store.set_severity(conn, number, severity)
    store.insert_note(conn, number, reason.strip(), who=who, when=now, severity=severity)
    text = f"problem {number}: severity {severity.value}, was {problem.severity.value}"
    _record(conn, problem, who, text, reason)
    return _required(conn, number)


def add_note(
    conn: Connection, number: int, text: str, *, impression: bool = False, who: str, now: datetime
) -> None:
    """Add words to the history of a problem.

    Parameters
    ----------
    conn, number, who, now
        As of `confirm_problem`.
    text
        The words.
    impression
        The words are also what is affected, and how much it matters.
    """
    if not text.strip():
        raise UsageError("say what is to be noted")
    problem = _required(conn, number)
    if impression:
        store.set_impression(conn, number, text.strip())
    store.insert_note(conn, number, text.strip(), who=who, when=now)
    _record(conn, problem, who, f"problem {number}: a note", text)


def add_evidence(
    conn: Connection,
    number: int,
    kind: str,
    ref: str,
    *,
    sha256: str | None = None,
    who: str,
    now: datetime,
) -> None:
    """Add evidence to a problem.

    Parameters
    ----------
    conn, number, who, now
        As of `confirm_problem`.
    kind, ref
        One of `EVIDENCE_KINDS`; name of the run, test or file, text of the message, address.
    sha256
        Digest of the bytes of a file.

    Raises
    ------
    NotFoundError
        There is no such problem, or no such run.
    """
    if kind not in EVIDENCE_KINDS:
        raise UsageError(f"evidence is one of {', '.join(EVIDENCE_KINDS)}; not {kind!r}")
    if not ref.strip():
        raise UsageError("name the evidence")
    problem = _required(conn, number)
    if kind == "run":
        attempt_number(conn, ref)
    store.insert_evidence(conn, number, kind, ref.strip(), sha256=sha256, who=who, when=now)
    _record(conn, problem, who, f"problem {number}: evidence, {kind} {ref.strip()}"[:2000], "")


def report_file(database: Database, release: str, path: str, text: str, who: str) -> int | None:
    """Enter a problem for a file of a release whose bytes differ from the release, unless one is open.

    Damaged bytes are measured and not an opinion of a program: the problem is confirmed, and blocks, at once. A list
    that cannot be written is logged and not raised: the caller must still report the file.

    Parameters
    ----------
    database
        Database of the installation.
    release, path
        Name of the release, and path of the file in it.
    text
        Description of the problem.
    who
        User or program that detected it.

    Returns
    -------
    int or None
        Number of the problem; None if the list cannot be written.
    """
    subject = f"{release}/{path}"[:200]
    try:
        with database.read() as conn:
            number = _number_of(conn, subject)
        if number is not None:
            return number
        with database.write() as conn:
            number = _number_of(conn, subject)
            return number if number is not None else open_problem(conn, "file", subject, text, who=who)
    except DesdmError as err:
        _LOG.error("%s: %s; the problem list could not be written: %s", subject, text, err)
        return None


def close_problem(
    conn: Connection,
    number: int,
    resolution: str,
    *,
    who: str,
    code: Resolution | None = None,
    proof: tuple[str, str] | None = None,
    now: datetime | None = None,
) -> bool:
    """Close a problem that is confirmed, in work or fixed.

    A problem that a program proposed, and one that is closed as fixed, needs a test or run as evidence. Another one that
    a person opened may be closed on a person's word.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    resolution
        How it was resolved.
    who
        User who closes it.
    code
        How it was resolved, from the closed list; None: fixed if it is in state fixed or a test or run shows it, else
        not said.
    proof
        Kind (run or test) and name of evidence, which is added.
    now
        Time, UTC; None: the clock's.

    Returns
    -------
    bool
        Whether a test or run shows that the problem is gone; False: it was closed on a person's word.

    Raises
    ------
    NotFoundError
        No open problem has this number.
    ConflictError
        Nobody has confirmed it yet.
    UsageError
        There is no resolution, or no evidence where one is needed.
    """
    if not resolution.strip():
        raise UsageError("say how it was resolved")
    when, resolution = now or _now(), resolution.strip()
    problem = _required_open(conn, number)
    if problem.state is ProblemState.NEW:
        raise ConflictError(
            f"problem {number} is new: confirm it first (desdm problem confirm {number} --reason TEXT), or reject it "
            f"(desdm problem reject {number} --reason TEXT)"
        )
    if code is None and problem.state is ProblemState.FIXED:
        code = Resolution.FIXED
    if proof is not None:
        if proof[0] not in _PROOFS:
            raise UsageError(f"a problem is shown to be gone by a run or a test, not by a {proof[0]}")
        add_evidence(conn, number, *proof, who=who, now=when)
    # Evidence of the fault itself shows nothing: what counts was added after the problem was entered.
    shown = any(
        e.kind in _PROOFS and e.added_at >= problem.opened_at for e in store.evidence_of(conn, number)
    )
    if not shown and (code is Resolution.FIXED or problem.dedupe_key is not None):
        raise UsageError(
            f"problem {number} is closed when a test or run shows that it is gone: desdm problem close {number} RESOLUTION "
            "--evidence run:NAME, or test:NAME"
        )
    code = code or (Resolution.FIXED if shown else None)
    if problem.state is not ProblemState.FIXED:
        _change(conn, number, ProblemState.FIXED, resolution, who=who, now=when, quiet=True)
    _change(conn, number, ProblemState.CLOSED, resolution, who=who, now=when, code=code)
    return shown


def _change(
    conn: Connection,
    number: int,
    after: ProblemState,
    reason: str,
    *,
    who: str,
    now: datetime,
    code: Resolution | None = None,
    quiet: bool = False,
) -> Problem:
    """Change the state of a problem, with an entry in its history and, unless ``quiet``, an event."""
    problem, reason = _required(conn, number), reason.strip()
    before = problem.state
    if after not in PROBLEM_CHANGES[before]:
        allowed = ", ".join(s.value for s in PROBLEM_CHANGES[before])
        hint = f"it can become {allowed}" if allowed else f"to open it again: desdm problem reopen {number}"
        raise ConflictError(f"problem {number} is {before.value}, and cannot become {after.value}; {hint}")
    if not store.set_problem_state(
        conn, number, before, after, who=who, when=now, resolution=reason, code=code
    ):
        raise ConflictError(
            f"problem {number} was changed by somebody else; see: desdm problem show {number}"
        )
    store.insert_note(conn, number, reason, who=who, when=now, change=(before, after))
    if not quiet:
        _record(
            conn,
            problem,
            who,
            f"problem {number} {after.value}: {problem.subject_kind} {problem.subject}",
            reason,
        )
    return _required(conn, number)


def _record(conn: Connection, problem: Problem, who: str, text: str, reason: str) -> None:
    """Record an event on a problem."""
    subject = _event_subject(problem.subject_kind, problem.subject)
    record_event(
        conn, EventKind.PROBLEM, who, text, problem.pfw_attempt_id, subject=subject, reason=reason.strip()
    )


def _required(conn: Connection, number: int) -> Problem:
    """Return a problem; `NotFoundError` if there is none of this number."""
    problem = store.problem_by_number(conn, number)
    if problem is None:
        raise NotFoundError(f"no problem {number}; see: desdm problem list --all")
    return problem


def _required_open(conn: Connection, number: int) -> Problem:
    """Return an open problem; `NotFoundError` if there is none of this number."""
    problem = store.problem_by_number(conn, number)
    if problem is None or problem.closed_at is not None:
        raise NotFoundError(f"no open problem {number}; see: desdm problem list")
    return problem


def _require_subject(kind: str, subject: str, text: str) -> None:
    """Raise `UsageError` for an unknown kind, or without a subject or text."""
    if kind not in KINDS:
        raise UsageError(f"a problem is about one of {', '.join(KINDS)}; not {kind!r}")
    if not text.strip() or not subject.strip():
        raise UsageError("say what it is about and what is wrong")


def _number_of(conn: Connection, subject: str) -> int | None:
    """Return the number of the open problem of a file; None without one."""
    problems_of_file = (
        p for p in store.open_problems(conn) if (p.subject_kind, p.subject) == ("file", subject)
    )
    return next((p.id for p in problems_of_file), None)


def _event_subject(kind: str, subject: str) -> str:
    """Return the subject of the event: the name of an exposure for its number, others unchanged."""
    digits = subject.strip().lower().removeprefix("d")
    return exposure_name(int(digits)) if kind == "exposure" and digits.isdecimal() else subject.strip()


def _now() -> datetime:
    """Return the time, UTC without time zone."""
    return datetime.now(UTC).replace(tzinfo=None)
