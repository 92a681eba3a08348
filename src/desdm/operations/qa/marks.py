"""Marks of people on data: blessed, defective, or the earlier mark withdrawn, with all their effects in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from desdm.accounts import store as accounts
from desdm.archive import store as archive
from desdm.archive.model import Scope
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.framework.mark import mark as mark_run
from desdm.framework.mark import take_back
from desdm.operations.acceptance import (
    TagChange,
    exclude_exposure,
    lift_exclusion,
    refresh_tags_of_files,
    refresh_tags_of_run,
)
from desdm.operations.qa.view import View, problems_of_subject, view_of
from desdm.quality.qa import store
from desdm.quality.qa.exclusions import Exclusion, exclusions
from desdm.quality.qa.model import QaMark, Subject
from desdm.quality.qa.subjects import find_subject
from desdm.release.holders import Holder, holders, holders_of_exposure, holders_of_run
from desdm.schema.operationstates import Mark, Office, Severity, SubjectKind
from desdm.schema.states import AttemptState, DataState, EventKind
from desdm.schema.store import record_event, require_reason

__all__ = [
    "DEFECT_SEVERITIES",
    "MarkOrder",
    "MarkResult",
    "Standing",
    "affected_releases",
    "mark_subject",
    "read_list",
    "standing",
]

_GOOD = (AttemptState.DONE, AttemptState.FLAGGED)
_DATA_STATES = {Mark.BLESSED: DataState.ACTIVE, Mark.DEFECTIVE: DataState.JUNK}
#: Severities of a defect, and what each does: data that are usable with care are not defective.
DEFECT_SEVERITIES: Mapping[Severity, str] = {
    Severity.BLOCK: "nothing uses or releases it",
    Severity.STOP: "the same, recorded as graver; the queue goes on",
}
#: Characters of a defect code.
_CODE = 24


@dataclass(frozen=True, slots=True)
class MarkOrder:
    """A mark that a person wants to make.

    Attributes
    ----------
    verdict, reason
        Blessed, defective or withdrawn, and why.
    code, severity
        Kind of a defect in one word, and its severity, one of `DEFECT_SEVERITIES`; default: block.
    seen
        Token or digest of the view that the person saw (`View.token`); empty: it is not compared.
    own
        The author blesses what they processed themselves, although another person could.
    any_end
        Also a run that did not end well may become ACTIVE: the older command ``mark RUN active``.
    cut
        Pipeline of an exposure.
    """

    verdict: Mark
    reason: str
    code: str = ""
    severity: Severity | None = None
    seen: str = ""
    own: bool = False
    any_end: bool = False
    cut: str = "firstcut"


@dataclass(frozen=True, slots=True)
class MarkResult:
    """What a mark did.

    Attributes
    ----------
    number
        Number of the mark; None: the same person had marked the subject so, for the same reason.
    before, after
        Data state of the run; None without a run whose state a mark of this subject changes.
    tags
        Tags that were set and removed, and a note.
    own_work
        Whether the author blessed what they had processed.
    files
        Names of the files of a CCD that were marked with it.
    """

    subject: Subject
    verdict: Mark
    number: int | None
    view: View
    before: DataState | None = None
    after: DataState | None = None
    tags: TagChange = field(default_factory=TagChange)
    own_work: bool = False
    files: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the data state of a run changed."""
        return self.before is not self.after


@dataclass(frozen=True, slots=True)
class Standing:
    """A subject as it is now: what is seen of it, its marks, and the problems that forbid to bless it."""

    subject: Subject
    view: View
    marks: tuple[QaMark, ...]
    blockers: tuple[str, ...]
    own_marks: int


def standing(conn: Connection, name: str, scope: Scope, cut: str = "firstcut") -> Standing:
    """Return how a subject stands; parameters and errors as of `desdm.quality.qa.subjects.find_subject`.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Name of the subject.
    scope
        Project, campaign and run classes whose attempts count.
    cut
        Pipeline of an exposure.
    """
    subject = find_subject(conn, name, scope, cut)
    concerns = problems_of_subject(conn, subject)
    return Standing(
        subject,
        view_of(conn, subject, scope, concerns),
        tuple(store.marks_of(conn, subject.kind, subject.name)),
        tuple(f"problem {b.problem.id}: {b.subject}" for b in concerns if b.problem.blocks),
        store.count_own_marks(conn),
    )


