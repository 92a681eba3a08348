"""From header keywords to metadata columns: identity, region and the image's own numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import TypeGuard

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import Metadata
from desdm.pixels.cards import Header
from desdm.sky.outline import Outline, outline
from desdm.sky.projection import complaint
from desdm.survey import airmass
from desdm.survey.agreement import contradictions
from desdm.survey.bands import band_of_filter as band
from desdm.survey.ccds import ccd_number, ccd_of
from desdm.survey.findings import Finding, Severity
from desdm.survey.obstime import mjd_of, observation

__all__ = ["NO_ANGLE", "angle", "band", "ccd_number", "identity", "image", "is_number", "observed", "region"]


_SEXAGESIMAL = re.compile(r"([+-]?)(\d{1,3})([:hd\s]+)(\d{1,2})(?:[:m'\s]+(\d{1,2}(?:\.\d*)?)[s\"]?)?")
#: Finding on a pointing that cannot be read.
NO_ANGLE = "it is not an angle in degrees or sexagesimal"


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def angle(value: object, *, hours: bool, least: float, most: float) -> float | None:
    """An angle: a number is degrees, sexagesimal right ascension is hours unless its unit says ``d``."""
    if isinstance(value, str):
        match = _SEXAGESIMAL.fullmatch(value.strip())
        if match:
            sign, whole, unit, *smaller = match.groups()
            parts = [float(whole), *(float(g or 0.0) for g in smaller)]
            if parts[1] >= 60 or parts[2] >= 60 or ("h" in unit and ("d" in unit or not hours)):
                return None
            factor = 15.0 if hours and "d" not in unit else 1.0
            value_deg = (parts[0] + parts[1] / 60 + parts[2] / 3600) * factor
            value_deg = -value_deg if sign == "-" else value_deg
        else:
            try:
                value_deg = float(value)
            except ValueError:
                return None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value_deg = float(value)
    else:
        return None
    return value_deg if math.isfinite(value_deg) and least <= value_deg <= most else None


def observed(content: Content) -> Metadata:
    """mjd_obs and nite: when an exposure began, and of which night it is (`desdm.survey.obstime`)."""
    times = observation(content.keyword)
    if content.delivered:
        # Called for several columns of one file: each finding once.
        content.findings += [finding for finding in times.findings if finding not in content.findings]
    return {"nite": times.nite, "mjd_obs": None if times.begin is None else mjd_of(times.begin)}


def _integer(value: object) -> int | None:
    """Return a number that fits 32 bits as an integer, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) >= 2**31:
        return None
    return int(value) if value == int(value) else None


def _number(value: object) -> int | None:
    """A number of an exposure or a CCD: both begin at 1."""
    number = _integer(value)
    return number if number is not None and number > 0 else None


def identity(content: Content) -> Metadata:
    """expnum, ccdnum, band, nite, mjd_obs and tilename, as far as the headers tell them."""
    tile = content.keyword("TILENAME")
    return {
        "expnum": _number(content.keyword("EXPNUM")),
        "ccdnum": ccd_of(content.keyword, str(content.keyword("INSTRUME") or "")).number,
        "band": band(content.keyword("BAND")) or band(content.keyword("FILTER")),
        **observed(content),
        "tilename": tile if isinstance(tile, str) else None,
    }


def region(outline: Outline | None) -> Metadata:
    """Return the metadata columns of an outline; none without an outline."""
    if outline is None:
        return {}
    return {
        "ra_cent": outline.ra_cent,
        "dec_cent": outline.dec_cent,
        "racmin": outline.racmin,
        "racmax": outline.racmax,
        "deccmin": outline.deccmin,
        "deccmax": outline.deccmax,
        "crossra0": "Y" if outline.crossra0 else "N",
    }


_NUMBERS = {
    "exptime": ("EXPTIME",),
    "airmass": ("AIRMASS",),
    "gain": ("GAIN", "ARAWGAIN", "GAINA"),
    "saturate": ("SATURATE",),
    "mag_zero": ("MAG_ZERO", "MAGZERO", "SEXMGZPT"),
    "fwhm": ("FWHM", "SEEINGP1"),
    "skybrite": ("SKYBRITE", "AVSKY"),
}
#: (least, most) that a number of the record can be; sentinels for "not measured" lie outside.
_POSSIBLE = {
    "exptime": (0.0, math.inf),
    "airmass": (airmass.LEAST, airmass.MOST),
    "gain": (1e-3, 1e4),
    "saturate": (1.0, math.inf),
    "mag_zero": (1e-3, 60.0),
    "fwhm": (1e-6, math.inf),
}
_TEXTS = {"obstype": "OBSTYPE", "object": "OBJECT", "propid": "PROPID", "instrument": "INSTRUME"}


