"""Image headers: which keywords the survey keeps, the band behind a FILTER, and the footprint that they imply."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from desdm.errors import FileTypeError
from desdm.pixels.cards import Value
from desdm.sky.outline import box
from desdm.sky.projection import celestial_axes, complaint, has_wcs, is_polynomial, linear
from desdm.survey.airmass import airmass_of
from desdm.survey.bands import BANDS, band_of_filter
from desdm.survey.ccds import DECAM_CCDNUM
from desdm.survey.obstime import mjd_of, observation

__all__ = [
    "DECAM_CCDNUM",
    "Footprint",
    "band_of",
    "copy_wcs",
    "footprint",
    "identity",
    "lenient",
    "merged",
    "settle_wcs",
    "wcs_of",
]

_WCS_KEY = re.compile(
    r"^(WCSAXES|C(TYPE|RVAL|RPIX|UNIT|DELT|ROTA)[12]|CD[12]_[12]|PC[12]_[12]|PV[12]_\d+|LONPOLE|LATPOLE|EQUINOX)$"
)
#: Of those, the ones that CDi_j stands for.
_STEPS = re.compile(r"^(C(DELT|ROTA)[12]|PC[12]_[12])$")
_OF_AXIS = re.compile(r"^(CTYPE|CRVAL|CUNIT|PV)([12])(_\d+)?$")
_STANDARD = re.compile(r"^[A-Z0-9_-]{1,8}$")


@dataclass(frozen=True, slots=True)
class Footprint:
    """The sky that an image covers, in degrees (ICRS); DESDM's header keywords of the same names.

    ``racmin`` and ``racmax`` bound the right ascension; when ``crossra0`` is true the image lies across
    RA 0 and ``racmin`` > 180 > ``racmax``: it covers [racmin, 360) and [0, racmax].
    """

    ra_cent: float
    dec_cent: float
    rac: tuple[float, float, float, float]
    decc: tuple[float, float, float, float]
    racmin: float
    racmax: float
    deccmin: float
    deccmax: float
    crossra0: bool
    pixscale: float

    def cards(self) -> list[tuple[str, float | str, str]]:
        """The footprint as header cards (key, value, comment)."""
        cards: list[tuple[str, float | str, str]] = [
            ("RA_CENT", self.ra_cent, "[deg] RA of the image centre"),
            ("DEC_CENT", self.dec_cent, "[deg] Dec of the image centre"),
        ]
        for i in range(4):
            cards.append((f"RAC{i + 1}", self.rac[i], f"[deg] RA of corner {i + 1}"))
            cards.append((f"DECC{i + 1}", self.decc[i], f"[deg] Dec of corner {i + 1}"))
        return [
            *cards,
            ("RACMIN", self.racmin, "[deg] lowest RA"),
            ("RACMAX", self.racmax, "[deg] highest RA"),
            ("DECCMIN", self.deccmin, "[deg] lowest Dec"),
            ("DECCMAX", self.deccmax, "[deg] highest Dec"),
            ("CROSSRA0", "Y" if self.crossra0 else "N", "does the image lie across RA 0"),
            ("PIXSCALE", self.pixscale, "[arcsec] pixel scale at the centre"),
        ]


def band_of(filter_name: str) -> str:
    """The band (u g r i z Y VR) that a FILTER keyword names.

    Names are read as `band_of_filter` reads them.

    Raises
    ------
    FileTypeError
        No band of the survey begins that name.
    """
    band = band_of_filter(filter_name)
    if band is None:
        raise FileTypeError(f"FILTER {filter_name!r} names no band of the survey; known: {', '.join(BANDS)}")
    return band


def merged(hdus: Iterable[Any]) -> fits.Header:
    """One header for an image: the first HDU's keywords, overlaid by those of each following HDU.

    The Community Pipeline spreads an image's keywords over the primary header and the extension's (INHERIT).
    """
    values: dict[str, Any] = {}
    for hdu in hdus:
        with lenient():
            cards = [(card.keyword, card) for card in hdu.header.cards]
        here: set[str] = {"HISTORY", "COMMENT"}
        for key, card in cards:
            # HIERARCH cards and worse occur in raw headers; none of them is one of ours. Of a keyword that occurs
            # twice in an HDU the first card counts.
            if key not in here and _STANDARD.match(key):
                here.add(key)
                values[key] = card.value
    return fits.Header(list(values.items()))


@contextmanager
def lenient() -> Iterator[None]:
    """Within, a card that is not a FITS card (real headers have log lines in them) is passed over without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following header keyword is invalid", AstropyUserWarning)
        yield


