"""Shapelet models of the PSF as DESDM delivers them (``…_fitpsf.fits``): read, interpolated and drawn on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from numpy.polynomial.legendre import legvander
from scipy.special import eval_genlaguerre

from desdm.errors import FileTypeError, UsageError

__all__ = ["ShapeletModel", "read_shapelets"]

Array = npt.NDArray[np.float64]
_COLUMNS = (
    "psf_order",
    "sigma",
    "fit_order",
    "npca",
    "xmin",
    "xmax",
    "ymin",
    "ymax",
    "ave_psf",
    "rot_matrix",
    "interp_matrix",
)


@dataclass(frozen=True, slots=True)
class ShapeletModel:
    """Polar shapelets (Bernstein & Jarvis 2002, AJ 123, 583) whose coefficients are polynomials of the pixel position.

    Attributes
    ----------
    order
        Of the shapelets.
    sigma
        Their scale, arcsec.
    degree
        Of the polynomials, which are Legendre's over ``bounds``.
    bounds
        (xmin, xmax, ymin, ymax) in FITS pixels, within which stars were fitted.
    mean, rotation, polynomials
        Mean coefficients, principal components (npca, coefficients), and polynomials of their amplitudes (terms, npca).
    """

    order: int
    sigma: float
    degree: int
    bounds: tuple[float, float, float, float]
    mean: Array
    rotation: Array
    polynomials: Array

    def coefficients(self, x: float, y: float) -> Array:
        """Coefficients at FITS pixel (x, y): by order p + q, then falling p - q; real and imaginary part where p > q.

        Raises
        ------
        UsageError
            The place is outside of ``bounds``.
        """
        left, right, low, high = self.bounds
        if not (left <= x <= right and low <= y <= high):
            raise UsageError(
                f"({x:g}, {y:g}) is outside of the shapelet model: x {left:g} to {right:g}, y {low:g} to {high:g}"
            )
        along = legvander(np.array([(2 * x - left - right) / (right - left)]), self.degree)[0]
        across = legvander(np.array([(2 * y - low - high) / (high - low)]), self.degree)[0]
        basis = np.array([along[n - q] * across[q] for n in range(self.degree + 1) for q in range(n + 1)])
        return self.mean + basis @ self.polynomials @ self.rotation

    def image(self, x: float, y: float, samp: float, size: int) -> Array:
        """The PSF at FITS pixel (x, y) on the sky: ``size`` × ``size`` samples of ``samp`` arcsec; their sum is its flux.

        Columns go east, rows north; the pixel's own width is in it.

        Parameters
        ----------
        x, y
            FITS pixel.
        samp
            Side of a sample, arcsec.
        size
            Number of samples of a side.

        Returns
        -------
        numpy.ndarray
            (size, size) samples.
        """
        grid = (np.arange(size) - size // 2) * samp / self.sigma
        east, north = np.meshgrid(grid, grid)
        square = east**2 + north**2
        radius, angle = np.sqrt(square), np.arctan2(north, east)
        b, k = self.coefficients(x, y), 0
        total = np.zeros((size, size))
        for n in range(self.order + 1):
            for m in range(n, -1, -2):
                q = (n - m) // 2
                radial = (
                    (-1) ** q
                    * np.sqrt(factorial(q) / factorial(q + m))
                    * radius**m
                    * eval_genlaguerre(q, m, square)
                )
                if m == 0:
                    total += b[k] * radial
                    k += 1
                else:  # the term and its conjugate with p and q exchanged
                    total += 2.0 * radial * (b[k] * np.cos(m * angle) - b[k + 1] * np.sin(m * angle))
                    k += 2
        return np.asarray(total * np.exp(-square / 2.0) * (samp / self.sigma) ** 2 / (2.0 * np.pi))


def read_shapelets(path: Path) -> ShapeletModel:
    """A shapelet model: of type psf_shapelets.

    Raises
    ------
    FileTypeError
        The file has no table of one, or numbers in it do not fit together.
    """
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            names = {c.lower() for c in getattr(getattr(hdu, "columns", None), "names", None) or ()}
            if set(_COLUMNS) <= names and len(hdu.data):
                row = {name: np.asarray(hdu.data[name][0]) for name in _COLUMNS}
                break
        else:
            raise FileTypeError(f"{path.name}: no shapelet model: no table with {', '.join(_COLUMNS)}")
    order, degree, npca = (int(row[n]) for n in ("psf_order", "fit_order", "npca"))
    size, terms = (order + 1) * (order + 2) // 2, (degree + 1) * (degree + 2) // 2
    sizes = {"ave_psf": size, "rot_matrix": size * npca, "interp_matrix": terms * npca}
    for name, wanted in sizes.items():
        if row[name].size != wanted:
            raise FileTypeError(
                f"{path.name}: {name} has {row[name].size} numbers, its orders ask for {wanted}"
            )
    return ShapeletModel(
        order,
        float(row["sigma"]),
        degree,
        (float(row["xmin"]), float(row["xmax"]), float(row["ymin"]), float(row["ymax"])),
        row["ave_psf"].astype(np.float64).ravel(),
        row["rot_matrix"].astype(np.float64).reshape(size, npca).T,
        row["interp_matrix"].astype(np.float64).reshape(npca, terms).T,
    )
