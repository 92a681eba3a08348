"""HEALPix cells of order 29 (``hpix29``): the order in which sky tables lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORDER", "cell_distance", "hpix29"]

#: Order of ``hpix29``; the column that HATS calls ``_healpix_29``.
ORDER = 29
Values = npt.NDArray[np.number]


def hpix29(ra: Values, dec: Values) -> npt.NDArray[np.int64]:
    """HEALPix number of order 29, nested, of positions in degrees: 0.4 mas across, it orders rows on the sky."""
    from astropy import units
    from astropy_healpix import HEALPix

    grid = HEALPix(nside=2**ORDER, order="nested")
    return np.asarray(grid.lonlat_to_healpix(ra * units.deg, dec * units.deg), dtype=np.int64)


def cell_distance(cells: Values, ra: Values, dec: Values) -> npt.NDArray[np.float64]:
    """Distance in degrees of positions (degrees) from the centres of cells of order 29; 180 where there is no such cell.

    Parameters
    ----------
    cells
        (n,) numbers of cells, nested scheme, order 29.
    ra, dec
        (n,) positions, degrees.

    Returns
    -------
    numpy.ndarray
        (n,) distances, degrees.
    """
    from astropy import units
    from astropy_healpix import HEALPix

    grid = HEALPix(nside=2**ORDER, order="nested")
    known = (cells >= 0) & (cells < grid.npix)
    lon, lat = grid.healpix_to_lonlat(np.where(known, cells, 0))
    a, d, a0, d0 = np.radians(ra), np.radians(dec), lon.to_value(units.rad), lat.to_value(units.rad)
    half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    return np.where(known, np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))), 180.0)
