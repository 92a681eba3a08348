"""What an exposure's catalogues tell of it: number counts, errors, depth, and the width of its stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["Counts", "count", "image_flags", "star_width"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Objects by magnitude: bin edges, numbers, median errors (nan: too few), and the depth (mag; None: not reached)."""

    edges: Array
    numbers: npt.NDArray[np.int64]
    errors: Array
    depth: float | None

    def facts(self) -> dict[str, list[float] | list[int] | list[float | None]]:
        """As plain lists for JSON."""
        return {
            "edges": [round(float(v), 4) for v in self.edges],
            "counts": [int(v) for v in self.numbers],
            "errors": [round(float(v), 5) if np.isfinite(v) else None for v in self.errors],
        }


def count(mag: Array, error: Array, *, sigma: float = 0.1, width: float = 0.25, least: int = 20) -> Counts:
    """Count objects and find the magnitude at which their median error is ``sigma``.

    Only bins of ``width`` mag with at least ``least`` objects count for the depth; between the two whose medians
    enclose ``sigma`` the logarithm of the error is taken as straight (DESDM's assess_SE_products).

    Parameters
    ----------
    mag
        (n,) magnitudes.
    error
        (n,) their errors, mag.
    sigma
        Median error that defines the depth, mag.
    width
        Width of a bin, mag.
    least
        Number of objects that a bin needs to count for the depth.

    Returns
    -------
    Counts
        Objects by bin, their median errors, and the depth.
    """
    good = np.isfinite(mag) & np.isfinite(error) & (error > 0)
    mag, error = mag[good], error[good]
    if not mag.size:
        return Counts(np.zeros(1), np.zeros(0, np.int64), np.zeros(0), None)
    edges = np.arange(np.floor(mag.min() / width), np.floor(mag.max() / width) + 2) * width
    which = np.clip(np.searchsorted(edges, mag, side="right") - 1, 0, edges.size - 2)
    numbers = np.bincount(which, minlength=edges.size - 1)
    medians = np.full(numbers.size, np.nan)
    for i in np.flatnonzero(numbers >= least):
        medians[i] = np.median(error[which == i])
    known = np.flatnonzero(np.isfinite(medians))
    middle = edges[:-1] + width / 2
    depth = None
    for low, high in pairwise(known):
        if medians[low] <= sigma < medians[high]:
            part = np.log(sigma / medians[low]) / np.log(medians[high] / medians[low])
            depth = float(middle[low] + part * (middle[high] - middle[low]))
    return Counts(edges, numbers.astype(np.int64), medians, depth)


def image_flags(rows: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """IMAFLAGS_ISO; 0 for a catalogue measured without the image's mask."""
    if "IMAFLAGS_ISO" in (rows.dtype.names or ()):
        return np.asarray(rows["IMAFLAGS_ISO"], np.int64)
    return np.zeros(len(rows), np.int64)


def _snr(rows: npt.NDArray[np.void]) -> Array:
    """Signal over noise of each object."""
    if "SNR_WIN" in (rows.dtype.names or ()):
        return np.asarray(rows["SNR_WIN"], float)
    return np.asarray(rows["FLUX_AUTO"] / np.maximum(rows["FLUXERR_AUTO"], 1e-9), float)


def star_width(catalogues: Sequence[npt.NDArray[np.void]]) -> float | None:
    """FWHM_WORLD of the exposure's stars in arcsec; None with fewer than ten bright round objects.

    Stars are the narrowest of the bright ones: within a fifth of the first quartile of half-light radii.
    """
    widths = []
    for rows in catalogues:
        good = (rows["FLAGS"] == 0) & (image_flags(rows) == 0) & (_snr(rows) > 50)
        rows = rows[good & (rows["FLUX_RADIUS"] > 0.5)]
        if len(rows):
            radius = rows["FLUX_RADIUS"]
            near = np.abs(radius / np.percentile(radius, 25) - 1.0) < 0.2
            widths.append(rows["FWHM_WORLD"][near].astype(float) * 3600.0)
    every = np.concatenate(widths) if widths else np.zeros(0)
    return float(np.median(every)) if every.size >= 10 else None
