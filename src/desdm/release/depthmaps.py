"""One HealSparse map of a band for the whole release, from the maps of its tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desdm.errors import FatalError
from desdm.sky.polygons import Outlines, unit

if TYPE_CHECKING:
    from healsparse import HealSparseMap

__all__ = ["FIELDS", "NSIDE", "map_rows", "merge", "write_map"]

#: Cells with the fields of a map.
Records = npt.NDArray[np.void]
NSIDE = 4096
_COVERAGE = 32
#: Fields of a cell in a release: S/N 10 depth (mag), exposures, part of its area that is good.
FIELDS = [("depth", "f4"), ("nexp", "i2"), ("fraction", "f4")]
_WORKING = np.dtype([*FIELDS, ("grid", "f4"), ("tile", "i4")])


def merge(tiles: Iterable[tuple[int, Path]], outlines: Outlines) -> HealSparseMap:
    """Merge the maps of tiles into one map of a band.

    Where tiles share a cell their good areas are added, less what both cover: in the part of the cell that lies on both,
    the worse of the two is taken to be good where the better is. Depth and number of exposures are those of the tile with
    more good area.

    Parameters
    ----------
    tiles
        Number of each tile, and its file (file type coadd_footprint), in the order of their names.
    outlines
        Of the tiles, by number.

    Returns
    -------
    healsparse.HealSparseMap
        Records of ``FIELDS``, with ``grid`` and ``tile`` (number of the tile whose depth it is).
    """
    from healsparse import HealSparseMap

    files = list(tiles)
    whole = HealSparseMap.make_empty(
        _COVERAGE, NSIDE, _WORKING, primary="depth", cov_pixels=_covered(path for _, path in files)
    )
    for number, path in files:
        part = HealSparseMap.read(str(path))
        if part.nside_sparse != NSIDE:
            raise FatalError(
                f"{path.name}: its cells are of nside {part.nside_sparse}, a release's of {NSIDE}"
            )
        cells = part.valid_pixels
        values = part[cells]
        new = np.zeros(cells.size, _WORKING)
        for name in ("depth", "nexp", "fraction", "grid"):
            new[name] = values[name]
        new["tile"] = number
        whole.update_values_pix(cells, _merged_records(cells, whole[cells], new, outlines))
    return whole


def _covered(paths: Iterable[Path]) -> npt.NDArray[np.int64]:
    """Return the coverage pixels of all files, so that the map is allocated once."""
    from healsparse import HealSparseCoverage

    pixels: set[int] = set()
    for path in paths:
        pixels |= set(np.flatnonzero(HealSparseCoverage.read(str(path)).coverage_mask).tolist())
    return np.array(sorted(pixels), np.int64)


def _merged_records(cells: npt.NDArray[np.int64], old: Records, new: Records, outlines: Outlines) -> Records:
    """Merge the records of cells that two tiles share."""
    both = old["fraction"] > 0
    a, b = old[both], new[both]
    # Exact where one tile holds the whole cell, and never less than what does not fit beside each other.
    overlap = np.maximum(a["grid"] + b["grid"] - 1.0, 0.0)
    parts = np.flatnonzero((a["grid"] < 1) & (b["grid"] < 1))
    overlap[parts] = np.maximum(
        overlap[parts], _overlap(cells[both][parts], a["tile"][parts], b["tile"][parts], outlines)
    )
    overlap = np.minimum(overlap, np.minimum(a["grid"], b["grid"]))
    shared = overlap * np.minimum(a["fraction"] / a["grid"], b["fraction"] / b["grid"])
    grid = np.minimum(a["grid"] + b["grid"] - overlap, 1.0)
    larger = np.maximum(a["fraction"], b["fraction"])
    fraction = np.clip(a["fraction"] + b["fraction"] - shared, larger, np.maximum(grid, larger))
    better = np.where(b["fraction"] > a["fraction"], b, a)
    better["fraction"], better["grid"] = fraction, grid
    out = new.copy()
    out[both] = better
    return out


def _overlap(
    cells: npt.NDArray[np.int64], one: npt.NDArray[np.int32], two: npt.NDArray[np.int32], outlines: Outlines
) -> npt.NDArray[np.float64]:
    """Return which part of each cell lies on both of two tiles, by the 256 cells within it."""
    import hpgeom

    fractions = np.zeros(cells.size)
    for i, (cell, first, second) in enumerate(zip(cells.tolist(), one.tolist(), two.tolist(), strict=True)):
        points = unit(*hpgeom.pixel_to_angle(16 * NSIDE, (cell << 8) + np.arange(256)))
        fractions[i] = (outlines.inside(first, points) & outlines.inside(second, points)).mean()
    return fractions


def map_rows(whole: HealSparseMap, size: int = 65536) -> Iterable[tuple[npt.NDArray[np.int64], Records]]:
    """Yield the cells of a map in ascending order with their records, ``size`` at a time."""
    cells = whole.valid_pixels
    for start in range(0, cells.size, size):
        part = cells[start : start + size]
        yield part, whole[part]


def write_map(whole: HealSparseMap, metadata: Sequence[tuple[str, str]], path: Path) -> None:
    """Write a merged map with the fields that a release has.

    Parameters
    ----------
    whole
        Map of a band, as of `merge`.
    metadata
        Keywords of the file, with values.
    path
        Output file; an existing one is replaced.
    """
    from healsparse import HealSparseMap

    covered = np.flatnonzero(whole.coverage_mask)
    out = HealSparseMap.make_empty(_COVERAGE, NSIDE, np.dtype(FIELDS), primary="depth", cov_pixels=covered)
    for cells, rows in map_rows(whole):
        values = np.zeros(cells.size, FIELDS)
        for name, _ in FIELDS:
            values[name] = rows[name]
        out.update_values_pix(cells, values)
    out.metadata = dict(metadata)
    out.write(str(path), clobber=True)
