"""Close problems of the problem list: one that was said to be fixed is closed as fixed, unless a person says otherwise."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from desdm.release import problems
from desdm.schema.operationstates import ProblemState, Resolution

__all__ = ["close_problem"]


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
    """Close a problem as `desdm.release.problems.close_problem` does; one in state fixed needs a run or test.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number, resolution, who
        Number of the problem, how it was resolved, and the user who closes it.
    code
        How it was resolved, from the closed list; None: fixed if it is in state fixed, or if a test or run shows it.
    proof
        Kind (run or test) and name of evidence, which is added.
    now
        Time, UTC; None: the clock's.

    Returns
    -------
    bool
        Whether a test or run shows that the problem is gone.

    Raises
    ------
    NotFoundError
        No open problem has this number.
    ConflictError
        Nobody has confirmed it yet.
    UsageError
        There is no resolution, or no evidence where one is needed.
    """
    state = problems.problem_file(conn, number).problem.state
    if code is None and state is ProblemState.FIXED:
        code = Resolution.FIXED
    return problems.close_problem(conn, number, resolution, who=who, code=code, proof=proof, now=now)
