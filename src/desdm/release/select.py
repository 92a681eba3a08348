"""Select data for a release: products of coadd runs that ended well, by tag, blessing or any key of the archive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.catalogfile import CatalogFile
from desdm.archive.model import FileRecord, Scope
from desdm.archive.store import defective_attempts, defective_files
from desdm.errors import NotFoundError, UsageError
from desdm.release import store
from desdm.release.steps import SelectedFile
from desdm.schema.states import AttemptState, DataState, RunClass

__all__ = ["RELEASED", "Omission", "Selection", "again", "parse", "select", "verdict_scopes"]

#: File types from which a release is made; all others of a coadd run are intermediate.
RELEASED = ("coadd", "coadd_objects", "coadd_color", "coadd_depth", "coadd_footprint", "coadd_cat")


_OF_TILE = re.compile(r"(.+)_r\d+p\d+_")


@dataclass(frozen=True, slots=True)
class Omission:
    """A run or file that a release leaves out, and the reason."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of a release, and what is left out.

    Attributes
    ----------
    files
        Files, in the order of type, tile, band and name.
    omissions
        Runs and files that are left out.
    text
        Conditions of the selection, as the user wrote them.
    unreviewed
        Names of the runs of its files that nobody has blessed: they are done, and no person has looked at them.
    """

    files: tuple[SelectedFile, ...]
    omissions: tuple[Omission, ...]
    text: str
    unreviewed: tuple[str, ...] = ()


def parse(words: Sequence[str]) -> dict[str, str]:
    """Parse ``--select key=value[,key=value]``; an item without ``=`` continues the value before it.

    Examples
    --------
    >>> parse(["tag=Y6A1,band=g,r"])
    {'tag': 'Y6A1', 'band': 'g,r'}
    """
    conditions: dict[str, str] = {}
    key = ""
    for item in (item.strip() for word in words for item in word.split(",")):
        name, sign, value = item.partition("=")
        if sign:
            key = name.strip().lower()
            if key in conditions:
                raise UsageError(f"--select: {key} occurs twice")
            conditions[key] = value.strip()
        elif item and key:
            conditions[key] += f",{item}"
        elif item:
            raise UsageError(f"--select {item!r}: say key=value, for instance tag=Y6A1")
    empty = [key for key, value in conditions.items() if not value]
    if empty:
        raise UsageError(f"--select {empty[0]}= has no value")
    return conditions


def again(text: str) -> dict[str, str] | None:
    """Return the conditions of a selection from its text, for an erratum of the same data; None without a selection."""
    if not text:
        return None
    return parse([text.replace(" ", ",")]) if "=" in text else {}


#: Keys of a selection that say which runs may be taken; all others are keys of the archive.
_SCOPE_KEYS = ("project", "campaign", "run_class", "data_state")


def select(conn: Connection, conditions: Mapping[str, str], scope: Scope | None = None) -> Selection:
    """Select the newest good products of each tile.

    A run is good if it is blessed, that is done, or flagged and marked ACTIVE by an operator, its data neither JUNK nor
    PRUNED, and its newest mark does not say that it is defective; nor is a file taken whose newest mark says so. Of
    several good runs of a tile, with the same tag if the selection names one, the newest counts band by band; a product of
    all bands together comes from the run with most bands. Files without a run (delivered ones) are taken only by a tag.

    Parameters
    ----------
    conditions
        Keys of the archive; further ``project``, ``campaign`` and ``run_class``, which overrule ``scope``, and
        ``data_state``: with ACTIVE only runs that a person has blessed are taken.
    scope
        The runs that are production; None: ``survey`` runs of every project and campaign.

    Raises
    ------
    NotFoundError
        Nothing fits.
    UsageError
        A key or value is wrong.
    """
    where = _scope(conditions, scope or Scope("", ""))
    keys = {key: value for key, value in conditions.items() if key not in _SCOPE_KEYS}
    runs = {run.id: run for run in store.runs_of(conn, "coadd")}
    state = _data_state(conditions)
    good = {
        run.id
        for run in runs.values()
        if run.blessed and _in_scope(run, where) and state in (None, run.data_state)
    }
    defective = {number: defect.text for number, defect in defective_attempts(conn, sorted(good)).items()}
    good -= set(defective)
    query = {"filetype": ",".join(RELEASED), **_with_whole_tiles(keys)}
    selected = [
        _selected_file(file, "" if number is None or number not in runs else runs[number].name)
        for file in catalog.find(conn, query, scope=where, blessed=True)
        if (number := file.pfw_attempt_id) in good or (number is None and "tag" in keys and state is None)
    ]
    bad_files = defective_files(conn, [p.record.id for p in selected])
    marked = [p.record for p in selected if p.record.id in bad_files]
    selected = [p for p in selected if p.record.id not in bad_files]
    if "tilename" in keys:
        tiles = {p.tilename for p in selected if p.record.filetype == "coadd"}
        selected = [p for p in selected if p.tilename in tiles]
    text = (
        " ".join(f"{key}={value}" for key, value in conditions.items()) or "every good run of pipeline coadd"
    )
    if not selected:
        waiting = sorted(r.name for r in runs.values() if r.blessed and _in_scope(r, where)) if state else []
        raise NotFoundError(
            f"nothing to release: no good product of a coadd run fits ({text}) in {where.describe()}; "
            + (_waiting_text(waiting) if waiting else "see: desdm history")
        )
    chosen = {p.record.pfw_attempt_id for p in selected}
    omissions = [
        Omission(f"run {runs[n].name}", defective.get(n) or _omission_reason(runs[n], conditions, where))
        for n in sorted(set(runs) - chosen)
    ]
    omissions += [Omission(r.name, bad_files[r.id].text) for r in marked]
    omissions += _superseded_products(conn, selected)
    selected.sort(key=lambda p: (p.record.filetype, p.tilename or "", p.band or "", p.record.name))
    unreviewed = sorted(
        runs[n].name for n in chosen if n in runs and runs[n].data_state is not DataState.ACTIVE
    )
    return Selection(tuple(selected), tuple(omissions), text, tuple(unreviewed))


def _waiting_text(runs: Sequence[str]) -> str:
    """Return what keeps good runs out of a release of blessed data."""
    count = "1 good run waits" if len(runs) == 1 else f"{len(runs)} good runs wait"
    return (
        "blessed data only are taken (--blessed, or release.blessed_only in desdm.toml), and "
        f"{count} for a blessing: desdm mark {runs[-1]} blessed"
    )


def _superseded_products(conn: Connection, selected: Sequence[SelectedFile]) -> list[Omission]:
    """List the products of partly used runs in whose place another run's product stands."""
    source_runs = {(p.record.filetype, p.tilename, p.band): p.run for p in selected}
    omissions = []
    for number, run in sorted(
        {(p.record.pfw_attempt_id, p.run) for p in selected if p.record.pfw_attempt_id}
    ):
        tiles = {p.tilename for p in selected if p.run == run}
        for record in catalog.files(conn, attempt=number):
            others = {source_runs.get((record.filetype, tile, record.band), run) for tile in tiles} - {run}
            omissions += [Omission(record.name, f"that of run {other} stands") for other in sorted(others)]
    return omissions


