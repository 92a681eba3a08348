"""Good area, depth and number of exposures in each HEALPix cell that a coadd touches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from desdm.codes.coadd.depth import aperture
from desdm.codes.coadd.masks import mapping
from desdm.pixels.maskbits import MaskBit

__all__ = ["FIELDS", "Grid", "cells_of", "exposures"]

Image = npt.NDArray[Any]
#: Of a cell: S/N 10 depth (mag), exposures, part of its area that is good, part that lies on the tile.
FIELDS = [("depth", "f4"), ("nexp", "i2"), ("fraction", "f4"), ("grid", "f4")]
_STEP = 8


@dataclass(frozen=True, slots=True)
class Grid:
    """A tile's pixels in square blocks of ``block`` pixels a side; ``wcs`` is the tile's, ``shape`` its (ny, nx)."""

    wcs: WCS
    shape: tuple[int, int]
    block: int

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks along y and x; the last ones may be cut off by the tile's edge."""
        ny, nx = self.shape
        return -(-ny // self.block), -(-nx // self.block)

    def blocked(self, x0: int = 0, y0: int = 0) -> WCS:
        """World coordinates of the blocks' centres, of those from block (x0, y0) on."""
        wcs = self.wcs.deepcopy()
        # In 0-based pixels a block's centre is (block - 1) / 2 beyond its first pixel.
        wcs.wcs.crpix = (wcs.wcs.crpix - 1 - (self.block - 1) / 2) / self.block + 1 - np.array([x0, y0])
        if wcs.wcs.has_cd():
            wcs.wcs.cd = wcs.wcs.cd * self.block
        else:
            wcs.wcs.cdelt = wcs.wcs.cdelt * self.block
        wcs.wcs.set()
        return wcs

    def sums(self, plane: Image) -> npt.NDArray[np.number]:
        """Sum of a plane over each block."""
        ny, nx = self.shape
        kind = np.int32 if plane.dtype == np.bool_ else np.float64
        rows = np.add.reduceat(plane, np.arange(0, ny, self.block), axis=0, dtype=kind)
        return np.asarray(np.add.reduceat(rows, np.arange(0, nx, self.block), axis=1))


def exposures(grid: Grid, images: Iterable[tuple[WCS, Image]]) -> npt.NDArray[np.int16]:
    """How many images count at the centre of each block: (WCS, weights) of each, nearest pixel, weight > 0."""
    count = np.zeros(grid.blocks, np.int16)
    for wcs, wgt in images:
        ny, nx = wgt.shape
        edge = np.linspace(0, 1, 9)
        rim = np.array([(x, y) for t in edge for x, y in ((t, 0), (t, 1), (0, t), (1, t))])
        ra, dec = wcs.all_pix2world(rim[:, 0] * (nx - 1), rim[:, 1] * (ny - 1), 0)
        x, y = grid.wcs.wcs_world2pix(ra, dec, 0)
        x0, y0 = (max(int(np.nanmin(v) / grid.block) - 2, 0) for v in (x, y))
        x1 = min(int(np.nanmax(x) / grid.block) + 3, grid.blocks[1])
        y1 = min(int(np.nanmax(y) / grid.block) + 3, grid.blocks[0])
        if x1 <= x0 or y1 <= y0:
            continue
        u, v = mapping(grid.blocked(x0, y0), wcs, (y1 - y0, x1 - x0), _STEP)
        column, row = (np.rint(np.nan_to_num(c, nan=-1.0)).astype(int) for c in (u, v))
        inside = (column >= 0) & (row >= 0) & (column < nx) & (row < ny)
        here = count[y0:y1, x0:x1]
        here[inside] += (wgt[row[inside], column[inside]] > 0).astype(np.int16)
    return count


def cells_of(
    grid: Grid,
    msk: Image,
    wgt: Image,
    count: npt.NDArray[np.int16],
    *,
    zero: float,
    pixscale: float,
    correlation: float,
    nside: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    """The cells of a coadd with some good area.

    A pixel is good if it has weight and no bit but INTERP, as in ``codes/coadd/depth.py``; depth is that file's too: the
    magnitude of S/N 10 in a 2″ aperture at the median noise of the cell's good pixels. A block goes whole to the cell
    under its centre; blocks of 1″ make a fraction at a cell's edge good to some thousandths.

    Parameters
    ----------
    grid, msk, wgt
        The coadd's pixels, survey bits and inverse variance.
    count
        Exposures at each block, from `exposures`.
    zero
        AB magnitude of one count.
    pixscale
        Arcsec.
    correlation
        Aperture noise over that of independent pixels, as measured on the coadd.
    nside
        HEALPix resolution, a power of two.

    Returns
    -------
    tuple
        Nested cell numbers, ascending, and records of `FIELDS`.
    """
    import hpgeom

    good = (wgt > 0) & ((msk & ~int(MaskBit.INTERP)) == 0)
    goods = grid.sums(good).ravel()
    weight = grid.sums(np.where(good, wgt, np.float32(0))).ravel()
    whole = grid.sums(np.ones(grid.shape, np.bool_)).ravel()
    y, x = np.indices(grid.blocks)
    ra, dec = grid.blocked().all_pix2world(x.ravel(), y.ravel(), 0)
    cells, index = np.unique(hpgeom.angle_to_pixel(nside, ra, dec), return_inverse=True)
    pixels = np.bincount(index, whole, cells.size)
    used = np.bincount(index, goods, cells.size)
    out = np.zeros(cells.size, FIELDS)
    area = pixels * (pixscale / 3600.0) ** 2 / hpgeom.nside_to_pixel_area(nside)
    out["grid"] = np.where(_inside(cells, grid, nside), 1.0, np.minimum(area, 1.0))
    out["fraction"] = out["grid"] * used / pixels
    covered = used > 0
    exposed = np.bincount(index, goods * count.ravel(), cells.size) / np.maximum(used, 1)
    # Good pixels were exposed in one image at least, wherever a block's centre happened to fall.
    out["nexp"] = np.maximum(np.rint(exposed), 1)
    variance = _medians(index, np.where(goods > 0, goods / np.where(goods > 0, weight, 1.0), 0.0), goods)
    noise = np.sqrt(float(aperture(pixscale).sum()) * variance[covered]) * correlation
    out["depth"][covered] = zero - 2.5 * np.log10(10.0 * noise)
    return cells[covered].astype(np.int64), out[covered]


def _inside(cells: npt.NDArray[np.int64], grid: Grid, nside: int) -> npt.NDArray[np.bool_]:
    """Which cells lie whole on the tile."""
    import hpgeom

    ny, nx = grid.shape
    ra, dec = hpgeom.boundaries(nside, cells, 4)
    x, y = grid.wcs.wcs_world2pix(ra.ravel(), dec.ravel(), 0)
    on = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    return np.asarray(on.reshape(ra.shape).all(axis=1))


def _medians(
    index: npt.NDArray[np.int64], values: npt.NDArray[np.float64], weights: npt.NDArray[np.number]
) -> npt.NDArray[np.float64]:
    """Weighted median of the values of each group 0 … max(index)."""
    order = np.lexsort((values, index))
    total = np.cumsum(weights[order], dtype=np.float64)
    last = np.cumsum(np.bincount(index))
    end = total[last - 1]
    begin = np.concatenate([[0.0], end[:-1]])
    place = np.searchsorted(total, (begin + end) / 2, side="left")
    return np.asarray(values[order][np.minimum(place, last - 1)])
