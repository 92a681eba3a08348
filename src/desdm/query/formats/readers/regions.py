"""Points, circles and polygons in uploads (DALI 1.1, section 3.3): checks of their values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from desdm.errors import UsageError
from desdm.release.model import ReleaseColumn

__all__ = ["checked_regions"]

#: Numbers of a value; None: an even number, six at least.
_LENGTHS = {"point": 2, "circle": 3, "polygon": None}


def checked_regions(column: ReleaseColumn, array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a column; regions with NaN become null.

    Columns without one of the region types are returned as they are.

    Raises
    ------
    UsageError
        A declination is beyond a pole, a radius is not between 0 and 180 degrees, or a number is missing; the message
        names the row.
    """
    if column.xtype not in _LENGTHS or not (
        pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type)
    ):
        return array
    values = array.to_pylist()
    for number, value in enumerate(values):
        if value is None:
            continue
        numbers = np.array([np.nan if v is None else v for v in value], np.float64)
        if np.isnan(numbers).any():
            values[number] = None
            continue
        fault = _fault(column.xtype, numbers)
        if fault:
            raise UsageError(f"row {number + 1}, column {column.name}: {fault}")
    return pa.chunked_array([pa.array(values, array.type)])


def _fault(xtype: str, numbers: npt.NDArray[np.float64]) -> str:
    """Return what is wrong with the numbers of a region; empty if nothing is."""
    length = _LENGTHS[xtype]
    if length is not None and numbers.size != length:
        return f"a {xtype} has {length} numbers, this one {numbers.size}"
    if length is None and (numbers.size < 6 or numbers.size % 2):
        return f"a polygon has three corners at least, two numbers each; this one has {numbers.size} numbers"
    if not np.isfinite(numbers).all():
        return f"a {xtype} has finite numbers"
    declinations = numbers[1:2] if xtype == "circle" else numbers[1::2]
    beyond = declinations[np.abs(declinations) > 90.0]
    if beyond.size:
        return f"the declination {beyond[0]:g} is beyond a pole"
    if xtype == "circle" and not 0.0 <= numbers[2] <= 180.0:
        return f"the radius {numbers[2]:g} of a circle is not between 0 and 180 degrees"
    return ""
