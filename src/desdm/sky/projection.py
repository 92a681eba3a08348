"""Which world coordinates are supported, and their linear part: one definition for `outline` and for `headers.wcs_of`.

Supported are gnomonic images in equatorial coordinates of J2000 or ICRS: TAN, TPV, and TAN with the polynomial in PV that
SCAMP writes. Any other projection, SIP (whether CTYPE tells it or not), and distortions by a lookup table are refused or
flagged everywhere, since programs of the pipelines (SWarp, SCAMP) know none of them: an image would be right in one place
and wrong in another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol, TypeGuard

from desdm.pixels.cards import Header

__all__ = ["TPV_TERMS", "celestial_axes", "complaint", "has_wcs", "is_polynomial", "linear"]

#: Terms of an axis in the registered TPV convention, from number 0.
TPV_TERMS = 40

_PROJECTIONS = ("TAN", "TPV")
_NATIVE_POLE = {1: 0.0, 2: 90.0, 3: 180.0, 4: 90.0}  # PVi_1…4 of the longitude, where they say nothing new

#: The linear part by row, and with the second axis first.
_CD = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
_CD_SWAPPED = (*_CD[2:], *_CD[:2])
_PC = ("PC1_1", "PC1_2", "PC2_1", "PC2_2")
_OLD_PC = ("PC001001", "PC001002", "PC002001", "PC002002")
#: Keywords whose value is a number; as a text it would be read as if it were missing.
_NUMBERS = (
    *(f"{stem}{axis}" for stem in ("CRVAL", "CRPIX", "CDELT", "CROTA") for axis in (1, 2)),
    *_CD,
    *_PC,
    "LONPOLE",
    "LATPOLE",
)
_SIP_ORDERS = ("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER")
#: Without an order no reader applies terms, but a header with them was written for one that does.
_SIP_TERMS = ("A_2_0", "A_1_1", "A_0_2", "B_2_0", "B_1_1", "B_0_2")
#: Keywords that call for a lookup table; DPj and DQj are its parameters, D2IMARR and AXISCORR the old form of D2IM.
_LOOKUP = (
    "CPDIS1",
    "CPDIS2",
    "CQDIS1",
    "CQDIS2",
    "DP1",
    "DP2",
    "DQ1",
    "DQ2",
    "D2IMDIS1",
    "D2IMDIS2",
    "D2IMEXT",
    "D2IMARR",
    "AXISCORR",
)


_DISTORTIONS = (*_SIP_ORDERS, *_SIP_TERMS, *_LOOKUP)


class Keywords(Protocol):
    """A header: `cards.Header`, astropy's, or a dictionary."""

    def get(self, key: str, default: Any = None, /) -> Any:
        """Value of a keyword, or ``default``."""


def _kinds(header: Keywords) -> tuple[str, str]:
    """Return CTYPE1 and CTYPE2, empty where they are missing."""
    one, two = header.get("CTYPE1"), header.get("CTYPE2")
    return (one.strip() if isinstance(one, str) else "", two.strip() if isinstance(two, str) else "")


def has_wcs(header: Keywords) -> bool:
    """Whether the header says that its axes are celestial, supported or not."""
    return _celestial(_kinds(header))


def _celestial(kinds: tuple[str, str]) -> bool:
    """Whether one of two CTYPEs has the form of a celestial axis."""
    one, two = kinds
    return (one[4:5] == "-" and len(one) > 5) or (two[4:5] == "-" and len(two) > 5)


def celestial_axes(header: Keywords) -> tuple[int, int]:
    """Numbers of the axes of longitude and latitude: 1 and 2, or 2 and 1 where declination comes first."""
    return (2, 1) if _kinds(header)[0].startswith("DEC") else (1, 2)