def _data_state(conditions: Mapping[str, str]) -> DataState | None:
    """Return the data state that runs must have; None: any that may be released."""
    if "data_state" not in conditions:
        return None
    name = conditions["data_state"].strip().upper()
    if name != DataState.ACTIVE.value:
        raise UsageError(
            f"--select data_state={name}: there is ACTIVE only, which takes what a person has blessed"
        )
    return DataState.ACTIVE


def _scope(conditions: Mapping[str, str], production: Scope) -> Scope:
    """Return the scope of the runs that may be used: production, unless the selection says otherwise."""
    classes = production.run_classes
    if "run_class" in conditions:
        classes_by_name = {c.value: c for c in RunClass}
        names = [part.strip().lower() for part in conditions["run_class"].split(",")]
        unknown = [name for name in names if name not in classes_by_name]
        if unknown:
            raise UsageError(f"--select run_class={unknown[0]}: there are {', '.join(classes_by_name)}")
        classes = tuple(classes_by_name[name] for name in names)
    return Scope(
        conditions.get("project", production.project),
        conditions.get("campaign", production.campaign),
        classes,
    )


def verdict_scopes(text: str, production: Scope | None = None) -> tuple[Scope, ...]:
    """Return the scopes whose verdicts count for a release, the first one first.

    Those of the runs that its selection takes; an exposure without a verdict there has that of production.

    Parameters
    ----------
    text
        How the release was selected (`Selection.text`).
    production
        The runs that are production; None: ``survey`` runs of every project and campaign.
    """
    own = production or Scope("", "")
    return tuple(dict.fromkeys((_scope(again(text) or {}, own), own)))


