"""Raw frames as a camera delivers them: overscan still on, or the headers say so; one image, or one an extension."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import FileType, Metadata
from desdm.archive.filetypes.keywords import NO_ANGLE, angle, band, image, is_number, observed, region
from desdm.archive.pixeldigest import sample_digest
from desdm.errors import FileTypeError
from desdm.pixels.cards import HDU, Header
from desdm.sky.outline import outline, union
from desdm.sky.spherical import angles_to, unit
from desdm.survey import airmass
from desdm.survey.agreement import LONGEST
from desdm.survey.amplifiers import Amp, amps_of
from desdm.survey.bands import unit_complaint
from desdm.survey.ccds import CCDNumber, ccd_of
from desdm.survey.detectors import absent, dead
from desdm.survey.findings import Finding, Severity
from desdm.survey.readout import refusals
from desdm.survey.sections import Section, parse_section

_SKY = ("object", "standard")
_FLATS = ("dome flat", "dflat", "flat", "sky flat")
_EXPOSED = (*_SKY, *_FLATS, "dark")
#: Types of exposure that cameras write, those that are not processed among them.
_KINDS = (
    *_EXPOSED,
    "zero",
    "bias",
    "skyflat",
    "domeflat",
    "twilight flat",
    "twilight",
    "focus",
    "pointing",
    "acquisition",
    "acquire",
    "comparison",
    "comp",
    "test",
    "junk",
    "engineering",
    "illum",
    "fringe",
)
_NO_PLACE = "the place of the CCD in the focal plane is that of a grid"
#: So many different values of a keyword are shown.
_VALUES = 4
#: The camera's own names tell the exposure number.
_NAMED = re.compile(r"DECam_(\d{8})(?:\D.*)?")
#: The least and most that a keyword of the record can be: of an air mass, of electrons a count, of a full pixel.
_POSSIBLE = {
    "AIRMASS": (airmass.LEAST, airmass.MOST),
    "GAIN": (1e-3, 1e4),
    "SATURATE": (1.0, math.inf),
}
#: Degrees between the pointing and the middle of an image: a CCD is up to 1.1 from that of its camera.
_POINTED = 3.0


def _raw(content: Content) -> Iterator[str]:
    """Yield why a file is not a raw exposure."""
    if not content.images():
        yield "it has no image"
        return
    _mosaic(content)
    headers = [hdu.header for hdu in content.hdus[:3]]
    if str(content.keyword("PROCTYPE")).strip().lower() == "raw":
        return
    if not any(h.text(key) for h in headers for key in ("BIASSEC", "BIASSECA", "OVERSCN")):
        yield "no overscan section (BIASSEC) and PROCTYPE is not RAW"


def _mosaic(content: Content) -> None:
    """A mosaic has each CCD once, as many as NEXTEND says. Another number is no refusal: good CCDs are good."""
    if len(content.images()) == 1:
        return
    numbers = [ccd.number for ccd in _ccds(content)]
    known = [n for n in numbers if n is not None]
    twins = sorted({n for n in known if known.count(n) > 1})
    if twins:
        text = f"CCD {', '.join(map(str, twins))} occurs more than once in the file"
        assumed = "the exposure is not processed with its night, and this CCD is not read"
        content.findings.append(Finding(Severity.ERROR, text, "CCDNUM", "", assumed))
    expected = content.keyword("NEXTEND")
    if not isinstance(expected, int) or isinstance(expected, bool):
        return
    night = str(observed(content)["nite"] or "")
    if absent(
        [-1 if n is None else n for n in numbers],
        expected,
        str(content.keyword("INSTRUME") or ""),
        night,
    ):
        content.findings.append(_warning("NEXTEND", expected, f"the file has {len(numbers)} images"))


def _warning(key: str, value: object, text: str, assumed: str = "") -> Finding:
    """Return a warning on one keyword, with its value and what is assumed instead."""
    return Finding(Severity.WARNING, text, key, "" if value is None else repr(value), assumed)


def _describe(content: Content) -> Metadata:
    """Return the metadata of a raw exposure, and note the findings on its header."""
    metadata = image(content, note_impossible=False)  # noted for every CCD below
    images = content.images()
    if len(images) > 1:
        outlines = [corners for hdu in images if (corners := outline(hdu.header, hdu.shape)) is not None]
        # An exposure is of no CCD, and covers what all its CCDs cover.
        metadata |= {"ccdnum": None, "ccds": _expected(content), **region(union(outlines))}
    metadata["data_digest"] = sample_digest(content)
    content.findings.extend(_findings(content, metadata))
    exptime = content.keyword("EXPTIME")
    exposed = str(metadata.get("obstype") or "").lower() in _EXPOSED
    if is_number(exptime) and ((exptime == 0 and exposed) or exptime > LONGEST):
        metadata["exptime"] = None
    return metadata


def _dead(content: Content) -> list[int]:
    """The camera's dead CCDs on the exposure's night."""
    return sorted(dead(str(content.keyword("INSTRUME") or ""), str(observed(content)["nite"] or "")))


def _findings(content: Content, metadata: Metadata) -> Iterator[Finding]:
    """What of a raw frame cannot be interpreted, key by key."""
    obstype = str(metadata.get("obstype") or "").lower()
    sky = obstype in ("", *_SKY)
    number = content.keyword("EXPNUM")
    doubted = any(f.key == "EXPNUM" and f.severity is Severity.ERROR for f in content.findings)
    if metadata.get("expnum") is None and not doubted:
        value = "" if number is None else repr(number)
        text = "the exposure has no number" if number is None else "it is not an exposure number"
        yield Finding(Severity.ERROR, text, "EXPNUM", value, "the frame is stored and not processed")
    named = _NAMED.match(content.stem)
    if named and metadata.get("expnum") not in (None, int(named.group(1))):
        yield _warning("EXPNUM", number, f"the file is called {content.name}", "EXPNUM holds")
    if metadata.get("nite") is None:
        date = content.keyword("DATE-OBS")
        value = "" if date is None else repr(date)
        text = "no keyword tells when the exposure began, or of which night it is"
        yield Finding(
            Severity.ERROR, text, "DATE-OBS", value, "the frame is stored and not processed with a night"
        )
    if not obstype:
        yield _warning(
            "OBSTYPE",
            content.keyword("OBSTYPE"),
            "the type of the exposure is unknown",
            "it is not processed",
        )
    elif obstype not in _KINDS:
        yield _warning(
            "OBSTYPE", content.keyword("OBSTYPE"), "it is not a known type of exposure", "it is not processed"
        )
    yield from _band(content, metadata, obstype)
    detectors = list(_detectors(content))
    yield from _exptime(content, metadata, obstype)
    yield from _numbers(content, obstype, {finding.key for finding in detectors})
    yield from detectors
    yield from _pointing(content, metadata, sky)


def _band(content: Content, metadata: Metadata, obstype: str) -> Iterator[Finding]:
    """Yield findings on the filter and the band."""
    name, stated = content.keyword("FILTER"), content.keyword("BAND")
    assumed = f"the band is {metadata.get('band')}"
    if metadata.get("band") is None:
        if obstype in (*_SKY, *_FLATS):
            value = stated if name is None else name
            text = "the band is not told" if value is None else "it names no band (u g r i z Y VR)"
            yield _warning("FILTER", value, text, "the frame has no band")
        return
    if stated is not None and (band(stated) is None or band(name) not in (None, band(stated))):
        yield _warning("BAND", stated, f"FILTER is {name!r}", assumed)
    # Beside a BAND a FILTER may be absent; one that is there and names none is not passed over.
    blank = name is None and any("FILTER" in header for header in content.headers())
    if blank or (name is not None and band(name) is None):
        yield _warning("FILTER", "" if blank else name, "it names no band (u g r i z Y VR)", assumed)


def _exptime(content: Content, metadata: Metadata, obstype: str) -> Iterator[Finding]:
    """Exposure times of the headers that cannot be."""
    known = metadata.get("exptime")
    follows = "the exposure time is unknown"
    if isinstance(known, float) and 0.0 <= known <= LONGEST and not (known == 0.0 and obstype in _EXPOSED):
        follows = f"the exposure time is {known:g} s"
    values = [v for header in content.headers() if (v := header.get("EXPTIME")) is not None]
    if not values:
        yield _warning("EXPTIME", None, _lacking(content.headers(), "EXPTIME"), follows)
    for exptime in dict.fromkeys(values):
        if not is_number(exptime):
            yield _warning("EXPTIME", exptime, "it is not a number", follows)
        elif exptime == 0 and obstype in _EXPOSED:
            yield _warning("EXPTIME", exptime, f"one of type {obstype} is longer than 0", follows)
        elif exptime > LONGEST:
            yield _warning("EXPTIME", exptime, "no exposure is longer than a day", follows)
        elif exptime < 0:
            yield _warning("EXPTIME", exptime, "an exposure time is not negative", follows)


def _numbers(content: Content, obstype: str, known: set[str]) -> Iterator[Finding]:
    """Keywords that must be numbers, but for those with findings that are known."""
    # A camera of many CCDs writes them into the primary header, which has no image.
    headers = [hdu.header for hdu in dict.fromkeys((content.hdus[0], *content.images()))]
    for key, (least, most) in _POSSIBLE.items():
        if key in known:
            continue
        values = [v for header in headers if (v := header.get(key)) is not None]
        words = {repr(v) for v in values if not is_number(v)}
        if words:
            yield _warning(key, None, f"{', '.join(sorted(words))} is not a number", "it is left out")
        numbers = [v for header in headers if (v := header.number(key)) is not None]
        odd = {v for v in numbers if not least <= v <= most}
        if odd:
            impossible = ", ".join(f"{v:g}" for v in sorted(odd))
            yield _warning(
                key, None, f"{impossible} is not possible", "it is left out of the archive's record"
            )
        if key == "AIRMASS" and obstype in _SKY:
            yield from _height(content)
        if key == "AIRMASS" and not values and obstype in _SKY:
            yield _warning(key, None, _lacking(headers, key), "clouds cannot be told from extinction")


def _height(content: Content) -> Iterator[Finding]:
    """An air mass that is not that of the distance from the zenith."""
    known, exptime = airmass.airmass_of(content.keyword), content.keyword("EXPTIME")
    length = float(exptime) if isinstance(exptime, int | float) else 0.0
    for key in ("ZD", "ZENDIST"):
        value = content.keyword(key)
        if known is None or not isinstance(value, int | float) or not 0.0 < value <= 90.0:
            continue
        if airmass.disagrees(known, float(value), length):
            text = f"{key} is {value:g} degrees, where it is {airmass.airmass_at(float(value)):.2f}"
            yield _warning("AIRMASS", known, text, "AIRMASS holds")


def _ccds(content: Content) -> list[CCDNumber]:
    """Which CCD each image of the file is of."""
    camera = str(content.keyword("INSTRUME") or "")
    if len(content.images()) == 1:
        return [ccd_of(content.keyword, camera)]
    return [ccd_of(hdu.header.get, camera) for hdu in content.images()]


def _detectors(content: Content) -> Iterator[Finding]:
    """CCDs that are not known, and sections and gains with which a CCD cannot be processed; each kind once."""
    several = len(content.images()) > 1
    primary = content.hdus[0].header
    yield from _places(content.images())
    odd: dict[Finding, list[tuple[str, str]]] = {}
    for hdu, ccd in zip(content.images(), _ccds(content), strict=True):
        where = f"CCD {ccd.number}" if ccd.number is not None else f"image {hdu.name}".rstrip()
        unknown: tuple[Finding, ...] = ()
        if several and ccd.number is None and not ccd.findings:
            place = "the CCD has the number of its HDU"
            unknown = (_warning("CCDNUM", None, "neither CCDNUM nor a name tells the CCD", place),)
        for finding in (
            *ccd.findings,
            *unknown,
            *refusals(hdu.header.get, primary.get),
            *_amplifiers(hdu),
        ):
            # One kind of fault has other values in each CCD.
            odd.setdefault(replace(finding, value=""), []).append((where, finding.value))
    for finding, places in odd.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        values = list(dict.fromkeys(value for _, value in places if value))
        value = ", ".join(values[:_VALUES]) + (", …" if len(values) > _VALUES else "")
        text = f"{places[0][0]}{more}: {finding.text}" if several else finding.text
        yield replace(finding, text=text, value=value)


def _amplifiers(hdu: HDU) -> Iterator[Finding]:
    """What keeps a CCD from being read, or from having a weight."""
    if len(hdu.shape) != 2:
        return
    try:
        amps, shape = amps_of(hdu.header, hdu.shape, "")
    except FileTypeError as err:
        text = str(err).removeprefix(": ")
        yield _warning(
            text.split()[0] if "SEC" in text.split()[0] else "DATASEC", None, text, "the CCD is not processed"
        )
        return
    odd = unit_complaint({key: hdu.header.number(key) for key in ("GAINA", "GAINB")})
    if odd:
        yield _warning("GAINA, GAINB", None, odd, "they are taken as they stand")
    yield from _other_sections(hdu.header, amps, shape)
    for amp in amps:
        if amp.bias is None:
            key = f"BIASSEC{amp.name}"
            yield _warning(
                key, None, _lacking([hdu.header], key), "the CCD has no overscan and is not processed"
            )
        for finding in amp.findings:
            missing = not finding.value
            yield replace(finding, text=_lacking([hdu.header], finding.key)) if missing else finding


def _other_sections(header: Header, amps: tuple[Amp, ...], shape: tuple[int, int]) -> Iterator[Finding]:
    """Sections of a CCD as a whole that contradict those of its amplifiers, by which it is read."""
    if any(amp.name for amp in amps):
        places = [(s.slices[1], s.slices[0]) for s in (amp.data for amp in amps)]
        x1, y1 = (min(place[axis].start for place in places) + 1 for axis in (0, 1))
        covered = Section(x1, x1 + shape[1] - 1, y1, y1 + shape[0] - 1)
        for key in ("DATASEC", "TRIMSEC"):
            value = header.text(key)
            if value is not None and parse_section(value) != covered:
                text = f"the sections of the amplifiers cover {covered.text}"
                yield _warning(key, value, text, "those of the amplifiers hold")
    detsec = header.get("DETSEC")
    if detsec is None:
        return
    place = parse_section(str(detsec))
    if place is None:
        yield _warning("DETSEC", detsec, "it is not a section of the form [x1:x2,y1:y2]", _NO_PLACE)
    elif place.shape != shape:
        text = f"the CCD has {shape[1]} columns and {shape[0]} rows without overscan"
        yield _warning("DETSEC", detsec, text, _NO_PLACE)


def _places(images: Sequence[HDU]) -> Iterator[Finding]:
    """CCDs that lie at one place of the focal plane by DETSEC."""
    stated = [v for hdu in images if (v := hdu.header.text("DETSEC")) is not None and parse_section(v)]
    for value in dict.fromkeys(v for v in stated if stated.count(v) > 1):
        text = f"{stated.count(value)} CCDs of the file cannot be at one place of the focal plane"
        yield _warning("DETSEC", value, text, "the exposure has no mosaic of its sky")


def _lacking(headers: Sequence[Header], key: str) -> str:
    """Why a keyword tells nothing: it is not there, or has no value (FITS 4.0, section 4.1.2.3)."""
    return "the keyword has no value" if any(key in h for h in headers) else "the keyword is missing"


def _pointing(content: Content, metadata: Metadata, sky: bool) -> Iterator[Finding]:
    """Where the telescope pointed, and whether the frame has a place on the sky."""
    for key, most, least in (("RA", 360.0, 0.0), ("DEC", 90.0, -90.0)):
        value = content.keyword(key)
        if value is not None and angle(value, hours=key == "RA", least=least, most=most) is None:
            yield _warning(key, value, NO_ANGLE, "it is left out")
    if sky:
        yield from _elsewhere(content, metadata)
    if (
        sky
        and metadata.get("ra_cent") is None
        and not any(f.key == "CTYPE1, CTYPE2" for f in content.findings)
    ):
        odd = "no celestial world coordinates that can be read"
        yield _warning("CTYPE1", content.keyword("CTYPE1"), odd, "no position is stored for the exposure")


def _elsewhere(content: Content, metadata: Metadata) -> Iterator[Finding]:
    """Keywords of the pointing that are far from the world coordinates."""
    ra, dec = metadata.get("ra_cent"), metadata.get("dec_cent")
    if not isinstance(ra, float) or not isinstance(dec, float):
        return
    for keys in (("RA", "DEC"), ("TELRA", "TELDEC")):
        values = [content.keyword(key) for key in keys]
        x = angle(values[0], hours=True, least=0.0, most=360.0)
        y = angle(values[1], hours=False, least=-90.0, most=90.0)
        if x is None or y is None:
            continue
        # A plain number is in degrees, and in hours in some headers.
        away = min(_separation(ra, dec, one, y) for one in (x, x if isinstance(values[0], str) else x * 15.0))
        if away > _POINTED:
            value = f"{values[0]!r}, {values[1]!r}"
            text = f"the world coordinates of the image are {away:.1f} degrees away, at {ra:.4f} {dec:.4f}"
            yield Finding(
                Severity.WARNING,
                text,
                ", ".join(keys),
                value,
                "the position is that of the world coordinates",
            )


def _separation(ra: float, dec: float, ra2: float, dec2: float) -> float:
    """Angle between two directions; all in degrees."""
    return math.degrees(float(angles_to(unit(ra, dec), unit(ra2, dec2))))


def _expected(content: Content) -> str | None:
    """The CCDs that the exposure should have: those in it, and where NEXTEND promises more, all numbers up to it.

    A CCD that was dead on that night is not expected, whether it was delivered or not.
    """
    there = {ccd.number for ccd in _ccds(content) if ccd.number is not None}
    promised = content.keyword("NEXTEND")
    if isinstance(promised, int) and len(there) < promised <= 200:
        there |= set(range(1, promised + 1))
    there -= set(_dead(content))
    parts: list[str] = []
    for number in sorted(there):
        if number - 1 in there:
            continue
        last = next(n for n in range(number, number + 1000) if n + 1 not in there)
        parts.append(str(number) if last == number else f"{number}:{last}")
    return ",".join(parts) or None


RAW = FileType(
    name="raw",
    text="raw frame as the camera delivered it",
    table="image",
    pattern=r".+\.fits?",
    directory="raw/{nite}",
    rule=_raw,
    read_metadata=_describe,
)
TYPES = (RAW,)