def wcs_of(header: fits.Header) -> WCS:
    """The header's celestial WCS, read without the side keywords that only draw warnings; not to be changed.

    Raises
    ------
    FileTypeError
        It is of a kind that is not supported (`projection.complaint`).
    """
    odd = complaint(header)
    if odd:
        raise FileTypeError(f"CTYPE1 = {header.get('CTYPE1')!r}, CTYPE2 = {header.get('CTYPE2')!r}: {odd}")
    cards = _wcs_cards(header)
    if has_wcs(header) and is_polynomial(header):
        cards = [(k, str(v).replace("-TAN", "-TPV") if k.startswith("CTYPE") else v) for k, v in cards]
    return _built(tuple(cards))


# An image's WCS is requested by its file's footprint, by each table of its objects and by its pictures; astropy takes
# milliseconds to build it.
@lru_cache(maxsize=16)
def _built(cards: tuple[tuple[str, Value], ...]) -> WCS:
    """Return the WCS of some cards."""
    return WCS(fits.Header(list(cards)), naxis=2)


def _wcs_cards(header: fits.Header) -> list[tuple[str, Value]]:
    """The WCS keywords in one form, in their order: right ascension first, CDi_j, and RADESYS ICRS.

    SCAMP, SWarp and Source Extractor each know other forms of the linear part, and those who unpack (ra, dec) rely on the
    order of the axes. Real files say FK5 and ICRS at once; SCAMP ties to Gaia.
    """
    keywords = {key: header[key] for key in header if _WCS_KEY.match(key)}
    matrix = linear(header)
    if has_wcs(header) and matrix is not None:
        lon, _ = celestial_axes(header)
        keywords = {_of_axis(key, lon): value for key, value in keywords.items() if not _STEPS.match(key)}
        keywords |= dict(zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), matrix, strict=True))
    if has_wcs(header) and is_polynomial(header):
        # The convention's default of PVi_1 is 1; wcslib, and programs that use it, take 0.
        keywords = {"PV1_1": 1.0, "PV2_1": 1.0} | keywords
    if "EQUINOX" in keywords:
        keywords["EQUINOX"] = 2000.0
    # Only degrees are supported, and not every reader knows all the ways to write them.
    keywords |= {key: "deg" for key in ("CUNIT1", "CUNIT2") if key in keywords}
    # WCS paper I demands WCSAXES before every other WCS keyword.
    return [
        ("WCSAXES", 2),
        *sorted((k, v) for k, v in keywords.items() if k != "WCSAXES"),
        ("RADESYS", "ICRS"),
    ]


def _of_axis(key: str, lon: int) -> str:
    """The keyword that says the same where the axis ``lon`` comes first."""
    parts = _OF_AXIS.match(key)
    if parts is None or lon == 1:
        return key
    return f"{parts[1]}{3 - int(parts[2])}{parts[3] or ''}"


def copy_wcs(source: fits.Header, target: fits.Header) -> None:
    """Put the WCS of ``source`` into ``target``, right ascension first, as CDi_j, with RADESYS ICRS.

    Other forms of the linear part that ``target`` has are taken out: two forms in one header contradict each other.
    """
    cards = _wcs_cards(source)
    new = {key for key, _ in cards}
    for key in [key for key in target if _WCS_KEY.match(key) and key not in new]:
        del target[key]
    for key, value in cards:
        target[key] = value
    target["RADESYS"] = ("ICRS", "celestial reference system")
    if "EQUINOX" in target:
        target["EQUINOX"] = 2000.0


