"""Select blessed data for a release: products of coadd runs that ended well, by tag or any key of the archive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import FileRecord, Scope
from desdm.errors import NotFoundError, UsageError
from desdm.release import store
from desdm.release.steps import Picked
from desdm.schema.states import AttemptState, DataState, RunClass

__all__ = ["RELEASED", "Left", "Selection", "again", "parse", "select", "verdict_scopes"]

#: File types from which a release is made; all others of a coadd run are intermediate.
RELEASED = ("coadd", "coadd_objects", "coadd_color", "coadd_depth", "coadd_footprint", "coadd_cat")


_OF_TILE = re.compile(r"(.+)_r\d+p\d+_")


@dataclass(frozen=True, slots=True)
class Left:
    """What was left out, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a release takes.

    Attributes
    ----------
    picked
        Files, in the order of type, tile, band and name.
    left
        Runs that were left out.
    text
        How it was selected, as the user said it.
    """

    picked: tuple[Picked, ...]
    left: tuple[Left, ...]
    text: str


def parse(words: Sequence[str]) -> dict[str, str]:
    """Keys and values of ``--select key=value[,key=value]``; an item without ``=`` goes on with the value before it.

    Examples
    --------
    >>> parse(["tag=Y6A1,band=g,r"])
    {'tag': 'Y6A1', 'band': 'g,r'}
    """
    asked: dict[str, str] = {}
    key = ""
    for item in (item.strip() for word in words for item in word.split(",")):
        name, sign, value = item.partition("=")
        if sign:
            key = name.strip().lower()
            if key in asked:
                raise UsageError(f"--select: {key} is said twice")
            asked[key] = value.strip()
        elif item and key:
            asked[key] += f",{item}"
        elif item:
            raise UsageError(f"--select {item!r}: say key=value, for instance tag=Y6A1")
    empty = [key for key, value in asked.items() if not value]
    if empty:
        raise UsageError(f"--select {empty[0]}= has no value")
    return asked


def again(text: str) -> dict[str, str] | None:
    """The keys of a selection from its text, for an erratum of the same data; None for a release made by hand."""
    if not text:
        return None
    return parse([text.replace(" ", ",")]) if "=" in text else {}


#: Keys of a selection that say which runs may be taken; all others are keys of the archive.
_SCOPE_KEYS = ("project", "campaign", "run_class")


def select(conn: Connection, asked: Mapping[str, str], scope: Scope | None = None) -> Selection:
    """Select the newest good products of each tile.

    A run is good if it is blessed, that is done, or flagged and marked ACTIVE by an operator, its data neither JUNK nor
    PRUNED. Of several good runs of a tile, with the same tag if one is asked for, the newest stands band by band; what is
    made from all bands together comes from the run with most bands. Files without a run (delivered ones) are taken only
    by a tag.

    Parameters
    ----------
    asked
        Keys of the archive; further ``project``, ``campaign`` and ``run_class``, which overrule ``scope``.
    scope
        The runs that are production; None: ``survey`` runs of every project and campaign.

    Raises
    ------
    NotFoundError
        Nothing fits.
    UsageError
        A key or value is wrong.
    """
    where = _scope(asked, scope or Scope("", ""))
    keys = {key: value for key, value in asked.items() if key not in _SCOPE_KEYS}
    runs = {run.id: run for run in store.runs_of(conn, "coadd")}
    good = {run.id for run in runs.values() if run.blessed and _in_scope(run, where)}
    wanted = {"filetype": ",".join(RELEASED), **_with_whole_tiles(keys)}
    rows = catalog.find(conn, wanted, scope=where, blessed=True)
    picked = [
        _picked(row, runs[number].name if number in runs else "")
        for row in rows
        if (number := row["pfw_attempt_id"]) in good or (number is None and "tag" in keys)
    ]
    if "tilename" in keys:
        tiles = {p.tilename for p in picked if p.record.filetype == "coadd"}
        picked = [p for p in picked if p.tilename in tiles]
    text = " ".join(f"{key}={value}" for key, value in asked.items()) or "every good run of pipeline coadd"
    if not picked:
        raise NotFoundError(
            f"nothing to release: no good product of a coadd run fits ({text}) in {where.describe()}; see: desdm history"
        )
    chosen = {p.record.pfw_attempt_id for p in picked}
    left = [Left(f"run {runs[n].name}", _why(runs[n], keys, where)) for n in sorted(set(runs) - chosen)]
    left += _replaced(conn, picked)
    picked.sort(key=lambda p: (p.record.filetype, p.tilename or "", p.band or "", p.record.name))
    return Selection(tuple(picked), tuple(left), text)


def _replaced(conn: Connection, picked: Sequence[Picked]) -> list[Left]:
    """The products of runs that are used in part, for which another run's were taken."""
    taken = {(p.record.filetype, p.tilename, p.band): p.run for p in picked}
    left = []
    for number, run in sorted({(p.record.pfw_attempt_id, p.run) for p in picked if p.record.pfw_attempt_id}):
        tiles = {p.tilename for p in picked if p.run == run}
        for record in catalog.files(conn, attempt=number):
            others = {taken.get((record.filetype, tile, record.band), run) for tile in tiles} - {run}
            left += [Left(record.name, f"that of run {other} stands") for other in sorted(others)]
    return left