def linear(header: Keywords) -> tuple[float, float, float, float] | None:
    """Degrees of longitude and latitude a pixel along x and y: the matrix [[lon/x, lon/y], [lat/x, lat/y]].

    From CDi_j, from PCi_j and CDELTi, or from CDELTi and the CROTAi of the latitude axis (FITS 4.0, sections 8.1 and 8.2;
    Calabretta & Greisen 2002, A&A 395, 1077, section 6.1), whichever there is.

    Returns
    -------
    tuple or None
        None if the header has none of them.
    """
    lon, lat = celestial_axes(header)
    cd = [_number(header, key) for key in (_CD if lon == 1 else _CD_SWAPPED)]
    if any(v is not None for v in cd):
        a, b, c, d = (v or 0.0 for v in cd)
        return a, b, c, d
    pc = [_number(header, f"PC{i}_{j}") for i in (lon, lat) for j in (1, 2)]
    steps = [_number(header, f"CDELT{i}") for i in (lon, lat)]
    if all(v is None for v in (*pc, *steps)):
        return None
    one, two = (1.0 if v is None else v for v in steps)
    unit = [float(i == j) for i in (lon, lat) for j in (1, 2)]
    if any(v is not None for v in pc):
        a, b, c, d = (u if v is None else v for u, v in zip(unit, pc, strict=True))
        return one * a, one * b, two * c, two * d
    turn = math.radians(_number(header, f"CROTA{lat}") or 0.0)
    # The rotation is among the axes in world order; with declination first, x belongs to the latitude.
    along, across = math.cos(turn), math.sin(turn)
    if lon == 1:
        return one * along, -two * across, one * across, two * along
    return -two * across, one * along, two * along, one * across


def _number(header: Keywords, key: str) -> float | None:
    """Return a keyword as a finite float, else None."""
    value = header.get(key)
    return float(value) if _is_number(value) and math.isfinite(value) else None


