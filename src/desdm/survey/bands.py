"""The survey's bands: what a photometric, dark night gives in each, and the unit in which an image counts.

The constants are those of DESDM's ``assess_SE_products``. They are per *count* (ADU) of DECam. A reduced image counts
electrons, about four for each count; `CountUnit.of` reads from a header which of the two it is, and everything that
compares an image with these constants goes through its two methods.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from desdm.errors import UsageError
from desdm.survey.keywords import Keywords

__all__ = [
    "BANDS",
    "BY_LOWER_NAME",
    "ELECTRONS_PER_COUNT",
    "Band",
    "CountUnit",
    "band",
    "band_of_filter",
    "band_order",
    "gain_of",
    "nominal_zero",
    "raw_unit_complaint",
    "unit_complaint",
]

#: DECam's typical gain, electrons per count; ``gfactor`` of assess_SE_products.
ELECTRONS_PER_COUNT = 4.0
#: A gain this near to 1 says that the image was multiplied by its gain already.
_ABOUT_ONE = 0.2
#: How much larger one amplifier's gain may be than the other's; DECam's differ by 10 per cent.
_ALIKE = 1.5
#: BUNIT of electrons and of counts, in lower case, each also of a pixel.
_ELECTRONS = frozenset({"electron", "electrons", "e", "e-", "elec", "photoelectron", "photoelectrons"})
_COUNTS = frozenset({"adu", "adus", "count", "counts", "ct", "cts", "dn"})
_OF_PIXEL = re.compile(r"\s*(?:/|per)\s*pix(?:els?)?$")
#: Sky over its variance, electrons per unit: above this the unit is not electrons. Read noise and stars only lower it.
_PHOTONS = 2.0


@dataclass(frozen=True, slots=True)
class Band:
    """A band's constants, per count.

    ``aterm``: AB magnitude of one count per second above the atmosphere; ``k``: extinction in magnitudes per airmass;
    ``sky_good``: sky of a dark night in counts per second and pixel of 0.263 arcsec.
    """

    name: str
    aterm: float
    k: float
    sky_good: float


#: By name, from blue to red; VR, which spans others, last.
BANDS: dict[str, Band] = {
    one.name: one
    for one in (
        Band("u", 25.0, 0.489, 0.2),
        Band("g", 25.428, 0.181, 1.05),
        Band("r", 25.532, 0.095, 2.66),
        Band("i", 25.413, 0.089, 7.87),
        Band("z", 25.086, 0.053, 16.51),
        Band("Y", 24.0, 0.050, 14.56),
        Band("VR", 25.47, 0.13, 3.71),
    )
}

#: Names of the bands by their names in lower case: FITS columns, WCL keys and words of headers do not keep it.
BY_LOWER_NAME: dict[str, str] = {name.lower(): name for name in BANDS}
_PLACES = {name: place for place, name in enumerate(BANDS)}


#: Names in the other case that are the same band: Pan-STARRS's y, and Z. Other capitals are Bessell's and Harris's filters.
_OTHER_CASE = {"y": "Y", "Z": "z"}


def band_of_filter(filter_name: object) -> str | None:
    """Return the band that a FILTER or BAND keyword names; None if it names none of u g r i z Y VR.

    DECam writes ``z DECam SDSS c0004 9260.0 1520.0``, Mosaic-3 ``zd DECam k1038``, 90Prime ``bokr``. ``R Harris c6004``
    and ``I c6028`` of other cameras are other passbands than r and i.
    """
    words = str(filter_name).split() if filter_name is not None else []
    if not words:
        return None
    word = words[0].removeprefix("bok").removesuffix(".")
    for name in (word, word.removesuffix("d")):
        name = _OTHER_CASE.get(name, name)
        if name in BANDS:
            return name
    return None


def band_order(name: str) -> tuple[int, str]:
    """Return the sorting key of a band's name: blue to red, VR, then others by name."""
    return _PLACES.get(name, len(_PLACES)), name


def band(name: str) -> Band:
    """Return the band of that name, however its letters are cased (WCL has its keys in lower case).

    Raises
    ------
    UsageError
        The survey has no such band.
    """
    known = BY_LOWER_NAME.get(name.lower())
    if known is None:
        raise UsageError(f"band {name!r} has no constants; known: {', '.join(BANDS)}")
    return BANDS[known]


