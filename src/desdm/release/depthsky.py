"""The depth of a band over the sky, as a picture: from a HealSparse map to colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from healsparse import HealSparseMap

__all__ = ["DepthSky", "depth_sky"]

Floats = npt.NDArray[np.float64]
#: Ends of the colours, from shallow (dark blue) to deep (yellow).
_COLOURS = np.array([[30, 25, 80], [40, 90, 140], [35, 150, 130], [120, 200, 80], [250, 230, 60]], np.float64)


@dataclass(slots=True)
class DepthSky:
    """Picture of the depth of a band; ``cells`` are its deepest HiPS tiles, of ``order``."""

    cells: npt.NDArray[np.int64]
    order: int
    map: HealSparseMap
    low: float
    high: float

    def sample(self, ra: Floats, dec: Floats) -> npt.NDArray[np.uint8]:
        """Return RGBA at positions (degrees)."""
        shape = ra.shape
        depth = np.asarray(self.map.get_values_pos(ra.ravel(), dec.ravel(), lonlat=True)["depth"], np.float64)
        covered = np.isfinite(depth) & (depth > 0)
        share = np.clip((np.where(covered, depth, self.low) - self.low) / (self.high - self.low), 0.0, 1.0)
        at = share * (len(_COLOURS) - 1)
        out = np.zeros((depth.size, 4), np.uint8)
        for i in range(3):
            out[:, i] = np.interp(at, np.arange(len(_COLOURS)), _COLOURS[:, i]) + 0.5
        out[:, 3] = np.where(covered, 255, 0)
        out[~covered, :3] = 0
        return out.reshape(*shape, 4)


def depth_sky(path: Path) -> DepthSky | None:
    """Read the depth map of a band as a picture; None if the map has no depth."""
    from healsparse import HealSparseMap

    depth_map = HealSparseMap.read(str(path))
    if not depth_map.is_rec_array or "depth" not in (depth_map.dtype.names or ()):
        return None
    cells = depth_map.valid_pixels
    if cells.size == 0:
        return None
    order = int(np.log2(depth_map.nside_sparse))
    tile_order = max(3, order - 9)
    depth = np.asarray(depth_map[cells]["depth"], np.float64)
    depth = depth[np.isfinite(depth) & (depth > 0)]
    if depth.size == 0:
        return None
    low, high = (float(v) for v in np.percentile(depth, [2, 98]))
    deepest = np.unique(np.asarray(cells, np.int64) >> (2 * (order - tile_order)))
    return DepthSky(deepest, tile_order, depth_map, low, max(high, low + 0.1))
