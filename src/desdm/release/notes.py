"""The release notes: what a release holds, how it was selected, what was dropped and why, how it was checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from desdm.release.document import Document
from desdm.release.exposures import ExposureUse
from desdm.release.findings import Check
from desdm.release.known import KnownProblem, add_known_problems
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.release.queries import QueryResult
from desdm.release.selection import SelectionDocument
from desdm.release.source import TableSource
from desdm.release.tables import OBJECTS
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name
from desdm.survey.bands import band_order

__all__ = ["notes"]


def notes(
    release: Release,
    tables: Sequence[ReleaseTable],
    files: Sequence[ReleaseFile],
    sources: Mapping[str, TableSource],
    selection: SelectionDocument | None,
    checks: Sequence[Check],
    queries: Sequence[QueryResult],
    uses: Sequence[ExposureUse] = (),
    problems: Sequence[KnownProblem] = (),
    unreviewed: Sequence[str] = (),
) -> Document:
    """Return the notes of a release; the same content gives the same text.

    Parameters
    ----------
    release, tables, files
        The release and its contents.
    sources
        Provenance of each table.
    selection
        The selection; None for a release of added tables.
    checks
        Findings of the validation.
    queries
        Model queries with their results.
    uses
        The exposures of its nights: in it or dropped.
    problems
        Its known problems.
    unreviewed
        Names of its runs that nobody has blessed.
    """
    title = f"Release {release.name}" + (f": {release.title}" if release.title != release.name else "")
    page = Document(title)
    if release.text:
        page.paragraph(release.text)
    if release.erratum_of:
        page.paragraph(
            f"This is a point release that corrects {release.erratum_of}; {release.erratum_of} stays as it was published."
        )
    if release.proprietary:
        page.paragraph("It is proprietary: only those with a data right may see it.")
    _holds(page, tables, files)
    _selected(page, release, selection, unreviewed)
    _exposures(page, uses)
    _dropped(page, selection, sources, uses)
    add_known_problems(page, problems)
    _value_added(page, tables, sources)
    _checked(page, checks)
    _queries(page, queries)
    page.heading("Check your copy").paragraph(
        "Every file is listed in manifest.json with its size and sha-256, and in MANIFEST.sha256 for:"
    )
    return page.code("sha256sum -c MANIFEST.sha256")


def _holds(page: Document, tables: Sequence[ReleaseTable], files: Sequence[ReleaseFile]) -> None:
    """Add the tables and images of the release."""
    page.heading("What it holds")
    rows = [
        (f"{t.release}.{t.name}", t.row_count, len(t.columns), t.kind, t.text or "without description")
        for t in tables
    ]
    if rows:
        page.table(("table", "rows", "columns", "kind", "what a row is"), rows)
    images = [f for f in files if f.filetype == "coadd"]
    if images:
        tiles = sorted({f.tilename or "" for f in images})
        bands = sorted({f.band or "" for f in images}, key=band_order)
        page.paragraph(
            f"Images: {_counted(len(images), 'coadd')} of {_counted(len(tiles), 'tile')} in bands {' '.join(bands)}, "
            "each with pixels (SCI), mask (MSK) and weight (WGT), compressed in squares of 256 pixels. SCI is kept in "
            "steps of a quarter of the noise, WGT to 0.5 %, zeros and MSK exactly."
        )
        page.table(
            ("tile", "band", "exposure time (s)", "seeing (arcsec)", "file"),
            [(f.tilename, f.band, f.t_exptime, f.fwhm and f"{f.fwhm:.3f}", f.path) for f in images],
        )


def _selected(
    page: Document, release: Release, selection: SelectionDocument | None, unreviewed: Sequence[str]
) -> None:
    """Add the selection."""
    page.heading("How it was selected")
    if selection is None:
        page.paragraph("Its tables were added by hand; the data documentation tells where each came from.")
        return
    runs = sorted({file.run for file in selection.files if file.run})
    came = (
        f"the products of {_counted(len(runs), 'coadd run')} that ended well and were not superseded: {', '.join(runs)}"
        if runs
        else "files that were delivered"
    )
    page.paragraph(
        f"Selection: {release.selection}. Taken were {came}. docs/selection.json lists each file with its digest."
    )
    if runs:
        page.paragraph(_reviewed(len(runs), unreviewed))


def _reviewed(count: int, unreviewed: Sequence[str]) -> str:
    """Return how many of the runs a person has blessed."""
    if not unreviewed:
        return "A person has blessed the data of each of these runs."
    if len(unreviewed) == count:
        return "No person has reviewed the data of " + ("this run." if count == 1 else "any of these runs.")
    return (
        f"A person has blessed the data of {count - len(unreviewed)} of these {_counted(count, 'run')}; nobody has "
        f"reviewed {', '.join(unreviewed)}."
    )


def _exposures(page: Document, uses: Sequence[ExposureUse]) -> None:
    """Add the exposures whose pixels are in the images."""
    inside = [use for use in uses if use.used]
    if not inside:
        return
    page.heading("Which exposures are in it")
    page.table(
        ("exposure", "band", "night", "CCDs", "verdict"),
        [
            (exposure_name(u.expnum), u.band, u.nite, ranges(u.ccds), _judged(u.verdict, u.words))
            for u in inside
        ],
    )


def ranges(numbers: Sequence[int]) -> str:
    """Return numbers in order as ranges: 1-3, 5."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _dropped(
    page: Document,
    selection: SelectionDocument | None,
    sources: Mapping[str, TableSource],
    uses: Sequence[ExposureUse],
) -> None:
    """Add what is not in the release, with reasons: runs, exposures of its nights, rows of overlaps."""
    rows = [(one.subject, one.reason) for one in (selection.omissions if selection else ())]
    for use in uses:
        if not use.used:
            accepted = use.verdict is Verdict.ACCEPTED and not use.excluded
            why = "accepted, but in no coadd of the release" if accepted else use.words
            if not use.excluded and not accepted:
                why = f"verdict {_judged(use.verdict, use.words)}"
            rows.append((f"exposure {use.expnum} ({use.band}, night {use.nite})", why))
        else:
            rows += [
                (f"CCD {ccdnum} of exposure {use.expnum} ({use.band}, night {use.nite})", why)
                for ccdnum, why in use.excluded_ccds
                if ccdnum not in use.ccds
            ]
    for tile, entry in sorted(sources.get(OBJECTS, TableSource()).tiles.items()):
        rows += [
            (
                f"{count} rows of {entry.file}",
                f"they lie nearer to the centre of {other}, which overlaps {tile}",
            )
            for other, count in sorted(entry.dropped.items())
        ]
    page.heading("What was dropped, and why")
    if rows:
        page.table(("dropped", "why"), rows)
    else:
        page.paragraph("Nothing.")


