"""Select the images that a product may use: accepted, not excluded, and the best of each exposure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.catalogfile import CatalogFile, FileIdentity
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
    "Selection",
    "companions",
    "drop_excluded",
    "omissions",
    "replaced",
    "select_images",
]


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
    """The files that are used, in their order, and what is not used."""

    files: list[CatalogFile]
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
    conn: Connection, files: Sequence[CatalogFile], policy: AssessmentPolicy, scope: Scope | None = None
) -> Selection:
    """Select from images, or raw exposures, those that a product may use.

    In this order: what is on the exclude list is left out, an exposure or one CCD of it; rejected exposures, and under
    `AssessmentPolicy.ACCEPTED` those without a verdict, are left out; of the processings of one exposure the best is
    taken as a whole: accepted before not assessed, one of all CCDs before one of some of them, Final Cut before First Cut
    before other pipelines before a delivered image, blessed before flagged, then the newest. Delivered images need no
    verdict of ours, but obey one. Of one exposure that was registered under two numbers the first one is used.

    Parameters
    ----------
    files
        Files as of `desdm.archive.catalog.find`.
    policy
        Which exposures may be used.
    scope
        Attempts whose verdicts count.

    Returns
    -------
    Selection
        A raw file of several CCDs of which one is excluded remains, with the CCDs that must not be used in its
        ``excluded_ccds``.
    """
    by_exposure: dict[int, list[CatalogFile]] = {}
    for file in files:
        if file.expnum is not None:
            by_exposure.setdefault(file.expnum, []).append(file)
    numbers = sorted(by_exposure)
    judged = standings(conn, numbers, scope)
    banned = _exclusions(conn, numbers)
    attempts = sorted({file.pfw_attempt_id for file in files if file.pfw_attempt_id is not None})
    facts = store.attempt_facts(conn, attempts)
    tried = store.ccds_tried(conn, attempts)
    unfit = unfit_reasons(conn, [n for n, one in facts.items() if not one.good])
    reduced: dict[int, CatalogFile] = {}
    omitted: list[Omitted] = []
    for number, of_exposure in by_exposure.items():
        chooser = _Exposure(number, judged.get(number), banned.get(number, {}), facts, policy, tried, unfit)
        for file, reason in chooser.decide(of_exposure):
            if reason:
                omitted.append(_omitted(file, file.ccdnum or 0, reason))
            else:
                reduced[id(file)] = _without_ccds(file, chooser.banned, omitted)
    used = [reduced.get(id(file), file) for file in files if id(file) in reduced or file.expnum is None]
    return _without_repeated(conn, used, omitted)


def _without_repeated(conn: Connection, files: Sequence[CatalogFile], omitted: list[Omitted]) -> Selection:
    """Leave out exposures that are another one of the files again, under another number."""
    numbers = {file.expnum for file in files if file.expnum is not None}
    repeated = repeated_exposures(conn, numbers) if len(numbers) > 1 else {}
    used: list[CatalogFile] = []
    for file in files:
        first = None if file.expnum is None else repeated.get(file.expnum)
        if first is None:
            used.append(file)
            continue
        frame, why = first
        text = f"it has {why} as {frame.filename} of exposure {frame.expnum}, which is used"
        omitted.append(_omitted(file, 0, text))
    return Selection(used, omitted)


def drop_excluded(conn: Connection, files: Sequence[CatalogFile], own: int | None = None) -> Selection:
    """Leave out files of excluded exposures and CCDs, whatever their verdicts; of a raw file its excluded CCDs.

    Parameters
    ----------
    conn
        Connection to the database.
    files
        Files as of `desdm.archive.catalog.find`.
    own
        Exposure that is processed by itself, which may be looked at anew: its files remain; None: there is none.
    """
    numbers = sorted({file.expnum for file in files if file.expnum is not None and file.expnum != own})
    banned = _exclusions(conn, numbers) if numbers else {}
    if not banned:
        return Selection(list(files), [])
    used: list[CatalogFile] = []
    omitted: list[Omitted] = []
    for file in files:
        of_exposure = {} if file.expnum is None else banned.get(file.expnum, {})
        if reason := _exclusion(file, of_exposure):
            omitted.append(_omitted(file, 0, reason))
        elif file.filetype == "raw":
            used.append(_without_ccds(file, of_exposure, omitted))
        else:
            used.append(file)
    return Selection(used, omitted)


def replaced(
    conn: Connection,
    candidates: Iterable[tuple[FileIdentity, str]],
    used: Sequence[FileIdentity],
    scope: Scope | None = None,
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
    of_exposure = {file.expnum: file for file in used if file.expnum is not None}
    pairs = [
        (file, reason, of_exposure[file.expnum])
        for file, reason in candidates
        if file.expnum is not None and file.expnum in of_exposure
    ]
    numbers = {file.pfw_attempt_id for pair in pairs for file in (pair[0], pair[2])}
    facts = store.attempt_facts(conn, sorted(n for n in numbers if n is not None)) if pairs else {}
    images: list[Omitted] = []
    for file, reason, other in pairs:
        own, in_place = facts.get(file.pfw_attempt_id or 0), facts.get(other.pfw_attempt_id or 0)
        if own is None or (scope is not None and outside(own, scope)):
            continue
        if in_place is not None and own.run == in_place.run:
            images.append(_omitted(file, 0, reason))
        elif in_place is None or _precedence(own) < _precedence(in_place):
            name = _source(other, facts)
            words = f"{reason}; {name} is used in place of {own.pipeline} run {own.run}"
            images.append(_omitted(file, 0, words))
    return images


def _precedence(attempt: store.AttemptFacts) -> tuple[int, int]:
    """Order of attempts at one exposure were they all good: the later cut first, then the newest."""
    return _RANK.get(attempt.pipeline, _OTHER), -attempt.id


def _source(file: FileIdentity, facts: Mapping[int, store.AttemptFacts]) -> str:
    """What a file comes from, for messages."""
    number = file.pfw_attempt_id
    if number is None:
        return f"the delivered {file.filename}"
    return f"{facts[number].pipeline} run {facts[number].run}"


def _exclusions(conn: Connection, expnums: Sequence[int]) -> dict[int, dict[int, str]]:
    """The exclusions in force: exposure → CCD (0: all) → words."""
    reasons: dict[int, dict[int, str]] = {}
    for row in store.excluded(conn, expnums):
        words = f"{row['reason']} ({row['analyst']})"
        of_exposure = reasons.setdefault(row["expnum"], {})
        before = of_exposure.get(row["ccdnum"], "excluded")
        of_exposure[row["ccdnum"]] = f"{before}{'; ' if row['ccdnum'] in of_exposure else ': '}{words}"
    return reasons


def _omitted(file: FileIdentity, ccdnum: int, reason: str) -> Omitted:
    """Return the record of an input that is left out, as a whole or for one CCD."""
    # A file of one CCD tells its CCD also where the whole file is left out.
    return Omitted(file.id, file.filename, file.expnum, ccdnum or file.ccdnum or 0, reason)


def _exclusion(file: FileIdentity, banned: Mapping[int, str]) -> str:
    """Why a file must not be used as a whole by the exclusions of its exposure (by CCD, 0: all); empty: it may be."""
    return banned.get(0) or ("" if file.ccdnum is None else banned.get(file.ccdnum, ""))


def _without_ccds(file: CatalogFile, banned: Mapping[int, str], omitted: list[Omitted]) -> CatalogFile:
    """The file, with the excluded CCDs noted where it is one of several."""
    if file.ccdnum is not None or not banned:
        return file
    for ccdnum, reason in sorted(banned.items()):
        omitted.append(_omitted(file, ccdnum, reason))
    return replace(file, excluded_ccds=tuple(sorted(banned)))


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

    def decide(self, files: Sequence[CatalogFile]) -> Iterator[tuple[CatalogFile, str]]:
        """Each file with the reason why it is not used; empty: it is used."""
        fit: list[tuple[CatalogFile, tuple[int, ...]]] = []
        for file in files:
            reason, order = self._fitness(file)
            if reason:
                yield file, reason
            else:
                fit.append((file, order))
        images = [(file, order) for file, order in fit if file.filetype != "raw"]
        yield from ((file, "") for file, _ in fit if file.filetype == "raw")
        if not images:
            return
        # The best processing is taken as a whole: CCDs of two calibrations do not mix in one exposure.
        numbers = {file.pfw_attempt_id for file, _ in images if file.pfw_attempt_id is not None}
        tried = {n: self.tried[n] for n in numbers & self.tried.keys()}
        partial = store.partial(tried, {n: self.facts[n].order for n in tried})

        def place(item: tuple[CatalogFile, tuple[int, ...]]) -> tuple[int, ...]:
            file, (verdict, *rest) = item
            return (verdict, file.pfw_attempt_id in partial, *rest, -file.id)

        best = min(images, key=place)[0]
        newest: dict[int | None, int] = {}
        for file, _ in images:
            if file.pfw_attempt_id == best.pfw_attempt_id:
                newest[file.ccdnum] = max(newest.get(file.ccdnum, 0), file.id)
        for file, _ in images:
            if file.pfw_attempt_id != best.pfw_attempt_id:
                yield file, f"{_source(best, self.facts)} of the same exposure is used"
            elif file.id != newest[file.ccdnum]:
                yield file, "a newer delivery of the same image is used"
            else:
                yield file, ""

    def _fitness(self, file: CatalogFile) -> tuple[str, tuple[int, ...]]:
        """Why a file must not be used (empty: it may be), and its order among those that may."""
        if reason := _exclusion(file, self.banned):
            return reason, (0, 0)
        number = file.pfw_attempt_id
        if number is None:
            verdict, words = (Verdict.UNKNOWN, "") if self.standing is None else self.standing.overall
            if verdict is Verdict.REJECTED and self.policy is not AssessmentPolicy.ANY:
                return f"rejected: {words}", (0, 0)
            return "", (_ORDER[verdict], _DELIVERED, 0)
        attempt = self.facts[number]
        if not attempt.good:
            return self.unfit[number], (0, 0)
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


def companions(files: Sequence[CatalogFile], images: Sequence[CatalogFile]) -> list[CatalogFile]:
    """Return the files that belong to delivered images: masks, weights, PSFs of the same exposure and CCD.

    A mask of a delivery does not belong to an image of our own. Of several files of one type for one image that counts
    whose name shares most with the image's (but for the letters that tell image, mask and weight), then the newest.

    Parameters
    ----------
    files
        The companions.
    images
        The images that are used.
    """
    of_image = {(i.expnum, i.ccdnum): _stem(i.filename) for i in images if i.pfw_attempt_id is None}
    chosen: dict[tuple[int | None, int | None, str], CatalogFile] = {}
    for file in files:
        place = (file.expnum, file.ccdnum)
        if place not in of_image:
            continue
        key = (*place, file.filetype)
        known = chosen.get(key)
        if known is None or _order(file, of_image[place]) > _order(known, of_image[place]):
            chosen[key] = file
    taken = {id(file) for file in chosen.values()}
    return [file for file in files if id(file) in taken]


def _stem(filename: str) -> str:
    """The name without what tells image, mask and weight apart, and without suffixes."""
    return _KIND.sub("_", filename).split(".fits")[0]


def _order(file: CatalogFile, stem: str) -> tuple[int, int]:
    """Order of a companion: the name that shares most with the image's first, then the newest."""
    pairs = zip(_stem(file.filename), stem, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)), file.id
