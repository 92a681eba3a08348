"""The exposures in a release: which it contains, by which path, and whether they may be in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.model import Scope
from desdm.archive.unsound import PIXELS, ExclusionSpread, exclusion_spreads
from desdm.quality.qa.verdict import Standing, standings
from desdm.release import store
from desdm.release.contents import Contents, again
from desdm.release.findings import Check, correction, failed, note, passed
from desdm.release.withdrawn import Withdrawn, junk_of_exposures
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name

__all__ = ["ExposureUse", "check_exposures", "check_suspects", "exclusions_under", "exposure_uses"]

#: Verdicts of ``survey`` attempts of every project and campaign: where the production scope is unknown.
ANY = (Scope("", ""),)


@dataclass(frozen=True, slots=True)
class ExposureUse:
    """An exposure of the release's nights: whether it is in the release, with which CCDs, and how it was judged.

    ``verdict`` is the one that counts; ``words`` its reason, or that of the exclusion. ``excluded_ccds`` are single CCDs
    that are excluded, each with the reason.
    """

    expnum: int
    band: str
    nite: str
    used: bool
    ccds: tuple[int, ...]
    verdict: Verdict
    words: str
    excluded: bool
    excluded_ccds: tuple[tuple[int, str], ...] = ()


def check_exposures(
    conn: Connection,
    release: str,
    contents: Contents,
    scopes: Sequence[Scope] = ANY,
    withdrawn: Mapping[int, Withdrawn] | None = None,
    *,
    published: bool = False,
) -> list[Check]:
    """Check that a release contains no exposure or CCD that is excluded or rejected.

    An excluded exposure must not be in it even as a calibration; a rejected one not as an image. Each finding names the
    file of the release and the path from it to the first file of the exposure. Exposures without a verdict are noted.

    Parameters
    ----------
    conn
        Connection.
    release
        Its name.
    contents
        Ancestors of its files.
    scopes
        Attempts whose verdicts count, the first scope first (`desdm.release.select.verdict_scopes`).
    withdrawn
        Runs of which `desdm.release.withdrawn.check_withdrawn` tells: their exposures are not noted.
    published
        Whether the release is published, so that only a point release can correct it.

    Returns
    -------
    list of Check
        The findings.
    """
    numbers = sorted({f.expnum for f in contents.ancestors.values() if f.expnum is not None})
    words = {(r["expnum"], r["ccdnum"]): r for r in archive_store.excluded(conn, numbers)}
    judged = _standings(conn, numbers, scopes)
    junk = {attempt_id for attempt_id, run in (withdrawn or {}).items() if run.junk}
    remedy = correction(release) if published else ""
    checks: list[Check] = []
    unassessed: list[int] = []
    for one in exclusions_under(conn, contents):
        row = words[one.expnum, one.banned]
        subject = exposure_name(one.expnum) + (f", CCD {one.banned}" if one.banned else "")
        cause = f"excluded by {row['analyst']}: {row['reason']}"
        checks += _faults(conn, contents, one.chain, subject, cause, remedy)
    for number in numbers:
        images = [f for f in contents.ancestors.values() if f.expnum == number and f.filetype in PIXELS]
        if not images:
            continue
        own = [f for f in images if f.attempt_id is not None]
        verdict, why = _verdict(judged, number)
        if verdict is Verdict.REJECTED:
            chain = partial(contents.chain, goals={f.id for f in images})
            checks += _faults(conn, contents, chain, exposure_name(number), f"rejected: {why}", remedy)
        elif verdict is Verdict.UNKNOWN and own and not any(f.attempt_id in junk for f in own):
            unassessed.append(number)
    if not checks:
        checks.append(passed("exposures", release, "it contains no rejected or excluded exposure or CCD"))
    if unassessed:
        names = ", ".join(exposure_name(n) for n in unassessed[:5])
        more = f" and {len(unassessed) - 5} more" if len(unassessed) > 5 else ""
        checks.append(note("exposures", release, f"exposures without a verdict are in it: {names}{more}"))
    return checks


def check_suspects(
    conn: Connection, release: str, contents: Contents, *, published: bool = False
) -> list[Check]:
    """Check that no file of a release was made from one that an audit marked damaged; names the path to it.

    Parameters
    ----------
    conn
        Connection.
    release
        Its name.
    contents
        Ancestors of its files.
    published
        Whether only a point release can correct it.

    Returns
    -------
    list of Check
        The findings.
    """
    anew = correction(release) if published else "make it again"
    checks: list[Check] = []
    for mark in archive_store.suspects_of(conn, sorted(contents.files)):
        way = " <- ".join(contents.path(mark.desfile_id, {mark.cause_id})) or mark.filename
        text = f"it is suspect: {mark.reason}; path: {way}; put back the good copy and run: desdm audit, or {anew}"
        checks.append(failed("suspect", contents.files[mark.desfile_id], text))
    return checks or [passed("suspect", release, "nothing in it was made from a damaged file")]


def exclusions_under(conn: Connection, contents: Contents) -> list[ExclusionSpread]:
    """Return what the exclusions in force spoil among the ancestors of a release, by the rule of plans."""
    rows = archive_store.excluded_files(conn, sorted(contents.ancestors))
    edges = [(child, parent) for child, parents in contents.parents.items() for parent in parents]
    return exclusion_spreads(conn, rows, edges)


def _standings(conn: Connection, numbers: Sequence[int], scopes: Sequence[Scope]) -> dict[int, Standing]:
    """Return the standing of each exposure in the first of the scopes with a verdict other than Unknown."""
    by_exposure: dict[int, Standing] = {}
    for scope in scopes:
        rest = [n for n in numbers if n not in by_exposure or by_exposure[n].overall[0] is Verdict.UNKNOWN]
        for number, standing in standings(conn, rest, scope).items() if rest else ():
            if number not in by_exposure or standing.overall[0] is not Verdict.UNKNOWN:
                by_exposure[number] = standing
    return by_exposure


def _verdict(judged: Mapping[int, Standing], number: int) -> tuple[Verdict, str]:
    """Return the verdict on an exposure that counts, with its reason."""
    standing = judged.get(number)
    return (Verdict.UNKNOWN, "it has no verdict") if standing is None else standing.overall


def _faults(
    conn: Connection,
    contents: Contents,
    chain_of: Callable[[int], list[int]],
    content: str,
    cause: str,
    remedy: str,
) -> Iterator[Check]:
    """Yield one finding for each file of the release that was made from a faulty file: ``chain_of`` is the path to it.

    ``remedy`` is what helps; empty: the runs on the path must be made again.
    """
    for number, path in sorted(contents.files.items(), key=lambda item: item[1]):
        if chain := chain_of(number):
            chain_text = " <- ".join(contents.ancestors[n].name for n in chain)
            advice = remedy or again(conn, contents, chain[:-1])
            yield failed("exposures", path, f"it contains {content}, {cause}; path: {chain_text}; {advice}")


def exposure_uses(conn: Connection, contents: Contents, scopes: Sequence[Scope] = ANY) -> list[ExposureUse]:
    """Return every exposure of the nights that a release contains: with its CCDs that are in it, or with none.

    The nights are those of the images in it; an exposure of them that was judged but is not in it was dropped.

    Parameters
    ----------
    conn
        Connection.
    contents
        Ancestors of the files of the release.
    scopes
        Attempts whose verdicts count, as of `check_exposures`.

    Returns
    -------
    list of ExposureUse
        The exposures, by number.
    """
    images = [f for f in contents.ancestors.values() if f.filetype in PIXELS and f.expnum is not None]
    ccds: dict[int, set[int]] = {}
    facts: dict[int, tuple[str, str]] = {}
    for f in images:
        assert f.expnum is not None
        ccds.setdefault(f.expnum, set())
        if f.ccdnum is not None:
            ccds[f.expnum].add(f.ccdnum)
        band, nite = facts.get(f.expnum, ("", ""))
        facts[f.expnum] = (f.band or band, f.nite or nite)
    nites = sorted({nite for _, nite in facts.values() if nite})
    for number, nite, band in store.judged_exposures(conn, nites):
        facts.setdefault(number, (band, nite))
    judged = _standings(conn, sorted(facts), scopes)
    # A person's word needs no run.
    unknown = [
        n
        for n in sorted(facts)
        if _verdict(judged, n)[0] is Verdict.UNKNOWN and (n not in judged or judged[n].person is None)
    ]
    junk = junk_of_exposures(conn, unknown, scopes)
    rows = archive_store.excluded(conn, sorted(facts))
    banned = {r["expnum"]: r for r in rows if not r["ccdnum"]}
    of_ccds: dict[int, list[tuple[int, str]]] = {}
    for r in rows:
        if r["ccdnum"]:
            words = f"excluded by {r['analyst']}: {r['reason']}"
            of_ccds.setdefault(r["expnum"], []).append((r["ccdnum"], words))
    uses = []
    for number, (band, nite) in sorted(facts.items()):
        verdict, words = _verdict(judged, number)
        if number in junk:
            words = f"{words}; {junk[number].text}" if number in judged else junk[number].text
        if number in banned:
            words = f"excluded by {banned[number]['analyst']}: {banned[number]['reason']}"
        inside = tuple(sorted(ccds.get(number, ())))
        uses.append(
            ExposureUse(
                number,
                band,
                nite,
                number in ccds,
                inside,
                verdict,
                words,
                number in banned,
                tuple(sorted(of_ccds.get(number, ()))),
            )
        )
    return uses