def image(content: Content, *, note_impossible: bool = True) -> Metadata:
    """All columns of the image table, of the file's first image; numbers that cannot be are left out, and noted."""
    hdu = content.images()[0]
    headers = content.headers()
    metadata = identity(content)
    metadata["naxis1"], metadata["naxis2"] = hdu.shape[-1], hdu.shape[-2]
    wcs = _with_wcs(headers)
    corners = outline(wcs, hdu.shape)
    if content.delivered:
        # An image with an outline has coordinates that are supported.
        content.findings.extend(_coordinates(content, without_first=corners is not None))
    if content.delivered and _contradictions(content):
        metadata["expnum"] = None
    metadata |= region(corners)
    metadata["pixscale"] = corners.pixscale if corners else None
    if content.delivered and note_impossible:
        content.findings.extend(_unreadable(content, metadata))
    for column, keys in _NUMBERS.items():
        metadata[column] = _possible(content, column, keys, note=note_impossible)
    for column, key in _TEXTS.items():
        value = content.keyword(key)
        metadata[column] = None if value is None else str(value).strip() or None
    return metadata


def _unreadable(content: Content, metadata: Metadata) -> Iterator[Finding]:
    """Yield findings on keywords of the record whose values cannot be read: numbers, exposure, band and pointing."""
    found = [
        (key, v) for keys in _NUMBERS.values() for key in keys if (v := content.keyword(key)) is not None
    ]
    for key, value in found:
        if not is_number(value):
            yield Finding(
                Severity.WARNING,
                "it is not a number",
                key,
                repr(value),
                "it is left out of the archive's record",
            )
    doubted = any(f.key == "EXPNUM" and f.severity is Severity.ERROR for f in content.findings)
    number = content.keyword("EXPNUM")
    if number is not None and metadata.get("expnum") is None and not doubted:
        text = "it is not an exposure number"
        yield Finding(
            Severity.WARNING, text, "EXPNUM", repr(number), "the image is stored without an exposure"
        )
    for key in ("BAND", "FILTER"):
        name = content.keyword(key)
        if name is not None and band(name) is None:
            assumed = f"the band is {metadata['band']}" if metadata.get("band") else "the image has no band"
            yield Finding(Severity.WARNING, "it names no band (u g r i z Y VR)", key, repr(name), assumed)
    for key, least, most in (("RA", 0.0, 360.0), ("DEC", -90.0, 90.0)):
        pointed = content.keyword(key)
        if pointed is not None and angle(pointed, hours=key == "RA", least=least, most=most) is None:
            yield Finding(Severity.WARNING, NO_ANGLE, key, repr(pointed), "it is left out")


def _coordinates(content: Content, *, without_first: bool) -> Iterator[Finding]:
    """World coordinates that are not supported, of every image of the file, each kind once."""
    odd: dict[tuple[str, str], list[int]] = {}
    first = content.images()[0].start
    if without_first and len(content.images()) == 1:
        return
    for number, hdu in enumerate(content.hdus):
        if hdu.kind != "image" or len(hdu.shape) < 2 or not all(hdu.shape):
            continue
        if without_first and hdu.start == first:
            continue
        wcs = _with_wcs(content.headers()) if hdu.start == first else hdu.header
        text = complaint(wcs)
        if text:
            odd.setdefault((text, f"{wcs.get('CTYPE1')!r}, {wcs.get('CTYPE2')!r}"), []).append(number)
    several = len(content.images()) > 1
    for (text, kinds), numbers in odd.items():
        where = f"HDU {', '.join(map(str, numbers))}: " if several else ""
        assumed = "no position is stored for " + ("these images" if several else "the image")
        yield Finding(Severity.WARNING, where + text, "CTYPE1, CTYPE2", kinds, assumed)


def _contradictions(content: Content) -> bool:
    """Note where the HDUs of one exposure contradict each other; whether its number is in doubt by that."""
    images = content.images()
    order = dict.fromkeys((images[0].start, 0, *(hdu.start for hdu in images)))
    if len(order) == 1:
        return False
    numbers = {hdu.start: i for i, hdu in enumerate(content.hdus)}
    odd = contradictions([(i, content.hdus[i].header.get) for i in (numbers[start] for start in order)])
    for one in odd:
        if one.key == "EXPNUM":
            severity, assumed = Severity.ERROR, "the frame is stored without a number and not processed"
        else:
            severity, assumed = Severity.WARNING, f"that of HDU {one.assumed[0]} is taken for all"
        content.findings.append(
            Finding(severity, "the HDUs of the file contradict each other", one.key, one.values, assumed)
        )
    return any(one.key == "EXPNUM" for one in odd)


def _possible(content: Content, column: str, keys: tuple[str, ...], *, note: bool) -> float | None:
    """The first value of some keywords that the column can have; one that it cannot have is noted and left out."""
    least, most = _POSSIBLE.get(column, (-math.inf, math.inf))
    odd: list[Finding] = []
    first = None
    for key, header in product(keys, content.headers()):
        value = header.number(key)
        if value is not None:
            if least <= value <= most:
                first = value
                break
            if content.delivered and note:
                odd.append(Finding(Severity.WARNING, "it is not possible", key, repr(header.get(key))))
    if odd:
        instead = "it is left out of the archive's record" if first is None else f"the record has {first:g}"
        content.findings += [replace(one, assumed=instead) for one in dict.fromkeys(odd)]
    return first


def _with_wcs(headers: tuple[Header, ...]) -> Header:
    """Return the first header with a WCS, else the first one."""
    return next((h for h in headers if "CTYPE1" in h), headers[0])
