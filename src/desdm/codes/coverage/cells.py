"""How much of each HEALPix cell an image's good pixels cover, from its WCS and a binned mask."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

__all__ = ["REJECT_MASK", "Coverage", "cells_of"]

#: Bits of MSK that make a pixel useless: BPM, SATURATE, BADAMP, CRAY, STAR, TRAIL, EDGEBLEED, EDGE, STREAK.
REJECT_MASK = 1 | 2 | 8 | 16 | 32 | 64 | 128 | 512 | 1024
Cells = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class Coverage:
    """Adds up the area, in cells, that images lay on each cell; CCDs of one exposure do not overlap.

    ``nside`` is the HEALPix resolution; 4096 makes cells of 0.74 arcmin².
    """

    def __init__(self, nside: int) -> None:
        self.nside = nside
        self._cells: dict[int, float] = {}

    def add(self, cells: Cells, fraction: Values) -> None:
        """Add one image's cells."""
        for cell, part in zip(cells.tolist(), fraction.tolist(), strict=True):
            self._cells[cell] = self._cells.get(cell, 0.0) + part

    def result(self) -> tuple[Cells, Values]:
        """Cells (nested numbering, ascending) and the fraction of each that is covered, at most 1."""
        cells = np.array(sorted(self._cells), np.int64)
        return cells, np.minimum(np.array([self._cells[c] for c in cells.tolist()]), 1.0)


def cells_of(
    wcs: WCS, msk: npt.NDArray[np.int32], nside: int, reject_mask: int = REJECT_MASK, samples: int = 12
) -> tuple[Cells, Values]:
    """Cells that an image touches and the fraction of each cell's area that its good pixels cover.

    The image is cut into blocks, ``samples`` of them across a cell: each goes whole to the cell under its centre, with the
    part of it that is good. The cost is that of one pass over the mask and of some 150 positions a cell, whatever the
    image's size; a cell's fraction errs by some per cent at an image's edge, and not at all on average.

    Parameters
    ----------
    wcs
        The image's.
    msk
        Survey bits.
    nside
        HEALPix resolution, a power of two.
    """
    from astropy_healpix import HEALPix

    ny, nx = msk.shape
    grid = HEALPix(nside=nside, order="nested")
    cell = math.degrees(math.sqrt(grid.pixel_area.to_value("sr")))
    middle = (
        np.array([(nx + 1) / 2, (nx + 3) / 2, (nx + 1) / 2]),
        np.array([(ny + 1) / 2, (ny + 1) / 2, (ny + 3) / 2]),
    )
    ra, dec = wcs.all_pix2world(*middle, 1)
    cosd = math.cos(math.radians(float(dec[0])))
    east = ((ra[1:] - ra[0] + 180.0) % 360.0 - 180.0) * cosd
    area = abs(float(east[0] * (dec[2] - dec[0]) - east[1] * (dec[1] - dec[0])))
    block = max(1, min(int(cell / samples / math.sqrt(area)), nx, ny))
    y, x = np.arange(0, ny, block), np.arange(0, nx, block)
    good = np.add.reduceat(np.add.reduceat((msk & reject_mask) == 0, y, axis=0, dtype=np.int32), x, axis=1)
    cx = (x + np.minimum(x + block, nx) + 1) / 2
    cy = (y + np.minimum(y + block, ny) + 1) / 2
    columns, rows = (v.ravel() for v in np.meshgrid(cx, cy))
    lon, lat = wcs.all_pix2world(columns, rows, 1)
    where = grid.lonlat_to_healpix(_degrees(lon), _degrees(lat))
    cells, index = np.unique(np.asarray(where, np.int64), return_inverse=True)
    scale = _pixel_areas(lon.reshape(good.shape), lat.reshape(good.shape), cx, cy, area)
    part = np.bincount(index.ravel(), (good * scale).ravel(), cells.size) / cell**2
    keep = part > 0
    return cells[keep], part[keep]


def _degrees(values: Values) -> object:
    """Return values with the unit degree of astropy."""
    from astropy import units

    return values * units.deg


def _pixel_areas(lon: Values, lat: Values, x: Values, y: Values, area: float) -> Values:
    """Square degrees of one pixel at each block's centre: distortion changes it by per cents over a focal plane."""
    if min(lon.shape) < 3:
        return np.full(lon.shape, area)
    dra = (
        np.gradient(np.unwrap(np.radians(lon), axis=1), x, axis=1),
        np.gradient(np.unwrap(np.radians(lon), axis=0), y, axis=0),
    )
    cosd = np.cos(np.radians(lat))
    ex, ey = np.degrees(dra[0]) * cosd, np.degrees(dra[1]) * cosd
    nx, ny = np.gradient(lat, x, axis=1), np.gradient(lat, y, axis=0)
    return np.asarray(np.abs(ex * ny - ey * nx))