def _in_scope(run: store.RunFacts, scope: Scope) -> bool:
    """Tell whether a run may be used by its project, campaign and class."""
    return (
        run.run_class in scope.run_classes
        and scope.project in ("", run.project)
        and scope.campaign in ("", run.campaign)
    )


def _with_whole_tiles(conditions: Mapping[str, str]) -> dict[str, str]:
    """Let conditions on band and tile also match files without either."""
    # A tile's table of objects and its picture are of no band, and carry their tile in their names only.
    return {
        key: f"{value},null" if key in ("band", "tilename") and "!" not in value else value
        for key, value in conditions.items()
    }


def _selected_file(file: CatalogFile, run: str) -> SelectedFile:
    """Make the record of a selected file from that of the archive."""
    record = FileRecord(
        id=file.id,
        filename=file.filename.removesuffix(file.compression),
        compression=file.compression,
        filetype=file.filetype,
        filesize=file.filesize,
        sha256=file.sha256,
        md5sum=file.md5sum,
        pfw_attempt_id=file.pfw_attempt_id,
        archive_name=file.archive_name,
        path=file.path,
        band=file.band,
    )
    # A table of objects and a picture carry their tile in their names only.
    tile_in_name = _OF_TILE.match(record.filename)
    metadata = file.metadata
    return SelectedFile(
        record,
        run,
        tilename=file.tilename or (tile_in_name[1] if tile_in_name else None),
        band=file.band,
        ra_cent=metadata.ra_cent,
        dec_cent=metadata.dec_cent,
        naxis1=metadata.naxis1,
        naxis2=metadata.naxis2,
        pixscale=metadata.pixscale,
        objects=metadata.objects,
    )


def _omission_reason(run: store.RunFacts, conditions: Mapping[str, str], scope: Scope) -> str:
    """Return why a run is not in the release."""
    if run.data_state in (DataState.JUNK, DataState.PRUNED):
        return f"its data are {run.data_state.value}"
    if run.state is AttemptState.FLAGGED and run.data_state is not DataState.ACTIVE:
        return "flagged: an operator has not marked its data ACTIVE"
    if run.state not in (AttemptState.DONE, AttemptState.FLAGGED):
        return f"it is {run.state.value}"
    if run.data_state is not DataState.ACTIVE and _data_state(conditions) is not None:
        return f"nobody has blessed it; see: desdm mark {run.name}"
    if not _in_scope(run, scope):
        return f"it is a {run.run_class.value} run of project {run.project}, campaign {run.campaign}"
    text = " ".join(f"{key}={value}" for key, value in conditions.items() if key not in _SCOPE_KEYS)
    return (
        f"not selected ({text}), or a newer run of its tile stands"
        if text
        else "a newer run of its tile stands"
    )
