"""What there is to see of an exposure, CCD, tile, run or file, gathered for a page: as few statements as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.model import Scope
from desdm.errors import NotFoundError
from desdm.framework.watch import store as watch
from desdm.operations.qa import deskstore
from desdm.operations.qa.marks import Standing, standing
from desdm.operations.qa.pictures import Sources, picture_sources
from desdm.operations.qa.view import numbers_of_subject
from desdm.quality.qa import store
from desdm.quality.qa.beside import NightNumbers, numbers_beside_night
from desdm.quality.qa.model import Dispatch, DispatchAnswer, Number, QaMark, Subject
from desdm.quality.qa.subjects import ccd_name
from desdm.quality.qa.verdict import verdicts
from desdm.release.holders import Holder, holders, holders_of_exposure
from desdm.schema import EVALUATIONS
from desdm.schema.evaluation import EvaluationRow
from desdm.schema.operationstates import AnswerVerdict, Mark, SubjectKind
from desdm.schema.store import exposure_name
from desdm.survey.bands import band_order

__all__ = [
    "BandTable",
    "CcdLine",
    "Details",
    "ExclusionLine",
    "SubjectFacts",
    "default_reason",
    "details_of",
    "needs_own_reason",
    "number_lines",
    "read_subject",
    "remarks",
    "subjects_of_problems",
]

#: Messages, files, and runs that used these, that a page shows.
_MESSAGES, _FILES, _USERS = 25, 60, 50
#: Numbers of a run that tell most, in this order.
_TELLING = (
    "depth_sigma01",
    "t_eff",
    "fwhm",
    "ellipticity",
    "ncombine",
    "coverage",
    "sky",
    "sky_residual",
    "zeropoint",
    "astrom_rms",
    "nominal_zeros",
    "nobjects",
)
#: Parts of a view that a page shows in another form: QA numbers beside those of the night, marks with all that is known.
_APART = ("QA numbers", "marks", "messages")


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What a person sees of a subject before marking it.

    Attributes
    ----------
    standing
        The view whose token a mark carries, marks, and the problems that forbid to bless it.
    night
        Numbers beside those of the night; None without a verdict.
    messages
        Errors and warnings of its run, the worst first, at most 25.
    sources
        Files of its picture; None: no image is in the archive.
    answers
        (working group, its newest answer) of each dispatch of the subject.
    numbers
        QA numbers of its run that are of no single CCD, of a CCD its own; the most telling first.
    notes
        Patterns of the messages below a warning, with their counts; only of a run without errors and warnings.
    """

    standing: Standing
    night: NightNumbers | None
    messages: tuple[watch.MessageRow, ...]
    sources: Sources | None
    answers: tuple[tuple[str, DispatchAnswer], ...] = ()
    numbers: tuple[store.MetricValue, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def subject(self) -> Subject:
        """The subject."""
        return self.standing.subject

    @property
    def newest(self) -> QaMark | None:
        """The mark that counts; None: nobody has marked it, or the mark was withdrawn."""
        marks = self.standing.marks
        return marks[-1] if marks and marks[-1].verdict is not Mark.WITHDRAWN else None

    @property
    def parts(self) -> Mapping[str, Sequence[str]]:
        """Parts of the view that are shown as lines."""
        return {name: lines for name, lines in self.standing.view.parts.items() if name not in _APART}


@dataclass(frozen=True, slots=True)
class CcdLine:
    """A CCD of an exposure: its image, mark, exclusion, and numbers by name."""

    ccdnum: int
    name: str
    mark: QaMark | None
    excluded: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BandTable:
    """Numbers of a tile by band.

    Attributes
    ----------
    bands
        Bands, in their order.
    rows
        (name, unit, value in each of the bands; None: not recorded): what went in, then what its run measured.
    whole
        Numbers that are of no single band: (name, unit, value).
    """

    bands: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[float | None, ...]], ...]
    whole: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, slots=True)
class ExclusionLine:
    """An exclusion of an exposure or CCD (None: the whole exposure), with who lifted it and why; times in UTC."""

    ccdnum: int | None
    reason: str
    analyst: str
    since: datetime
    lifted_by: str
    lifted_at: datetime | None
    lift_reason: str