def settle_wcs(header: fits.Header) -> None:
    """Bring the WCS of a header into the form of `copy_wcs`, the only one that the programs read."""
    other = any(_STEPS.match(key) for key in header) and "CD1_1" not in header
    other = other or (is_polynomial(header) and not {"PV1_1", "PV2_1"} <= set(header))
    if has_wcs(header) and not complaint(header) and (other or celestial_axes(header)[0] == 2):
        copy_wcs(header.copy(), header)


def footprint(header: fits.Header, shape: tuple[int, int]) -> Footprint:
    """The sky covered by an image of ``shape`` (ny, nx) with this header's WCS (outer pixel edges)."""
    ny, nx = shape
    wcs = wcs_of(header)
    x = np.array([0.5, nx + 0.5, nx + 0.5, 0.5, (nx + 1) / 2, (nx + 1) / 2, (nx + 3) / 2])
    y = np.array([0.5, 0.5, ny + 0.5, ny + 0.5, (ny + 1) / 2, (ny + 3) / 2, (ny + 1) / 2])
    ra, dec = wcs.all_pix2world(x, y, 1)
    ra = np.mod(ra, 360.0)
    cosd = np.cos(np.radians(dec[4]))
    dra = (ra[5:7] - ra[4] + 180.0) % 360.0 - 180.0
    steps = np.hypot(dra * cosd, dec[5:7] - dec[4]) * 3600.0
    c4, d4 = [float(v) for v in ra[:4]], [float(v) for v in dec[:4]]
    racmin, racmax, deccmin, deccmax, cross = box(list(zip(c4, d4, strict=True)))
    return Footprint(
        float(ra[4]),
        float(dec[4]),
        (c4[0], c4[1], c4[2], c4[3]),
        (d4[0], d4[1], d4[2], d4[3]),
        racmin,
        racmax,
        deccmin,
        deccmax,
        cross,
        float(np.sqrt(steps[0] * steps[1])),
    )


def identity(header: fits.Header) -> dict[str, Any]:
    """What an image is, in the survey's own keywords, from a DESDM or Community Pipeline header.

    Returns
    -------
    dict
        EXPNUM, CCDNUM, BAND, CCDNAME, NITE, EXPTIME (s), MJD-OBS (day), AIRMASS, INSTRUME, OBJECT, as far as
        the header knows them; without an EXPTIME or AIRMASS that cannot be.
    """
    out: dict[str, Any] = {}
    if "BAND" in header:
        out["BAND"] = band_of(str(header["BAND"]))
    elif "FILTER" in header:
        out["BAND"] = band_of(str(header["FILTER"]))
    name = str(header.get("DETPOS", header.get("CCDNAME", header.get("EXTNAME", "")))).strip()
    if "CCDNUM" in header:
        out["CCDNUM"] = int(header["CCDNUM"])
    elif name in DECAM_CCDNUM:
        out["CCDNUM"] = DECAM_CCDNUM[name]
    if name:
        out["CCDNAME"] = name
    if "EXPNUM" in header:
        out["EXPNUM"] = int(header["EXPNUM"])
    when = observation(header.get)
    if when.nite:
        out["NITE"] = when.nite
    for key, least in (("EXPTIME", 0.0), ("MJD-OBS", -math.inf)):
        value = header.get(key)
        if isinstance(value, int | float) and math.isfinite(value) and value >= least:
            out[key] = float(value)
    airmass = airmass_of(header.get)
    if airmass is not None:
        out["AIRMASS"] = airmass
    if when.begin is not None:
        out["MJD-OBS"] = mjd_of(when.begin)
    for key in ("INSTRUME", "OBJECT"):
        if key in header:
            out[key] = str(header[key]).strip()
    return out
