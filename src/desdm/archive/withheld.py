"""Files that fit a query and are not returned by it, each with the reason: marked JUNK, deleted, of a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.model import Scope
from desdm.schema.states import DataState

__all__ = ["Withheld", "outside", "unfit_reasons", "withheld"]

_NO_COPY = "no sound copy of it is in the archive (see: desdm audit)"


@dataclass(frozen=True, slots=True)
class Withheld:
    """A file that a query does not return (its ``row`` has id, filename, expnum, ccdnum, band, nite), and why."""

    row: Mapping[str, Any]
    reason: str


def unfit_reasons(conn: Connection, attempts: Iterable[int], scope: Scope | None = None) -> dict[int, str]:
    """Say of attempts why their data must not be used: their state, by whom and why; those for use are missing.

    Parameters
    ----------
    attempts
        Numbers of the attempts.
    scope
        Where data are looked for; None: everywhere.
    """
    numbers = sorted(set(attempts))
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    junk = [n for n, one in facts.items() if one.junk]
    pruned = [n for n, one in facts.items() if one.data_state is DataState.PRUNED]
    marks = store.last_marks(conn, junk, DataState.JUNK) if junk else {}
    deletions = store.last_marks(conn, pruned, DataState.PRUNED) if pruned else {}
    reasons: dict[int, str] = {}
    for number, one in facts.items():
        other = "" if scope is None else outside(one, scope)
        # What never counted was not lost with its files.
        if one.junk or (one.data_state is DataState.PRUNED and not other):
            acts = [
                f"{verb} by {act.who}: {act.reason}"
                for verb, act in (
                    ("marked", marks.get(number)),
                    ("its files were deleted", deletions.get(number)),
                )
                if act is not None
            ]
            state = DataState.JUNK.value if one.junk else one.data_state.value
            reasons[number] = f"its run {one.run} is {state}{': ' if acts else ''}{'; '.join(acts)}"
        elif other:
            reasons[number] = f"its run {one.run} is {other}"
        elif not one.good:
            reasons[number] = f"its run {one.run} is {one.state.value}, data {one.data_state.value}"
    return reasons


def outside(attempt: store.AttemptFacts, scope: Scope) -> str:
    """Say what puts an attempt outside a scope; empty: it lies in it."""
    if attempt.run_class not in scope.run_classes:
        known = ", ".join(c.value for c in scope.run_classes)
        return f"a {attempt.run_class.value} run; runs of class {known} count"
    for what, mine, wanted in (
        ("project", attempt.project, scope.project),
        ("campaign", attempt.campaign, scope.campaign),
    ):
        if wanted and mine != wanted:
            return f"of {what} {mine}; runs of {what} {wanted} count"
    return ""


def withheld(
    conn: Connection,
    query: Mapping[str, str],
    matches: Sequence[Mapping[str, Any]],
    scope: Scope | None = None,
    *,
    key: Callable[[Mapping[str, Any]], object] = lambda row: (row["expnum"], row["ccdnum"], row["band"]),
) -> list[Withheld]:
    """Return the files that fit a query but must not be used, of subjects of which it finds nothing else.

    Parameters
    ----------
    query, scope
        As of `desdm.archive.catalog.find`. Attempts of other projects and campaigns are not looked at.
    matches
        What the query returned.
    key
        Subject of a row: two files of one subject stand for one another. Exposure, CCD and band.
    """
    rows = catalog.withheld_rows(conn, query, scope)
    have = {key({"expnum": None, "ccdnum": None, "band": None, **row}) for row in matches} if rows else set()
    left = [row for row in rows if key(row) not in have]
    numbers = {int(row["pfw_attempt_id"]) for row in left if row["pfw_attempt_id"] is not None}
    reasons = unfit_reasons(conn, numbers, scope) if numbers else {}
    deleted = store.deletions_of(conn, [int(r["id"]) for r in left if r["pfw_attempt_id"] not in reasons])
    return [Withheld(row, reasons.get(row["pfw_attempt_id"]) or _gone(row, deleted)) for row in left]


def _gone(row: Mapping[str, Any], deleted: Mapping[int, tuple[str, str]]) -> str:
    """Say what became of a file that has no sound copy: deleted, by whom and why, or missing."""
    if int(row["id"]) not in deleted:
        return _NO_COPY
    who, reason = deleted[int(row["id"])]
    return f"it was deleted by {who}: {reason} (until its bytes go: desdm delete --undelete)"
