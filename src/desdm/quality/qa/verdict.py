"""Verdicts on exposures: those of programs, and a person's, which stands above them; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.errors import NotFoundError
from desdm.quality.qa import store
from desdm.quality.qa.contents import evaluation
from desdm.quality.qa.model import NewReview
from desdm.quality.qa.uncounted import why_no_verdict
from desdm.schema import EVALUATIONS
from desdm.schema.evaluation import EvaluationRow
from desdm.schema.operationstates import ReviewCause, SubjectKind
from desdm.schema.states import EventKind, Verdict
from desdm.schema.store import exposure_name, record_event, require_reason

__all__ = ["Standing", "overrule", "record", "standings", "verdict_words", "verdicts", "withdraw"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The verdicts on an exposure that count.

    Attributes
    ----------
    person
        A person's verdict, whichever cut it was recorded after; None: no person judged the exposure.
    programs
        Cut (firstcut, finalcut) → verdict of its program.
    words
        Cut, or ``person`` → the reason in words.
    """

    person: Verdict | None
    programs: Mapping[str, Verdict]
    words: Mapping[str, str]

    def of(self, cut: str) -> tuple[Verdict, str]:
        """Return the verdict that counts for products of a cut, with its reason in words."""
        if self.person is not None:
            return self.person, self.words["person"]
        return self.programs.get(cut, Verdict.UNKNOWN), self.words.get(cut, "it has not been assessed")

    @property
    def overall(self) -> tuple[Verdict, str]:
        """The verdict on the exposure itself: a person's, else the latest cut's that is known, with its reason."""
        if self.person is not None:
            return self.person, self.words["person"]
        for cut in reversed(tuple(EVALUATIONS)):
            if self.programs.get(cut, Verdict.UNKNOWN) is not Verdict.UNKNOWN:
                return self.programs[cut], self.words[cut]
        return Verdict.UNKNOWN, next(iter(self.words.values()), "it has not been assessed")


def verdicts(
    conn: Connection, cut: str, expnums: Sequence[int] | None = None, scope: Scope | None = None
) -> list[EvaluationRow]:
    """Return the verdict of each exposure that counts for products of a cut; columns of firstcut_eval.

    A person's verdict that was recorded after another cut precedes the program's of this one, unless there is a newer
    one after this cut: its reason names the other cut.

    Parameters
    ----------
    cut
        firstcut or finalcut.
    expnums
        Exposures; None: all.
    scope
        Attempts whose verdicts count; None: ``survey`` attempts of every project and campaign.
    """
    rows = store.counting(conn, EVALUATIONS[cut], scope, expnums)
    for other, table in EVALUATIONS.items():
        if other == cut or not rows or not store.has_verdicts_of_persons(conn, table):
            continue
        persons = {
            row["expnum"]: row
            for row in store.counting(conn, table, scope, expnums)
            if row["program"] == store.PERSON
        }
        rows = [_overruled(row, persons.get(row["expnum"]), other) for row in rows]
    return rows


def verdict_words(
    conn: Connection, cut: str, scope: Scope | None = None
) -> dict[int, tuple[Verdict, float | None]]:
    """Return verdict and t_eff of every exposure as of `verdicts`, without the other columns: for tables of all of them.

    Parameters
    ----------
    conn
        Connection to the database.
    cut
        firstcut or finalcut.
    scope
        As of `verdicts`.
    """
    rows = store.counting_words(conn, EVALUATIONS[cut], scope)
    members = {one.value: one for one in Verdict}
    words = {row.expnum: (members[row.accepted], row.t_eff) for row in rows}
    for other, table in EVALUATIONS.items():
        if other == cut or not rows or not store.has_verdicts_of_persons(conn, table):
            continue
        judged = [
            row.expnum for row in store.counting_words(conn, table, scope) if row.program == store.PERSON
        ]
        for one in verdicts(conn, cut, judged, scope) if judged else ():
            words[one["expnum"]] = Verdict(one["accepted"]), one["t_eff"]
    return words


def _overruled(row: EvaluationRow, person: EvaluationRow | None, cut: str) -> EvaluationRow:
    """The verdict of a row with that of a person which was given after another cut, if that one counts."""
    if person is None:
        return row
    if row["program"] == store.PERSON and row["lastchanged_time"] > person["lastchanged_time"]:
        return row
    return {
        **row,
        "accepted": person["accepted"],
        "program": person["program"],
        "analyst": person["analyst"],
        "analyst_comment": person["analyst_comment"],
        "lastchanged_time": person["lastchanged_time"],
        "reason": f"{person['reason']} (after {cut})",
    }


def standings(conn: Connection, expnums: Sequence[int], scope: Scope | None = None) -> dict[int, Standing]:
    """Return what counts of each exposure that was judged at all; parameters as of `verdicts`.

    Parameters
    ----------
    conn
        Connection to the database.
    expnums
        Exposure numbers.
    scope
        Project, campaign and run classes whose verdicts count, see `verdicts`.
    """
    persons: dict[int, EvaluationRow] = {}
    programs: dict[int, dict[str, Verdict]] = {}
    words: dict[int, dict[str, str]] = {}
    for cut in EVALUATIONS:
        for row in store.counting(conn, EVALUATIONS[cut], scope, expnums):
            number = int(row["expnum"])
            of = words.setdefault(number, {})
            if row["program"] == store.PERSON:
                known = persons.get(number)
                # A person's newest word counts, whichever cut it was recorded after.
                if known is None or row["lastchanged_time"] >= known["lastchanged_time"]:
                    persons[number] = row
                    of["person"] = f"{row['reason']} ({row['analyst']})"
            else:
                programs.setdefault(number, {})[cut] = Verdict(row["accepted"])
                of[cut] = f"{row['reason']} ({row['analyst']})"
    return {
        number: Standing(
            Verdict(persons[number]["accepted"]) if number in persons else None, programs.get(number, {}), of
        )
        for number, of in words.items()
    }


