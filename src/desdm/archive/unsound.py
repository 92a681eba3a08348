"""Files that must not be used because of what they were derived from: a frame that is excluded, or a run that is JUNK.

One rule for all: a calibration is not chosen, and an image not planned or released, if its lineage holds either. Lists of
frames (``cal_frames``) hold judgements on frames and no pixels of them: a frame that was left out of a combination and is
excluded later spoils nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store
from desdm.schema.store import exposure_name

__all__ = [
    "EVIDENCE",
    "PIXELS",
    "Reach",
    "content_edges",
    "exclusion_text",
    "reach_of_exclusions",
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
    """Return, of files that must not be used because of their lineage, why.

    An exposure's own exclusion is not listed for its own images: the selection of images reports it.

    Parameters
    ----------
    files
        Number of the file → exposure that it is of; None: of none or several.
    """
    if not files or not store.anything_unsound(conn):
        return {}
    ancestors = store.reached(conn, sorted(files), up=True)
    if not ancestors:
        return {}
    excluded = store.excluded_files(conn, ancestors)
    junk = store.junk_files(conn, ancestors)
    if not excluded and not junk:
        return {}
    edges = content_edges(conn, sorted({*files, *ancestors}))
    texts: dict[int, str] = {}
    # The exclusions of each exposure by itself: they do not count for the exposure's own images.
    for expnum in sorted({one.expnum for one in excluded}):
        rows = [one for one in excluded if one.expnum == expnum]
        reasons = _descendants(edges, _roots(conn, rows, edges))
        texts = {n: text for n, text in reasons.items() if n in files and files[n] != expnum} | texts
    marked = _junk_reasons(conn, junk.values())
    reasons = _descendants(edges, {number: marked[attempt] for number, attempt in junk.items()})
    return {n: text for n, text in reasons.items() if n in files} | texts


def unsound_attempts(conn: Connection, attempts: Iterable[int]) -> dict[int, str]:
    """Return, of attempts of which no image may be used because of its lineage, why."""
    numbers = sorted(set(attempts))
    if not numbers or not store.anything_unsound(conn):
        return {}
    images = store.images_of_attempts(conn, numbers, PIXELS)
    reasons = unsound(conn, {number: expnum for number, _, expnum in images})
    good = {attempt for number, attempt, _ in images if number not in reasons}
    return {attempt: reasons[number] for number, attempt, _ in images if attempt not in good}


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
    return _reach(conn, set(_descendants(edges, _roots(conn, rows, edges))).difference(own), ())


def reach_of_run(conn: Connection, attempt_id: int) -> Reach:
    """Return what was derived from the files of an attempt by other attempts."""
    own = store.files_of_attempts(conn, [attempt_id])
    edges = content_edges(conn, store.reached(conn, sorted(own), up=False)) if own else []
    return _reach(conn, set(_descendants(edges, dict.fromkeys(own, ""))).difference(own), (attempt_id,))


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


def _roots(
    conn: Connection, rows: Iterable[store.ExcludedFile], edges: Sequence[tuple[int, int]]
) -> dict[int, str]:
    """The files with which exclusions begin, with the words: all of an exposure, or what is of the excluded CCD.

    A raw file is of all CCDs: the calibration of a CCD that was derived from it holds that CCD's.
    """
    roots: dict[int, str] = {}
    for one in rows:
        text = exclusion_text(one.expnum, one.banned, one.reason, one.analyst)
        if not one.banned or (one.ccdnum == one.banned and one.filetype in PIXELS):
            roots.setdefault(one.id, text)
        elif one.filetype == "raw":
            children = [child for child, parent in edges if parent == one.id]
            ccds = store.calibration_ccds(conn, children)
            for child in children:
                if ccds.get(child) == one.banned:
                    roots.setdefault(-child, text)
    return roots


def _descendants(edges: Sequence[tuple[int, int]], roots: Mapping[int, str]) -> dict[int, str]:
    """What was derived from the roots, each with the words of the nearest; a negative root is itself among them."""
    children: dict[int, list[int]] = {}
    for child, parent in edges:
        children.setdefault(parent, []).append(child)
    texts = {-number: text for number, text in roots.items() if number < 0}
    queue = deque((abs(number), text) for number, text in roots.items())
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
    facts, marks = store.attempt_facts(conn, numbers), store.last_marks(conn, numbers)
    return {
        n: f"made from files of run {facts[n].run}, which is JUNK"
        + (f": marked by {marks[n].who}: {marks[n].reason}" if n in marks else "")
        for n in numbers
    }