@dataclass(frozen=True, slots=True)
class Details:
    """All else that a page tells of a subject.

    Attributes
    ----------
    frame
        How the exposure was observed; None of other subjects.
    verdicts
        Cut → verdict that counts for it.
    ccds, numbers
        CCDs of an exposure; the numbers of all its CCDs, for the picture of the focal plane.
    runs
        Runs at the exposure or tile, newest first.
    calibrations
        (type, CCD or None, file, how it was chosen).
    marks
        Marks of the subject, of an exposure also of its CCDs, newest first.
    exclusions
        Exclusions, lifted ones too, newest first.
    problems
        Problems about it, its CCDs and its runs, newest first.
    dispatches
        Dispatches of it, each with its answers.
    files, more_files
        Files of the run that counts and files that no run made; how many more there are.
    releases
        Releases that hold it, or products of it.
    users
        Runs that used files of it, or products of them, newest first.
    by_band
        Numbers of a tile by band; None of other subjects, and without a run.
    """

    frame: deskstore.FrameFacts | None = None
    verdicts: Mapping[str, EvaluationRow] = field(default_factory=dict)
    ccds: tuple[CcdLine, ...] = ()
    numbers: tuple[Number, ...] = ()
    runs: tuple[watch.RunRow, ...] = ()
    calibrations: tuple[tuple[str, int | None, str, str], ...] = ()
    marks: tuple[QaMark, ...] = ()
    exclusions: tuple[ExclusionLine, ...] = ()
    problems: tuple[deskstore.ProblemLine, ...] = ()
    dispatches: tuple[tuple[Dispatch, tuple[DispatchAnswer, ...]], ...] = ()
    files: tuple[deskstore.ExposureFile, ...] = ()
    more_files: int = 0
    releases: tuple[Holder, ...] = ()
    users: tuple[archive_store.AttemptFacts, ...] = ()
    by_band: BandTable | None = None


def read_subject(
    conn: Connection, name: str, scope: Scope, cut: str = "firstcut", band: str = ""
) -> SubjectFacts:
    """Return what a person sees of a subject before marking it.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Name of an exposure, CCD, tile, run or file.
    scope
        Project, campaign and run classes whose attempts count.
    cut
        Pipeline of an exposure.
    band
        Of a tile: band of the picture; empty, or a band of which there is none: the usual one.

    Raises
    ------
    NotFoundError
        Nothing has this name.
    """
    known = standing(conn, name, scope, cut)
    number = known.subject.attempt_id
    try:
        sources: Sources | None = picture_sources(conn, known.subject)
        if sources is not None and band in sources.bands:
            sources = picture_sources(conn, known.subject, band)
    except NotFoundError:
        sources = None
    messages = tuple(watch.messages(conn, number, 2, _MESSAGES)) if number is not None else ()
    below = watch.messages(conn, number, 3) if number is not None and not messages else []
    return SubjectFacts(
        known,
        numbers_beside_night(conn, known.subject),
        messages,
        sources,
        tuple(
            (one.working_group, max(answers, key=lambda a: a.id))
            for one in store.dispatches(conn, subject=known.subject.name, everything=True)
            if (answers := store.answers_of(conn, one.id))
        ),
        tuple(_own_numbers(conn, known.subject)),
        tuple(f"{count} {pattern}" for pattern, count in Counter(m.pattern for m in below).most_common()),
    )


def details_of(conn: Connection, facts: SubjectFacts, scope: Scope, releases: Path) -> Details:
    """Return all else that a page tells of a subject.

    Parameters
    ----------
    conn
        Connection to the database.
    facts
        What is known of it.
    scope
        Project, campaign and run classes whose verdicts count.
    releases
        The directory of all releases.
    """
    subject = facts.subject
    number, expnum = subject.attempt_id, subject.expnum
    runs = _runs(conn, subject)
    marks = facts.standing.marks[::-1]
    if subject.kind is SubjectKind.EXPOSURE:
        marks = tuple(store.marks_of_exposure(conn, subject.name))
    numbers = (
        store.numbers_of(conn, [number])
        if number is not None and subject.kind is SubjectKind.EXPOSURE
        else []
    )
    exclusions = _exclusions(conn, subject)
    files = _files(conn, subject)
    calibrations = archive_store.calibrations_of(conn, number) if number is not None else []
    return Details(
        deskstore.frame_of(conn, expnum) if expnum is not None else None,
        _verdicts(conn, expnum, scope),
        _ccds(conn, subject, numbers, marks, exclusions),
        tuple(n for n in numbers if n.ccdnum),
        runs,
        tuple(
            (c["filetype"], c["ccdnum"] or None, c["filename"], c["reason"] or c["how"])
            for c in calibrations
            if subject.ccdnum is None or c["ccdnum"] in (None, 0, subject.ccdnum)
        ),
        tuple(marks),
        exclusions,
        tuple(deskstore.problems_about(conn, subjects_of_problems(subject, [r.run for r in runs]))),
        tuple(
            (one, tuple(store.answers_of(conn, one.id)))
            for one in store.dispatches(conn, subject=subject.name, everything=True)
        ),
        tuple(files[:_FILES]),
        max(0, len(files) - _FILES),
        tuple(_releases(conn, subject, releases, files)),
        _users(conn, subject, files),
        _by_band(conn, facts, scope) if subject.kind is SubjectKind.TILE and facts.numbers else None,
    )


