"""Files that fit a query and are not returned by it, each with the reason: marked JUNK, deleted, of a trial."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.catalogfile import FileIdentity
from desdm.archive.model import Scope
from desdm.schema.states import DataState

__all__ = ["Withheld", "outside", "unfit_reasons", "withheld"]

_NO_COPY = "no sound copy of it is in the archive (see: desdm audit)"


@dataclass(frozen=True, slots=True)
class Withheld:
    """A file that a query does not return, and why."""

    file: FileIdentity
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
    conn: Connection, query: Mapping[str, str], scope: Scope | None = None, *, known: Collection[int] = ()
) -> list[Withheld]:
    """Return the files that fit a query but must not be used.

    Parameters
    ----------
    query, scope
        As of `desdm.archive.catalog.find`. Attempts of other projects and campaigns are not looked at.
    known
        Numbers of files that the query returned; they are left out.
    """
    left = [file for file in catalog.withheld_files(conn, query, scope) if file.id not in known]
    numbers = {file.pfw_attempt_id for file in left if file.pfw_attempt_id is not None}
    reasons = unfit_reasons(conn, numbers, scope) if numbers else {}
    deleted = store.deletions_of(conn, [file.id for file in left if file.pfw_attempt_id not in reasons])
    return [Withheld(file, reasons.get(file.pfw_attempt_id or 0) or _gone(file.id, deleted)) for file in left]


def _gone(number: int, deleted: Mapping[int, tuple[str, str]]) -> str:
    """Say what became of a file that has no sound copy: deleted, by whom and why, or missing."""
    if number not in deleted:
        return _NO_COPY
    who, reason = deleted[number]
    return f"it was deleted by {who}: {reason} (until its bytes go: desdm delete --undelete)"