def mark_subject(
    conn: Connection, name: str, order: MarkOrder, *, who: str, scope: Scope, now: datetime
) -> MarkResult:
    """Mark data, with all that follows from it in the same transaction.

    Blessed: the run becomes ACTIVE; defective: JUNK. The run of an exposure or tile is the one that counts for it. A
    defective CCD is excluded and its files are marked; a defective exposure is excluded, and blessing it lifts that.
    Withdrawn: what the newest mark changed is as it was before. Entries of the review queue are decided.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of an exposure, CCD, tile, run or file.
    order
        The mark.
    who
        Login of the author.
    scope
        Project, campaign and run classes that are production.
    now
        Time, UTC.

    Raises
    ------
    UsageError
        No reason; a defect's code or severity for another mark; a severity of data that stay usable.
    NotFoundError
        Nothing has this name, or there is no mark to withdraw.
    ConflictError
        What the author saw has changed; an open problem or an exclusion forbids to bless it; the author processed it and
        another person could bless it; the run has not ended.
    """
    _require_complete(order)
    reason = order.reason.strip()
    store.lock_marks(conn)
    subject = find_subject(conn, name, scope, order.cut)
    _require_unusable(order, subject)
    view = view_of(conn, subject, scope)
    newest = store.newest_mark(conn, subject.kind, subject.name)
    state = _data_state(conn, subject)
    if newest is not None and _same(newest, subject, order, who, reason) and _agrees(order.verdict, state):
        return MarkResult(subject, order.verdict, None, view, state, state)
    _require_as_seen(view, subject, order.seen)
    own = order.verdict is Mark.BLESSED and _require_may_bless(conn, subject, order, newest, who, now)
    if order.verdict is Mark.WITHDRAWN:
        newest = _mark_to_withdraw(subject, newest)
        subject = _with_attempt_of(conn, subject, newest)
        effect = _take_back(conn, subject, newest, who=who, reason=reason, scope=scope)
    else:
        effect = _apply(conn, subject, order.verdict, newest, who=who, reason=reason, scope=scope)
    mark = QaMark(
        id=0,
        subject_kind=subject.kind,
        subject=subject.name,
        pfw_attempt_id=subject.attempt_id,
        desfile_id=subject.desfile_id,
        verdict=order.verdict,
        defect_code=order.code or None,
        severity=order.severity or (Severity.BLOCK if order.verdict is Mark.DEFECTIVE else None),
        reason=reason,
        evidence=_evidence(view, effect),
        seen_digest=view.digest,
        author=who,
        office=_office(conn, who, now),
        own_work=own,
        marked_at=now,
        supersedes_id=newest.id if newest else None,
    )
    number = store.insert_mark(conn, mark)
    files: dict[int, str] = {}
    if subject.kind is SubjectKind.CCD and subject.attempt_id is not None:
        assert subject.expnum is not None and subject.ccdnum is not None
        files = store.files_of_ccd(conn, subject.attempt_id, subject.expnum, subject.ccdnum)
        store.insert_file_marks(conn, mark, files)
    # Only now: which runs are accepted depends on the marks too.
    tags = effect.tags + _refresh(conn, mark, effect, subject, sorted(files), scope)
    if order.verdict is Mark.WITHDRAWN and newest is not None:
        store.open_again(conn, newest.id)
    else:
        store.decide_reviews(conn, subject, order.verdict, number)
    # The change of a run's data state is an event with this author, subject and reason already.
    if subject.kind is not SubjectKind.ATTEMPT or effect.after is None or order.verdict is Mark.WITHDRAWN:
        text = f"{subject.name} {order.verdict.value}" + (f" ({order.code})" if order.code else "")
        text += ", by the person who processed it" if own else ""
        number_of = subject.attempt_id
        record_event(conn, EventKind.REVIEW, who, text, number_of, subject=subject.name, reason=reason)
    return MarkResult(
        subject,
        order.verdict,
        number,
        view,
        effect.before,
        effect.after,
        tags,
        own,
        tuple(files.values()),
    )


