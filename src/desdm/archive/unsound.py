"""Files that must not be used: marked defective, or derived from such a file, an excluded frame or a run that is JUNK.

One rule for all: a calibration is not chosen, and an image not planned or released, if its lineage holds any. Lists of
frames (``cal_frames``) hold judgements on frames and no pixels of them: a frame that was left out of a combination and is
excluded later spoils nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store
from desdm.schema.states import DataState
from desdm.schema.store import exposure_name

__all__ = [
    "EVIDENCE",
    "PIXELS",
    "ExclusionSpread",
    "Reach",
    "Spread",
    "content_edges",
    "defect_spread",
    "exclusion_spreads",
    "exclusion_text",
    "reach_of_exclusions",
    "reach_of_files",
    "reach_of_run",
    "unsound",
    "unsound_attempts",
]

#: Runs of a pipeline that a text names.
_NAMED = 5

#: File type of the lists of frames: what is produced with such a list has no pixel of the frames that it rejects.
EVIDENCE = "cal_frames"
#: File types whose pixels go into a coadd; through all others an exposure goes in as a calibration.
PIXELS = ("red_immask", "cp_image", "coadd_nwgint")


def exclusion_text(expnum: int, ccdnum: int, reason: str, analyst: str) -> str:
    """Say in words that a file was derived from an excluded exposure, or from an excluded CCD of it.

    Parameters
    ----------
    expnum
        Number of the excluded exposure.
    ccdnum
        CCD number; 0: the whole exposure.
    reason
        Why it is excluded.
    analyst
        Login of the person who excluded it.
    """
    what = exposure_name(expnum) + (f", CCD {ccdnum}," if ccdnum else ",")
    return f"made from exposure {what} which is excluded: {reason} ({analyst})"


def content_edges(conn: Connection, ids: Sequence[int]) -> list[tuple[int, int]]:
    """(child, parent) of the edges that begin in ``ids``, without those of lists of frames."""
    edges = store.derived_among(conn, ids)
    lists = store.files_of_type(conn, sorted({number for edge in edges for number in edge}), EVIDENCE)
    return [edge for edge in edges if lists.isdisjoint(edge)] if lists else edges


def unsound(conn: Connection, files: Mapping[int, int | None]) -> dict[int, str]:
    """Return, of files that must not be used because of a mark of their own or of their lineage, why.

    An exposure's own exclusion is not listed for what is excluded itself: the selection of images reports it.

    Parameters
    ----------
    files
        Number of the file → exposure that it is of; None: of none or several.
    """
    if not files or not store.anything_unsound(conn):
        return {}
    ancestors = store.reached(conn, sorted(files), up=True)
    everyone = sorted({*files, *ancestors})
    defects = store.files_of_defective_attempts(conn, everyone) | store.defective_files(conn, everyone)
    excluded = store.excluded_files(conn, ancestors) if ancestors else []
    junk = store.junk_files(conn, ancestors) if ancestors else {}
    if not excluded and not junk and not defects:
        return {}
    edges = content_edges(conn, everyone)
    texts: dict[int, str] = {}
    for one in exclusion_spreads(conn, excluded, edges):
        spoiled = {n: one.text for n in files if one.spoils(n) and not one.names(n)}
        texts = spoiled | texts
    marked = _junk_reasons(conn, junk.values())
    reasons = _descendants(edges, {number: marked[attempt] for number, attempt in junk.items()})
    texts = {n: text for n, text in reasons.items() if n in files} | texts
    return texts | _defect_texts(conn, files, defects, edges)


def _defect_texts(
    conn: Connection,
    files: Iterable[int],
    defects: Mapping[int, store.Defect],
    edges: Sequence[tuple[int, int]],
) -> dict[int, str]:
    """Say of files that they are marked defective, or from which file that is they were derived."""
    if not defects:
        return {}
    names = store.names_of_files(conn, sorted(defects))
    spread = defect_spread(conn, defects, edges)
    texts = {}
    for number in files:
        if chain := spread.chain(number):
            root = chain[-1]
            own = root == number
            texts[number] = ("" if own else f"made from {names[root]}, which is ") + defects[root].text
    return texts


def unsound_attempts(conn: Connection, attempts: Iterable[int]) -> dict[int, str]:
    """Return, of attempts of which no image may be used because of its lineage, why."""
    numbers = sorted(set(attempts))
    if not numbers or not store.anything_unsound(conn):
        return {}
    images = store.images_of_attempts(conn, numbers, PIXELS)
    reasons = unsound(conn, {number: expnum for number, _, expnum in images})
    if not reasons:
        return {}
    # An image that is excluded itself does not make the rest of its run usable.
    own = {
        one.id for one in store.excluded_files(conn, [n for n, _, _ in images]) if one.banned == one.ccdnum
    }
    good = {attempt for number, attempt, _ in images if number not in reasons and number not in own}
    return {
        attempt: reasons[number] for number, attempt, _ in images if number in reasons and attempt not in good
    }


@dataclass(frozen=True, slots=True)
class Reach:
    """The attempts of which files have an exclusion, or a run, under them; ``text`` names them, empty if there are none."""

    attempts: tuple[int, ...] = ()
    text: str = ""


def reach_of_exclusions(conn: Connection, expnum: int, ccdnum: int | None) -> Reach:
    """Return what the exclusions in force of an exposure reach beyond it: ``ccdnum`` 0, all of it; None: also its CCDs.

    Parameters
    ----------
    conn
        Connection to the database.
    expnum
        Number of the excluded exposure.
    ccdnum
        CCD number; 0: the whole exposure; None: both.
    """
    own = store.files_of_exposure(conn, expnum)
    rows = [one for one in store.excluded_files(conn, own) if ccdnum is None or one.banned == ccdnum]
    edges = content_edges(conn, store.reached(conn, own, up=False)) if rows else []
    spoiled = {
        n
        for one in exclusion_spreads(conn, rows, edges)
        for n, _ in one.origins
        if one.spoils(n) and not one.names(n)
    }
    return _reach(conn, spoiled, ())


def reach_of_run(conn: Connection, attempt_id: int) -> Reach:
    """Return what was derived from the files of an attempt by other attempts."""
    own = store.files_of_attempts(conn, [attempt_id])
    edges = content_edges(conn, store.reached(conn, sorted(own), up=False)) if own else []
    return _reach(conn, set(_descendants(edges, dict.fromkeys(own, ""))).difference(own), (attempt_id,))


def reach_of_files(conn: Connection, files: Iterable[int]) -> Reach:
    """Return what was derived from files by attempts other than those that produced them."""
    numbers = sorted(set(files))
    edges = content_edges(conn, store.reached(conn, numbers, up=False)) if numbers else []
    spread = defect_spread(conn, numbers, edges) if edges else Spread({}, {})
    derived = {number for number, _ in spread.origins if spread.spoils(number)}.difference(numbers)
    return _reach(conn, derived, sorted(store.attempts_of(conn, numbers)))


def _reach(conn: Connection, files: Iterable[int], without: Sequence[int]) -> Reach:
    """The attempts that produced files, by pipeline in the order in which they ran."""
    numbers = sorted(set(store.attempts_of(conn, sorted(files))).difference(without))
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    by_pipeline: dict[str, list[str]] = {}
    for number in numbers:
        if facts[number].good:
            by_pipeline.setdefault(facts[number].pipeline, []).append(facts[number].run)
    parts = []
    for pipeline, runs in by_pipeline.items():
        more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
        parts.append(f"{pipeline} {', '.join(runs[:_NAMED])}{more}")
    return Reach(tuple(numbers), "; ".join(parts))


#: What of a file an exclusion spoils: the number of a CCD, or `_ALL`.
_ALL = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """What files that must not be used spoil: the one rule of plans, choices of calibrations, tags and checks of releases.

    It begins with their pixels and goes down the lineage. The files of an exposure that are of no CCD (raw file,
    mini sky, astrometric solution, zero points, QA) carry the CCD on and do not spoil the other CCDs of their exposure.
    A calibration of no exposure and no CCD (flat norm, sky components) mixes all CCDs: all that was made with it is
    spoiled, also of the excluded exposure. A run that left the CCD out of a file did not take it from there.

    ``origins``: (file, CCD or 0 for all) → the same of the file through which it was reached; None: where it begins.
    """

    origins: Mapping[tuple[int, int], tuple[int, int] | None]
    places: Mapping[int, store.FilePlace]

    def spoils(self, number: int) -> bool:
        """Whether a file must not be used."""
        return self._state(number) is not None

    def chain(self, number: int) -> list[int]:
        """Return the files on a shortest path from a spoiled file to where it begins; empty: it is not spoiled."""
        state = self._state(number)
        chain: list[int] = []
        while state is not None:
            chain.append(state[0])
            state = self.origins[state]
        return chain

    def _state(self, number: int) -> tuple[int, int] | None:
        """The file with the CCD by which it is spoiled, or 0; None: it is not spoiled."""
        place = self.places.get(number)
        ccdnum = _ALL if place is None or place.ccdnum is None else place.ccdnum
        return next((one for one in ((number, ccdnum), (number, _ALL)) if one in self.origins), None)


@dataclass(frozen=True, slots=True)
class ExclusionSpread(Spread):
    """What one exclusion spoils; ``banned`` is the CCD, 0 for the whole exposure, and ``text`` says it in words."""

    expnum: int
    banned: int
    text: str

    def names(self, number: int) -> bool:
        """Whether a file is of what is excluded, itself: the exposure, or the CCD of it."""
        place = self.places.get(number)
        return place is not None and place.expnum == self.expnum and self.banned in (_ALL, place.ccdnum)


def defect_spread(conn: Connection, files: Iterable[int], edges: Sequence[tuple[int, int]]) -> Spread:
    """Return what files that are marked defective spoil: a file of one CCD that CCD, another one all that was made from it.

    Parameters
    ----------
    conn
        Connection to the database.
    files
        Numbers of the files.
    edges
        (child, parent) among the files, of `content_edges`.
    """
    roots = sorted(set(files))
    places = store.file_places(conn, sorted({*roots, *(number for edge in edges for number in edge)}))
    children: dict[int, list[int]] = {}
    for child, parent in edges:
        children.setdefault(parent, []).append(child)
    # A file that an attempt made of no CCD, for instance an astrometric solution, is wrong for all of them.
    starts = [(n, places[n].ccdnum or _ALL) for n in roots]
    return Spread(_origins(starts, children, places, set()), places)


def exclusion_spreads(
    conn: Connection, rows: Iterable[store.ExcludedFile], edges: Sequence[tuple[int, int]]
) -> list[ExclusionSpread]:
    """Return what exclusions spoil among files, one for each exposure or CCD that is excluded.

    Parameters
    ----------
    conn
        Connection to the database.
    rows
        Files of excluded exposures, of `desdm.archive.store.excluded_files`.
    edges
        (child, parent) among the files, of `content_edges`.
    """
    exclusions: dict[tuple[int, int], list[store.ExcludedFile]] = {}
    for row in rows:
        exclusions.setdefault((row.expnum, row.banned), []).append(row)
    if not exclusions:
        return []
    ids = {number for edge in edges for number in edge}.union(r.id for of in exclusions.values() for r in of)
    places = store.file_places(conn, sorted(ids))
    children: dict[int, list[int]] = {}
    for child, parent in edges:
        children.setdefault(parent, []).append(child)
    raws = sorted({r.id for (_, ccd), of in exclusions.items() if ccd for r in of if r.ccdnum is None})
    omitted = store.omitted_ccds(conn, raws)
    spreads = []
    for (expnum, banned), of in sorted(exclusions.items()):
        # What an attempt made of no CCD holds the CCD only if it was derived from it.
        roots = [r.id for r in of if not banned or r.ccdnum == banned or places[r.id].attempt_id is None]
        roots = [n for n in roots if not banned or places[n].ccdnum in (None, banned)]
        origins = _origins([(n, banned) for n in roots], children, places, omitted)
        text = exclusion_text(expnum, banned, of[0].reason, of[0].analyst)
        spreads.append(ExclusionSpread(origins, places, expnum, banned, text))
    return spreads


def _origins(
    starts: Iterable[tuple[int, int]],
    children: Mapping[int, Sequence[int]],
    places: Mapping[int, store.FilePlace],
    omitted: Collection[tuple[int | None, int, int]],
) -> dict[tuple[int, int], tuple[int, int] | None]:
    """Return (file, CCD or 0) of all that is spoiled from some on, each with the same from which it was reached."""
    origins: dict[tuple[int, int], tuple[int, int] | None] = dict.fromkeys(starts)
    queue = deque(origins)
    while queue:
        state = queue.popleft()
        number, ccdnum = state
        for child in children.get(number, ()):
            if (places[child].attempt_id, number, ccdnum) in omitted:
                continue
            label = _passed_on(places[number], ccdnum, places[child])
            if label is not None and (child, label) not in origins:
                origins[child, label] = state
                queue.append((child, label))
    return origins


def _passed_on(parent: store.FilePlace, ccdnum: int, child: store.FilePlace) -> int | None:
    """What of a file is spoiled by a parent that is spoiled for a CCD (0: for all): a CCD, 0 for all; None: nothing."""
    if ccdnum == _ALL:
        return _ALL
    if child.ccdnum is not None:
        # From a file of no CCD comes the CCD's own part; from a file of another CCD its pixels.
        return child.ccdnum if child.ccdnum == ccdnum or parent.ccdnum is not None else None
    if child.expnum is not None or child.kind == "miscfile":
        return ccdnum
    return _ALL if child.kind == "calibration" or parent.ccdnum is not None else ccdnum


def _descendants(edges: Sequence[tuple[int, int]], roots: Mapping[int, str]) -> dict[int, str]:
    """What was derived from the roots, each with the words of the nearest."""
    children: dict[int, list[int]] = {}
    for child, parent in edges:
        children.setdefault(parent, []).append(child)
    texts: dict[int, str] = {}
    queue = deque(roots.items())
    while queue:
        here, text = queue.popleft()
        for child in children.get(here, ()):
            if child not in texts:
                texts[child] = text
                queue.append((child, text))
    return texts


def _junk_reasons(conn: Connection, attempts: Iterable[int]) -> dict[int, str]:
    """Say of JUNK runs that files were derived from theirs, with who marked them and why."""
    numbers = sorted(set(attempts))
    facts, marks = store.attempt_facts(conn, numbers), store.last_marks(conn, numbers, DataState.JUNK)
    return {
        n: f"made from files of run {facts[n].run}, which is JUNK"
        + (f": marked by {marks[n].who}: {marks[n].reason}" if n in marks else "")
        for n in numbers
    }