def subjects_of_problems(subject: Subject, runs: Sequence[str]) -> list[tuple[str, str]]:
    """Return (kind, name) of the problems that are about a subject, its runs, or of a CCD its exposure.

    Parameters
    ----------
    subject
        The subject.
    runs
        Names of its runs.
    """
    keys = [(subject.kind.value, subject.name)]
    if subject.expnum is not None:
        # People also write the number alone.
        keys += [("exposure", exposure_name(subject.expnum)), ("exposure", str(subject.expnum))]
        keys += [("unit", exposure_name(subject.expnum))]
    if subject.kind is SubjectKind.TILE:
        keys.append(("unit", subject.name))
    keys += [("attempt", run) for run in (runs or ([subject.run] if subject.run else []))]
    return list(dict.fromkeys(keys))


def remarks(facts: SubjectFacts) -> list[str]:
    """Return in words what speaks against a subject, and what could not be compared; the gravest first."""
    words = [
        f"{group}: {answer.verdict.value}"
        for group, answer in facts.answers
        if answer.verdict is not AnswerVerdict.VALID
    ]
    night = facts.night
    if night is None:
        return words
    if night.beyond:
        bad = f", {night.bad} of them bad" if night.bad else ""
        words.append(f"{_count(night.beyond)} beyond the thresholds{bad}")
    if night.outside:
        words.append(f"{_count(night.outside)} outside the night's")
    if not night.compared:
        words.append("too few exposures of the night to compare")
    return words


def needs_own_reason(facts: SubjectFacts) -> bool:
    """Tell whether a person must say in own words why a subject is blessed: a number is bad, or a group objects."""
    objections = (AnswerVerdict.INVALID, AnswerVerdict.PARTLY)
    bad = facts.night is not None and facts.night.bad > 0
    return bad or any(answer.verdict in objections for _, answer in facts.answers)


def default_reason(facts: SubjectFacts) -> str:
    """Return words for the reason of a blessing, which a person may change; empty where the person must write them."""
    if needs_own_reason(facts):
        return ""
    levels: dict[str, int] = {}
    for one in facts.messages:
        levels[one.pattern] = levels.get(one.pattern, 0) + 1
    words = [f"{count} {pattern}" if count > 1 else pattern for pattern, count in list(levels.items())[:4]]
    words += remarks(facts) or (["numbers as of the night"] if facts.night is not None else [])
    return "looked at picture and numbers" + (f": {', '.join(words)}" if words else "")


def number_lines(facts: SubjectFacts) -> list[str]:
    """Return the numbers of a subject as lines of text, in the order of its page; a module where a name is not unique."""
    if facts.night is None:
        names = Counter((n.name, n.band, n.keys.get("ccdnum")) for n in facts.numbers)
        return [
            " ".join(
                filter(
                    None,
                    (
                        n.name,
                        f"({n.module})"
                        if n.module and names[n.name, n.band, n.keys.get("ccdnum")] > 1
                        else "",
                        n.band,
                        f"{n.value:.6g}",
                        n.unit,
                    ),
                )
            )
            for n in facts.numbers
        ]
    rows = facts.night.rows
    places = Counter((row.metric, row.ccdnum, row.over_ccds > 0) for row in rows)
    lines = []
    for row in rows:
        twice = row.module and places[row.metric, row.ccdnum, row.over_ccds > 0] > 1
        of = f"CCD {row.ccdnum}" if row.ccdnum else f"median of {row.over_ccds} CCDs" if row.over_ccds else ""
        words = (
            row.metric,
            f"({row.module})" if twice else "",
            f"of {of}" if of and facts.subject.ccdnum is None else "",
            "not measured" if row.value is None else f"{row.value:.6g}",
            row.unit,
        )
        notes = (
            "bad" if row.bad else "look" if row.look else "",
            "" if row.middle is None else f"night {row.middle:.4g}",
            row.bounds,
        )
        more = "; ".join(filter(None, notes))
        lines.append(" ".join(filter(None, words)) + (f" ({more})" if more else ""))
    return lines


