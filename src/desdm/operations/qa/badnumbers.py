"""QA numbers beyond the outer bounds of a threshold, proposed as problems of what they are of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from desdm.archive.catalog import attempt_number
from desdm.archive.model import Scope
from desdm.quality.qa.outliers import Outlier, outliers_of
from desdm.quality.qa.subjects import ccd_name, subject_of_attempt
from desdm.release.problems import Proposal, propose_problem
from desdm.schema.operationstates import Severity, SubjectKind

__all__ = ["propose_bad_numbers"]

#: Numbers that the text of a problem names.
_NAMED = 10


def propose_bad_numbers(conn: Connection, scope: Scope, run: str, *, who: str, now: datetime) -> list[int]:
    """Propose a problem for each CCD, or for the whole, of a run whose numbers are bad; return their numbers.

    Until a person has confirmed or rejected it, what it is about cannot be blessed.

    Parameters
    ----------
    conn
        Connection in a transaction.
    scope
        Project, campaign and run classes that are production; of other runs nothing is proposed.
    run
        Name of a run that has ended.
    who, now
        Program that proposes, and time (UTC).
    """
    attempt_id = attempt_number(conn, run)
    subject = subject_of_attempt(conn, attempt_id)
    by_ccd: dict[int, list[Outlier]] = {}
    for one in outliers_of(conn, attempt_id, scope):
        if one.bad:
            by_ccd.setdefault(one.number.ccdnum if subject.expnum is not None else 0, []).append(one)
    numbers = []
    for ccdnum, bad in sorted(by_ccd.items()):
        kind, name = subject.kind, subject.name
        if ccdnum and subject.expnum is not None:
            kind, name = SubjectKind.CCD, ccd_name(subject.expnum, ccdnum)
        text = "; ".join(one.text for one in bad[:_NAMED])
        proposal = Proposal(
            kind.value,
            name,
            f"bad {bad[0].number.metric}",
            text,
            Severity.BLOCK,
            f"numbers:{run}:{name}"[:200],
            attempt_id=attempt_id,
        )
        numbers.append(propose_problem(conn, proposal, who=who, now=now))
    return numbers