def affected_releases(conn: Connection, releases: Path, result: MarkResult) -> list[Holder]:
    """Return the releases that hold data that a mark calls defective.

    Parameters
    ----------
    conn
        Connection to the database.
    releases
        The directory of all releases.
    result
        What the mark did.
    """
    subject = result.subject
    if result.verdict is not Mark.DEFECTIVE:
        return []
    if subject.kind is SubjectKind.CCD and subject.expnum is not None:
        return holders_of_exposure(conn, releases, subject.expnum, subject.ccdnum or 0)
    if subject.kind is SubjectKind.FILE and subject.desfile_id is not None:
        number = subject.desfile_id
        return holders(conn, releases, {number, *archive.reached(conn, [number], up=False)})
    if subject.attempt_id is not None:
        return holders_of_run(conn, releases, subject.attempt_id)
    return holders_of_exposure(conn, releases, subject.expnum) if subject.expnum is not None else []


def read_list(text: str, reason: str) -> list[tuple[str, str]]:
    """Return (subject, reason) of the lines of a list; a line is a subject, and may go on with its own reason.

    Empty lines and what follows ``#`` do not count.

    Raises
    ------
    UsageError
        The list is empty, names a subject twice, or a line has no reason and none is given for all.
    """
    entries: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=1)
        if not words:
            continue
        name = words[0].rstrip(",;")
        own = words[1].strip() if len(words) > 1 else reason
        if name in entries:
            raise UsageError(f"line {number}: {name} stands in the list twice; remove one of the lines")
        if not own.strip():
            raise UsageError(
                f"line {number}: {name} has no reason; write one behind it, or give --reason for all"
            )
        entries[name] = own
    if not entries:
        raise UsageError("the list names nothing; write one exposure, CCD, tile, run or file a line")
    return list(entries.items())


def _require_complete(order: MarkOrder) -> None:
    """Raise `UsageError` without a reason, or where what describes a defect stands at another mark."""
    require_reason(order.reason)
    if order.verdict is not Mark.DEFECTIVE and (order.code or order.severity is not None):
        raise UsageError("--code and --severity describe a defect; leave them out, or mark it defective")
    if len(order.code) > _CODE:
        raise UsageError(f"--code is one word of at most {_CODE} characters")


def _require_unusable(order: MarkOrder, subject: Subject) -> None:
    """Raise `UsageError` for a defect of a severity that says that the data stay usable."""
    if order.severity is not None and order.severity not in DEFECT_SEVERITIES:
        word = order.severity.value
        raise UsageError(
            f"what is defective is not used or released, and its severity is {' or '.join(DEFECT_SEVERITIES)}; data with a "
            f"fault of severity {word} stay usable: desdm problem open {subject.kind.value} {subject.name} TEXT "
            f"--severity {word}"
        )


def _mark_to_withdraw(subject: Subject, newest: QaMark | None) -> QaMark:
    """Return the mark of a subject that counts; `NotFoundError` without one."""
    if newest is None:
        raise NotFoundError(f"{subject.name} has no mark to withdraw; see: desdm mark {subject.name}")
    if newest.verdict is Mark.WITHDRAWN:
        raise NotFoundError(f"{subject.name}: its mark is withdrawn already")
    return newest


def _require_as_seen(view: View, subject: Subject, token: str) -> None:
    """Raise `ConflictError` if what a person saw has changed."""
    changes = view.changes(token) if token else []
    if changes:
        raise ConflictError(
            f"{subject.name} has changed since you saw it, and was not marked. {'. '.join(changes)}. "
            f"Look at it again: desdm mark {subject.name}"
        )


def _same(newest: QaMark, subject: Subject, order: MarkOrder, who: str, reason: str) -> bool:
    """Tell whether the newest mark is this one already."""
    return (
        newest.verdict,
        newest.author,
        newest.reason,
        newest.pfw_attempt_id,
        newest.defect_code or "",
    ) == (
        order.verdict,
        who[:32],
        reason,
        subject.attempt_id,
        order.code,
    )


