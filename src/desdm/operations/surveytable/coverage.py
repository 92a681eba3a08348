"""Compute the survey table: which accepted exposures cover which fields, and the depth of tiles."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.archive.store import excluded
from desdm.operations.surveytable import store
from desdm.operations.surveytable.model import Coverage, Field, FieldStatus, Pointing, TileStatus
from desdm.quality.qa.verdict import verdict_words
from desdm.schema.states import Verdict
from desdm.sky.spherical import unit

__all__ = ["MATCH_RADIUS", "assign", "coverage", "field_statuses", "pointings"]

#: Degrees between the pointing of an exposure and that of its field at most, where its title does not name the field.
#: Neighbouring hexagons are 2 degrees apart, tilings of one hexagon a third of a degree and more.
MATCH_RADIUS = 0.15

#: Titles of the Dark Energy Survey: ``DES survey hex 10-483 tiling 5`` and ``DES supernova hex SN-C3 tiling 1``.
_TITLE = re.compile(r"hex\s+(?P<hex>\S+)\s+tiling\s+(?P<tiling>\d+)", re.IGNORECASE)
_SKY = ("object", "standard")


def coverage(conn: Connection, scope: Scope) -> Coverage:
    """Return the survey table of now: it follows verdicts, exclusions and data states at once.

    Parameters
    ----------
    conn
        Connection to the database.
    scope
        Attempts that are production.
    """
    exposures = pointings(conn, scope)
    fields, elsewhere = _assigned(store.fields(conn), exposures)
    return Coverage(fields, tuple(elsewhere), tuple(_tiles(conn, scope, exposures)))


def field_statuses(conn: Connection, scope: Scope) -> tuple[FieldStatus, ...]:
    """Return the fields of the survey table of now, without tiles; empty without a plan; parameters as of `coverage`."""
    fields = store.fields(conn)
    return _assigned(fields, pointings(conn, scope))[0] if fields else ()


def _assigned(
    fields: Sequence[Field], exposures: Sequence[Pointing]
) -> tuple[tuple[FieldStatus, ...], list[Pointing]]:
    """Return the rows of fields, and the exposures of no field."""
    by_field, elsewhere = assign(fields, exposures)
    return tuple(_status(f, by_field.get(f.name, ())) for f in fields), elsewhere


def pointings(conn: Connection, scope: Scope) -> list[Pointing]:
    """Return every raw exposure of the sky with the verdict that counts, by number.

    Parameters
    ----------
    conn
        Connection to the database.
    scope
        Attempts whose verdicts count.
    """
    words = verdict_words(conn, "firstcut", scope)
    whole = {row["expnum"] for row in excluded(conn) if not row["ccdnum"]}
    exposures = []
    for expnum, files in _by_exposure(store.raw_files(conn)):
        first = files[0]
        if (first.obstype or "").lower() not in _SKY:
            continue
        verdict, t_eff = words.get(expnum, (None, None))
        known = len(files) == 1 and first.ra is not None and first.dec is not None
        ra, dec = (first.ra, first.dec) if known else _centre(files)
        exposures.append(
            Pointing(
                expnum,
                first.nite or "",
                first.band or "",
                first.title or "",
                ra,
                dec,
                first.exptime or 0.0,
                verdict,
                t_eff,
                expnum in whole,
            )
        )
    return exposures


def _by_exposure(files: Iterable[store.RawFile]) -> Iterator[tuple[int, list[store.RawFile]]]:
    """Yield the files of each exposure; they come in the order of exposures."""
    group: list[store.RawFile] = []
    for file in files:
        if group and file.expnum != group[0].expnum:
            yield group[0].expnum, group
            group = []
        group.append(file)
    if group:
        yield group[0].expnum, group


def _centre(files: Sequence[store.RawFile]) -> tuple[float | None, float | None]:
    """Return the position of an exposure, ICRS [deg]: of its file, or the middle of the files of its CCDs."""
    known = [(file.ra, file.dec) for file in files if file.ra is not None and file.dec is not None]
    if not known:
        return None, None
    if len(known) == 1:
        return known[0]
    x, y, z = unit([ra for ra, _ in known], [dec for _, dec in known]).sum(axis=0)
    return float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def assign(
    fields: Sequence[Field], exposures: Sequence[Pointing]
) -> tuple[Mapping[str, list[Pointing]], list[Pointing]]:
    """Assign exposures to the fields of the plan.

    An exposure is of the field of its band that its title names; else of the nearest field of its band within
    `MATCH_RADIUS`.

    Parameters
    ----------
    fields
        The plan.
    exposures
        Exposures of the sky.

    Returns
    -------
    by_field : dict
        Exposures by `Field.name`.
    elsewhere : list of Pointing
        Exposures of no field.
    """
    named = {f.name: f for f in fields}
    by_band: dict[str, list[Field]] = defaultdict(list)
    for f in fields:
        by_band[f.band].append(f)
    by_field: dict[str, list[Pointing]] = defaultdict(list)
    elsewhere: list[Pointing] = []
    by_position: dict[str, list[Pointing]] = defaultdict(list)
    # Many exposures have the same title.
    places = {title: _TITLE.search(title) for title in {exposure.title for exposure in exposures}}
    starts = {title: f"{m['hex']}/{int(m['tiling'])}/" for title, m in places.items() if m}
    for exposure in exposures:
        start = starts.get(exposure.title)
        name = start + exposure.band if start else ""
        if name in named:
            by_field[name].append(exposure)
        elif exposure.ra is None or exposure.dec is None or not by_band[exposure.band]:
            elsewhere.append(exposure)
        else:
            by_position[exposure.band].append(exposure)
    for band, those in by_position.items():
        for exposure, near in zip(those, _nearest(by_band[band], those), strict=True):
            (elsewhere if near is None else by_field[near.name]).append(exposure)
    for assigned in (*by_field.values(), elsewhere):
        assigned.sort(key=lambda exposure: exposure.expnum)
    return by_field, elsewhere


def _nearest(fields: Sequence[Field], exposures: Sequence[Pointing]) -> list[Field | None]:
    """Return the nearest field of each exposure within `MATCH_RADIUS`; None without one."""
    from scipy.spatial import cKDTree

    tree = cKDTree(unit([f.ra for f in fields], [f.dec for f in fields]))
    chord = 2 * np.sin(np.radians(MATCH_RADIUS) / 2)
    positions = unit(np.array([e.ra for e in exposures], float), np.array([e.dec for e in exposures], float))
    distances, numbers = tree.query(positions, distance_upper_bound=chord)
    return [
        fields[n] if np.isfinite(distance) else None for distance, n in zip(distances, numbers, strict=True)
    ]


def _status(field: Field, exposures: Sequence[Pointing]) -> FieldStatus:
    """Return the row of a field."""
    if not exposures:
        return FieldStatus(field)
    good = [exposure for exposure in exposures if exposure.counts]
    rejected = sum(
        (exposure.excluded or exposure.verdict is Verdict.REJECTED) and not exposure.counts
        for exposure in exposures
    )
    return FieldStatus(
        field,
        accepted=tuple(exposure.expnum for exposure in good),
        rejected=rejected,
        undecided=len(exposures) - len(good) - rejected,
        t_eff=sum(exposure.t_eff or 0.0 for exposure in good),
        last_nite=max((exposure.nite for exposure in good), default=""),
        counting=tuple(good),
    )


def _tiles(conn: Connection, scope: Scope, exposures: Sequence[Pointing]) -> list[TileStatus]:
    """Return the depth of each tile with a coadd, by name and band."""
    known = {exposure.expnum: exposure for exposure in exposures}
    used: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for tile, run, band, expnum in store.tile_inputs(conn, scope):
        if band:
            used[tile, run, band].add(expnum)
    tiles = []
    for (tile, run, band), numbers in sorted(used.items()):
        counting = [known[n] for n in numbers if n in known and known[n].counts]
        tiles.append(
            TileStatus(
                tile,
                band,
                run,
                len(counting),
                sum(e.t_eff or 0.0 for e in counting),
                sum(e.exptime for e in counting),
                len(numbers) - len(counting),
            )
        )
    return tiles
