"""Range of values that a column of a release can have, by its UCD, its unit and its text."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desdm.release.model import ReleaseColumn

__all__ = ["MISSING", "Limits", "limits_of"]

MISSING = "a missing value must be NULL"
_TURNED = "write right ascensions and longitudes as 0 <= angle < 360 degrees"
_DEGREES = "write angles in the column's unit"
_MJD = "a modified Julian date is the Julian date minus 2400000.5; a missing value must be NULL"


class Limits(NamedTuple):
    """Range of a column.

    Attributes
    ----------
    low, high
        Least and largest value that can be.
    advice
        What to do with values beyond.
    open_end
        Whether ``high`` itself is beyond, as 360 is where 0 is the same direction.
    """

    low: float
    high: float
    advice: str = MISSING
    open_end: bool = False

    def beyond(self, values: npt.NDArray[np.number]) -> npt.NDArray[np.bool_]:
        """Tell which values are beyond the range or infinite; NaN is not."""
        high = values >= self.high if self.open_end else values > self.high
        return np.asarray((values < self.low) | high | np.isinf(values))

    @property
    def text(self) -> str:
        """The range in words."""
        text = f"{self.low:.10g} to {self.high:.10g}"
        return f"{text} (exclusive)" if self.open_end else text


#: Any finite number; infinity is not a measurement.
_FINITE = Limits(-math.inf, math.inf)
#: Word of a UCD → range, where the unit does not matter. 99 and 9999 are stand-ins for "no value", not magnitudes.
#: Sizes are not among them: noise makes those of faint objects negative, as FLUX_RADIUS of SExtractor.
_PLAIN: dict[str, Limits] = {
    "phot.mag": Limits(-50.0, 60.0),
    "phot.color": Limits(-50.0, 60.0),
    "stat.error": Limits(0.0, math.inf),
    "stat.stdev": Limits(0.0, math.inf),
    "time.duration": Limits(0.0, math.inf),
    "src.redshift": Limits(-1.0, 1100.0),
}
#: Word of a UCD → range in degrees.
_ANGLES: dict[str, Limits] = {
    "pos.eq.ra": Limits(0.0, 360.0, _TURNED, open_end=True),
    "pos.eq.dec": Limits(-90.0, 90.0, _DEGREES),
    "pos.galactic.lon": Limits(0.0, 360.0, _TURNED, open_end=True),
    "pos.galactic.lat": Limits(-90.0, 90.0, _DEGREES),
    "pos.supergalactic.lon": Limits(0.0, 360.0, _TURNED, open_end=True),
    "pos.supergalactic.lat": Limits(-90.0, 90.0, _DEGREES),
    "pos.ecliptic.lon": Limits(0.0, 360.0, _TURNED, open_end=True),
    "pos.ecliptic.lat": Limits(-90.0, 90.0, _DEGREES),
    "pos.earth.lon": Limits(-180.0, 360.0, _DEGREES),
    "pos.earth.lat": Limits(-90.0, 90.0, _DEGREES),
    "pos.az.azi": Limits(-360.0, 360.0, _DEGREES),
    "pos.az.alt": Limits(-90.0, 90.0, _DEGREES),
    "pos.az.zd": Limits(0.0, 180.0, _DEGREES),
    "pos.posAng": Limits(-360.0, 360.0, _DEGREES),
}
#: How many of a unit make a degree.
_PER_DEGREE = {
    "": 1.0, "deg": 1.0, "rad": math.pi / 180.0, "h": 1.0 / 15.0, "arcmin": 60.0, "arcsec": 3600.0, "mas": 3.6e6,
}  # fmt: skip
_TIMES = ("time.epoch", "time.start", "time.end")
#: 1900 and 2100 as modified Julian date and as Julian date.
_MJD_LIMITS = Limits(15020.0, 88069.0, _MJD)
_JD_LIMITS = Limits(2415020.5, 2488069.5, f"a Julian date is expected; {MISSING}")
_YEARS = Limits(1800.0, 2200.0)
_MODIFIED = re.compile(r"mjd|modified\s+julian", re.IGNORECASE)
_JULIAN = re.compile(r"(?<![a-z])[hb]?jd(?![a-z])|julian\s+(date|day)", re.IGNORECASE)
#: A date that is counted from another day: "BJD - 2454833".
_OFFSET = re.compile(r"\d{4,}|since|minus", re.IGNORECASE)
#: First words of a UCD that choose among values of the quantity that follows.
_CHOICES = ("stat.max", "stat.min", "stat.mean", "stat.median")


def limits_of(column: ReleaseColumn) -> Limits | None:
    """Return the range of a column's values; None if it does not hold numbers.

    The range of a quantity does not hold for differences, rates and ratios of it (UCD words ``arith``): these must be
    finite only.
    """
    if column.datatype in ("boolean", "char", "unicodeChar"):
        return None
    words = column.ucd.split(";")
    if words[0] in _CHOICES and len(words) > 1:
        words = words[1:]
    if any(word.startswith("arith.") for word in words):
        return _FINITE
    word = words[0]
    if word.startswith(_TIMES):
        return _time(column)
    angle = _of_word(_ANGLES, word)
    if angle is not None:
        scale = _PER_DEGREE.get(column.unit)
        return _FINITE if scale is None else angle._replace(low=angle.low * scale, high=angle.high * scale)
    return _of_word(_PLAIN, word) or _FINITE


def _of_word(table: dict[str, Limits], word: str) -> Limits | None:
    """Return the range of a UCD word or of the word that it refines."""
    while word:
        if word in table:
            return table[word]
        word = word.rpartition(".")[0]
    return None


def _time(column: ReleaseColumn) -> Limits:
    """Return the range of a time: of a date by what its name and text call it, of years, else any from 0 on."""
    described = f"{column.name} {column.text}"
    if column.unit in ("yr", "a"):
        return _YEARS
    if column.unit == "d" and not _OFFSET.search(column.text.replace("2400000.5", "")):
        if _MODIFIED.search(described):
            return _MJD_LIMITS
        if _JULIAN.search(described):
            return _JD_LIMITS
    return Limits(0.0, math.inf)
