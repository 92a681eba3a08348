"""Select blessed data for a release: products of coadd runs that ended well, by tag or any key of the archive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import FileRecord
from desdm.errors import NotFoundError, UsageError
from desdm.release import store
from desdm.release.steps import Picked

__all__ = ["RELEASED", "Left", "Selection", "again", "parse", "select"]

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
        Runs and exposures that were left out.
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


def select(conn: Connection, asked: Mapping[str, str]) -> Selection:
    """The newest good products of each tile.

    A run is good if it is done, or flagged and marked ACTIVE by an operator; its data are neither JUNK nor PRUNED; no
    newer good run of the same tile stands. Files without a run (delivered ones) are taken only by a tag.

    Raises
    ------
    NotFoundError
        Nothing fits.
    UsageError
        A key or value is wrong.
    """
    runs = {number: (name, state, data) for number, name, state, data in store.runs_of(conn, "coadd")}
    good = {
        number for number, (_, state, data) in runs.items()
        if state == "done" or (state == "flagged" and data == "ACTIVE")
    }  # fmt: skip
    rows = catalog.find(conn, {"filetype": ",".join(RELEASED), **_with_whole_tiles(asked)})
    picked = [
        _picked(row, runs[number][0] if number in runs else "")
        for row in rows
        if (number := row["pfw_attempt_id"]) in good or (number is None and "tag" in asked)
    ]
    if "tilename" in asked:
        tiles = {p.tilename for p in picked if p.record.filetype == "coadd"}
        picked = [p for p in picked if p.tilename in tiles]
    text = " ".join(f"{key}={value}" for key, value in asked.items()) or "every good run of pipeline coadd"
    if not picked:
        raise NotFoundError(
            f"nothing to release: no good product of a coadd run fits ({text}); see: desdm history"
        )
    chosen = {p.record.pfw_attempt_id for p in picked}
    left = [Left(f"run {runs[n][0]}", _why(*runs[n][1:], asked)) for n in sorted(set(runs) - chosen)]
    picked.sort(key=lambda p: (p.record.filetype, p.tilename or "", p.band or "", p.record.name))
    return Selection(tuple(picked), (*left, *_exposures(conn, picked)), text)


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


def _why(state: str, data: str, asked: Mapping[str, str]) -> str:
    if data in ("JUNK", "PRUNED"):
        return f"its data are {data}"
    if state == "flagged":
        return "flagged: an operator has not marked its data ACTIVE"
    if state != "done":
        return f"it is {state}"
    said = " ".join(f"{key}={value}" for key, value in asked.items())
    return (
        f"not selected ({said}), or a newer run of its tile stands"
        if asked
        else "a newer run of its tile stands"
    )


def _exposures(conn: Connection, picked: Sequence[Picked]) -> list[Left]:
    used, _, _ = store.upstream(conn, [p.record.id for p in picked])
    nites = sorted({str(p.metadata["nite"]) for p in picked if p.metadata.get("nite")})
    return [
        Left(
            f"exposure {expnum} ({band}, night {nite})",
            f"verdict {accepted}: {reason}"
            if accepted != "True"
            else "accepted, but in no coadd of the release",
        )
        for expnum, nite, band, accepted, reason in store.verdicts_of(conn, nites)
        if expnum not in used or accepted == "False"
    ]