def _own_numbers(conn: Connection, subject: Subject) -> list[store.MetricValue]:
    """Return the QA numbers of a subject that are of no single CCD, of a CCD its own; the most telling first."""
    numbers = numbers_of_subject(conn, subject)
    if subject.ccdnum is None:
        numbers = [n for n in numbers if "ccdnum" not in n.keys]
    place = {name: n for n, name in enumerate(_TELLING)}
    return sorted(
        numbers, key=lambda n: (place.get(n.name, len(place)), n.name, n.module, *band_order(n.band))
    )


def _count(numbers: int) -> str:
    """Return a count of numbers in words."""
    return f"{numbers} {'number' if numbers == 1 else 'numbers'}"


def _runs(conn: Connection, subject: Subject) -> tuple[watch.RunRow, ...]:
    """Return the runs at an exposure or tile, or the run itself, newest first."""
    unit = exposure_name(subject.expnum) if subject.expnum is not None else ""
    unit = subject.name if subject.kind is SubjectKind.TILE else unit
    unit = unit or subject.run.rpartition("_r")[0]
    return tuple(watch.runs(conn, {"unitname": unit}, 20)) if unit else ()


def _by_band(conn: Connection, facts: SubjectFacts, scope: Scope) -> BandTable:
    """Return the numbers of a tile by band: exposures that went in with t_eff and seeing, and what its run measured."""
    went_in: dict[str, set[int]] = {}
    for n in numbers_of_subject(conn, facts.subject):
        expnum = n.keys.get("expnum", "")
        if n.band and expnum.isdecimal():
            went_in.setdefault(n.band, set()).add(int(expnum))
    judged: dict[int, EvaluationRow] = {}
    everything = sorted(set().union(*went_in.values())) if went_in else []
    for cut in EVALUATIONS if everything else ():
        # In the order of cuts: the later one counts.
        judged |= {row["expnum"]: row for row in verdicts(conn, cut, everything, scope)}
    bands = tuple(sorted({n.band for n in facts.numbers if n.band} | set(went_in), key=band_order))
    t_eff = {
        b: [v for e in went_in.get(b, ()) if (v := judged[e]["t_eff"] if e in judged else None)]
        for b in bands
    }
    seeing = {
        b: [v for e in went_in.get(b, ()) if (v := judged[e]["fwhm_asec"] if e in judged else None)]
        for b in bands
    }
    rows: list[tuple[str, str, tuple[float | None, ...]]] = []
    if went_in:
        rows = [
            ("exposures", "", tuple(float(len(went_in.get(b, ()))) for b in bands)),
            ("t_eff, sum", "", tuple(sum(t_eff[b]) if t_eff[b] else None for b in bands)),
            (
                "seeing, median of exposures",
                "arcsec",
                tuple(median(seeing[b]) if seeing[b] else None for b in bands),
            ),
        ]
    modules: dict[str, set[str]] = {}
    values: dict[tuple[str, str, str], dict[str, float]] = {}
    for n in facts.numbers:
        modules.setdefault(n.name, set()).add(n.module)
        values.setdefault((n.name, n.module, n.unit), {})[n.band] = n.value
    whole = []
    for (name, module, unit), of_band in values.items():
        title = f"{name} ({module})" if len(modules[name]) > 1 else name
        if "" in of_band:
            whole.append((title, unit, of_band[""]))
        if any(of_band):
            rows.append((title, unit, tuple(of_band.get(b) for b in bands)))
    return BandTable(bands, tuple(rows), tuple(whole))


