"""MOC of the cells of a release that pass cuts in depth, exposures and good fraction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desdm.errors import UsageError
from desdm.services.footprint.lookup import Footprint
from desdm.services.footprint.maps import NSIDE

if TYPE_CHECKING:
    from mocpy import MOC

__all__ = ["MOC_FORMATS", "Cuts", "moc_of", "serialize_moc"]

#: Format → media type.
MOC_FORMATS = {"fits": "application/fits", "json": "application/json", "ascii": "text/plain"}
_ORDER = NSIDE.bit_length() - 1


@dataclass(frozen=True, slots=True)
class Cuts:
    """Least depth (mag), number of exposures and good fraction of a cell, in each of the bands; None: any."""

    depth: float | None = None
    nexp: float | None = None
    fraction: float | None = None


def moc_of(footprint: Footprint, bands: Sequence[str], cuts: Cuts) -> MOC:
    """Select the cells that pass the cuts in all of the bands.

    Parameters
    ----------
    footprint
        Footprint of a release.
    bands
        Bands; empty: all.
    cuts
        Lower bounds.

    Returns
    -------
    mocpy.MOC
        The cells; one coverage pixel is in memory at a time.
    """
    from mocpy import MOC

    maps = [footprint.map(band) for band in footprint.select_bands(bands)]
    common = maps[0].covered
    for other in maps[1:]:
        common = np.intersect1d(common, other.covered)
    parts = []
    for blocks in zip(*(band_map.blocks(common) for band_map in maps), strict=True):
        passing = [cells[_pass(rows, cuts)] for cells, rows in blocks]
        passed = passing[0]
        for other in passing[1:]:
            passed = np.intersect1d(passed, other, assume_unique=True)
        parts.append(passed)
    cells = np.concatenate(parts).astype(np.uint64) if parts else np.zeros(0, np.uint64)
    return MOC.from_healpix_cells(cells, np.full(cells.size, _ORDER, np.uint8), _ORDER)


def _pass(rows: npt.NDArray[np.void], cuts: Cuts) -> npt.NDArray[np.bool_]:
    """Return which records pass the cuts."""
    good = np.ones(rows.size, np.bool_)
    for name in ("depth", "nexp", "fraction"):
        least = getattr(cuts, name)
        if least is not None:
            good &= rows[name] >= np.float32(least)
    return good


def serialize_moc(moc: MOC, form: str) -> tuple[bytes, str]:
    """Serialise a MOC; return its bytes and media type.

    Raises
    ------
    UsageError
        The format is unknown.
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
