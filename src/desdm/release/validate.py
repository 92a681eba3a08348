"""Validate a release before it is frozen: tables, counts against the census, images, files, open problems."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import Scope
from desdm.errors import FileTypeError
from desdm.pixels.cards import read_hdus
from desdm.release import manifest, problems, store
from desdm.release.checktable import check_table
from desdm.release.contents import contents_of
from desdm.release.create import SELECTION
from desdm.release.exposures import check_exposures, check_suspects
from desdm.release.findings import Check, correction, errors, failed, note, passed
from desdm.release.hats import parts
from desdm.release.mixtures import check_mixtures
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.release.select import verdict_scopes
from desdm.release.tables import OBJECTS
from desdm.release.withdrawn import check_withdrawn, withdrawn_under
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState

__all__ = ["check_lineage", "errors", "incomplete", "selection_of", "sources_of", "validate"]

_PLANES = ("SCI", "MSK", "WGT")
#: Pixels a side of the squares in which images are compressed.
_SIDE = 256


def validate(
    database: Database, root: Path, release: Release, production: Scope | None = None
) -> list[Check]:
    """Return the findings of every check of a release; nothing is changed.

    Parameters
    ----------
    root
        The release's directory.
    release
        The release.
    production
        The runs that are production; None: ``survey`` runs of every project and campaign.
    """
    name, published = release.name, release.state is ReleaseState.PUBLISHED
    with database.read() as conn:
        tables, files = store.tables(conn, name), store.files(conn, name)
        sources = {table: json.loads(text) for table, text in store.provenance(conn, name).items()}
        used = [f.desfile_id for f in files if f.desfile_id is not None]
        tiles = sorted({f.tilename for f in files if f.tilename})
        blocking = problems.blocking(conn, name, release.selection, tiles, used)
        exposures = check_lineage(conn, root, release, files, production)
    checks = [*_content(tables, files), *_complete(release, selection_of(root), sources, files)]
    for problem in blocking:
        subject = f"{problem['subject_kind']} {problem['subject']}"
        checks.append(failed("problems", subject, f"problem {problem['id']} is open: {problem['text']}"))
    if not blocking:
        checks.append(passed("problems", name, "no open problem concerns it"))
    checks += exposures
    checks += check_mixtures(selection_of(root).get("files", []))
    for table in tables:
        checks += check_table(root, table)
    checks += _census(root, sources, tables, files)
    checks += _images(root, name, files)
    checks += _files(root, files, frozen=release.manifest_sha256 is not None)
    if published and errors(checks):
        text = (
            "it is published: files that are damaged or gone are put back from a copy (desdm release verify names them); "
            f"for all else {correction(name)}"
        )
        checks.append(note("published", name, text))
    return checks


def check_lineage(
    conn: Connection,
    root: Path,
    release: Release,
    files: Sequence[ReleaseFile],
    production: Scope | None = None,
) -> list[Check]:
    """Check that nothing in a release was made from what is excluded, rejected, withdrawn or damaged.

    Parameters
    ----------
    root
        The release's directory.
    release, files
        The release and its files.
    production
        As of `validate`.
    """
    scopes = verdict_scopes(release.selection, production)
    name, published = release.name, release.state is ReleaseState.PUBLISHED
    contents = contents_of(conn, sources_of(conn, root, files))
    withdrawn = withdrawn_under(conn, contents)
    return [
        *check_exposures(conn, name, contents, scopes, withdrawn, published=published),
        *check_withdrawn(conn, name, contents, withdrawn, published=published),
        *check_suspects(conn, name, contents, published=published),
    ]


def selection_of(root: Path) -> dict[str, Any]:
    """What was selected and left out, as `create` wrote it down; empty for a release made by hand."""
    path = root / SELECTION
    if not path.is_file():
        return {}
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def sources_of(conn: Connection, root: Path, files: Sequence[ReleaseFile]) -> dict[int, str]:
    """Return the archive's files from which a release was made: number → path in the release, or the file's own name.

    The rows of its tables have their source in the selection alone.
    """
    found = {f.desfile_id: f.path for f in files if f.desfile_id is not None}
    for one in selection_of(root).get("files", []):
        record = catalog.by_name(conn, one["file"])
        if record is not None:
            found.setdefault(record.id, f"table rows from {record.name}")
    return found


def _content(tables: Sequence[ReleaseTable], files: Sequence[ReleaseFile]) -> list[Check]:
    if tables or files:
        return []
    return [failed("content", "release", "it is empty; add data: desdm release add-table …")]


def incomplete(conn: Connection, root: Path, release: Release) -> bool:
    """Whether a draft lacks what was selected for it: its build is under way, or was killed half-way."""
    if release.state is not ReleaseState.DRAFT or not release.selection:
        return False
    sources = {table: json.loads(text) for table, text in store.provenance(conn, release.name).items()}
    return bool(errors([*_complete(release, selection_of(root), sources, store.files(conn, release.name))]))


def _complete(
    release: Release, selection: Mapping[str, Any], sources: Mapping[str, Any], files: Sequence[ReleaseFile]
) -> Iterator[Check]:
    """Everything that was selected is in the release: a build that was killed half-way is not taken for a whole one."""
    if not release.selection:
        return
    if not selection:
        yield failed(
            "selection", release.name, "what was selected is not written down; discard it and create it again"
        )
        return
    made = {(f.filetype, f.source_sha256) for f in files}
    kinds = {f.filetype for f in files}
    rows = {entry["sha256"] for entry in sources.get(OBJECTS, {}).get("tiles", {}).values()}
    missing = [
        one["file"]
        for one in selection["files"]
        if (one["filetype"] in ("coadd", "coadd_color") and (one["filetype"], one["sha256"]) not in made)
        or (one["filetype"] == "coadd_objects" and one["sha256"] not in rows)
        or (one["filetype"] == "coadd_footprint" and "footprint" not in kinds)
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        text = f"not in it: {', '.join(missing[:3])}{more}; discard it and create it again"
        yield failed("selection", release.name, text)
    else:
        yield passed("selection", release.name, f"{len(selection['files'])} selected files are in it")


def _census(
    root: Path,
    sources: Mapping[str, Any],
    tables: Sequence[ReleaseTable],
    files: Sequence[ReleaseFile],
) -> Iterator[Check]:
    """Rows of each tile: as many as its catalogues had, less those that belong to other tiles."""
    tiles: dict[str, Any] = sources.get(OBJECTS, {}).get("tiles", {})
    table = next((t for t in tables if t.name == OBJECTS), None)
    if not tiles or table is None:
        return
    counted = _by_tile(root / table.path)
    census: dict[str, dict[str, int]] = {}
    for file in selection_of(root).get("files", []):
        if file["filetype"] == "coadd_cat" and file["objects"] is not None:
            census.setdefault(file["tilename"], {})[file["file"]] = int(file["objects"])
    for name, entry in sorted(tiles.items()):
        gone = sum(entry["dropped"].values())
        if counted.get(name, 0) != entry["kept"] or entry["kept"] + gone != entry["rows"]:
            yield failed(
                "census", name,
                f"{counted.get(name, 0)} rows in the table, {gone} given to other tiles, {entry['rows']} in "
                f"{entry['file']}",
            )  # fmt: skip
        for file, objects in sorted(census.get(name, {}).items()):
            if objects != entry["rows"]:
                yield failed(
                    "census", name, f"{entry['file']} has {entry['rows']} rows, {file} has {objects}"
                )
    strange = sorted(set(counted) - set(tiles))
    for name in strange:
        yield failed("census", name, f"{counted[name]} rows are of a tile that was not selected")
    yield passed(
        "census",
        OBJECTS,
        f"rows of {len(tiles)} tiles held against {sum(map(len, census.values()))} catalogues",
    )
    pictured = {f.tilename for f in files if f.filetype == "coadd"}
    for name in sorted(set(tiles) - pictured):
        yield note("census", name, "objects without an image in the release")


def _by_tile(path: Path) -> dict[str, int]:
    counted: dict[str, int] = {}
    for part in parts(path):
        found = pc.value_counts(pq.read_table(part, columns=["tilename"]).column(0))
        for entry in found.to_pylist():
            counted[entry["values"]] = counted.get(entry["values"], 0) + entry["counts"]
    return counted


def _images(root: Path, release: str, files: Sequence[ReleaseFile]) -> Iterator[Check]:
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
    # A release of tables alone does not wait for the code of pixels.
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
                return "its header tells of another release or source"
            for plane in _PLANES:
                if plane not in hdus:
                    return f"it has no plane {plane}"
                if hdus[plane].header.get("ZTILE1") != min(_SIDE, file.naxis1 or 0):
                    return f"its plane {plane} is not compressed in squares of {_SIDE} pixels"
                if hdus[plane].shape != (file.naxis2, file.naxis1):
                    return f"its plane {plane} is of another size than its record says"
    except FileTypeError as err:
        return str(err)
    return ""


def _files(root: Path, files: Sequence[ReleaseFile], *, frozen: bool) -> list[Check]:
    listed = [f for f in files if frozen or f.filetype != "manifest"]
    faults = manifest.verify(root, listed)
    found = [
        failed("files", fault.path, f"it {fault.text}")
        for fault in faults
        # Tables and documents come to a draft without being entered one by one.
        if frozen or not (fault.unlisted and fault.path.startswith(("tables/", "docs/")))
    ]
    return found or [passed("files", "release", f"{len(listed)} files are there, each of its digest")]
