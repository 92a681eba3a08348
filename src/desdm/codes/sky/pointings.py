"""Independent pointings: exposures of one field show the same objects in the same pixels, and count once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.io import fits

from desdm.errors import UsageError
from desdm.sky.position import read_position
from desdm.sky.spherical import angles_to, unit

__all__ = ["Pointing", "independent_exposures", "pointing_of", "shortage"]

#: Right ascension and declination, degrees; None where a header does not tell them.
Pointing = tuple[float, float] | None

_KEYS = (("TELRA", "TELDEC"), ("RA", "DEC"))


def pointing_of(header: fits.Header) -> Pointing:
    """Where the telescope pointed, by TELRA and TELDEC, or else RA and DEC; None if neither pair is a position."""
    for keys in _KEYS:
        words = [str(header.get(key, "")).strip() for key in keys]
        if not all(words):
            continue
        try:
            return read_position(" ".join(words))
        except UsageError:
            continue
    return None


def independent_exposures(pointings: Sequence[Pointing], least_dither: float) -> list[int]:
    """Exposures whose pointings are apart from each other.

    Parameters
    ----------
    pointings
        One an exposure.
    least_dither
        Arcsec; an exposure nearer than this to one that was taken before shows the same objects in the same pixels.

    Returns
    -------
    list of int
        Places in ``pointings``, one exposure a pointing. Exposures without a pointing count as one of them, since
        nothing tells that they are apart.
    """
    taken: list[int] = []
    nearest, has_unknown = np.radians(least_dither / 3600.0), False
    places = np.empty((len(pointings), 3))  # unit vectors of the pointings taken, as far as `count`
    count = 0
    for n, pointing in enumerate(pointings):
        if pointing is None:
            if not has_unknown:
                taken.append(n)
            has_unknown = True
            continue
        place = unit(*pointing)
        if (angles_to(place, places[:count]) < nearest).any():
            continue
        places[count], count = place, count + 1
        taken.append(n)
    return taken


def shortage(pointings: Sequence[Pointing], least_dither: float, least_pointings: int) -> str:
    """Why exposures are of too few independent pointings, in words; empty if they suffice.

    Parameters
    ----------
    pointings
        One an exposure.
    least_dither
        Arcsec between pointings that are independent.
    least_pointings
        Independent pointings needed.
    """
    count = len(independent_exposures(pointings, least_dither))
    if count >= least_pointings:
        return ""
    unknown = sum(pointing is None for pointing in pointings)
    untold = f"; {unknown} without TELRA and TELDEC, or RA and DEC, count as one" if unknown else ""
    return (
        f"{len(pointings)} good exposures are of {count} independent pointings, {least_pointings} are needed: exposures "
        f"less than {least_dither:g} arcsec apart show the same stars in the same pixels, and the sky would hold them"
        f"{untold}; add exposures of other fields"
    )
