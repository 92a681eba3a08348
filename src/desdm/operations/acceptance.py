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
from desdm.archive.unsound import Reach, reach_of_exclusions, reach_of_run, unsound_attempts
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
    "exclude",
    "lift",
    "refresh_after_run",
    "refresh_tags",
    "refresh_tags_of",
    "refresh_tags_of_attempts",
    "require_not_kept",
    "set_verdict",
    "withdraw_verdict",
]

#: A row of ``firstcut_eval``; of a night with ``exclusions``.
VerdictRow: TypeAlias = ListedVerdict

#: Tag of attempts whose exposure was accepted, by night: ``FIRSTCUT_ACCEPTED_20160101``.
ACCEPTED = "FIRSTCUT_ACCEPTED"


@dataclass(frozen=True, slots=True)
class TagChange:
    """What an act changed in the tags of accepted attempts: (tag, run) pairs; and what a person should know of it."""

    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    note: str = ""


def accepted_tag(nite: str) -> str:
    """Return the tag of a night's accepted attempts."""
    return f"{ACCEPTED}_{nite}"


def set_verdict(
    conn: Connection, cut: str, expnum: int, verdict: Verdict, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Record a person's verdict on an exposure, and refresh the accepted tags.

    Parameters
    ----------
    conn
        The transaction.
    cut
        Pipeline that is assessed: firstcut or finalcut.
    expnum
        The exposure.
    verdict, reason, who
        The verdict, why, and the person.
    scope
        Attempts that carry the tags.

    Raises
    ------
    UsageError, NotFoundError
        As of `desdm.quality.qa.verdict.overrule`.
    """
    if not overrule(conn, cut, expnum, verdict, reason, who, scope):
        return TagChange(
            note=f"{exposure_name(expnum)} has this verdict of {who} already, for the same reason; nothing was changed"
        )
    changed = refresh_tags(conn, scope, [expnum], who=who, reason=f"verdict {verdict.value}: {reason}")
    attempts = [
        row["pfw_attempt_id"] for row in verdicts(conn, cut, [expnum], scope) if row["pfw_attempt_id"]
    ]
    if verdict is not Verdict.REJECTED or not attempts:
        return changed
    reach = reach_of_run(conn, attempts[0])
    note = (
        f"runs that used it: {reach.text}; a release that holds what they made from it cannot be published; "
        "make them again"
    )
    return replace(changed, note=note) if reach.text else changed


def withdraw_verdict(
    conn: Connection, cut: str, expnum: int, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Withdraw the persons' verdicts on an exposure, and refresh the accepted tags.

    Parameters
    ----------
    conn
        The transaction.
    cut
        Pipeline that is assessed: firstcut or finalcut.
    expnum
        The exposure.
    reason, who
        Why, and the person.
    scope
        Attempts that carry the tags.
    """
    withdraw(conn, cut, expnum, reason, who, scope)
    return refresh_tags(conn, scope, [expnum], who=who, reason=f"verdict withdrawn: {reason}")


def exclude(conn: Connection, expnum: int, ccdnum: int, *, reason: str, who: str, scope: Scope) -> TagChange:
    """Exclude an exposure (``ccdnum`` 0) or one CCD of it from calibrations and coadds.

    Parameters
    ----------
    expnum, ccdnum
        Exposure; CCD, or 0 for all of it.
    reason, who
        Why, and who says so.
    scope
        Production, whose accepted tags follow.

    Raises
    ------
    UsageError
        No reason, or a number that no exposure or CCD has.
    """
    # Of an exposure or CCD one exclusion is in force, also where several people exclude it at once.
    _check(expnum, ccdnum, reason)
    ccds = store.ccds_of_exposure(conn, expnum)
    if ccdnum > max({SCIENCE_CCDS, *(ccds or ())}):
        raise UsageError(f"CCD {ccdnum}: the camera has CCDs 1 to {SCIENCE_CCDS}; correct --ccd")
    store.lock_exclusions(conn)
    for row in store.excluded(conn, [expnum]):
        if row["ccdnum"] == ccdnum:
            named, since = _named(expnum, ccdnum), time_text(row["since"])
            note = f"{named} is excluded already, by {row['analyst']} since {since} (UTC): {row['reason']}"
            if (row["reason"], row["analyst"]) == (reason, who):
                return TagChange(note=f"{note}; nothing was changed")
            # One exclusion is in force; a further reason is on record.
            text, subject = f"{named} was excluded already, a further reason", exposure_name(expnum)
            record_event(conn, EventKind.EXCLUDE, who, text, subject=subject, reason=reason)
            return TagChange(note=f"{note}; nothing was changed, the further reason is recorded as an event")
    store.exclude(conn, expnum, ccdnum, reason, who)
    what = _named(expnum, ccdnum)
    record_event(
        conn, EventKind.EXCLUDE, who, f"{what} excluded", subject=exposure_name(expnum), reason=reason
    )
    note = _unknown(ccds, expnum, ccdnum)
    reach = reach_of_exclusions(conn, expnum, ccdnum)
    if reach.text:
        note = f"{note}; {_reached(reach)}" if note else _reached(reach)
    if ccdnum and not reach.attempts:
        return TagChange(note=note)
    changed = _refresh_with(conn, scope, [expnum], reach, who=who, reason=f"excluded: {reason}")
    return replace(changed, note=note)


def lift(
    conn: Connection, expnum: int, ccdnum: int | None, *, reason: str, who: str, scope: Scope
) -> TagChange:
    """Lift the exclusions of an exposure.

    Parameters
    ----------
    conn
        The transaction.
    expnum
        The exposure.
    ccdnum
        The CCD; 0: the exclusion of the whole exposure; None: all that are in force.
    reason, who
        Why, and the person.
    scope
        Attempts that carry the accepted tags.

    Raises
    ------
    UsageError
        No reason.
    NotFoundError
        Nothing of it is excluded.
    """
    _check(expnum, ccdnum or 0, reason)
    reach = reach_of_exclusions(conn, expnum, ccdnum)
    count = store.lift_exclusion(conn, expnum, ccdnum, reason, who)
    what = _named(expnum, ccdnum or 0)
    if not count:
        whole = [row for row in store.excluded(conn, [expnum]) if row["ccdnum"] == 0] if ccdnum else []
        if whole:
            raise NotFoundError(
                f"{what} is not excluded by itself: the whole exposure is, by {whole[0]['analyst']}: {whole[0]['reason']}; "
                f"lift that and exclude the CCDs that must not be used: desdm exclude {expnum} --lift --reason TEXT"
            )
        raise NotFoundError(f"{what} is not excluded; the list: desdm exclude")
    text = f"{what}: exclusion lifted" if count == 1 else f"{what}: {count} exclusions lifted"
    record_event(conn, EventKind.EXCLUDE, who, text, subject=exposure_name(expnum), reason=reason)
    return _refresh_with(conn, scope, [expnum], reach, who=who, reason=f"exclusion lifted: {reason}")


def refresh_tags(
    conn: Connection, scope: Scope, expnums: Sequence[int], *, who: str, reason: str
) -> TagChange:
    """Make the accepted tags say what verdicts, exclusions and data states say.

    An attempt of First Cut carries the tag of its night when it is the one whose verdict counts, in ``scope``, good and
    usable, its exposure accepted and not excluded, and neither an excluded frame nor a JUNK run is under its images.

    Parameters
    ----------
    scope
        Production: trials never carry the tag.
    expnums
        Exposures to look at.
    who, reason
        Kept with each tag that is set or removed.
    """
    rows = {int(v["expnum"]): v for v in verdicts(conn, "firstcut", expnums, scope)}
    banned = {e["expnum"] for e in store.excluded(conn, expnums) if not e["ccdnum"]}
    numbers = sorted({v["pfw_attempt_id"] for v in rows.values() if v["pfw_attempt_id"]})
    facts = store.attempt_facts(conn, numbers)
    spoiled = unsound_attempts(conn, numbers)
    accepted = {
        attempt: accepted_tag(str(v["nite"]))
        for number, v in rows.items()
        if (attempt := v["pfw_attempt_id"]) and number not in banned and attempt not in spoiled
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
        new = [names[n][0] for n, t in accepted.items() if t == name and n not in present]
        gone = [names[n][0] for n in sorted(present & judged) if accepted.get(n) != name]
        if new:
            text = f"accepted exposures of {name.removeprefix(ACCEPTED + '_')}"
            tag(conn, name, [], new, who=who, description=text, reason=reason)
            added += [(name, run) for run in new]
            acts += [
                Act(exposure_name(number), f"{run} has the tag {name} now", reason)
                for run in new
                for number in _exposures_of_run(conn, run)
            ]
        if gone:
            untag(conn, name, [], gone, who=who, reason=reason)
            removed += [(name, run) for run in gone]
            acts += [
                Act(exposure_name(number), f"{run} has lost the tag {name}", reason)
                for run in gone
                for number in _exposures_of_run(conn, run)
            ]
    # The tag's own events name the run; who looks for the exposure finds what became of it.
    record_events(conn, EventKind.TAG, who, acts)
    return TagChange(tuple(added), tuple(removed))


def refresh_tags_of(conn: Connection, scope: Scope, run: str, *, who: str, reason: str) -> TagChange:
    """Refresh the accepted tags after a change of an attempt's data state, also of files derived from its own.

    Parameters
    ----------
    conn
        The transaction.
    scope
        Attempts that carry the tags.
    run
        Name of the attempt.
    who, reason
        Author and reason of the change.
    """
    number = attempt_number(conn, run)
    reach = reach_of_run(conn, number)
    changed = refresh_tags_of_attempts(conn, scope, [number, *reach.attempts], who=who, reason=reason)
    junk = store.attempt_facts(conn, [number])[number].data_state is DataState.JUNK
    return replace(changed, note=_reached(reach)) if junk and reach.text else changed


def _refresh_with(
    conn: Connection, scope: Scope, expnums: Sequence[int], reach: Reach, *, who: str, reason: str
) -> TagChange:
    """Make the accepted tags of exposures, and of the attempts that are reached, follow."""
    others = {n for number in reach.attempts for n in exposures_of(conn, EVALUATIONS["firstcut"], number)}
    return refresh_tags(conn, scope, sorted({*expnums, *others}), who=who, reason=reason)


def _reached(reach: Reach) -> str:
    """Say what is not used any more, and what to do."""
    return (
        f"runs that used it: {reach.text}; what they made from it is not used from now on, and a release that holds it "
        "cannot be published; make again what is needed, in this order (desdm run night NITE makes a night's "
        "calibrations and exposures, desdm submit PIPELINE the others)"
    )


def refresh_tags_of_attempts(
    conn: Connection, scope: Scope, attempts: Iterable[int], *, who: str, reason: str
) -> TagChange:
    """Refresh the accepted tags after a change of the data states of attempts.

    Parameters
    ----------
    conn
        The transaction.
    scope
        Attempts that carry the tags.
    attempts
        The attempts.
    who, reason
        Author and reason of the change.
    """
    expnums = {n for number in attempts for n in exposures_of(conn, EVALUATIONS["firstcut"], number)}
    return refresh_tags(conn, scope, sorted(expnums), who=who, reason=reason) if expnums else TagChange()


def refresh_after_run(conn: Connection, scope: Scope, run: str, *, who: str) -> TagChange:
    """Make the accepted tags follow the end of a run; a trial, or a run that did not end well, changes nothing.

    Parameters
    ----------
    scope
        Production.
    run
        Name of the run.
    who
        Kept with each tag that is set or removed.
    """
    number = attempt_number(conn, run)
    attempt = store.attempt_facts(conn, [number])[number]
    if not attempt.good or not _in_scope(attempt, scope):
        return TagChange()
    reason = f"run {attempt.run} ended: {attempt.state.value}"
    return refresh_tags_of_attempts(conn, scope, [number], who=who, reason=reason)


def require_not_kept(tag_name: str) -> None:
    """Refuse a tag that the system keeps with `UsageError`: by hand it would say what no verdict says."""
    if tag_name.strip().upper().startswith(ACCEPTED):
        raise UsageError(
            f"{tag_name}: tags {ACCEPTED}_<night> follow the verdicts and are not set or removed by hand; accept or reject "
            "the exposure: desdm verdict EXPNUM --set True|False --reason TEXT; of several runs choose with desdm mark"
        )


def _exposures_of_run(conn: Connection, run: str) -> list[int]:
    """The exposures on which an attempt of First Cut gave verdicts."""
    return exposures_of(conn, EVALUATIONS["firstcut"], attempt_number(conn, run))


def _acceptable(verdict: EvaluationRow, facts: Mapping[int, store.AttemptFacts], scope: Scope) -> bool:
    """Whether an attempt may carry the accepted tag by its verdict, state and scope."""
    if verdict["accepted"] != Verdict.ACCEPTED.value or not verdict["pfw_attempt_id"] or not verdict["nite"]:
        return False
    attempt = facts[int(verdict["pfw_attempt_id"])]
    return attempt.good and _in_scope(attempt, scope)


def _in_scope(attempt: store.AttemptFacts, scope: Scope) -> bool:
    """Whether an attempt is of a scope's project, campaign and run classes."""
    return (
        attempt.run_class in scope.run_classes
        and scope.project in ("", attempt.project)
        and scope.campaign in ("", attempt.campaign)
    )


def _check(expnum: int, ccdnum: int, reason: str) -> None:
    """Refuse an act without a reason or with impossible numbers."""
    require_reason(reason)
    if expnum < 1 or ccdnum < 0:
        raise UsageError(f"exposure {expnum}, CCD {ccdnum}: exposures and CCDs are numbered from 1")


def _unknown(ccds: set[int] | None, expnum: int, ccdnum: int) -> str:
    """Say that nothing is there yet to which an exclusion applies: perhaps a mistyped number; empty if there is."""
    if ccds is None:
        return (
            f"exposure {expnum} is not in the archive; the exclusion applies if it arrives. If the number is wrong: "
            f"desdm exclude {expnum} --lift --reason TEXT"
        )
    if ccdnum and ccds and ccdnum not in ccds:
        numbers = ", ".join(str(n) for n in sorted(ccds))
        return f"{exposure_name(expnum)} has no image of CCD {ccdnum}; it has those of {numbers}"
    return ""


def _named(expnum: int, ccdnum: int) -> str:
    """Exposure and CCD in words."""
    return f"{exposure_name(expnum)}, CCD {ccdnum}" if ccdnum else exposure_name(expnum)