class CountUnit(Enum):
    """What a pixel value of 1 is: a count (ADU) or an electron."""

    COUNT = "count"
    ELECTRON = "electron"

    @classmethod
    def of(cls, header: Keywords) -> CountUnit | None:
        """Return the unit of an image, from its header or its catalogue's; None if the header does not tell.

        BUNIT decides where it says electrons. Otherwise the gain does, as in assess_SE_products: the mean of GAINA and
        GAINB (or GAIN) is about 1 for electrons and several electrons per count for counts. Where there is no gain, BUNIT
        ``adu`` or ``count`` decides, and else the sky's own photons: in electrons its variance is at least its level.
        Of a unit that is none of both (`unit_complaint`) it is None.
        """
        if unit_complaint(header):
            return None
        gain = gain_of(header)
        if gain is not None:
            return cls.ELECTRON if abs(gain - 1.0) < _ABOUT_ONE else cls.COUNT
        if _bunit(header) in _COUNTS:
            return cls.COUNT
        sky, sigma = header.get("SKYBRITE"), header.get("SKYSIGMA")
        if (
            not isinstance(sky, int | float)
            or not isinstance(sigma, int | float)
            or not (sky > 0 and sigma > 0)
        ):
            return None
        return cls.COUNT if sky / sigma**2 > _PHOTONS else cls.ELECTRON

    @property
    def per_count(self) -> float:
        """How many of this unit one count is."""
        return ELECTRONS_PER_COUNT if self is CountUnit.ELECTRON else 1.0

    @property
    def zero_shift(self) -> float:
        """What is added to a zero point per count to have it per this unit, mag: 1.505 for electrons."""
        return 2.5 * math.log10(self.per_count)


def _bunit(header: Keywords) -> str:
    """BUNIT in lower case, without "per pixel"."""
    return _OF_PIXEL.sub("", str(header.get("BUNIT") or "").strip().lower())


def unit_complaint(header: Keywords) -> str:
    """Why the pixels of an image are neither counts nor electrons of its exposure; empty if they may be.

    Rates (``electron/s``), multiples (``ke-``) and fluxes (``nJy``) are none of both: neither sky nor zero point may be
    compared with the bands' constants. Nor may those of an image whose amplifiers' gains contradict each other.
    """
    word = _bunit(header)
    if word in _ELECTRONS:
        return ""
    if word and word not in _COUNTS:
        return f"BUNIT is {str(header.get('BUNIT')).strip()!r}, neither electrons nor counts (adu) of the exposure"
    gains = [header.get(key) for key in ("GAINA", "GAINB")]
    known = [float(v) for v in gains if isinstance(v, int | float) and v > 0]
    if len(known) == 2 and max(known) > _ALIKE * min(known):
        return f"GAINA is {known[0]:g} and GAINB {known[1]:g}: one unit cannot have both"
    return ""


def raw_unit_complaint(header: Keywords) -> str:
    """Why the pixels of a raw frame are not counts, as its BUNIT says; empty if they are, or there is no BUNIT.

    Crosstalk, bias, linearity and saturation are in counts, and the gain makes electrons of counts alone.
    """
    word = _bunit(header)
    if not word or word in _COUNTS:
        return ""
    if word in _ELECTRONS:
        return "a raw frame is processed in counts (adu), as bias and linearity are; electrons would get the gain twice"
    return "it is not counts (adu) of the exposure"


def gain_of(header: Keywords) -> float | None:
    """Return the electrons per unit of an image; None if the header does not tell.

    1 where BUNIT says electrons, for the gains may be those of the raw frame still; else the mean of the amplifiers'
    GAINA and GAINB, or GAIN.
    """
    if _bunit(header) in _ELECTRONS or _bunit(header).startswith("electron"):
        return 1.0
    for keys in (("GAINA", "GAINB"), ("GAIN",)):
        values = [header.get(key) for key in keys]
        gains = [float(v) for v in values if isinstance(v, int | float) and v > 0]
        if gains:
            return sum(gains) / len(gains)
    return None


def nominal_zero(name: str, unit: CountUnit, exptime: float, airmass: float) -> float:
    """Return the zero point of an image taken on a photometric night: aterm + 2.5 log10 t - k X, in the image's unit.

    Parameters
    ----------
    name
        Band.
    unit
        Unit of the image.
    exptime
        Seconds, above 0.
    airmass
        Airmass X.

    Returns
    -------
    float
        AB magnitude of one ``unit`` of the image.

    Raises
    ------
    UsageError
        The survey has no such band.
    """
    of = band(name)
    return of.aterm + unit.zero_shift + 2.5 * math.log10(exptime) - of.k * airmass
