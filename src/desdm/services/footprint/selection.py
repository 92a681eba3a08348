"""Where a release is good enough: the MOC of the cells that pass cuts in depth, exposures and good fraction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from desdm.errors import UsageError
from desdm.services.footprint.lookup import Footprint
from desdm.services.footprint.maps import NSIDE

__all__ = ["MOC_FORMATS", "Cuts", "moc_of", "written"]

#: Format → media type.
MOC_FORMATS = {"fits": "application/fits", "json": "application/json", "ascii": "text/plain"}
_ORDER = NSIDE.bit_length() - 1


@dataclass(frozen=True, slots=True)
class Cuts:
    """Least depth (mag), number of exposures and good fraction of a cell, in each of the bands; None: any."""

    depth: float | None = None
    nexp: float | None = None
    fraction: float | None = None


def moc_of(footprint: Footprint, bands: Sequence[str], cuts: Cuts) -> Any:
    """Cells that pass the cuts in all of the bands, as a ``mocpy.MOC``; one coverage pixel is in memory at a time."""
    from mocpy import MOC

    maps = [footprint.map(band) for band in footprint.chosen(bands)]
    common = maps[0].covered
    for other in maps[1:]:
        common = np.intersect1d(common, other.covered)
    kept = []
    for blocks in zip(*(one.blocks(common) for one in maps), strict=True):
        passing = [cells[_pass(rows, cuts)] for cells, rows in blocks]
        found = passing[0]
        for more in passing[1:]:
            found = np.intersect1d(found, more, assume_unique=True)
        kept.append(found)
    cells = np.concatenate(kept).astype(np.uint64) if kept else np.zeros(0, np.uint64)
    return MOC.from_healpix_cells(cells, np.full(cells.size, _ORDER, np.uint8), _ORDER)


def _pass(rows: Any, cuts: Cuts) -> Any:
    good = np.ones(rows.size, np.bool_)
    for name in ("depth", "nexp", "fraction"):
        least = getattr(cuts, name)
        if least is not None:
            good &= rows[name] >= np.float32(least)
    return good


def written(moc: Any, form: str) -> tuple[bytes, str]:
    """The bytes of a MOC, and their media type.

    Raises
    ------
    UsageError
        There is no such format.
    """
    mime = MOC_FORMATS.get(form)
    if mime is None:
        raise UsageError(f"format {form[:20]!r} is not known for a MOC; there are {', '.join(MOC_FORMATS)}")
    if form == "json":
        return json.dumps(moc.serialize("json")).encode(), mime
    if form == "ascii":
        return moc.to_string("ascii").encode(), mime
    out = BytesIO()
    moc.serialize("fits", {"PIXTYPE": "HEALPIX"}, v1_compatible=True).writeto(out)
    return out.getvalue(), mime
