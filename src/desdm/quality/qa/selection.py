"""Select the images that a product may use: accepted, not excluded, and the best of each exposure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Any, TypeAlias

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.model import Scope
from desdm.archive.twins import repeated_exposures
from desdm.archive.withheld import outside, unfit_reasons
from desdm.quality.qa.store import omitted_inputs
from desdm.quality.qa.verdict import Standing, standings
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name

__all__ = [
    "AssessmentPolicy",
    "Omitted",
    "Row",
    "Selection",
    "companions",
    "drop_excluded",
    "omissions",
    "replaced",
    "select_images",
]

Row: TypeAlias = Mapping[str, Any]


class AssessmentPolicy(StrEnum):
    """Which exposures a product may use; excluded ones it never uses."""

    #: exposures whose verdict is True
    ACCEPTED = "accepted"
    #: also exposures that nobody has judged
    UNASSESSED = "unassessed"
    #: also rejected exposures
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Omitted:
    """A file, or one CCD of a file of several, that is not used, and why; ``ccdnum`` 0: a file of several, all of it."""

    desfile_id: int
    filename: str
    expnum: int | None
    ccdnum: int
    reason: str

    def document(self) -> dict[str, str | int | None]:
        """What was left out as JSON tells it; ``ccdnum`` None: the whole file."""
        return {
            "filename": self.filename,
            "expnum": self.expnum,
            "ccdnum": self.ccdnum or None,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that are used, in their order, and what is not used."""

    rows: list[Row]
    omitted: list[Omitted]


#: Exposures and CCDs that one line names.
_NAMES = 5


def omitted_of_run(conn: Connection, attempt_id: int) -> list[Omitted]:
    """Return what the plan of a run left out, by name and CCD, with the reasons that held then."""
    return [Omitted(*row) for row in omitted_inputs(conn, attempt_id)]


def omissions(omitted: Iterable[Omitted]) -> list[str]:
    """Return what was left out in words, by reason, the most frequent first: ``2: D00000001 CCD 3,4: rejected``.

    CCDs of one exposure that share a reason are named together.
    """
    by_reason: dict[str, list[Omitted]] = {}
    for one in omitted:
        by_reason.setdefault(one.reason, []).append(one)
    lines = []
    for reason, omissions in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        ccds: dict[int, list[str]] = {}
        for expnum, ccdnum, filename in sorted(
            {(o.expnum or 0, o.ccdnum, "" if o.expnum else o.filename) for o in omissions}
        ):
            ccds.setdefault(expnum, []).append(filename or (str(ccdnum) if ccdnum else ""))
        names = [_exposure_with_ccds(expnum, numbers) for expnum, numbers in ccds.items()]
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        lines.append(f"{len(omissions)}: {', '.join(names[:_NAMES])}{more}: {reason}")
    return lines


def _exposure_with_ccds(expnum: int, ccds: Sequence[str]) -> str:
    """An exposure with those of its CCDs that are left out; for 0 the names of files of no exposure."""
    if not expnum:
        return ", ".join(ccds)
    name = exposure_name(expnum)
    return name if "" in ccds else f"{name} CCD {','.join(ccds)}"


#: The later cut is the better one: it has the season's calibrations.
_RANK = {"finalcut": 0, "firstcut": 1}
_OTHER, _DELIVERED = 2, 3
_ORDER = {Verdict.ACCEPTED: 0, Verdict.UNKNOWN: 1, Verdict.REJECTED: 2}


