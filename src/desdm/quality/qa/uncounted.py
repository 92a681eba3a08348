"""Verdicts that do not count, and why: the run is JUNK, failed or a trial."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.archive.store import AttemptFacts, attempt_facts
from desdm.archive.withheld import outside, unfit_reasons
from desdm.quality.qa import store
from desdm.schema import EVALUATIONS
from desdm.schema.evaluation import EvaluationRow, ListedVerdict
from desdm.schema.states import AttemptState, DataState, Verdict
from desdm.schema.store import exposure_name

__all__ = ["COUNTS", "listed_verdict", "uncounted", "why_no_verdict"]

#: Value of key ``state`` of a verdict that counts.
COUNTS = "counts"
_MOST = 3


def listed_verdict(row: EvaluationRow, state: str = COUNTS) -> ListedVerdict:
    """Return a verdict for a list, with the state that tells whether it counts."""
    return {**row, "state": state, "unsound": "", "exclusions": []}


def uncounted(
    conn: Connection, cut: str, counting: Collection[int], expnum: int | None, scope: Scope
) -> list[ListedVerdict]:
    """Return a row for each exposure that a run has judged but of which no verdict counts; columns of firstcut_eval.

    ``accepted`` is Unknown, ``reason`` says of each run why its verdict does not count, and the further key ``state`` is
    the newest run's: junk, pruned, failed …, or its run class.

    Parameters
    ----------
    cut
        firstcut or finalcut.
    counting
        Exposures of which a verdict counts.
    expnum
        One exposure; None: all, but those that only runs outside ``scope`` have judged.
    scope
        Attempts whose verdicts count.
    """
    of_exposures: dict[int, list[EvaluationRow]] = {}
    for row in store.program_verdicts(conn, EVALUATIONS[cut], None if expnum is None else [expnum]):
        if row["expnum"] not in counting:
            of_exposures.setdefault(row["expnum"], []).append(row)
    numbers = sorted({row["pfw_attempt_id"] or 0 for rows in of_exposures.values() for row in rows})
    if not numbers:
        return []
    facts, reasons = attempt_facts(conn, numbers), unfit_reasons(conn, numbers, scope)
    uncounted_rows: list[ListedVerdict] = []
    for _, rows in sorted(of_exposures.items()):
        runs = list(dict.fromkeys(row["pfw_attempt_id"] or 0 for row in rows))
        mine = [n for n in runs if not outside(facts[n], scope)]
        if expnum is None and not mine:
            continue
        # A run of production says more than a later trial.
        best = (mine or runs)[0]
        row = next(r for r in rows if r["pfw_attempt_id"] == best)
        words = _joined([reasons[n] for n in runs if n in reasons])
        unknown: EvaluationRow = {
            **row,
            "accepted": Verdict.UNKNOWN.value,
            "reason": f"no verdict counts: {words}",
        }
        uncounted_rows.append(listed_verdict(unknown, _state(facts[best])))
    return uncounted_rows


def why_no_verdict(conn: Connection, cut: str, expnum: int, scope: Scope) -> str:
    """Say why no verdict on an exposure counts, by its runs of a cut; empty: no run has processed it.

    Parameters
    ----------
    conn
        Connection to the database.
    cut
        Name of the cut.
    expnum
        Exposure number.
    scope
        Project, campaign and run classes whose verdicts count.
    """
    judged = {r["pfw_attempt_id"] or 0 for r in store.program_verdicts(conn, EVALUATIONS[cut], [expnum])}
    runs = sorted(judged | set(store.attempts_at(conn, cut, exposure_name(expnum))), reverse=True)
    if not runs:
        return ""
    facts, reasons = attempt_facts(conn, runs), unfit_reasons(conn, runs, scope)
    return _joined([reasons.get(n, f"its run {facts[n].run} gave no verdict") for n in runs])


def _joined(reasons: list[str]) -> str:
    """The first reasons, and how many more there are."""
    more = f"; {len(reasons) - _MOST} more" if len(reasons) > _MOST else ""
    return "; ".join(reasons[:_MOST]) + more


def _state(attempt: AttemptFacts) -> str:
    """What sets an attempt apart in one word."""
    if attempt.junk:
        return DataState.JUNK.value.lower()
    if attempt.data_state is DataState.PRUNED:
        return attempt.data_state.value.lower()
    if attempt.state not in (AttemptState.DONE, AttemptState.FLAGGED):
        return attempt.state.value
    return attempt.run_class.value