def _scope(asked: Mapping[str, str], production: Scope) -> Scope:
    """The runs that may be taken: production, unless the selection says otherwise."""
    classes = production.run_classes
    if "run_class" in asked:
        known = {c.value: c for c in RunClass}
        named = [part.strip().lower() for part in asked["run_class"].split(",")]
        wrong = [name for name in named if name not in known]
        if wrong:
            raise UsageError(f"--select run_class={wrong[0]}: there are {', '.join(known)}")
        classes = tuple(known[name] for name in named)
    return Scope(
        asked.get("project", production.project), asked.get("campaign", production.campaign), classes
    )


def verdict_scopes(text: str, production: Scope | None = None) -> tuple[Scope, ...]:
    """Return the scopes whose verdicts count for a release, the first one first.

    Those of the runs that its selection takes; an exposure that nobody judged there has the verdict of production.

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
    """Whether a run may be taken by its project, campaign and class."""
    return (
        run.run_class in scope.run_classes
        and scope.project in ("", run.project)
        and scope.campaign in ("", run.campaign)
    )


def _with_whole_tiles(asked: Mapping[str, str]) -> dict[str, str]:
    # A tile's table of objects and its picture are of no band, and carry their tile in their names only.
    return {
        key: f"{value},null" if key in ("band", "tilename") and "!" not in value else value
        for key, value in asked.items()
    }


def _picked(row: Mapping[str, Any], run: str) -> Picked:
    record = FileRecord(
        id=row["id"], filename=row["filename"].removesuffix(row["compression"]), compression=row["compression"],
        filetype=row["filetype"], filesize=row["filesize"], sha256=row["sha256"], md5sum=row["md5sum"],
        pfw_attempt_id=row["pfw_attempt_id"], archive_name=row["archive_name"], path=row["path"],
        band=row.get("band"),
    )  # fmt: skip
    metadata = {key: value for key, value in row.items() if key not in FileRecord._fields or key == "band"}
    # A table of objects and a picture carry their tile in their names only.
    named = _OF_TILE.match(record.filename)
    if not metadata.get("tilename") and named:
        metadata["tilename"] = named[1]
    return Picked(record, metadata, run)


def _why(run: store.RunFacts, asked: Mapping[str, str], scope: Scope) -> str:
    """Why a run is not in the release."""
    if run.data_state in (DataState.JUNK, DataState.PRUNED):
        return f"its data are {run.data_state.value}"
    if run.state is AttemptState.FLAGGED and run.data_state is not DataState.ACTIVE:
        return "flagged: an operator has not marked its data ACTIVE"
    if run.state not in (AttemptState.DONE, AttemptState.FLAGGED):
        return f"it is {run.state.value}"
    if not _in_scope(run, scope):
        return f"it is a {run.run_class.value} run of project {run.project}, campaign {run.campaign}"
    conditions = " ".join(f"{key}={value}" for key, value in asked.items())
    return (
        f"not selected ({conditions}), or a newer run of its tile stands"
        if asked
        else "a newer run of its tile stands"
    )