def select_images(
    conn: Connection, rows: Sequence[Row], policy: AssessmentPolicy, scope: Scope | None = None
) -> Selection:
    """Select from images, or raw exposures, those that a product may use.

    In this order: what is on the exclude list is left out, an exposure or one CCD of it; rejected exposures, and under
    `AssessmentPolicy.ACCEPTED` those without a verdict, are left out; of the processings of one exposure the best is
    taken as a whole: accepted before not assessed, one of all CCDs before one of some of them, Final Cut before First Cut
    before other pipelines before a delivered image, blessed before flagged, then the newest. Delivered images need no
    verdict of ours, but obey one. Of one exposure that was registered under two numbers the first one is used.

    Parameters
    ----------
    rows
        Rows of `desdm.archive.catalog.find`.
    policy
        Which exposures may be used.
    scope
        Attempts whose verdicts count.

    Returns
    -------
    Selection
        A raw file of several CCDs of which one is excluded remains, with the CCDs that must not be used in the further
        key ``excluded_ccds`` (numbers, comma separated).
    """
    by_exposure: dict[int, list[Row]] = {}
    for row in rows:
        if row.get("expnum") is not None:
            by_exposure.setdefault(int(row["expnum"]), []).append(row)
    numbers = sorted(by_exposure)
    judged = standings(conn, numbers, scope)
    banned = _exclusions(conn, numbers)
    attempts = sorted({int(r["pfw_attempt_id"]) for r in rows if r.get("pfw_attempt_id") is not None})
    facts = store.attempt_facts(conn, attempts)
    tried = store.ccds_tried(conn, attempts)
    unfit = unfit_reasons(conn, [n for n, one in facts.items() if not one.good])
    reduced: dict[int, Row] = {}
    omitted: list[Omitted] = []
    for number, of_exposure in by_exposure.items():
        chooser = _Exposure(number, judged.get(number), banned.get(number, {}), facts, policy, tried, unfit)
        for row, reason in chooser.decide(of_exposure):
            if reason:
                omitted.append(_omitted(row, int(row.get("ccdnum") or 0), reason))
            else:
                reduced[id(row)] = _without_ccds(row, chooser.banned, omitted)
    used = [reduced.get(id(row), row) for row in rows if id(row) in reduced or row.get("expnum") is None]
    return _without_repeated(conn, used, omitted)


def _without_repeated(conn: Connection, rows: Sequence[Row], omitted: list[Omitted]) -> Selection:
    """Leave out exposures that are another one of the rows again, under another number."""
    numbers = {int(row["expnum"]) for row in rows if row.get("expnum") is not None}
    repeated = repeated_exposures(conn, numbers) if len(numbers) > 1 else {}
    used: list[Row] = []
    for row in rows:
        first = repeated.get(int(row["expnum"])) if row.get("expnum") is not None else None
        if first is None:
            used.append(row)
            continue
        frame, why = first
        text = f"it has {why} as {frame.filename} of exposure {frame.expnum}, which is used"
        omitted.append(_omitted(row, 0, text))
    return Selection(used, omitted)


def drop_excluded(conn: Connection, rows: Sequence[Row], own: int | None = None) -> Selection:
    """Leave out files of excluded exposures and CCDs, whatever their verdicts; of a raw file its excluded CCDs.

    Parameters
    ----------
    conn
        Connection to the database.
    rows
        Rows of `desdm.archive.catalog.find`.
    own
        Exposure that is processed by itself, which may be looked at anew: its files remain; None: there is none.
    """
    numbers = sorted({int(row["expnum"]) for row in rows if row.get("expnum") is not None} - {own})
    banned = _exclusions(conn, numbers) if numbers else {}
    if not banned:
        return Selection(list(rows), [])
    used: list[Row] = []
    omitted: list[Omitted] = []
    for row in rows:
        of_exposure = banned.get(int(row["expnum"]), {}) if row.get("expnum") is not None else {}
        if reason := _exclusion(row, of_exposure):
            omitted.append(_omitted(row, 0, reason))
        elif row.get("filetype") == "raw":
            used.append(_without_ccds(row, of_exposure, omitted))
        else:
            used.append(row)
    return Selection(used, omitted)


def replaced(
    conn: Connection, candidates: Iterable[tuple[Row, str]], used: Sequence[Row], scope: Scope | None = None
) -> list[Omitted]:
    """Return the images that would be taken but for a fault of their own, each with its reason and what takes its place.

    Parameters
    ----------
    conn
        Connection to the database.
    candidates
        Images that must not be used, and why.
    used
        Images that are used.
    scope
        Attempts whose images count; None: all.
    """
    of_exposure = {int(row["expnum"]): row for row in used if row.get("expnum") is not None}
    pairs = [
        (row, reason, of_exposure[int(row["expnum"])])
        for row, reason in candidates
        if row.get("expnum") is not None and int(row["expnum"]) in of_exposure
    ]
    numbers = {row.get("pfw_attempt_id") for pair in pairs for row in (pair[0], pair[2])}
    facts = store.attempt_facts(conn, sorted(int(n) for n in numbers if n is not None)) if pairs else {}
    images: list[Omitted] = []
    for row, reason, other in pairs:
        own, in_place = facts.get(row.get("pfw_attempt_id") or 0), facts.get(other.get("pfw_attempt_id") or 0)
        if own is None or (scope is not None and outside(own, scope)):
            continue
        if in_place is not None and own.run == in_place.run:
            images.append(_omitted(row, 0, reason))
        elif in_place is None or _precedence(own) < _precedence(in_place):
            name = _source(other, facts)
            words = f"{reason}; {name} is used in place of {own.pipeline} run {own.run}"
            images.append(_omitted(row, 0, words))
    return images


