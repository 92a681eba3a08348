"""Acceptance of exposures: verdicts, exclusions, and the tags of accepted attempts that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.catalog import attempt_number
from desdm.archive.model import Scope
from desdm.archive.tags import tag, untag
from desdm.archive.unsound import (
    Reach,
    reach_of_exclusions,
    reach_of_files,
    reach_of_run,
    unsound_attempts,
)
from desdm.errors import NotFoundError, UsageError
from desdm.quality.qa.store import attempts_judged, exposures_of
from desdm.quality.qa.verdict import overrule, verdicts, withdraw
from desdm.schema import EVALUATIONS
from desdm.schema.evaluation import EvaluationRow, ListedVerdict
from desdm.schema.states import DataState, EventKind, Verdict
from desdm.schema.store import Act, exposure_name, record_event, record_events, require_reason
from desdm.survey.detectors import SCIENCE_CCDS
from desdm.texttable import time_text

__all__ = [
    "ACCEPTED",
    "TagChange",
    "VerdictRow",
    "accepted_tag",
    "exclude_exposure",
    "lift_exclusion",
    "refresh_tags_after_run",
    "refresh_tags_of_attempts",
    "refresh_tags_of_exposures",
    "refresh_tags_of_files",
    "refresh_tags_of_run",
    "require_manual_tag",
    "set_verdict",
    "withdraw_verdict",
]

#: A row of ``firstcut_eval``; of a night with ``exclusions``.
VerdictRow: TypeAlias = ListedVerdict

#: Tag of attempts whose exposure was accepted, by night: ``FIRSTCUT_ACCEPTED_20160101``.
ACCEPTED = "FIRSTCUT_ACCEPTED"


@dataclass(frozen=True, slots=True)
class TagChange:
    """Change of the accepted tags by one command: (tag, run) pairs added and removed, and a note for the user."""

    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    note: str = ""

    def __add__(self, other: TagChange) -> TagChange:
        """Return both changes as one."""
        notes = dict.fromkeys(n for n in (self.note, other.note) if n)
        return TagChange(self.added + other.added, self.removed + other.removed, "; ".join(notes))


def accepted_tag(nite: str) -> str:
    """Return the tag of a night's accepted attempts."""
    return f"{ACCEPTED}_{nite}"


