"""HEALPix cells of order 29 (``hpix29``): the order in which sky tables lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORDER", "hpix29"]

#: Order of ``hpix29``; the column that HATS calls ``_healpix_29``.
ORDER = 29
Values = npt.NDArray[Any]


def hpix29(ra: Values, dec: Values) -> npt.NDArray[np.int64]:
    """HEALPix number of order 29, nested, of positions in degrees: 0.4 mas across, it orders rows on the sky."""
    from astropy import units
    from astropy_healpix import HEALPix

    grid = HEALPix(nside=2**ORDER, order="nested")
    return np.asarray(grid.lonlat_to_healpix(ra * units.deg, dec * units.deg), dtype=np.int64)