def _precedence(attempt: store.AttemptFacts) -> tuple[int, int]:
    """Order of attempts at one exposure were they all good: the later cut first, then the newest."""
    return _RANK.get(attempt.pipeline, _OTHER), -attempt.id


def _source(row: Row, facts: Mapping[int, store.AttemptFacts]) -> str:
    """What a row comes from, for messages."""
    number = row.get("pfw_attempt_id")
    if number is None:
        return f"the delivered {row['filename']}"
    return f"{facts[int(number)].pipeline} run {facts[int(number)].run}"


def _exclusions(conn: Connection, expnums: Sequence[int]) -> dict[int, dict[int, str]]:
    """The exclusions in force: exposure → CCD (0: all) → words."""
    reasons: dict[int, dict[int, str]] = {}
    for row in store.excluded(conn, expnums):
        words = f"{row['reason']} ({row['analyst']})"
        of_exposure = reasons.setdefault(row["expnum"], {})
        before = of_exposure.get(row["ccdnum"], "excluded")
        of_exposure[row["ccdnum"]] = f"{before}{'; ' if row['ccdnum'] in of_exposure else ': '}{words}"
    return reasons


def _omitted(row: Row, ccdnum: int, reason: str) -> Omitted:
    """Return the record of an input that is left out, as a whole or for one CCD."""
    # A file of one CCD tells its CCD also where the whole file is left out.
    ccdnum = ccdnum or int(row.get("ccdnum") or 0)
    return Omitted(int(row["id"]), str(row["filename"]), int(row["expnum"]), ccdnum, reason)


def _exclusion(row: Row, banned: Mapping[int, str]) -> str:
    """Why a file must not be used as a whole by the exclusions of its exposure (by CCD, 0: all); empty: it may be."""
    ccdnum = row.get("ccdnum")
    return banned.get(0) or (banned.get(int(ccdnum), "") if ccdnum is not None else "")


def _without_ccds(row: Row, banned: Mapping[int, str], omitted: list[Omitted]) -> Row:
    """The row, with the excluded CCDs noted where it is a file of several."""
    if row.get("ccdnum") is not None or not banned:
        return row
    for ccdnum, reason in sorted(banned.items()):
        omitted.append(_omitted(row, ccdnum, reason))
    return {**row, "excluded_ccds": ",".join(str(n) for n in sorted(banned))}