def record(conn: Connection, cut: str, row: Mapping[str, object], attempt_id: int | None = None) -> None:
    """Add a verdict that no run's file holds: of an exposure that was not processed, or whose run failed.

    One that is Unknown, of an exposure that a run has processed, is put up for review.

    Parameters
    ----------
    conn
        Connection to the database.
    cut
        Name of the cut.
    row
        Values by column of the table of evaluations.
    attempt_id
        Number of the run that failed; None: the exposure was not processed.
    """
    values = {**evaluation(row), "pfw_attempt_id": attempt_id}
    store.add_evaluation(conn, EVALUATIONS[cut], values)
    if (
        attempt_id is not None
        and row["accepted"] == Verdict.UNKNOWN.value
        and row.get("program") != store.LIFTED
    ):
        name, nite, band = (str(values[key] or "") for key in ("exposurename", "nite", "band"))
        text = str(values["reason"] or "the verdict is Unknown")
        entry = NewReview(
            SubjectKind.EXPOSURE, name, attempt_id, nite or None, band or None, ReviewCause.UNKNOWN, text
        )
        store.insert_reviews(conn, [entry], datetime.now(UTC).replace(tzinfo=None))


def overrule(
    conn: Connection,
    cut: str,
    expnum: int,
    accepted: Verdict,
    reason: str,
    analyst: str,
    scope: Scope | None = None,
) -> bool:
    """Add a person's verdict on an exposure: the numbers stay, verdict and reason are the person's.

    Returns False, and adds nothing, if the verdict that counts is this one already: same person, verdict and reason.

    Parameters
    ----------
    cut
        firstcut or finalcut.
    expnum
        Exposure.
    accepted, reason, analyst
        The verdict, why, and who gives it.
    scope
        Attempts whose verdicts count.

    Raises
    ------
    UsageError
        No reason.
    NotFoundError
        The exposure has not been judged.
    """
    require_reason(reason)
    known = store.counting(conn, EVALUATIONS[cut], scope, [expnum])
    if not known:
        if why := why_no_verdict(conn, cut, expnum, scope or Scope("", "")):
            raise NotFoundError(
                f"exposure {expnum} was processed, but no verdict of {cut} on it counts: {why}; "
                f"it is kept out also of later runs by: desdm exclude {expnum} --reason TEXT"
            )
        raise NotFoundError(
            f"exposure {expnum} has no verdict in {cut}_eval, see: desdm verdict --cut {cut}; "
            f"an exposure that was not processed is kept out by: desdm exclude {expnum} --reason TEXT"
        )
    row = {
        **known[0],
        "accepted": accepted.value,
        "reason": f"overruled: {reason}",
        "program": store.PERSON,
        "analyst": analyst,
        "analyst_comment": reason,
    }
    if all(known[0][key] == row[key] for key in ("accepted", "program", "analyst", "analyst_comment")):
        return False
    record(conn, cut, row, known[0]["pfw_attempt_id"])
    text = f"{exposure_name(expnum)}: {cut} verdict {known[0]['accepted']} overruled: {accepted.value}"
    record_event(conn, EventKind.VERDICT, analyst, text, subject=exposure_name(expnum), reason=reason)
    return True


def withdraw(
    conn: Connection, cut: str, expnum: int, reason: str, analyst: str, scope: Scope | None = None
) -> None:
    """Withdraw the persons' verdicts on an exposure: the program's counts again; nothing is deleted.

    Parameters as of `overrule`.

    Parameters
    ----------
    conn
        Connection to the database.
    cut
        Name of the cut.
    expnum
        Exposure number.
    reason
        Why the verdicts are withdrawn.
    analyst
        Login of the person.
    scope
        Project, campaign and run classes whose verdicts count, see `verdicts`.

    Raises
    ------
    UsageError
        No reason.
    NotFoundError
        No person's verdict on the exposure counts.
    """
    require_reason(reason)
    known = store.counting(conn, EVALUATIONS[cut], scope, [expnum])
    if not known or known[0]["program"] != store.PERSON:
        others = [
            other
            for other, table in EVALUATIONS.items()
            if any(row["program"] == store.PERSON for row in store.counting(conn, table, scope, [expnum]))
        ]
        hint = f"; a person's verdict was given after {others[0]}: --cut {others[0]}" if others else ""
        raise NotFoundError(
            f"no person's verdict on exposure {expnum} counts in {cut}_eval; nothing to withdraw{hint}"
        )
    row = {**known[0], "program": store.LIFTED, "analyst": analyst, "analyst_comment": reason}
    record(conn, cut, row, known[0]["pfw_attempt_id"])
    left = store.counting(conn, EVALUATIONS[cut], scope, [expnum])
    now = f"{left[0]['accepted']} of {left[0]['analyst']} counts again" if left else "no other counts"
    text = f"{exposure_name(expnum)}: {cut} verdict of a person withdrawn; {now}"
    record_event(conn, EventKind.VERDICT, analyst, text, subject=exposure_name(expnum), reason=reason)
