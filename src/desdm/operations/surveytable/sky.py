"""The part of the sky that exposures cover: the outlines of their CCDs, less those that are excluded."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection

from desdm.archive.store import excluded
from desdm.errors import UsageError
from desdm.operations.surveytable import store
from desdm.operations.surveytable.model import Coverage

if TYPE_CHECKING:
    from mocpy import MOC

__all__ = ["SkyCoverage", "counting_exposures", "write_moc"]

#: Order of the cells of a map (MOC 2.0): 0.86 arcmin. A cell that an outline touches is whole in it.
_ORDER = 12
#: Outlines that lie within this many degrees of each other, a quarter of a cell, are drawn once.
_STEP = 0.0036


def counting_exposures(table: Coverage, band: str = "") -> frozenset[int]:
    """Return the exposures that count for the survey, of fields of the plan and elsewhere.

    Parameters
    ----------
    table
        The survey table.
    band
        Only of this band; empty: of all.
    """
    of_fields = {n for s in table.fields if band in ("", s.field.band) for n in s.accepted}
    return frozenset(of_fields | {e.expnum for e in table.elsewhere if e.counts and band in ("", e.band)})


class SkyCoverage:
    """Computes maps of coverage; one of more exposures than the map before adds only these to it."""

    def __init__(self) -> None:
        self._exposures: frozenset[int] = frozenset()
        self._excluded: frozenset[tuple[int, int]] = frozenset()
        self._moc: MOC | None = None

    def of(self, conn: Connection, exposures: Collection[int]) -> MOC:
        """Return what the CCDs of exposures cover.

        Parameters
        ----------
        conn
            Connection to the database.
        exposures
            Numbers of the exposures; excluded CCDs of them are left out.
        """
        wanted = frozenset(exposures)
        left_out = frozenset((e["expnum"], e["ccdnum"]) for e in excluded(conn) if e["expnum"] in wanted)
        grown = self._moc is not None and wanted >= self._exposures
        grown = grown and {one for one in left_out if one[0] in self._exposures} == self._excluded
        new = wanted - self._exposures if grown else wanted
        moc = _union(
            outline
            for outline in store.outlines(conn, new)
            if (outline.expnum, 0) not in left_out and (outline.expnum, outline.ccdnum) not in left_out
        )
        if grown and self._moc is not None:
            moc = self._moc.union(moc)
        self._exposures, self._excluded, self._moc = wanted, left_out, moc
        return moc


def _union(outlines: Iterable[store.Outline]) -> MOC:
    """Return the cells that outlines touch."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from mocpy import MOC

    drawn: dict[tuple[int, ...], tuple[float, float, float, float]] = {}
    for one in outlines:
        edges = (one.racmin, one.racmax, one.deccmin, one.deccmax)
        drawn.setdefault(tuple(round(edge / _STEP) for edge in edges), edges)
    if not drawn:
        return MOC.new_empty(_ORDER)
    ra_min, ra_max, dec_min, dec_max = np.array(list(drawn.values())).T
    width = np.where(ra_min > ra_max, ra_max + 360 - ra_min, ra_max - ra_min)
    dec = (dec_min + dec_max) / 2
    across, along = width / 2 * np.cos(np.radians(dec)), (dec_max - dec_min) / 2
    return MOC.from_boxes(
        Longitude((ra_min + width / 2) % 360, units.deg),
        Latitude(dec, units.deg),
        # The library takes the larger half first, and its angle from north.
        a=np.maximum(across, along) * units.deg,
        b=np.minimum(across, along) * units.deg,
        angle=np.where(across > along, 90.0, 0.0) * units.deg,
        max_depth=_ORDER,
        union_strategy="small_boxes",
    )


def write_moc(path: Path, moc: MOC) -> None:
    """Write a map of coverage as FITS; nothing half-written stays under its name.

    Parameters
    ----------
    path
        The file.
    moc
        The map.
    """
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        try:
            moc.save(str(part), format="fits", overwrite=True)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as err:
        raise UsageError(f"{path}: {err.strerror or err}") from err
