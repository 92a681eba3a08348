"""Conditions of a SIA query (SIA 2.0, section 2.1), each a test of a row of ObsCore."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from desdm.errors import UsageError
from desdm.numbers import decimal_number
from desdm.services.parameters import Values
from desdm.services.soda.stencil import Stencil, stencils_of
from desdm.sky.spherical import SLACK, unit

__all__ = ["conditions"]

#: A row of ObsCore by column; numbers or texts.
Row = Mapping[str, str | int | float | None]
Condition = Callable[[Row], bool]

_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
#: Parameter → columns of ObsCore whose interval it must meet.
_INTERVALS = {
    "BAND": ("em_min", "em_max"),
    "TIME": ("t_min", "t_max"),
    "FOV": ("s_fov", "s_fov"),
    "SPATRES": ("s_resolution", "s_resolution"),
    "SPECRP": ("em_res_power", "em_res_power"),
    "EXPTIME": ("t_exptime", "t_exptime"),
    "TIMERES": ("t_resolution", "t_resolution"),
}
#: Parameter → column of ObsCore that must be one of its values, case aside.
_TEXTS = {
    "ID": "obs_publisher_did",
    "COLLECTION": "obs_collection",
    "FACILITY": "facility_name",
    "INSTRUMENT": "instrument_name",
    "DPTYPE": "dataproduct_type",
    "CALIB": "calib_level",
    "TARGET": "target_name",
    "FORMAT": "access_format",
}


def conditions(values: Values) -> list[Condition]:
    """Return the tests that a row must pass; values of one parameter are alternatives.

    Raises
    ------
    UsageError
        A value is invalid; the message names the parameter.
    """
    tests: list[Condition] = []
    positions = values.texts("POS")
    if positions:
        shapes = stencils_of({"POS": positions})
        tests.append(lambda row: any(_meets(row, shape) for shape in shapes))
    for name, columns in _INTERVALS.items():
        if values.texts(name):
            tests.append(_interval_test([_interval(name, text) for text in values.texts(name)], *columns))
    for name, column in _TEXTS.items():
        if values.texts(name):
            if name == "CALIB":
                _require_whole(name, values.texts(name))
            tests.append(_text_test(values.texts(name), column))
    if values.texts("POL"):
        # No image of the survey measures polarisation.
        tests.append(lambda row: row["pol_states"] is not None)
    return tests


def _require_whole(name: str, texts: Sequence[str]) -> None:
    """Raise `UsageError` unless all values of a parameter are whole numbers (SIA 2.0, section 2.1.14)."""
    for text in texts:
        if text.strip() and not _WHOLE.fullmatch(text.strip()):
            raise UsageError(f"{name}={text[:40]}: a whole number is wanted")


def _interval_test(bounds: list[tuple[float, float]], first: str, last: str) -> Condition:
    """Return a test whether an interval of a row meets one of some bounds."""

    def test(row: Row) -> bool:
        low, high = row[first], row[last]
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
            return False
        return any(low <= b and high >= a for a, b in bounds)

    return test


def _text_test(values: list[str], column: str) -> Condition:
    """Return a test whether a column of a row is one of some values, ignoring case."""
    accepted = {value.strip().lower() for value in values}
    return lambda row: row[column] is not None and str(row[column]).lower() in accepted


def _interval(name: str, text: str) -> tuple[float, float]:
    """Parse one number or two as an interval."""
    words = text.replace(",", " ").split()
    try:
        numbers = [decimal_number(word) for word in words]
    except ValueError as err:
        raise UsageError(f"{name}={text[:60]}: one number or two (with -Inf and +Inf) are wanted") from err
    if len(numbers) not in (1, 2) or any(map(math.isnan, numbers)):
        raise UsageError(f"{name}={text[:60]}: one number or two (with -Inf and +Inf) are wanted")
    low, high = numbers[0], numbers[-1]
    if low > high:
        raise UsageError(f"{name}={text[:60]}: the lower bound comes first")
    return low, high


def _meets(row: Row, shape: Stencil) -> bool:
    """Whether an image has a point in common with a region."""
    region, ra, dec, diameter = row["s_region"], row["s_ra"], row["s_dec"], row["s_fov"]
    corners = _corners(region) if isinstance(region, str) else None
    if corners is not None:
        return shape.meets(corners)
    if not isinstance(ra, float) or not isinstance(dec, float):
        return False
    radius = math.radians(diameter) / 2 if isinstance(diameter, float) else 0.0
    return shape.distance(unit(ra, dec)) <= radius + SLACK


def _corners(region: str) -> npt.NDArray[np.float64] | None:
    """Return the corners of a polygon in STC-S as unit vectors; None for another region."""
    words = region.split()
    if not words or words[0].upper() != "POLYGON":
        return None
    numbers = np.array([float(w) for w in words if w.upper() not in ("POLYGON", "ICRS")])
    return unit(numbers[0::2], numbers[1::2])
