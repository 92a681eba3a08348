"""The mask plane of a coadd: each exposure's bits brought to the tile's grid, nearest pixel, and combined."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from desdm.pixels.maskbits import MaskBit

__all__ = ["MaskStack", "mapping"]

#: Bits that mark what an object is, not a defect that another exposure heals: they stay if any exposure has them.
KEEP = int(MaskBit.SATURATE | MaskBit.STAR)


def mapping(
    tile: WCS, image: WCS, shape: tuple[int, int], step: int = 32
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """0-based pixel coordinates on ``image`` of every pixel of a tile of ``shape`` (ny, nx).

    The exact transformation is computed on every ``step``-th pixel and interpolated bilinearly between: over 32
    pixels the curvature of a camera's distortion is below 0.01 pixel, and only the nearest pixel is needed.

    Parameters
    ----------
    tile
        WCS of the tile.
    image
        WCS of the image.
    shape
        (ny, nx) of the tile.
    step
        Distance of the exact points, pixels of the tile.

    Returns
    -------
    tuple of numpy.ndarray
        Columns and rows on the image, each (ny, nx), 0-based pixels.
    """
    ny, nx = shape
    gy, gx = np.arange(0, ny + step, step), np.arange(0, nx + step, step)
    ra, dec = tile.all_pix2world(*np.meshgrid(gx, gy), 0)
    u, v = image.wcs_world2pix(ra, dec, 0)
    fy, fx = np.arange(ny) / step, np.arange(nx) / step
    return _bilinear(u, fy, fx), _bilinear(v, fy, fx)


def _bilinear(
    grid: npt.NDArray[np.float64], fy: npt.NDArray[np.float64], fx: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Interpolate a grid bilinearly at rows ``fy`` and columns ``fx`` (grid units)."""
    iy, ix = np.floor(fy).astype(int), np.floor(fx).astype(int)
    ty, tx = (fy - iy)[:, None], (fx - ix)[None, :]
    rows = grid[iy] * (1 - ty) + grid[iy + 1] * ty
    return np.asarray(rows[:, ix] * (1 - tx) + rows[:, ix + 1] * tx)


class MaskStack:
    """Gathers exposures one by one; ``result`` gives MSK and the number of exposures that gave a pixel its value."""

    def __init__(self, tile: WCS, shape: tuple[int, int]) -> None:
        self._tile, self._shape = tile, shape
        self._any = np.zeros(shape, np.int32)
        self._kept = np.zeros(shape, np.int32)
        self._looked = np.zeros(shape, np.int16)
        self.count = np.zeros(shape, np.int16)

    def add(self, image: WCS, msk: npt.NDArray[np.int32], wgt: npt.NDArray[np.float32]) -> None:
        """Take one exposure's mask; ``wgt`` > 0 says where it counted.

        Parameters
        ----------
        image
            WCS of the exposure's image.
        msk
            (ny, nx) its mask bits.
        wgt
            (ny, nx) its weights; > 0 where the image contributes.
        """
        u, v = mapping(self._tile, image, self._shape)
        column, row = (np.rint(np.nan_to_num(c, nan=-1.0)).astype(int) for c in (u, v))
        # A place that the distortion cannot reach is nan, and then outside.
        inside = (
            np.isfinite(u)
            & np.isfinite(v)
            & (column >= 0)
            & (row >= 0)
            & (column < msk.shape[1])
            & (row < msk.shape[0])
        )
        bits = msk[row[inside], column[inside]]
        used = wgt[row[inside], column[inside]] > 0
        self._any[inside] |= bits
        self._kept[inside] |= np.where(used, bits & KEEP, 0)
        self._looked[inside] += 1
        self.count[inside] += used.astype(np.int16)

    def result(self, wgt: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """MSK of the coadd: what every exposure lost keeps its reasons, and EDGE where none looked."""
        lost = (self.count == 0) | (wgt <= 0)
        msk = self._kept.copy()
        # Here the mixture of the exposures' PSFs is another than beside it, and a star's flux may be wrong by a percent.
        msk[~lost & (self.count < self._looked)] |= int(MaskBit.INTERP)
        msk[lost] |= self._any[lost]
        msk[lost & (self._any == 0)] |= int(MaskBit.EDGE)
        return msk
