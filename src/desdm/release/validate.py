"""Validate a release before it is frozen: tables, counts against the census, images, files, open problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import Scope
from desdm.errors import FileTypeError
from desdm.pixels.cards import read_hdus
from desdm.release import manifest, store
from desdm.release.blocking import blockers_of_release
from desdm.release.checktable import check_table
from desdm.release.contents import contents_of
from desdm.release.defects import check_defects
from desdm.release.exposures import check_exposures, check_suspects
from desdm.release.findings import Check, correction, errors, failed, note, passed
from desdm.release.hats import parts
from desdm.release.known import KnownProblem, known_problems
from desdm.release.mixtures import check_mixtures
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.release.reviewed import check_reviewed
from desdm.release.rights import check_names
from desdm.release.select import verdict_scopes
from desdm.release.selection import SelectionDocument, read_selection, selection_entries
from desdm.release.source import TableSource
from desdm.release.tables import OBJECTS
from desdm.release.withdrawn import check_withdrawn, withdrawn_under
from desdm.release.zeropoints import check_zeropoints
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState

__all__ = ["check_lineage", "errors", "incomplete", "sources_of", "validate"]

_PLANES = ("SCI", "MSK", "WGT")
#: Pixels a side of the squares in which images are compressed.
_SIDE = 256


def validate(
    database: Database,
    root: Path,
    release: Release,
    production: Scope | None = None,
    *,
    blessed_only: bool = False,
) -> list[Check]:
    """Return the findings of every check of a release; nothing is changed.

    Parameters
    ----------
    database
        Database of the installation.
    root
        Directory of the release.
    release
        Record of the release.
    production
        The runs that are production; None: ``survey`` runs of every project and campaign.
    blessed_only
        Whether the survey releases blessed data only.

    Returns
    -------
    list of Check
        The findings.
    """
    name, published = release.name, release.state is ReleaseState.PUBLISHED
    with database.read() as conn:
        tables, files = store.tables(conn, name), store.files(conn, name)
        sources = store.provenance(conn, name)
        used = [f.desfile_id for f in files if f.desfile_id is not None]
        tiles = sorted({f.tilename for f in files if f.tilename})
        blocking = blockers_of_release(conn, name, release.selection, tiles, used)
        told = known_problems(conn, release, tiles, sources_of(conn, root, files))
        hidden_names = _hidden_names(conn, root, release, tables, sources, told)
        exposures = check_lineage(conn, root, release, files, production)
        exposures += check_reviewed(conn, root, release, blessed_only=blessed_only)
    checks = [*_content(tables, files), *_complete(release, read_selection(root), sources, files)]
    for blocker in blocking:
        problem = blocker.problem
        checks.append(failed("problems", blocker.subject, f"problem {problem.id} is open: {problem.text}"))
    if not blocking:
        checks.append(passed("problems", name, "no open problem concerns it"))
    checks += hidden_names
    checks += exposures
    checks += check_mixtures(selection_entries(root))
    for table in tables:
        checks += check_table(root, table)
    checks += _census(root, sources, tables, files)
    checks += _images(root, name, files)
    checks += check_zeropoints(root, files)
    checks += _files(root, files, frozen=release.manifest_sha256 is not None)
    if published and errors(checks):
        text = (
            "it is published: files that are damaged or gone are put back from a copy (desdm release verify names them); "
            f"for all else {correction(name)}"
        )
        checks.append(note("published", name, text))
    return checks


def _hidden_names(
    conn: Connection,
    root: Path,
    release: Release,
    tables: Sequence[ReleaseTable],
    sources: Mapping[str, TableSource],
    problems: Sequence[KnownProblem],
) -> list[Check]:
    """Check that no text of a release that will be public names a proprietary release."""
    if release.proprietary or release.state is ReleaseState.PUBLISHED:
        return []
    texts = [("title", release.title), ("text", release.text)]
    texts += [(f"problem {one.number}", f"{one.title} {one.effect} {one.subject}") for one in problems]
    for table in tables:
        texts.append((f"table {table.name}", table.text))
        texts += [(f"column {table.name}.{c.name}", c.text) for c in table.columns]
        source = sources.get(table.name, TableSource())
        texts += [(f"table {table.name}, {key}", str(value)) for key, value in source.facts.items()]
        documentation = root / "docs" / f"{table.name}.md"
        if documentation.is_file():
            texts.append((f"docs/{table.name}.md", documentation.read_text("utf-8", "replace")))
    return [
        failed(
            "names", subject, f"it names {name}, a proprietary release; describe the data without that name"
        )
        for subject, name in check_names(conn, release, texts)
    ]


def check_lineage(
    conn: Connection,
    root: Path,
    release: Release,
    files: Sequence[ReleaseFile],
    production: Scope | None = None,
) -> list[Check]:
    """Check that no file of a release was made from excluded, rejected, withdrawn or damaged data.

    Parameters
    ----------
    conn
        Connection.
    root
        Directory of the release.
    release, files
        Record of the release, and its files.
    production
        As of `validate`.

    Returns
    -------
    list of Check
        The findings.
    """
    scopes = verdict_scopes(release.selection, production)
    name, published = release.name, release.state is ReleaseState.PUBLISHED
    contents = contents_of(conn, sources_of(conn, root, files))
    withdrawn = withdrawn_under(conn, contents)
    return [
        *check_exposures(conn, name, contents, scopes, withdrawn, published=published),
        *check_withdrawn(conn, name, contents, withdrawn, published=published),
        *check_defects(conn, contents, withdrawn, name, published=published),
        *check_suspects(conn, name, contents, published=published),
    ]


def sources_of(conn: Connection, root: Path, files: Sequence[ReleaseFile]) -> dict[int, str]:
    """Return the archive's files from which a release was made: number → path in the release, or the file's own name.

    Only the selection names the sources of the rows of its tables.

    Parameters
    ----------
    conn
        Connection.
    root
        Directory of the release.
    files
        Files of the release.

    Returns
    -------
    dict of int to str
        Path or name, by number of the archive's file.
    """
    sources = {f.desfile_id: f.path for f in files if f.desfile_id is not None}
    for entry in selection_entries(root):
        record = catalog.by_name(conn, entry.file)
        if record is not None:
            sources.setdefault(record.id, f"table rows from {record.name}")
    return sources


def _content(tables: Sequence[ReleaseTable], files: Sequence[ReleaseFile]) -> list[Check]:
    """Check that a release has tables or files."""
    if tables or files:
        return []
    return [failed("content", "release", "it is empty; add data: desdm release add-table …")]


def incomplete(conn: Connection, root: Path, release: Release) -> bool:
    """Tell whether a draft lacks selected files: its build is in progress, or was killed.

    Parameters
    ----------
    conn
        Connection.
    root, release
        Directory and record of the release.

    Returns
    -------
    bool
        Whether selected files are missing.
    """
    if release.state is not ReleaseState.DRAFT or not release.selection:
        return False
    sources = store.provenance(conn, release.name)
    return bool(errors([*_complete(release, read_selection(root), sources, store.files(conn, release.name))]))


def _complete(
    release: Release,
    selection: SelectionDocument | None,
    sources: Mapping[str, TableSource],
    files: Sequence[ReleaseFile],
) -> Iterator[Check]:
    """Check that every selected file is in the release, so that an interrupted build is not taken for a complete one."""
    if not release.selection:
        return
    if selection is None:
        yield failed(
            "selection", release.name, "what was selected is not written down; discard it and create it again"
        )
        return
    images = {(f.filetype, f.source_sha256) for f in files}
    kinds = {f.filetype for f in files}
    catalogues = {tile.sha256 for tile in sources.get(OBJECTS, TableSource()).tiles.values()}
    missing = [
        entry.file
        for entry in selection.files
        if (entry.filetype in ("coadd", "coadd_color") and (entry.filetype, entry.sha256) not in images)
        or (entry.filetype == "coadd_objects" and entry.sha256 not in catalogues)
        or (entry.filetype == "coadd_footprint" and "footprint" not in kinds)
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        text = f"not in it: {', '.join(missing[:3])}{more}; discard it and create it again"
        yield failed("selection", release.name, text)
    else:
        yield passed("selection", release.name, f"{len(selection.files)} selected files are in it")


def _census(
    root: Path,
    sources: Mapping[str, TableSource],
    tables: Sequence[ReleaseTable],
    files: Sequence[ReleaseFile],
) -> Iterator[Check]:
    """Compare the rows of each tile with its catalogues, less those that belong to other tiles."""
    tiles = sources.get(OBJECTS, TableSource()).tiles
    table = next((t for t in tables if t.name == OBJECTS), None)
    if not tiles or table is None:
        return
    counted = _by_tile(root / table.path)
    census: dict[str, dict[str, int]] = {}
    for selected in selection_entries(root):
        if selected.filetype == "coadd_cat" and selected.objects is not None:
            census.setdefault(selected.tilename or "", {})[selected.file] = int(selected.objects)
    for name, entry in sorted(tiles.items()):
        dropped = sum(entry.dropped.values())
        if counted.get(name, 0) != entry.own or entry.own + dropped != entry.rows:
            yield failed(
                "census",
                name,
                f"{counted.get(name, 0)} rows in the table, {dropped} given to other tiles, {entry.rows} in "
                f"{entry.file}",
            )
        for file, objects in sorted(census.get(name, {}).items()):
            if objects != entry.rows:
                yield failed("census", name, f"{entry.file} has {entry.rows} rows, {file} has {objects}")
    strange = sorted(set(counted) - set(tiles))
    for name in strange:
        yield failed("census", name, f"{counted[name]} rows are of a tile that was not selected")
    yield passed(
        "census",
        OBJECTS,
        f"rows of {len(tiles)} tiles compared with {sum(map(len, census.values()))} catalogues",
    )
    pictured = {f.tilename for f in files if f.filetype == "coadd"}
    for name in sorted(set(tiles) - pictured):
        yield note("census", name, "objects without an image in the release")


def _by_tile(path: Path) -> dict[str, int]:
    """Count the rows of a table by tile."""
    counted: dict[str, int] = {}
    for part in parts(path):
        counts = pc.value_counts(pq.read_table(part, columns=["tilename"]).column(0))
        for entry in counts.to_pylist():
            counted[entry["values"]] = counted.get(entry["values"], 0) + entry["counts"]
    return counted


def _images(root: Path, release: str, files: Sequence[ReleaseFile]) -> Iterator[Check]:
    """Check header, planes, sizes and compression of each image."""
    images = [f for f in files if f.filetype == "coadd"]
    for file in images:
        problem = _image_fault(root / file.path, release, file)
        if problem:
            yield failed("images", file.path, f"{problem}; build the release again")
    if images:
        yield passed(
            "images", "coadds", f"{len(images)} images with {', '.join(_PLANES)} in squares of 256 pixels"
        )


def _image_fault(path: Path, release: str, file: ReleaseFile) -> str:
    """Return the fault of an image; empty if it has none."""
    # Imported late: the pixel code is slow to import, and a release of tables does not need it.
    from desdm.survey.imageio import mapped

    if not path.is_file():
        return "it is gone"
    try:
        with mapped(path) as buffer:
            hdus = {hdu.name: hdu for hdu in read_hdus(buffer, len(buffer))[1:]}
            first = read_hdus(buffer, len(buffer))[0].header
            if (
                str(first.get("RELEASE")).strip() != release
                or str(first.get("SRCSHA")).strip() != file.source_sha256
            ):
                return "its header names another release or source"
            for plane in _PLANES:
                if plane not in hdus:
                    return f"it has no plane {plane}"
                if hdus[plane].header.get("ZTILE1") != min(_SIDE, file.naxis1 or 0):
                    return f"its plane {plane} is not compressed in squares of {_SIDE} pixels"
                if hdus[plane].shape != (file.naxis2, file.naxis1):
                    return f"its plane {plane} has another size than its record"
    except FileTypeError as err:
        return str(err)
    return ""


def _files(root: Path, files: Sequence[ReleaseFile], *, frozen: bool) -> list[Check]:
    """Compare all files with their records."""
    entered = [f for f in files if frozen or f.filetype != "manifest"]
    faults = manifest.verify(root, entered)
    failures = [
        failed("files", fault.path, f"it {fault.text}")
        for fault in faults
        # Tables and documents of a draft are not entered one by one.
        if frozen or not (fault.unlisted and fault.path.startswith(("tables/", "docs/")))
    ]
    return failures or [passed("files", "release", f"{len(entered)} files are there, each of its digest")]
