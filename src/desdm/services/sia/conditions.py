"""The conditions of a SIA query (SIA 2.0, section 2.1), each a test on rows of ObsCore."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from desdm.errors import UsageError
from desdm.services.parameters import Given
from desdm.services.soda.stencil import Stencil, stencils_of
from desdm.sky.spherical import SLACK, unit

__all__ = ["NAMES", "conditions"]

Row = Mapping[str, Any]
Condition = Callable[[Row], bool]

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
NAMES = (
    "POS",
    *_INTERVALS,
    *_TEXTS,
    "POL",
    "MAXREC",
    "RESPONSEFORMAT",
    "RUNID",
    "REQUEST",
    "VERSION",
    "VERB",
    "UPLOAD",
)


def conditions(given: Given) -> list[Condition]:
    """The tests that a row must pass, all of them; values of one parameter are alternatives.

    Raises
    ------
    UsageError
        A value cannot be understood; the text names the parameter.
    """
    found: list[Condition] = []
    places = given.values("POS")
    if places:
        shapes = stencils_of({"POS": places})
        found.append(lambda row: any(_meets(row, shape) for shape in shapes))
    for name, columns in _INTERVALS.items():
        if given.values(name):
            found.append(_within([_interval(name, text) for text in given.values(name)], *columns))
    for name, column in _TEXTS.items():
        if given.values(name):
            found.append(_among(given.values(name), column))
    if given.values("POL"):
        # No image of the survey measures polarisation.
        found.append(lambda row: row["pol_states"] is not None)
    return found


def _within(bounds: list[tuple[float, float]], first: str, last: str) -> Condition:
    def test(row: Row) -> bool:
        low, high = row[first], row[last]
        return low is not None and high is not None and any(low <= b and high >= a for a, b in bounds)

    return test


def _among(values: list[str], column: str) -> Condition:
    wanted = {value.strip().lower() for value in values}
    return lambda row: row[column] is not None and str(row[column]).lower() in wanted


def _interval(name: str, text: str) -> tuple[float, float]:
    words = text.replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError as err:
        raise UsageError(f"{name}={text[:60]}: one number or two (with -Inf and +Inf) are wanted") from err
    if len(numbers) not in (1, 2) or any(map(math.isnan, numbers)):
        raise UsageError(f"{name}={text[:60]}: one number or two (with -Inf and +Inf) are wanted")
    low, high = numbers[0], numbers[-1]
    if low > high:
        raise UsageError(f"{name}={text[:60]}: the lower bound comes first")
    return low, high


def _meets(row: Row, shape: Stencil) -> bool:
    """Whether an image has a point in common with a shape."""
    corners = _corners(row["s_region"])
    if corners is not None:
        return shape.meets(corners)
    return shape.distance(unit(row["s_ra"], row["s_dec"])) <= math.radians(row["s_fov"] or 0.0) / 2 + SLACK


def _corners(region: str | None) -> np.ndarray[Any, Any] | None:
    words = (region or "").split()
    if not words or words[0].upper() != "POLYGON":
        return None
    numbers = np.array([float(w) for w in words if w.upper() not in ("POLYGON", "ICRS")])
    return unit(numbers[0::2], numbers[1::2])
