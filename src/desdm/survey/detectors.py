"""Detectors that do not work: which CCD, or which of its amplifiers, of which camera, and in which nights.

What is dead is neither expected, planned nor calibrated; what is half dead is processed with the bad amplifier masked.
DECam, by nights:

- N30 (CCD 61): light damage reported in the afternoon of 2012-11-07; the flats of that morning were good (DES science
  verification, "N30 Analysis").
- S30 (CCD 2): no signal from 2013-11-30 until it came back on 2016-12-29 (NOIRLab, status of DECam's CCDs: "not functional
  2014-2016").
- S7 (CCD 31), amplifier A, columns 1025 to 2048: its gain changes with level and time. DES and the Legacy Surveys use the
  other half alone, in all nights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from desdm.survey.keywords import Keywords, text_of
from desdm.survey.sections import parse_section

__all__ = [
    "OUTAGES",
    "SCIENCE_CCDS",
    "Outage",
    "absent",
    "dead",
    "living",
    "night_of",
    "outage_regions",
    "outages",
    "outages_of",
]

#: DECam images the sky with CCDs 1 to 62; 63 to 70 are for focus and alignment (Flaugher et al. 2015, AJ 150, 150).
SCIENCE_CCDS = 62

_MJD_EPOCH = date(1858, 11, 17)


@dataclass(frozen=True, slots=True)
class Outage:
    """A detector that does not work.

    ``instrument``: INSTRUME, in lower case; ``first`` and ``last``: nights YYYYMMDD, both included, an empty one is open;
    ``amplifier``: letter of the bad one, empty for the whole CCD; ``reason``: for people; ``columns``: first and last
    column of the bad amplifier on the CCD of `WIDTH` columns, for images whose header has no AMPSEC.
    """

    instrument: str
    ccdnum: int
    detpos: str
    first: str
    last: str
    amplifier: str
    reason: str
    columns: tuple[int, int] = (0, 0)

    def holds(self, instrument: str, nite: str) -> bool:
        """Whether the detector is out on a night; not for a night that is not known."""
        if instrument.strip().lower() != self.instrument or not nite:
            return False
        return self.first <= nite and (not self.last or nite <= self.last)

    @property
    def text(self) -> str:
        """CCD, since when, and why."""
        what = f"amplifier {self.amplifier} is bad" if self.amplifier else "dead"
        since = f" from night {self.first}" if self.first else ""
        until = f" to {self.last}" if self.last else ""
        return f"CCD {self.ccdnum} ({self.detpos}): {what}{since}{until}: {self.reason}"


OUTAGES: tuple[Outage, ...] = (
    Outage("decam", 61, "N30", "20121107", "", "", "damaged by light"),
    Outage("decam", 2, "S30", "20131130", "20161228", "", "no signal"),
    Outage("decam", 31, "S7", "", "", "A", "its gain changes with level and time", (1025, 2048)),
)
#: Columns of a CCD of DECam, from which deliveries may have cut some at both edges.
WIDTH = 2048


def outages(instrument: str, nite: str) -> tuple[Outage, ...]:
    """Return what does not work of a camera (its INSTRUME) on a night (YYYYMMDD)."""
    return tuple(one for one in OUTAGES if one.holds(instrument, nite))


def dead(instrument: str, nite: str) -> dict[int, Outage]:
    """Return the camera's dead CCDs of a night, by number."""
    return {one.ccdnum: one for one in outages(instrument, nite) if not one.amplifier}


def living(ccdnums: Iterable[int], instrument: str, nite: str) -> list[int]:
    """Return those of the CCDs that work on a night, wholly or in part.

    Parameters
    ----------
    ccdnums
        CCD numbers.
    instrument
        Name of the camera, as in INSTRUME.
    nite
        Night of observation, YYYYMMDD.
    """
    lost = dead(instrument, nite)
    return [n for n in ccdnums if n not in lost]


def absent(known: Iterable[int], promised: int, instrument: str, nite: str) -> int:
    """Return how many CCDs a file lacks of those that it promises, or has beyond them (negative).

    Parameters
    ----------
    known
        Numbers of the CCDs in the file, one for each image.
    promised
        NEXTEND.
    instrument, nite
        INSTRUME, and night YYYYMMDD. A CCD that was dead may be in the file or not: without it nothing is lacking.
    """
    have = list(known)
    missing = promised - len(have)
    excused = sum(1 for n in dead(instrument, nite) if n <= promised and n not in have)
    return 0 if 0 <= missing <= excused else missing


def night_of(header: Keywords) -> str:
    """Return the night of an exposure: NITE, else from MJD-OBS, a night lasting from 15 h to 15 h UT; empty: unknown."""
    digits = text_of(header, "NITE").replace("-", "").strip()
    if len(digits) == 8 and digits.isdigit():
        return digits
    mjd = header.get("MJD-OBS")
    if not isinstance(mjd, int | float) or not 0 < mjd < 1e6:
        return ""
    return (_MJD_EPOCH + timedelta(days=int(mjd - 15.0 / 24.0))).strftime("%Y%m%d")


def outages_of(header: Keywords) -> tuple[Outage, ...]:
    """Return what does not work of an exposure's camera on its night, from INSTRUME and NITE or MJD-OBS."""
    return outages(text_of(header, "INSTRUME"), night_of(header))


def outage_regions(
    header: Keywords, ccdnum: int, shape: tuple[int, int]
) -> list[tuple[Outage, tuple[slice, slice] | None]]:
    """Return the outages of one CCD on an exposure's night, each with its region in a trimmed image of that CCD.

    Parameters
    ----------
    header
        INSTRUME, NITE or MJD-OBS, and for the region AMPSEC of the amplifier; else LTV1 (the image is a cut-out that
        begins behind column -LTV1) counts.
    ccdnum
        The CCD.
    shape
        (rows, columns) of the image.

    Returns
    -------
    list of (Outage, (rows, columns))
        The region is the whole image for a dead CCD; None if it does not follow from header and shape.
    """
    return [
        (outage, _amplifier_region(outage, header, shape) if outage.amplifier else (slice(None), slice(None)))
        for outage in outages_of(header)
        if outage.ccdnum == ccdnum
    ]


def _amplifier_region(outage: Outage, header: Keywords, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Return the region of a bad amplifier in an image; None if it is unknown."""
    section = parse_section(text_of(header, f"AMPSEC{outage.amplifier}"))
    if section is not None and section.fits(shape):
        return section.slices
    origin = header.get("LTV1")
    if isinstance(origin, int | float):
        cut = -int(origin)
    elif WIDTH - 64 <= shape[1] <= WIDTH:
        # The Community Pipeline delivers 2046 columns, one cut off at each edge.
        cut = (WIDTH - shape[1]) // 2
    else:
        return None
    first, last = (
        min(max(column - cut, 0), shape[1]) for column in (outage.columns[0] - 1, outage.columns[1])
    )
    return slice(None), slice(first, last)
