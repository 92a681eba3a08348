"""Which CCD an image is of: CCDNUM, else the name of its place in the focal plane, and what is wrong with either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from desdm.pixels.cards import Value
from desdm.survey.findings import Finding, Severity

__all__ = ["DECAM_CCDNUM", "CCDNumber", "ccd_number", "ccd_of"]

_DECAM_ROWS = (
    ("S29", "S30", "S31"),
    ("S25", "S26", "S27", "S28"),
    ("S20", "S21", "S22", "S23", "S24"),
    ("S14", "S15", "S16", "S17", "S18", "S19"),
    ("S8", "S9", "S10", "S11", "S12", "S13"),
    ("S1", "S2", "S3", "S4", "S5", "S6", "S7"),
    ("N1", "N2", "N3", "N4", "N5", "N6", "N7"),
    ("N8", "N9", "N10", "N11", "N12", "N13"),
    ("N14", "N15", "N16", "N17", "N18", "N19"),
    ("N20", "N21", "N22", "N23", "N24"),
    ("N25", "N26", "N27", "N28"),
    ("N29", "N30", "N31"),
)
#: DECam detector position → CCD number, counted along the rows of the focal plane from the south.
DECAM_CCDNUM: dict[str, int] = {name: i + 1 for i, name in enumerate(n for row in _DECAM_ROWS for n in row)}
#: Focus and alignment CCDs at the edge of DECam's focal plane, FS1 to FN4: numbers that no product has.
_FOCUS = range(63, 75)


@dataclass(frozen=True, slots=True)
class CCDNumber:
    """The number of an image's CCD (None: its header does not tell it) and what is odd about that."""

    number: int | None
    findings: tuple[Finding, ...] = ()


def ccd_number(name: object) -> int | None:
    """The CCD number behind a detector's name: DECam's N3, or CCD4 of other cameras."""
    word = str(name).strip().upper() if name is not None else ""
    if word.startswith("CCD") and word[3:].isdecimal() and len(word) < 12:
        return int(word[3:]) or None
    return DECAM_CCDNUM.get(word)


def ccd_of(get: Callable[[str], Value], instrument: str) -> CCDNumber:
    """Which CCD an image is of.

    Parameters
    ----------
    get
        A keyword's value; None if no header has it.
    instrument
        INSTRUME. Numbers and names are compared with DECam's of its frames, and of those that name no instrument.

    Returns
    -------
    CCDNumber
        CCDNUM if it can be one, else the number that DETPOS, CCDNAME or EXTNAME stands for.
    """
    camera = instrument.strip().lower()
    stated, place = (
        get("CCDNUM"),
        next((v for k in ("DETPOS", "CCDNAME", "EXTNAME") if _has(v := get(k))), None),
    )
    named = ccd_number(place)
    instead = f"CCD {named} by its name {place} is taken" if named else "the archive's record has no CCD"
    if not _has(stated):
        detpos = get("DETPOS")
        if named is None and _has(detpos) and camera in ("", "decam"):
            return CCDNumber(
                None, (_odd("DETPOS", detpos, "it names no CCD of DECam, and CCDNUM is missing", instead),)
            )
        if named is None and camera == "decam":
            return CCDNumber(
                None, (_odd("CCDNUM", None, "neither CCDNUM nor DETPOS tells the CCD", instead),)
            )
        if (
            named is not None
            and camera not in ("", "decam")
            and not str(place).strip().upper().startswith("CCD")
        ):
            text = f"it is missing, and {place} is a name of DECam, not of {instrument.strip()}"
            return CCDNumber(named, (_odd("CCDNUM", None, text, instead),))
        return CCDNumber(named)
    number = _number(stated)
    if number is None:
        return CCDNumber(named, (_odd("CCDNUM", stated, "it is not a number of a CCD", instead),))
    focus = number in _FOCUS and str(place).strip().upper().startswith("F")
    if camera == "decam" and number not in DECAM_CCDNUM.values() and not focus:
        return CCDNumber(
            named, (_odd("CCDNUM", stated, f"DECam has CCDs 1 to {len(DECAM_CCDNUM)}", instead),)
        )
    if camera in ("", "decam") and (meant := ccd_number(get("DETPOS"))) not in (None, number):
        text = f"it is CCD {meant} of DECam, CCDNUM is {number}"
        return CCDNumber(number, (_odd("DETPOS", get("DETPOS"), text, f"CCD {number} by CCDNUM is taken"),))
    return CCDNumber(number)


def _has(value: Value) -> bool:
    """Tell whether a keyword has a value that is not blank."""
    return value is not None and (not isinstance(value, str) or value.strip() != "")


def _number(value: Value) -> int | None:
    """A number of a CCD, which begin at 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
        return None
    return int(value) if value == int(value) else None


def _odd(key: str, value: Value, text: str, assumed: str) -> Finding:
    """Return a warning on one keyword, with its value and what is assumed instead."""
    return Finding(Severity.WARNING, text, key, "" if value is None else repr(value), assumed)
