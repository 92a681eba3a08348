"""The depth map of one band: its HealSparse file is memory-mapped, not loaded."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from desdm.errors import CorruptReleaseFile
from desdm.pixels.cards import read_hdus

__all__ = ["NSIDE", "BandMap", "Values", "cells"]

NSIDE = 4096
Longs = npt.NDArray[np.int64]
_RECORD = np.dtype([("depth", ">f4"), ("nexp", ">i2"), ("fraction", ">f4")])
#: HealSparse's value of empty cells is far below.
_UNSEEN = -1e30
#: Number of positions up to which the compiled loop is not used.
_FEW = 2048


@dataclass(frozen=True, slots=True)
class Values:
    """Values of a map at n positions; outside: ``depth`` NaN, ``nexp`` 0, ``fraction`` 0."""

    depth: npt.NDArray[np.float32]
    nexp: npt.NDArray[np.int16]
    fraction: npt.NDArray[np.float32]

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Whether the cell has good area."""
        return self.fraction > 0


def cells(ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]) -> Longs:
    """Return the cells (order 12, nested) of positions in degrees; -1 for an invalid position."""
    import hpgeom

    # One pass for the common case: a minimum is NaN as soon as one value is.
    low, high = (ra.min(), ra.max()) if ra.size else (0.0, 0.0)
    south, north = (dec.min(), dec.max()) if dec.size else (0.0, 0.0)
    if low >= 0 and high <= 360 and south >= -90 and north <= 90:
        return np.asarray(hpgeom.angle_to_pixel(NSIDE, ra, dec), np.int64)
    good = np.isfinite(ra) & (np.abs(dec) <= 90)
    out = np.full(ra.size, -1, np.int64)
    out[good] = hpgeom.angle_to_pixel(NSIDE, ra[good] % 360.0, dec[good])
    return out


class BandMap:
    """The map of one band of a release.

    Parameters
    ----------
    path
        HealSparse file as ``release/depthmaps.py`` writes it: an index of coverage pixels, then a plain table of records.

    Raises
    ------
    CorruptReleaseFile
        The file is not such a map.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        hdus = {hdu.name: hdu for hdu in read_hdus(cast(bytes, buffer), len(buffer), [])}
        if not {"COV", "SPARSE"} <= set(hdus):
            raise CorruptReleaseFile(f"{path.name}: no HDUs COV and SPARSE; it is not a HealSparse map")
        cov, sparse = hdus["COV"], hdus["SPARSE"]
        head = sparse.header
        fields = [(head.get(f"TTYPE{i}"), head.get(f"TFORM{i}")) for i in range(1, 4)]
        plain = fields == [("depth", "E"), ("nexp", "I"), ("fraction", "E")]
        if not plain or head.get("NSIDE") != NSIDE or head.get("NAXIS1") != _RECORD.itemsize:
            raise CorruptReleaseFile(f"{path.name}: not a map of depth, nexp and fraction of nside {NSIDE}")
        index = np.frombuffer(buffer, ">i8", int(np.prod(cov.shape)), cov.data_start)
        self._index = index.astype(np.int64)
        self._shift = 2 * (NSIDE.bit_length() - 1) - (self._index.size // 12).bit_length() + 1
        rows = int(head.get("NAXIS2") or 0)
        self._bytes = np.frombuffer(buffer, np.uint8, rows * _RECORD.itemsize, sparse.data_start)
        self._rows = self._bytes.view(_RECORD)

    def values(self, pixels: Longs) -> Values:
        """Return the values at cells (-1: no position)."""
        if pixels.size <= _FEW:
            return self._few(pixels)
        from desdm.services.footprint.gather import gather

        n = pixels.size
        depth, fraction = np.empty(n, np.float32), np.empty(n, np.float32)
        nexp = np.empty(n, np.int16)
        gather(
            self._bytes,
            self._index,
            self._shift,
            pixels,
            depth.view(np.uint32),
            nexp.view(np.uint16),
            fraction.view(np.uint32),
            depth,
            fraction,
        )
        return Values(depth, nexp, fraction)

    def _few(self, pixels: Longs) -> Values:
        """Look up a few cells with numpy."""
        safe = np.maximum(pixels, 0)
        rows = self._rows[self._index[safe >> self._shift] + safe]
        valid = (pixels >= 0) & (rows["depth"] > _UNSEEN)
        return Values(
            np.where(valid, rows["depth"], np.nan).astype(np.float32),
            np.where(valid, rows["nexp"], 0).astype(np.int16),
            np.where(valid, rows["fraction"], 0).astype(np.float32),
        )

    @property
    def covered(self) -> Longs:
        """Coverage pixels (nested) that have rows."""
        # Coverage pixels without data point into the first block.
        start = self._index + (np.arange(self._index.size, dtype=np.int64) << self._shift)
        return np.flatnonzero(start > 0)

    @property
    def coverage_nside(self) -> int:
        """Resolution of the coverage pixels."""
        return int(np.sqrt(self._index.size // 12))

    def blocks(self, coverage: Longs) -> Iterator[tuple[Longs, npt.NDArray[np.void]]]:
        """Yield the cells with good area, and their records in native byte order, of each coverage pixel."""
        for pixel in coverage.tolist():
            first = pixel << self._shift
            start = first + int(self._index[pixel])
            rows = self._rows[start : start + (1 << self._shift)]
            covered = np.flatnonzero(rows["fraction"] > 0)
            yield covered + first, rows[covered].astype(_RECORD.newbyteorder("="))