def _require_may_bless(
    conn: Connection, subject: Subject, order: MarkOrder, newest: QaMark | None, who: str, now: datetime
) -> bool:
    """Raise `ConflictError` if the data must not be blessed; return whether the author processed them."""
    blockers = [one for one in problems_of_subject(conn, subject) if one.problem.blocks]
    if blockers:
        lines = "; ".join(
            f"problem {b.problem.id} of {b.subject}: {b.problem.title or b.problem.text}"
            for b in blockers[:5]
        )
        raise ConflictError(
            f"{subject.name} cannot be blessed while a problem of severity stop or block is open: {lines}. Close it, or "
            "lower its severity: desdm problem show NUMBER"
        )
    if subject.expnum is not None:
        for one in exclusions(conn, [subject.expnum]):
            if one.ccdnum in (None, subject.ccdnum) and not _is_of_mark(one, subject, newest):
                raise ConflictError(
                    f"{subject.name} cannot be blessed: {one.text}. Lift it first: desdm exclude {subject.expnum} "
                    "--lift --reason TEXT"
                )
    if subject.attempt_id is None:
        return False
    facts = archive.attempt_facts(conn, [subject.attempt_id])[subject.attempt_id]
    if facts.state not in _GOOD and not order.any_end:
        raise ConflictError(
            f"{subject.name} cannot be blessed: its run {facts.run} is {facts.state.value}; bless what ended well"
        )
    if store.operator_of(conn, subject.attempt_id) != who:
        return False
    others = store.other_holders(conn, Office.QA, who, now)
    if others and not order.own:
        raise ConflictError(
            f"{subject.name} was processed by you; let another person bless it ({', '.join(others[:5])}), or say that you "
            "bless your own work: --own; it is recorded and counted"
        )
    return True


