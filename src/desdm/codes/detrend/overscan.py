"""The level of each row from the overscan: a clipped mean beside the data, smoothed along the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.errors import UsageError
from desdm.pixels.compiled import compiled
from desdm.survey.raw import Amp

__all__ = ["Recipe", "levels", "row_means"]

FORMS = ("row", "smooth", "polynomial", "constant")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the overscan becomes a level.

    Attributes
    ----------
    form
        ``row``: each row's own mean; ``smooth``: a parabola through the rows around it; ``polynomial``: one of
        ``order`` over the CCD; ``constant``: one level.
    window
        Rows of the smoothing, odd.
    order
        Of the polynomial.
    trim
        Columns left out at either end of the overscan: the first still hold charge of the last data column.
    """

    form: str = "smooth"
    window: int = 31
    order: int = 3
    trim: int = 5

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UsageError(f"overscan: {self.form!r} is not a form; known: {', '.join(FORMS)}")
        if self.window < 1 or self.window % 2 == 0:
            raise UsageError(
                f"overscan_window = {self.window} is not an odd number of rows from 1 on, such as 31"
            )

    def noise(self, width: int) -> float:
        """Variance of the level over that of a pixel, for an overscan of ``width`` columns."""
        columns = width - 2 * self.trimmed_columns(width)
        # A parabola fitted to a window of n rows has 9/(4n) of one row's variance at its middle.
        rows = 2.25 / self.window if self.form == "smooth" else 1.0 if self.form == "row" else 0.0
        return min(rows, 1.0) / columns

    def trimmed_columns(self, width: int) -> int:
        """Columns that are left out at either end of an overscan of ``width`` columns."""
        return max(0, min(self.trim, (width - 4) // 2))

    @property
    def text(self) -> str:
        """What was done, for the header."""
        return {"smooth": f"smooth {self.window}", "polynomial": f"polynomial {self.order}"}.get(
            self.form, self.form
        )


@compiled()
def _median(values: npt.NDArray[np.float64]) -> float:
    """Return the median of a row's overscan by quickselect; the values are reordered."""
    # Hoare's quickselect, in place.
    low, high, middle = 0, values.size - 1, values.size // 2
    while low < high:
        pivot = values[middle]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < middle:
            low = i
        if middle < i:
            high = j
    return float(values[middle])


@compiled()
def row_means(
    data: npt.NDArray[np.number], y0: int, y1: int, x0: int, x1: int, clip: float
) -> npt.NDArray[np.float64]:
    """Mean of each row's overscan without outliers.

    The median alone would be wrong by up to a tenth of an ADU: it falls on whole numbers.

    Parameters
    ----------
    data
        The raw array.
    y0, y1, x0, x1
        Rows and columns, from 0, ends not included.
    clip
        ADU from the row's median beyond which a pixel does not count.
    """
    out = np.empty(y1 - y0)
    values = np.empty(x1 - x0)
    for y in range(y0, y1):
        for x in range(x0, x1):
            values[x - x0] = data[y, x]
        middle = _median(values)
        total, count = 0.0, 0
        for x in range(x0, x1):
            v = np.float64(data[y, x])
            if abs(v - middle) <= clip:
                total += v
                count += 1
        out[y - y0] = total / count
    return out


def levels(data: npt.NDArray[np.number], amp: Amp, recipe: Recipe) -> npt.NDArray[np.float64]:
    """Level of each of an amplifier's data rows, ADU.

    Parameters
    ----------
    data
        The raw array.
    amp
        With its overscan.
    recipe
        How.

    Returns
    -------
    numpy.ndarray
        (rows of ``amp.data``,).

    Raises
    ------
    UsageError
        The amplifier has no overscan.
    """
    if amp.bias is None:
        raise UsageError(
            f"amplifier {amp.name or 'of the CCD'} has no BIASSEC; leave the step 'overscan' out for this camera"
        )
    rows, columns = amp.data.slices[0], amp.bias.slices[1]
    width = columns.stop - columns.start
    trim = recipe.trimmed_columns(width)
    x0, x1 = columns.start + trim, columns.stop - trim
    sample = np.asarray(data[rows.start : rows.stop : 16, x0:x1], float)
    scatter = 1.4826 * float(np.median(np.abs(sample - np.median(sample, axis=1)[:, None])))
    means = row_means(data, rows.start, rows.stop, x0, x1, max(3.0, 5.0 * scatter))
    if recipe.form == "constant":
        return np.full(means.size, float(np.median(means)))
    if recipe.form == "polynomial":
        y = np.linspace(-1.0, 1.0, means.size)
        return np.asarray(np.polynomial.Legendre.fit(y, means, recipe.order)(y))
    window = min(recipe.window | 1, means.size - (means.size + 1) % 2)
    if recipe.form == "smooth" and window > 3:
        return _smoothed(means, window)
    return means


def _smoothed(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Savitzky-Golay filter of second order (Analytical Chemistry 36, 1627, 1964), at the ends with the last full window.

    That of SciPy gives the same; to import its package takes half a second of every worker process.
    """
    half = window // 2
    x = np.arange(-half, half + 1.0)
    powers = np.stack([np.ones(window), x, x * x], axis=1)
    # Row y holds what each value of the window contributes to the parabola's value at place y.
    fit = powers @ np.linalg.pinv(powers)
    out = np.empty_like(values)
    out[half:-half] = np.convolve(values, fit[half, ::-1], "valid")
    out[:half] = fit[:half] @ values[:window]
    out[-half:] = fit[-half:] @ values[-window:]
    return out