def _terms(header: Keywords, axis: int) -> dict[int, float]:
    """Return the PV terms of an axis by number."""
    terms = {}
    for i in range(TPV_TERMS):
        value = header.get(f"PV{axis}_{i}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            terms[i] = float(value)
    return terms


def is_polynomial(header: Keywords) -> bool:
    """Whether PV1_m and PV2_m are the TPV polynomial: always in TPV, in TAN as SCAMP writes it.

    FITS WCS paper II gives TAN no parameters of its own; PVi_1…4 of the longitude axis may speak of the native pole
    (section 2.5). Terms of the latitude axis, or of higher number, can be a polynomial only.
    """
    kinds = _kinds(header)
    if kinds[0].endswith("-TPV"):
        return True
    if not kinds[0].endswith("-TAN"):
        return False
    lon, lat = celestial_axes(header)
    return bool(_terms(header, lat)) or max(_terms(header, lon), default=0) > 4


def complaint(header: Keywords) -> str:
    """Why the world coordinates of an image cannot be used, in words; empty if they can, or if it has none."""
    kinds = _kinds(header)
    if not _celestial(kinds):
        return ""
    one, two = kinds
    lon, lat = (two, one) if one.startswith("DEC") else (one, two)
    if lon[:5] != "RA---" or lat[:5] != "DEC--":
        return "the axes are not right ascension and declination"
    if lon[5:] != lat[5:]:
        return "the axes are of different projections"
    if lon[5:].endswith("-SIP"):
        return "distortion in SIP is not supported (TAN, TPV and TAN with PV are): convert it to TPV"
    if lon[5:] not in _PROJECTIONS:
        return f"the projection {lon[5:]} is not supported (TAN, TPV and TAN with PV are)"
    distortion = _distortion(header)
    if distortion:
        return distortion
    for axis in (1, 2):
        unit = header.get(f"CUNIT{axis}")
        if isinstance(unit, str) and unit.strip().lower() not in ("", "deg", "degree", "degrees"):
            return f"CUNIT{axis} is {unit.strip()}, only deg is supported"
    system = header.get("RADESYS") or header.get("RADECSYS")
    if isinstance(system, str) and system.strip().upper() not in ("", "ICRS", "FK5"):
        return f"the celestial system is {system.strip()}, only ICRS and FK5 are supported"
    if not (isinstance(system, str) and system.strip().upper() == "ICRS") and (odd := _equinox_fault(header)):
        return odd
    if fault := _not_a_number(header):
        return fault
    latitude = header.get("CRVAL1" if one.startswith("DEC") else "CRVAL2")
    if isinstance(latitude, int | float) and abs(latitude) > 90.0:
        return f"the declination of the reference point is {latitude}, beyond a pole"
    if one.startswith("DEC") and is_polynomial(header):
        return "a polynomial in PV with declination first is not supported: readers differ in which axis a term is of"
    return _matrix_fault(header) or ("" if one.endswith("-TPV") else _native_pole(header))


def _equinox_fault(header: Keywords) -> str:
    """What is wrong with the equinox, in words; empty if it is 2000, or if the header has none.

    EPOCH of old headers means the equinox where EQUINOX is absent (FITS 4.0, section 8.3); newer ones have the year of
    the observation in it, which is not one.
    """
    key = next((k for k in ("EQUINOX", "EPOCH") if header.get(k) not in (None, "")), None)
    if key is None:
        return ""
    value = header.get(key)
    year = _year(value)
    if year is not None and abs(year - 2000.0) <= 0.01:
        return ""
    stated = (
        f"{key} is {value!r}, which FITS 4.0 (section 8.3) reads as the equinox: " if key == "EPOCH" else ""
    )
    if year is None:
        return f"{stated}the equinox is {value!r}, which is not a year; only 2000 is supported"
    if year not in (1875.0, 1900.0, 1950.0, 1975.0):
        stated += "it is not a standard equinox (a date of the observation does not belong there): "
    return f"{stated}the equinox is {value}, only 2000 is supported"


def _year(value: object) -> float | None:
    """Year of an equinox, also of a text such as J2000 or B1950.0; None if it is not one.

    The B of a Besselian year tells the system (FK4), so that B2000 is not J2000.
    """
    if isinstance(value, str):
        text = value.strip().upper()
        try:
            year = float(text.removeprefix("J").removeprefix("B"))
        except ValueError:
            return None
        return None if text.startswith("B") and year == 2000.0 else year
    return float(value) if _is_number(value) else None


def _not_a_number(header: Keywords) -> str:
    """Which keyword has no number, or is a term that no polynomial has, in words; empty if none."""
    terms = [key for stem in ("PV1_", "PV2_") for key in _numbered(header, stem)]
    for key in (*_NUMBERS, *terms):
        value = header.get(key)
        if value is not None and _number(header, key) is None:
            return f"{key} is {value!r}, which is not a number"
    for key in terms:
        if int(key[4:]) >= TPV_TERMS:
            return f"{key} is not a term of TPV, which has 0 to {TPV_TERMS - 1}"
    return ""


def _numbered(header: Keywords, stem: str) -> list[str]:
    """Return the keywords that are a stem and a number."""
    if isinstance(header, Header):
        return list(header.numbered(stem))
    keys: Iterable[str] = header if isinstance(header, Iterable) else ()
    return [key for key in keys if key.startswith(stem) and key[len(stem) :].isdecimal()]


def _matrix_fault(header: Keywords) -> str:
    """What is wrong with the linear part, in words: forms that exclude each other, or no area on the sky."""
    old = next((key for key in _OLD_PC if header.get(key) is not None), None)
    if old is not None:
        return f"{old} is a form of the linear part that no standard has: write CDi_j, or PCi_j and CDELTi"
    pc = next((key for key in _PC if _number(header, key) is not None), None)
    if pc is not None:
        cd = next((key for key in _CD if _number(header, key) is not None), None)
        if cd is not None:
            return f"{cd} and {pc} exclude each other (FITS 4.0, section 8.1): keep one of the two"
        turn = next((key for key in ("CROTA1", "CROTA2") if _number(header, key)), None)
        if turn is not None:
            return f"{pc} and {turn} exclude each other (FITS 4.0, section 8.1): keep one of the two"
    matrix = linear(header)
    if matrix is not None and matrix[0] * matrix[3] == matrix[1] * matrix[2]:
        return "the linear part of its world coordinates is singular: a pixel covers no area"
    return ""


def _distortion(header: Keywords) -> str:
    """Return the distortion in a header whose projection does not name it; empty if there is none.

    FITS leaves open what SIP's coefficients mean without -SIP in CTYPE; astropy applies them, SWarp does not. Lookup tables
    (the distortion paper's CPDIS and CQDIS, and the D2IM that HST adds) are applied by astropy alone.
    """
    if isinstance(header, Header) and header.lacks(_DISTORTIONS):
        return ""
    sip = [key for key in _SIP_ORDERS if _is_number(order := header.get(key)) and order > 1]
    sip = sip or [key for key in _SIP_TERMS if _is_number(term := header.get(key)) and term]
    if sip:
        return (
            f"{sip[0]} tells a distortion in SIP and CTYPE1 does not: readers differ in what they make of it; SIP is not "
            "supported, convert it to TPV"
        )
    for key in _LOOKUP:
        value = header.get(key)
        if value is not None and value != "":
            return f"{key} tells a distortion by a lookup table, which is not supported: convert it to TPV"
    return ""


def _is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _native_pole(header: Keywords) -> str:
    """Return a complaint if PV keywords move the native pole; empty if not."""
    kinds = _kinds(header)
    axis = 2 if kinds[0].startswith("DEC") else 1
    if is_polynomial(header):
        return ""
    odd = [i for i, v in _terms(header, axis).items() if i in _NATIVE_POLE and v != _NATIVE_POLE[i]]
    return f"PV{axis}_{odd[0]} moves the native pole, which is not supported" if odd else ""