def set_verdict(
    conn: Connection, cut: str, expnum: int, verdict: Verdict, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Record a human verdict on an exposure, and refresh the accepted tags.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    cut
        Pipeline that is assessed: firstcut or finalcut.
    expnum
        Number of the exposure.
    verdict, reason, who
        The verdict, its reason, and the person who gives it.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.

    Raises
    ------
    UsageError, NotFoundError
        Raised by `desdm.quality.qa.verdict.overrule`.
    """
    if not overrule(conn, cut, expnum, verdict, reason, who, scope):
        return TagChange(
            note=f"{exposure_name(expnum)} already has this verdict from {who}, with the same reason; nothing was changed"
        )
    changed = refresh_tags_of_exposures(
        conn, scope, [expnum], who=who, reason=f"verdict {verdict.value}: {reason}"
    )
    attempts = [
        row["pfw_attempt_id"] for row in verdicts(conn, cut, [expnum], scope) if row["pfw_attempt_id"]
    ]
    if verdict is not Verdict.REJECTED or not attempts:
        return changed
    reach = reach_of_run(conn, attempts[0])
    note = (
        f"these runs used it: {reach.text}; a release that contains their products cannot be published; repeat the "
        "runs"
    )
    return replace(changed, note=note) if reach.text else changed


def withdraw_verdict(
    conn: Connection, cut: str, expnum: int, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Withdraw the human verdicts on an exposure, and refresh the accepted tags; the program's verdict counts again.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    cut
        Pipeline that is assessed: firstcut or finalcut.
    expnum
        Number of the exposure.
    reason, who
        The reason, and the person.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.
    """
    withdraw(conn, cut, expnum, reason, who, scope)
    return refresh_tags_of_exposures(conn, scope, [expnum], who=who, reason=f"verdict withdrawn: {reason}")


def exclude_exposure(
    conn: Connection, expnum: int, ccdnum: int, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Exclude an exposure (``ccdnum`` 0) or one CCD of it from calibrations and coadds.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    expnum, ccdnum
        Numbers of exposure and CCD; CCD 0: the whole exposure.
    reason, who
        The reason, and the person.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.

    Raises
    ------
    UsageError
        No reason, or a number that no exposure or CCD has.
    """
    _require_valid_exclusion(expnum, ccdnum, reason)
    ccds = store.ccds_of_exposure(conn, expnum)
    if ccdnum > max({SCIENCE_CCDS, *(ccds or ())}):
        raise UsageError(f"CCD {ccdnum}: the camera has CCDs 1 to {SCIENCE_CCDS}; correct --ccd")
    # At most one exclusion of an exposure or CCD is in force, even if two people exclude it at the same time.
    store.lock_exclusions(conn)
    subject, subject_text = exposure_name(expnum), _exposure_and_ccd(expnum, ccdnum)
    for row in store.excluded(conn, [expnum]):
        if row["ccdnum"] == ccdnum:
            since = time_text(row["since"])
            note = f"{subject_text} is already excluded, by {row['analyst']} since {since} (UTC): {row['reason']}"
            if (row["reason"], row["analyst"]) == (reason, who):
                return TagChange(note=f"{note}; nothing was changed")
            text = f"{subject_text} was already excluded; one more reason"
            record_event(conn, EventKind.EXCLUDE, who, text, subject=subject, reason=reason)
            return TagChange(note=f"{note}; nothing was changed, but the new reason is recorded as an event")
    store.exclude(conn, expnum, ccdnum, reason, who)
    record_event(conn, EventKind.EXCLUDE, who, f"{subject_text} excluded", subject=subject, reason=reason)
    note = _unmatched_note(ccds, expnum, ccdnum)
    reach = reach_of_exclusions(conn, expnum, ccdnum)
    if reach.text:
        note = f"{note}; {_reach_note(reach)}" if note else _reach_note(reach)
    # One CCD does not change the acceptance of the exposure itself.
    if ccdnum and not reach.attempts:
        return TagChange(note=note)
    changed = _refresh_exposures_and_reach(
        conn, scope, [expnum], reach, who=who, reason=f"excluded: {reason}"
    )
    return replace(changed, note=note)


def lift_exclusion(
    conn: Connection, expnum: int, ccdnum: int | None, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Lift the exclusions of an exposure.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    expnum
        Number of the exposure.
    ccdnum
        The CCD; 0: the exclusion of the whole exposure; None: all that are in force.
    reason, who
        The reason, and the person.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.

    Raises
    ------
    UsageError
        No reason.
    NotFoundError
        No such exclusion is in force.
    """
    _require_valid_exclusion(expnum, ccdnum or 0, reason)
    # A plan that is being written is among those that used it, or sees that it is lifted.
    store.lock_exclusions(conn)
    reach = reach_of_exclusions(conn, expnum, ccdnum)
    count = store.lift_exclusion(conn, expnum, ccdnum, reason, who)
    subject_text = _exposure_and_ccd(expnum, ccdnum or 0)
    if not count:
        whole = [row for row in store.excluded(conn, [expnum]) if row["ccdnum"] == 0] if ccdnum else []
        if whole:
            raise NotFoundError(
                f"{subject_text} is not excluded on its own; the whole exposure is, by {whole[0]['analyst']}: "
                f"{whole[0]['reason']}. Lift that exclusion (desdm exclude {expnum} --lift --reason TEXT), then exclude "
                "the CCDs that must not be used"
            )
        raise NotFoundError(f"{subject_text} is not excluded; to list the exclusions: desdm exclude")
    text = f"{subject_text}: {'exclusion' if count == 1 else f'{count} exclusions'} lifted"
    record_event(conn, EventKind.EXCLUDE, who, text, subject=exposure_name(expnum), reason=reason)
    return _refresh_exposures_and_reach(
        conn, scope, [expnum], reach, who=who, reason=f"exclusion lifted: {reason}"
    )


def refresh_tags_of_exposures(
    conn: Connection, scope: Scope, expnums: Sequence[int], *, who: str, reason: str
) -> TagChange:
    """Set and remove accepted tags so that they agree with verdicts, exclusions and data states.

    An attempt of First Cut carries the tag of its night when it is the one whose verdict counts, in ``scope``, good and
    usable, its exposure accepted and not excluded, and one of its images sound: neither it nor what it derives from is
    defective, excluded or of a JUNK run.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.
    expnums
        Numbers of the exposures.
    who, reason
        Recorded with each tag that is set or removed.
    """
    rows = {int(v["expnum"]): v for v in verdicts(conn, "firstcut", expnums, scope)}
    excluded_expnums = {e["expnum"] for e in store.excluded(conn, expnums) if not e["ccdnum"]}
    attempt_ids = sorted({v["pfw_attempt_id"] for v in rows.values() if v["pfw_attempt_id"]})
    facts = store.attempt_facts(conn, attempt_ids)
    unsound_ids = unsound_attempts(conn, attempt_ids)
    accepted = {
        attempt_id: accepted_tag(str(v["nite"]))
        for expnum, v in rows.items()
        if (attempt_id := v["pfw_attempt_id"])
        and expnum not in excluded_expnums
        and attempt_id not in unsound_ids
        if _acceptable(v, facts, scope)
    }
    judged = attempts_judged(conn, EVALUATIONS["firstcut"], expnums)
    nites = {str(v["nite"]) for v in rows.values() if v["nite"]}
    tags = {accepted_tag(n) for n in nites} | set(store.tags_like(conn, ACCEPTED + "_"))
    acts: list[Act] = []
    added: list[tuple[str, str]] = []
    removed: list[tuple[str, str]] = []
    for name in sorted(tags):
        present = store.attempts_tagged(conn, name)
        names = store.attempt_names(conn, sorted(present | set(accepted)))
        added_runs = [names[n][0] for n, t in accepted.items() if t == name and n not in present]
        removed_runs = [names[n][0] for n in sorted(present & judged) if accepted.get(n) != name]
        if added_runs:
            text = f"accepted exposures of {name.removeprefix(ACCEPTED + '_')}"
            tag(conn, name, [], added_runs, who=who, description=text, reason=reason)
            added += [(name, run) for run in added_runs]
            acts += [
                Act(exposure_name(expnum), f"{run} received the tag {name}", reason)
                for run in added_runs
                for expnum in _exposures_of_run(conn, run)
            ]
        if removed_runs:
            untag(conn, name, [], removed_runs, who=who, reason=reason)
            removed += [(name, run) for run in removed_runs]
            acts += [
                Act(exposure_name(expnum), f"{run} lost the tag {name}", reason)
                for run in removed_runs
                for expnum in _exposures_of_run(conn, run)
            ]
    # The events of the tag name the run; these name the exposure, so that a search for the exposure finds them.
    record_events(conn, EventKind.TAG, who, acts)
    return TagChange(tuple(added), tuple(removed))


def refresh_tags_of_run(conn: Connection, scope: Scope, run: str, *, who: str, reason: str) -> TagChange:
    """Refresh the accepted tags of a run whose data state changed, and of the runs that used its files.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.
    run
        Name of the attempt.
    who, reason
        Author and reason of the change.
    """
    attempt_id = attempt_number(conn, run)
    reach = reach_of_run(conn, attempt_id)
    changed = refresh_tags_of_attempts(conn, scope, [attempt_id, *reach.attempts], who=who, reason=reason)
    junk = store.attempt_facts(conn, [attempt_id])[attempt_id].data_state is DataState.JUNK
    return replace(changed, note=_reach_note(reach)) if junk and reach.text else changed


def refresh_tags_of_files(
    conn: Connection, scope: Scope, files: Sequence[int], *, who: str, reason: str, defective: bool
) -> TagChange:
    """Refresh the accepted tags of the runs that produced files whose marks changed, and of those that used them.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.
    files
        Numbers of the files.
    who, reason
        Author and reason of the change.
    defective
        Whether they are defective now, so that the note names the runs that used them.
    """
    reach = reach_of_files(conn, files)
    attempts = {*store.attempts_of(conn, files), *reach.attempts}
    changed = refresh_tags_of_attempts(conn, scope, sorted(attempts), who=who, reason=reason)
    return replace(changed, note=_reach_note(reach)) if defective and reach.text else changed


def _refresh_exposures_and_reach(
    conn: Connection, scope: Scope, expnums: Sequence[int], reach: Reach, *, who: str, reason: str
) -> TagChange:
    """Refresh the accepted tags of the exposures and of the attempts whose lineage the change reaches."""
    others = {
        n for attempt_id in reach.attempts for n in exposures_of(conn, EVALUATIONS["firstcut"], attempt_id)
    }
    return refresh_tags_of_exposures(conn, scope, sorted({*expnums, *others}), who=who, reason=reason)


def _reach_note(reach: Reach) -> str:
    """Return the note that lists the runs that used the data and how to repeat them."""
    return (
        f"these runs used it: {reach.text}. Their products are not used from now on, and a release that contains them "
        "cannot be published. Repeat the runs that you need, in this order: desdm run night NITE repeats the calibrations "
        "and exposures of a night, desdm submit PIPELINE any other run"
    )


def refresh_tags_of_attempts(
    conn: Connection, scope: Scope, attempts: Iterable[int], *, who: str, reason: str
) -> TagChange:
    """Refresh the accepted tags after a change of the data states of attempts.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.
    attempts
        Numbers of the attempts.
    who, reason
        Author and reason of the change.
    """
    expnums = {n for attempt_id in attempts for n in exposures_of(conn, EVALUATIONS["firstcut"], attempt_id)}
    return (
        refresh_tags_of_exposures(conn, scope, sorted(expnums), who=who, reason=reason)
        if expnums
        else TagChange()
    )


def refresh_tags_after_run(conn: Connection, scope: Scope, run: str, *, who: str) -> TagChange:
    """Refresh the accepted tags when a run ends; do nothing for a trial run or a run that did not end well.

    Parameters
    ----------
    conn
        Connection to the database, inside a transaction.
    scope
        Project, campaign and run classes whose attempts may carry the accepted tags.
    run
        Name of the run.
    who
        Recorded with each tag that is set or removed.
    """
    attempt_id = attempt_number(conn, run)
    attempt = store.attempt_facts(conn, [attempt_id])[attempt_id]
    if not attempt.good or not _in_scope(attempt, scope):
        return TagChange()
    reason = f"run {attempt.run} ended: {attempt.state.value}"
    return refresh_tags_of_attempts(conn, scope, [attempt_id], who=who, reason=reason)


def require_manual_tag(tag_name: str) -> None:
    """Raise `UsageError` for an accepted tag: these tags follow the verdicts and are not set by hand."""
    if tag_name.strip().upper().startswith(ACCEPTED):
        raise UsageError(
            f"{tag_name}: tags {ACCEPTED}_<night> follow the verdicts and are not set or removed by hand; accept or reject "
            "the exposure: desdm verdict EXPNUM --set True|False --reason TEXT; to choose between several runs: desdm mark"
        )


def _exposures_of_run(conn: Connection, run: str) -> list[int]:
    """Return the exposures that a First Cut run assessed."""
    return exposures_of(conn, EVALUATIONS["firstcut"], attempt_number(conn, run))


def _acceptable(verdict: EvaluationRow, facts: Mapping[int, store.AttemptFacts], scope: Scope) -> bool:
    """Tell whether an attempt may carry the accepted tag by its verdict, state and scope."""
    if verdict["accepted"] != Verdict.ACCEPTED.value or not verdict["pfw_attempt_id"] or not verdict["nite"]:
        return False
    attempt = facts[int(verdict["pfw_attempt_id"])]
    return attempt.good and _in_scope(attempt, scope)


def _in_scope(attempt: store.AttemptFacts, scope: Scope) -> bool:
    """Tell whether an attempt is of a scope's project, campaign and run classes."""
    return (
        attempt.run_class in scope.run_classes
        and scope.project in ("", attempt.project)
        and scope.campaign in ("", attempt.campaign)
    )


def _require_valid_exclusion(expnum: int, ccdnum: int, reason: str) -> None:
    """Raise `UsageError` if the reason is empty or a number is out of range."""
    require_reason(reason)
    if expnum < 1:
        raise UsageError(f"exposure {expnum}: exposure numbers begin at 1; correct EXPNUM")
    if ccdnum < 0:
        raise UsageError(f"CCD {ccdnum}: CCD numbers begin at 1; correct --ccd")


def _unmatched_note(ccds: set[int] | None, expnum: int, ccdnum: int) -> str:
    """Return a note if the archive has no such exposure or CCD, perhaps a mistyped number; else an empty string."""
    if ccds is None:
        return (
            f"exposure {expnum} is not in the archive; the exclusion will apply when it arrives. If the number is "
            f"wrong, lift the exclusion: desdm exclude {expnum} --lift --reason TEXT"
        )
    if ccdnum and ccds and ccdnum not in ccds:
        numbers = ", ".join(str(n) for n in sorted(ccds))
        return (
            f"{exposure_name(expnum)} has no image of CCD {ccdnum}, only of CCDs {numbers}. If the number is wrong, lift "
            f"the exclusion: desdm exclude {expnum} --ccd {ccdnum} --lift --reason TEXT"
        )
    return ""


def _exposure_and_ccd(expnum: int, ccdnum: int) -> str:
    """Return the exposure name, with the CCD unless it is 0."""
    return f"{exposure_name(expnum)}, CCD {ccdnum}" if ccdnum else exposure_name(expnum)
