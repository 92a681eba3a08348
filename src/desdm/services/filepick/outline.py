"""Outlines of the files of a release on the sky, and which of them a circle touches."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from desdm.release.model import ReleaseFile
from desdm.sky.spherical import SLACK, Vectors, angles_to, polygon_distance, unit

__all__ = ["Outlines"]

#: A partition of a table (HATS) or a tile of a picture (HiPS): both name a HEALPix cell, nested scheme.
_CELL = re.compile(r"Norder=?(\d+)/(?:Dir=?\d+/)?Npix=?(\d+)\.\w+\Z")
_POLYGON = re.compile(r"\s*POLYGON\s+(?:ICRS\s+)?((?:[-+.\deE]+\s*)+)\Z", re.IGNORECASE)


class Outlines:
    """Outlines of files, polygons where they are known, else circles.

    Parameters
    ----------
    files
        A file's outline is its ``s_region``; else the circle about its centre; else the HEALPix cell in its
        path. A file with none of these has no position.
    """

    def __init__(self, files: Sequence[ReleaseFile]) -> None:
        self._polygons = [_polygon(file) for file in files]
        self._centres = np.full((len(files), 3), np.nan)
        self._radii = np.zeros(len(files))
        for i, (file, polygon) in enumerate(zip(files, self._polygons, strict=True)):
            if polygon is not None:
                middle = polygon.sum(axis=0)
                self._centres[i] = middle / np.linalg.norm(middle)
                self._radii[i] = angles_to(self._centres[i], polygon).max()
            elif file.ra_cent is not None and file.dec_cent is not None:
                self._centres[i] = unit(file.ra_cent, file.dec_cent)
                self._radii[i] = np.radians(file.radius or 0.0)

    def touches(self, ra: float, dec: float, radius: float) -> npt.NDArray[np.bool_]:
        """Whether each outline has a point in common with a circle.

        Parameters
        ----------
        ra, dec, radius
            Centre and radius, degrees (ICRS).

        Returns
        -------
        numpy.ndarray
            (files,) booleans.
        """
        point, reach = unit(ra, dec), np.radians(radius) + SLACK
        with np.errstate(invalid="ignore"):
            near: npt.NDArray[np.bool_] = angles_to(point, self._centres) <= self._radii + reach
        for i in np.flatnonzero(near):
            polygon = self._polygons[i]
            if polygon is not None:
                near[i] = polygon_distance(point, polygon) <= reach
        return near


def _polygon(file: ReleaseFile) -> Vectors | None:
    """Return the corners of a file's outline from its ``s_region`` or its HEALPix cell; None without either."""
    match = _POLYGON.match(file.s_region or "")
    if match:
        numbers = np.array(match.group(1).split(), dtype=np.float64)
        if len(numbers) >= 6 and len(numbers) % 2 == 0:
            return unit(numbers[0::2], numbers[1::2])
    cell = _CELL.search(file.path)
    if file.ra_cent is None and cell and int(cell.group(1)) <= 29:
        return _cell_polygon(int(cell.group(1)), int(cell.group(2)))
    return None


def _cell_polygon(order: int, number: int) -> Vectors | None:
    """Return the outline of a HEALPix cell; None if its number is too large."""
    from astropy_healpix import HEALPix

    if number >= 12 * 4**order:
        return None
    # The sides of a cell are not great circles; eight segments a side approximate them to 1 % of its size.
    ra, dec = HEALPix(nside=2**order, order="nested").boundaries_lonlat([number], step=8)
    return unit(ra.deg[0], dec.deg[0])