def _value_added(page: Document, tables: Sequence[ReleaseTable], sources: Mapping[str, TableSource]) -> None:
    """Add the value-added products."""
    added = [t for t in tables if t.kind == "value-added"]
    if not added:
        return
    page.heading("Value-added products")
    page.table(
        ("table", "came from", "reviewed by", "review"),
        [
            (
                t.name,
                sources[t.name].facts.get("came_from"),
                sources[t.name].facts.get("reviewed_by"),
                sources[t.name].facts.get("review"),
            )
            for t in added
        ],
    )


def _checked(page: Document, checks: Sequence[Check]) -> None:
    """Add the findings of the validation."""
    page.heading("How it was checked")
    page.table(("check", "of", "outcome", "what was found"), checks)


def _queries(page: Document, queries: Sequence[QueryResult]) -> None:
    """Add the model queries."""
    if not queries:
        return
    page.heading("Queries to begin with")
    page.paragraph("Each was run on this release before it was published.")
    for query in queries:
        rows = "1 row" if query.rows == 1 else f"{query.rows} rows"
        page.paragraph(f"{query.title} ({rows}):").code(query.adql)


def _counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the singular for one."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _judged(verdict: Verdict, words: str) -> str:
    """Return a verdict with its reason; without a reason its name and program: ``True (assess)``."""
    return f"{verdict.value}{' ' if words.startswith('(') else ': '}{words}" if words else verdict.value