def _with_attempt_of(conn: Connection, subject: Subject, mark: QaMark) -> Subject:
    """Return a subject with the attempt that a mark was on: a JUNK one does not count for its exposure any more."""
    number = mark.pfw_attempt_id
    if number is None or number == subject.attempt_id:
        return subject
    run = archive.attempt_names(conn, [number])[number][0]
    return Subject(
        subject.kind, subject.name, subject.expnum, subject.ccdnum, number, run, subject.desfile_id
    )


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a mark changed: data state of a run before and after, tags, and whether it made an exclusion."""

    before: DataState | None = None
    after: DataState | None = None
    tags: TagChange = field(default_factory=TagChange)
    excluded: bool = False


def _apply(
    conn: Connection,
    subject: Subject,
    verdict: Mark,
    newest: QaMark | None,
    *,
    who: str,
    reason: str,
    scope: Scope,
) -> _Effect:
    """Let data be blessed or defective: set the data state of a run, exclude a CCD or exposure or lift that again."""
    effect = _Effect()
    whole = subject.kind in (SubjectKind.EXPOSURE, SubjectKind.TILE, SubjectKind.ATTEMPT)
    if whole and subject.run:
        result = mark_run(conn, subject.run, _DATA_STATES[verdict], who=who, reason=reason)
        effect = _Effect(result.before, result.after)
    if subject.expnum is None:
        return effect
    if verdict is Mark.DEFECTIVE:
        # An exposure may have several runs: none of them is used, nor its raw file.
        excluded = not _is_excluded(conn, subject)
        ccdnum = subject.ccdnum or 0
        tags = exclude_exposure(conn, subject.expnum, ccdnum, reason=reason, who=who, scope=scope)
        return replace(effect, tags=tags if excluded or not whole else TagChange(), excluded=excluded)
    if any(_is_of_mark(one, subject, newest) for one in exclusions(conn, [subject.expnum])):
        tags = lift_exclusion(conn, subject.expnum, 0, reason=reason, who=who, scope=scope)
        return replace(effect, tags=tags)
    return effect


def _take_back(
    conn: Connection, subject: Subject, mark: QaMark, *, who: str, reason: str, scope: Scope
) -> _Effect:
    """Undo what a mark changed."""
    changed: Mapping[str, str] = json.loads(mark.evidence).get("changed", {})
    tags = TagChange()
    if changed.get("excluded") and subject.expnum is not None and _is_excluded(conn, subject):
        tags = lift_exclusion(conn, subject.expnum, subject.ccdnum or 0, reason=reason, who=who, scope=scope)
    if "before" not in changed or not subject.run:
        return _Effect(tags=tags)
    assert subject.attempt_id is not None
    state = archive.attempt_facts(conn, [subject.attempt_id])[subject.attempt_id].data_state
    if state is not DataState(changed["after"]):
        note = f"{subject.run} is {state.value} by a later mark of the run; it stays so"
        return _Effect(state, state, tags + TagChange(note=note))
    result = take_back(conn, subject.run, DataState(changed["before"]), who=who, reason=reason)
    return _Effect(result.before, result.after, tags)


def _refresh(
    conn: Connection, mark: QaMark, effect: _Effect, subject: Subject, files: Sequence[int], scope: Scope
) -> TagChange:
    """Let the tags of accepted runs follow a mark of a run, of a file, or of the files of a CCD."""
    words = "mark withdrawn" if mark.verdict is Mark.WITHDRAWN else mark.verdict.value
    reason = f"{words}: {mark.reason}"
    if subject.kind is SubjectKind.FILE and subject.desfile_id is not None:
        files = [subject.desfile_id]
    if files:
        defective = mark.verdict is Mark.DEFECTIVE
        return refresh_tags_of_files(conn, scope, files, who=mark.author, reason=reason, defective=defective)
    if subject.run and effect.before is not effect.after:
        return refresh_tags_of_run(conn, scope, subject.run, who=mark.author, reason=reason)
    return TagChange()


def _is_of_mark(one: Exclusion, subject: Subject, mark: QaMark | None) -> bool:
    """Tell whether an exclusion is the one that a mark of an exposure as a whole made."""
    if mark is None or mark.verdict is not Mark.DEFECTIVE or subject.kind is not SubjectKind.EXPOSURE:
        return False
    changed: Mapping[str, str] = json.loads(mark.evidence).get("changed", {})
    own = (one.ccdnum, one.reason, one.analyst) == (None, mark.reason, mark.author)
    return own and bool(changed.get("excluded"))


def _data_state(conn: Connection, subject: Subject) -> DataState | None:
    """Return the data state of the run that marks of a subject set; None: they set none."""
    if subject.kind in (SubjectKind.CCD, SubjectKind.FILE) or subject.attempt_id is None:
        return None
    return archive.attempt_facts(conn, [subject.attempt_id])[subject.attempt_id].data_state


def _agrees(verdict: Mark, state: DataState | None) -> bool:
    """Tell whether a data state is the one that a mark sets."""
    return state is None or _DATA_STATES.get(verdict, state) is state


def _is_excluded(conn: Connection, subject: Subject) -> bool:
    """Tell whether an exposure, or a CCD of it, is excluded on its own."""
    assert subject.expnum is not None
    return any(one.ccdnum == subject.ccdnum for one in exclusions(conn, [subject.expnum]))


def _evidence(view: View, effect: _Effect) -> str:
    """Return what the author saw, without the many QA numbers, and what the mark changed, as JSON."""
    changed: dict[str, str] = {}
    if effect.before is not None and effect.after is not None:
        changed = {"before": effect.before.value, "after": effect.after.value}
    if effect.excluded:
        changed["excluded"] = "yes"
    seen: dict[str, Sequence[str]] = {
        name: lines for name, lines in view.parts.items() if lines and name != "QA numbers"
    }
    return json.dumps({"seen": seen, "token": view.token, "changed": changed}, ensure_ascii=False)


def _office(conn: Connection, who: str, now: datetime) -> Office | None:
    """Return the office in which a person acts: QA, else operator, else another that they hold."""
    held = {one.office for one in accounts.offices_of(conn, who, now)}
    for office in (Office.QA, Office.OPERATOR, Office.PROD_SCI, Office.WG_MEMBER):
        if office in held:
            return office
    return None