def _verdicts(conn: Connection, expnum: int | None, scope: Scope) -> Mapping[str, EvaluationRow]:
    """Return the verdict on an exposure that counts, by cut."""
    if expnum is None:
        return {}
    rows = {cut: verdicts(conn, cut, [expnum], scope) for cut in EVALUATIONS}
    return {cut: of_cut[0] for cut, of_cut in rows.items() if of_cut}


def _exclusions(conn: Connection, subject: Subject) -> tuple[ExclusionLine, ...]:
    """Return the exclusions of an exposure, or of a CCD and its exposure, newest first."""
    if subject.expnum is None:
        return ()
    rows = archive_store.excluded(conn, [subject.expnum], lifted=True)
    return tuple(
        ExclusionLine(
            row["ccdnum"] or None,
            row["reason"],
            row["analyst"],
            row["since"],
            row["lifted_by"] or "",
            row["lifted_at"],
            row["lift_reason"] or "",
        )
        for row in reversed(rows)
        if subject.ccdnum is None or row["ccdnum"] in (0, subject.ccdnum)
    )


def _ccds(
    conn: Connection,
    subject: Subject,
    numbers: Sequence[Number],
    marks: Sequence[QaMark],
    exclusions: Sequence[ExclusionLine],
) -> tuple[CcdLine, ...]:
    """Return the CCDs of an exposure; `numbers` and `marks` are those of the exposure with its CCDs."""
    if subject.kind is not SubjectKind.EXPOSURE or subject.expnum is None:
        return ()
    ccds = set(archive_store.ccds_of_exposure(conn, subject.expnum) or ()) | {n.ccdnum for n in numbers}
    by_ccd: dict[int, dict[str, float]] = {}
    for n in numbers:
        by_ccd.setdefault(n.ccdnum, {}).setdefault(n.metric, n.value)
    newest: dict[str, QaMark] = {}
    for mark in marks:
        newest.setdefault(mark.subject, mark)
    excluded = {e.ccdnum: e.reason for e in exclusions if e.lifted_at is None}
    lines = []
    for ccdnum in sorted(ccds - {0}):
        name = ccd_name(subject.expnum, ccdnum)
        latest = newest.get(name)
        counts = latest if latest is not None and latest.verdict is not Mark.WITHDRAWN else None
        lines.append(CcdLine(ccdnum, name, counts, excluded.get(ccdnum, ""), by_ccd.get(ccdnum, {})))
    return tuple(lines)


def _files(conn: Connection, subject: Subject) -> list[deskstore.ExposureFile]:
    """Return the files of an exposure or CCD, or those of the run that counts for another subject."""
    if subject.expnum is not None:
        return deskstore.files_of_exposure(conn, subject.expnum, subject.attempt_id, subject.ccdnum)
    if subject.kind is SubjectKind.FILE and subject.desfile_id is not None:
        ids = [subject.desfile_id]
    elif subject.attempt_id is not None:
        ids = sorted(archive_store.files_of_attempts(conn, [subject.attempt_id]))
    else:
        ids = []
    return [
        deskstore.ExposureFile(r.id, r.name, r.filetype, None, r.filesize, r.pfw_attempt_id)
        for r in archive_store.files_by_id(conn, ids)
    ]


def _releases(
    conn: Connection, subject: Subject, releases: Path, files: Sequence[deskstore.ExposureFile]
) -> list[Holder]:
    """Return the releases that hold a subject or products of it."""
    if subject.kind is SubjectKind.EXPOSURE and subject.expnum is not None:
        return holders_of_exposure(conn, releases, subject.expnum, images=True)
    numbers = [file.id for file in files]
    return (
        holders(conn, releases, {*numbers, *archive_store.reached(conn, numbers, up=False)})
        if numbers
        else []
    )


def _users(
    conn: Connection, subject: Subject, files: Sequence[deskstore.ExposureFile]
) -> tuple[archive_store.AttemptFacts, ...]:
    """Return the runs that used files of a subject, or products of them, newest first."""
    own = [file.id for file in files]
    reached = archive_store.reached(conn, own, up=False) if own else []
    numbers = set(archive_store.attempts_of(conn, reached)) - {subject.attempt_id, None} if reached else set()
    return tuple(archive_store.attempt_facts(conn, sorted(numbers)).values())[::-1][:_USERS]
