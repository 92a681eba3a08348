"""What counts now of a run and its exposures, beside what its own files say: marks, persons' verdicts, exclusions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive import store as archive
from desdm.archive.model import Scope
from desdm.archive.unsound import unsound
from desdm.archive.withheld import unfit_reasons
from desdm.framework.model import Attempt
from desdm.quality.qa import store
from desdm.quality.qa.exclusions import exclusions, exclusions_of_run
from desdm.quality.qa.selection import omissions, omitted_of_run
from desdm.quality.qa.uncounted import uncounted
from desdm.quality.qa.verdict import verdicts
from desdm.schema import EVALUATIONS
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name

__all__ = ["CurrentStanding", "CurrentVerdict", "current_standing", "rejected_inputs", "unsound_files"]


class CurrentVerdict(NamedTuple):
    """The verdict on an exposure that counts now; ``excluded``: the whole exposure is.

    ``words`` say what stands above the verdict of the run's own program; empty: nothing.
    """

    verdict: Verdict
    excluded: bool
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CurrentStanding:
    """What counts now of a run.

    Attributes
    ----------
    unfit
        Why its data must not be used; empty: they may be.
    verdicts
        Of the exposures that it has judged, by exposure number.
    excluded
        Exclusions in force of what it has processed, in words.
    omitted
        What its plan left out, in words, by reason.
    unsound
        Why files of it must not be used because of what they were made from, in words: JUNK runs, excluded exposures.
    rejected
        Exposures in force as rejected whose images it used, in words.
    """

    unfit: str = ""
    verdicts: Mapping[int, CurrentVerdict] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    unsound: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


def current_standing(conn: Connection, attempt: Attempt, scope: Scope) -> CurrentStanding:
    """Return what counts now of a run.

    Parameters
    ----------
    conn
        Connection to the database.
    attempt
        The run.
    scope
        Project, campaign and run classes of production.
    """
    return CurrentStanding(
        unfit_reasons(conn, [attempt.id], scope).get(attempt.id, ""),
        _verdicts(conn, attempt, scope),
        tuple(one.text for one in exclusions_of_run(conn, attempt.id)),
        tuple(omissions(omitted_of_run(conn, attempt.id))),
        tuple(unsound_files(conn, attempt.id)),
        tuple(rejected_inputs(conn, attempt, scope)),
    )


def unsound_files(conn: Connection, attempt_id: int) -> list[str]:
    """Say of the files of a run that must not be used because of their lineage how many they are, and why."""
    files = archive.files_of_attempts(conn, [attempt_id])
    reasons = unsound(conn, dict.fromkeys(files))
    # One reason is known of each file, others may hold too.
    texts = " or ".join(dict.fromkeys(sorted(reasons.values())))
    return [f"{len(reasons)} of {len(files)} files are {texts}"] if reasons else []


def rejected_inputs(conn: Connection, attempt: Attempt, scope: Scope) -> list[str]:
    """Say which exposures that a run has used, and has not judged itself, are rejected now.

    Parameters
    ----------
    conn
        Connection to the database.
    attempt
        The run.
    scope
        Project, campaign and run classes whose verdicts count.
    """
    if attempt.pipeline in EVALUATIONS or not (used := archive.exposures_of_attempt(conn, attempt.id)):
        return []
    rejected: dict[int, str] = {}
    for cut in EVALUATIONS:
        for row in verdicts(conn, cut, sorted(used), scope):
            if row["accepted"] == Verdict.REJECTED.value:
                why = f"{row['reason']} ({row['analyst']})" if row["reason"] else str(row["analyst"])
                rejected[row["expnum"]] = f"{exposure_name(row['expnum'])} is rejected: {why}"
    return [text for _, text in sorted(rejected.items())]


def _verdicts(conn: Connection, attempt: Attempt, scope: Scope) -> dict[int, CurrentVerdict]:
    """The verdicts that count of the exposures that a run has judged."""
    cut = attempt.pipeline
    expnums = store.exposures_of(conn, EVALUATIONS[cut], attempt.id) if cut in EVALUATIONS else []
    rows = {row["expnum"]: row for row in verdicts(conn, cut, expnums, scope)} if expnums else {}
    excluded = exclusions(conn, expnums)
    current: dict[int, CurrentVerdict] = {}
    for number in expnums:
        row = rows.get(number)
        words: list[str] = []
        if row is None:
            words = [one["reason"] for one in uncounted(conn, cut, set(rows), number, scope)]
        elif row["program"] == store.PERSON:
            words = [f"{row['reason']} ({row['analyst']})"]
        elif row["pfw_attempt_id"] != attempt.id:
            words = [
                f"the verdict of another run counts: {row['accepted']} ({row['reason'] or row['analyst']})"
            ]
        of_this = [one for one in excluded if one.expnum == number]
        current[number] = CurrentVerdict(
            Verdict(row["accepted"]) if row else Verdict.UNKNOWN,
            any(one.ccdnum is None for one in of_this),
            (*words, *(one.text for one in of_this)),
        )
    return current