@dataclass(frozen=True, slots=True)
class _Exposure:
    """The decision on the files of one exposure."""

    expnum: int
    standing: Standing | None
    banned: Mapping[int, str]
    facts: Mapping[int, store.AttemptFacts]
    policy: AssessmentPolicy
    tried: Mapping[int, frozenset[int]]
    unfit: Mapping[int, str]

    def decide(self, rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
        """Each row with the reason why it is not used; empty: it is used."""
        fit: list[tuple[Row, tuple[int, ...]]] = []
        for row in rows:
            reason, order = self._fitness(row)
            if reason:
                yield row, reason
            else:
                fit.append((row, order))
        images = [(row, order) for row, order in fit if row.get("filetype") != "raw"]
        yield from ((row, "") for row, _ in fit if row.get("filetype") == "raw")
        if not images:
            return
        # The best processing is taken as a whole: CCDs of two calibrations do not mix in one exposure.
        numbers = {int(n) for row, _ in images if (n := row.get("pfw_attempt_id")) is not None}
        tried = {n: self.tried[n] for n in numbers & self.tried.keys()}
        partial = store.partial(tried, {n: self.facts[n].order for n in tried})

        def place(item: tuple[Row, tuple[int, ...]]) -> tuple[int, ...]:
            row, (verdict, *rest) = item
            return (verdict, row.get("pfw_attempt_id") in partial, *rest, -int(row["id"]))

        best_row = min(images, key=place)[0]
        best = best_row.get("pfw_attempt_id")
        newest: dict[object, int] = {}
        for row, _ in images:
            if row.get("pfw_attempt_id") == best:
                key = row.get("ccdnum")
                newest[key] = max(newest.get(key, 0), int(row["id"]))
        for row, _ in images:
            if row.get("pfw_attempt_id") != best:
                yield row, f"{_source(best_row, self.facts)} of the same exposure is used"
            elif int(row["id"]) != newest[row.get("ccdnum")]:
                yield row, "a newer delivery of the same image is used"
            else:
                yield row, ""

    def _fitness(self, row: Row) -> tuple[str, tuple[int, ...]]:
        """Why a file must not be used (empty: it may be), and its order among those that may."""
        if reason := _exclusion(row, self.banned):
            return reason, (0, 0)
        number = row.get("pfw_attempt_id")
        if number is None:
            verdict, words = (Verdict.UNKNOWN, "") if self.standing is None else self.standing.overall
            if verdict is Verdict.REJECTED and self.policy is not AssessmentPolicy.ANY:
                return f"rejected: {words}", (0, 0)
            return "", (_ORDER[verdict], _DELIVERED, 0)
        attempt = self.facts[int(number)]
        if not attempt.good:
            return self.unfit[int(number)], (0, 0)
        verdict, words = self._verdict(attempt.pipeline)
        if verdict is Verdict.REJECTED and self.policy is not AssessmentPolicy.ANY:
            return f"rejected: {words}", (0, 0)
        if verdict is Verdict.UNKNOWN and self.policy is AssessmentPolicy.ACCEPTED:
            return f"not assessed: {words}", (0, 0)
        return "", (_ORDER[verdict], _RANK.get(attempt.pipeline, _OTHER), attempt.order)

    def _verdict(self, pipeline: str) -> tuple[Verdict, str]:
        """The verdict that counts for products of a pipeline, with its reason."""
        if self.standing is None:
            return Verdict.UNKNOWN, "it has no verdict"
        verdict, words = self.standing.of(pipeline if pipeline in _RANK else "firstcut")
        final = self.standing.programs.get("finalcut")
        # Final Cut judges the exposure with the better calibrations; only a person stands above it.
        if pipeline != "finalcut" and final is Verdict.REJECTED and self.standing.person is None:
            return final, f"in Final Cut: {self.standing.words['finalcut']}"
        return verdict, words


#: Image, mask and weight of one delivery have one name but for these letters (Community Pipeline).
_KIND = re.compile(r"_oo[idw]_")


def companions(rows: Sequence[Row], images: Sequence[Row]) -> list[Row]:
    """Return the files that belong to delivered images: masks, weights, PSFs of the same exposure and CCD.

    A mask of a delivery does not belong to an image of our own. Of several files of one type for one image that counts
    whose name shares most with the image's (but for the letters that tell image, mask and weight), then the newest.

    Parameters
    ----------
    rows
        Rows of the companions.
    images
        Rows of the images that are used.
    """
    of_image = {
        (r.get("expnum"), r.get("ccdnum")): _stem(str(r["filename"]))
        for r in images
        if r.get("pfw_attempt_id") is None
    }
    chosen: dict[tuple[object, object, object], Row] = {}
    for row in rows:
        place = (row.get("expnum"), row.get("ccdnum"))
        if place not in of_image:
            continue
        key = (*place, row.get("filetype"))
        known = chosen.get(key)
        if known is None or _order(row, of_image[place]) > _order(known, of_image[place]):
            chosen[key] = row
    taken = {id(row) for row in chosen.values()}
    return [row for row in rows if id(row) in taken]


def _stem(filename: str) -> str:
    """The name without what tells image, mask and weight apart, and without suffixes."""
    return _KIND.sub("_", filename).split(".fits")[0]


def _order(row: Row, stem: str) -> tuple[int, int]:
    """Order of a companion: the name that shares most with the image's first, then the newest."""
    pairs = zip(_stem(str(row["filename"])), stem, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)), int(row["id"])
