"""Which objects of a catalogue are stars: the narrow ridge of half-light radii that bright point sources share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["select", "signal_to_noise", "size_range"]

Array = npt.NDArray[np.float64]


def signal_to_noise(rows: npt.NDArray[np.void]) -> Array:
    """S/N of each object: SNR_WIN, else FLUX_AUTO over its error, else 1.0857 over MAGERR_AUTO."""
    names = rows.dtype.names or ()
    if "SNR_WIN" in names:
        return np.asarray(rows["SNR_WIN"], float)
    if "FLUX_AUTO" in names and "FLUXERR_AUTO" in names:
        error = np.asarray(rows["FLUXERR_AUTO"], float)
        return np.asarray(rows["FLUX_AUTO"] / np.where(error > 0, error, np.inf), float)
    error = np.asarray(rows["MAGERR_AUTO"], float)
    return 1.0857 / np.where(error > 0, error, np.inf)


def select(
    rows: npt.NDArray[np.void], *, snr: float = 40.0, width: float = 0.1, elongation: float = 1.35
) -> npt.NDArray[np.bool_]:
    """Stars of one image.

    The ridge is where a window of ``width`` (relative) holds the most half-light radii of clean bright objects: a mode by
    halves of the sample ends among the galaxies where these are three times as many. Stars are those within ``width`` of
    the ridge, or within 3 of its own robust widths if that is less.

    Parameters
    ----------
    rows
        Catalogue with FLUX_RADIUS (pixel), FLAGS, ELONGATION or ELLIPTICITY, and a measure of S/N; IMAFLAGS_ISO is
        heeded if it is there.
    snr
        Least S/N.

    Returns
    -------
    numpy.ndarray
        A boolean for each row; none is true if fewer than five objects are clean and bright.
    """
    names = rows.dtype.names or ()
    radius = np.asarray(rows["FLUX_RADIUS"], float)
    good = (rows["FLAGS"] == 0) & (radius > 0.5) & (signal_to_noise(rows) > snr)
    if "IMAFLAGS_ISO" in names:
        # Interpolated and suspect pixels distort a shape as saturated ones do.
        good &= (rows["IMAFLAGS_ISO"] & ~4096) == 0
    if "ELONGATION" in names:
        good &= rows["ELONGATION"] < elongation
    elif "ELLIPTICITY" in names:
        good &= 1.0 / (1.0 - np.minimum(rows["ELLIPTICITY"], 0.99)) < elongation
    if good.sum() < 5:
        return np.zeros(len(rows), bool)
    middle = _mode(np.sort(np.log(radius[good])), width)
    off = np.abs(np.log(np.where(radius > 0, radius, 1e-9)) - middle)
    near = off[good & (off < width)]
    limit = min(width, max(3.0 * 1.4826 * float(np.median(near)), 0.02)) if near.size else width
    return np.asarray(good & (off < limit))


def size_range(
    rows: npt.NDArray[np.void], limits: tuple[float, float], share: float
) -> tuple[float, float] | None:
    """Sizes among which the stars are: about the median size of the clean bright ones.

    Parameters
    ----------
    rows
        As of `select`.
    limits
        Least and largest size (twice the half-light radius, pixel) that may be configured.
    share
        Width to either side, as a share of the size; 0: no range.

    Returns
    -------
    tuple or None
        None if there are too few clean bright objects, or none of their sizes lies within the limits.
    """
    chosen = select(rows)
    if share <= 0 or not chosen.any():
        return None
    middle = 2.0 * float(np.median(rows["FLUX_RADIUS"][chosen]))
    low, high = max(limits[0], middle / (1.0 + share)), min(limits[1], middle * (1.0 + share))
    return (low, high) if low < high else None


def _mode(values: Array, width: float) -> float:
    """Middle of those of the sorted values that lie in the fullest window of a width; of two equally full the lower."""
    ends = np.searchsorted(values, values + width, side="right")
    first = int(np.argmax(ends - np.arange(values.size)))
    return float(np.median(values[first : ends[first]]))
