"""One HealSparse map of a band for the whole release, from the maps of its tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.errors import FatalError
from desdm.sky.polygons import Outlines, unit

__all__ = ["FIELDS", "NSIDE", "merge", "stored", "valid"]

NSIDE = 4096
_COVERAGE = 32
#: What a release says of a cell: S/N 10 depth (mag), exposures, part of its area that is good.
FIELDS = [("depth", "f4"), ("nexp", "i2"), ("fraction", "f4")]
_WORKING = np.dtype([*FIELDS, ("grid", "f4"), ("tile", "i4")])


def merge(tiles: Iterable[tuple[int, Path]], outlines: Outlines) -> Any:
    """The map of a band.

    Where tiles share a cell their good areas are added, less what both hold: in the part of the cell that lies on both, the
    worse of the two is taken to be good where the better is. Depth and number of exposures are those of the tile with
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

    listed = list(tiles)
    whole = HealSparseMap.make_empty(
        _COVERAGE, NSIDE, _WORKING, primary="depth", cov_pixels=_covered(path for _, path in listed)
    )
    for number, path in listed:
        part = HealSparseMap.read(str(path))
        if part.nside_sparse != NSIDE:
            raise FatalError(
                f"{path.name}: its cells are of nside {part.nside_sparse}, a release's of {NSIDE}"
            )
        cells = part.valid_pixels
        given = part[cells]
        new = np.zeros(cells.size, _WORKING)
        for name in ("depth", "nexp", "fraction", "grid"):
            new[name] = given[name]
        new["tile"] = number
        whole.update_values_pix(cells, _joined(cells, whole[cells], new, outlines))
    return whole


def _covered(paths: Iterable[Path]) -> npt.NDArray[np.int64]:
    """Coverage pixels of all files: with room made once, adding a tile costs what the tile costs."""
    from healsparse import HealSparseCoverage

    found: set[int] = set()
    for path in paths:
        found |= set(np.flatnonzero(HealSparseCoverage.read(str(path)).coverage_mask).tolist())
    return np.array(sorted(found), np.int64)


def _joined(cells: npt.NDArray[np.int64], old: Any, new: Any, outlines: Outlines) -> Any:
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
    most = np.maximum(a["fraction"], b["fraction"])
    fraction = np.clip(a["fraction"] + b["fraction"] - shared, most, np.maximum(grid, most))
    kept = np.where(b["fraction"] > a["fraction"], b, a)
    kept["fraction"], kept["grid"] = fraction, grid
    out = new.copy()
    out[both] = kept
    return out


def _overlap(cells: npt.NDArray[np.int64], one: Any, two: Any, outlines: Outlines) -> npt.NDArray[np.float64]:
    """Part of each cell that lies on both of two tiles, by the 256 cells within it."""
    import hpgeom

    found = np.zeros(cells.size)
    for i, (cell, first, second) in enumerate(zip(cells.tolist(), one.tolist(), two.tolist(), strict=True)):
        points = unit(*hpgeom.pixel_to_angle(16 * NSIDE, (cell << 8) + np.arange(256)))
        found[i] = (outlines.inside(first, points) & outlines.inside(second, points)).mean()
    return found


def valid(whole: Any, size: int = 65536) -> Iterable[tuple[npt.NDArray[np.int64], Any]]:
    """The cells of a map in ascending order with their records, ``size`` at a time."""
    cells = whole.valid_pixels
    for start in range(0, cells.size, size):
        part = cells[start : start + size]
        yield part, whole[part]


def stored(whole: Any, metadata: Sequence[tuple[str, str]], path: Path) -> None:
    """Write a merged map with the fields that a release has."""
    from healsparse import HealSparseMap

    covered = np.flatnonzero(whole.coverage_mask)
    out = HealSparseMap.make_empty(_COVERAGE, NSIDE, np.dtype(FIELDS), primary="depth", cov_pixels=covered)
    for cells, rows in valid(whole):
        values = np.zeros(cells.size, FIELDS)
        for name, _ in FIELDS:
            values[name] = rows[name]
        out.update_values_pix(cells, values)
    out.metadata = dict(metadata)
    out.write(str(path), clobber=True)
