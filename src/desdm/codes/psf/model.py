"""PSFEx models: read from every known file form, evaluate, and write for Source Extractor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError

__all__ = ["PSFModel", "constant_model", "moffat_model", "read_model", "read_psf_fields", "write_model"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PSFModel:
    """PSF as polynomial of the pixel position: Σ basis_k(x', y') coefficients_k, x' = (x - zero) / scale.

    After Bertin (2011, ADASS XX) and the headers of PSFEx 3.

    Attributes
    ----------
    coefficients
        PSF_MASK of PSFEx: (terms, ny, nx) samples, the middle one at the star's centre.
    degree, zero, scale
        Degree of the polynomial; origin and unit of its variables, image pixels.
    samp
        Image pixels per sample.
    fwhm
        PSF_FWHM of PSFEx, pixels.
    chi2
        Reduced χ² of the fit.
    loaded, accepted
        Number of stars found, and of those used.
    fwhm_mean
        FWHM_MEAN of PSFEx, pixels; 0: not reported. Model files do not have it: `read_model` leaves it 0.
    """

    coefficients: Array
    degree: int
    zero: tuple[float, float]
    scale: tuple[float, float]
    samp: float
    fwhm: float
    chi2: float = 0.0
    loaded: int = 0
    accepted: int = 0
    fwhm_mean: float = 0.0

    def image_at(self, x: float, y: float) -> Array:
        """Return the PSF image at FITS pixel (x, y): (ny, nx) samples, summing to about 1 / samp²."""
        u, v = (x - self.zero[0]) / self.scale[0], (y - self.zero[1]) / self.scale[1]
        powers = [(i, j) for j in range(self.degree + 1) for i in range(self.degree + 1 - j)]
        basis = np.array([u**i * v**j for i, j in powers])
        return np.asarray(np.tensordot(basis, self.coefficients, axes=1))

    def moments(self, x: float, y: float) -> tuple[float, float, float]:
        """Return FWHM in pixels, e1 and e2 at (x, y), from adaptive Gaussian-weighted moments.

        Where the moments are not positive, the result is ``(fwhm, 0, 0)`` with the model's own ``fwhm``.
        """
        image = self.image_at(x, y)
        ny, nx = image.shape
        dy, dx = np.mgrid[:ny, :nx].astype(float)
        dx, dy = (dx - nx // 2) * self.samp, (dy - ny // 2) * self.samp
        cov = np.eye(2) * (max(self.fwhm, 1.0) / 2.3548) ** 2
        for _ in range(30):
            # Adaptive moments: the weight takes the object's own shape (Bernstein & Jarvis 2002).
            inverse = np.linalg.inv(cov)
            q = inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2
            weight = np.exp(-0.5 * q) * image
            total = float(weight.sum())
            if total <= 0:
                return self.fwhm, 0.0, 0.0
            new = (
                2
                * np.array(
                    [
                        [np.sum(weight * dx**2), np.sum(weight * dx * dy)],
                        [np.sum(weight * dx * dy), np.sum(weight * dy**2)],
                    ]
                )
                / total
            )
            if np.linalg.det(new) <= 0:
                return self.fwhm, 0.0, 0.0
            if np.abs(new - cov).max() < 1e-6:
                break
            cov = new
        trace = float(cov[0, 0] + cov[1, 1])
        size = 2.3548 * float(np.linalg.det(cov)) ** 0.25
        return size, float(cov[0, 0] - cov[1, 1]) / trace, float(2 * cov[0, 1]) / trace

    def fwhm_from_area(self, x: float, y: float) -> float:
        """Return the FWHM in pixels at (x, y): the diameter of the circle with the area above half of the peak."""
        from scipy.ndimage import zoom

        image, fine = self.image_at(x, y), 8
        ny, nx = image.shape
        reach = min(ny // 2, nx // 2, 12)
        core = zoom(
            image[ny // 2 - reach : ny // 2 + reach + 1, nx // 2 - reach : nx // 2 + reach + 1], fine, order=3
        )
        # zoom maps the outermost samples onto each other: its step is a little less than 1/fine.
        step = 2 * reach / (core.shape[0] - 1)
        return float(2.0 * np.sqrt((core > 0.5 * core.max()).sum() / np.pi) * step * self.samp)


def constant_model(image: Array, samp: float, fwhm: float, **fields: Any) -> PSFModel:
    """Return a model of degree 0: the same PSF at every position.

    Parameters
    ----------
    image
        (ny, nx) samples, summing to 1.
    samp
        Pixels per sample.
    fwhm
        FWHM, pixels.
    fields
        Further fields of `PSFModel`.
    """
    return PSFModel(image[None, :, :], 0, (0.0, 0.0), (1.0, 1.0), samp, fwhm, **fields)


def moffat_model(fwhm: float, beta: float, size: int = 51) -> PSFModel:
    """Return the model of a round Moffat profile, the same at every position, summing to 1.

    Parameters
    ----------
    fwhm
        FWHM, pixels.
    beta
        Exponent of the profile.
    size
        Side of the square, samples of one pixel.
    """
    middle = size // 2
    dy, dx = np.mgrid[:size, :size] - middle
    alpha2 = (fwhm / 2.0) ** 2 / (2.0 ** (1.0 / beta) - 1.0)
    image = (1.0 + (dx**2 + dy**2) / alpha2) ** (-beta)
    return constant_model(image / image.sum(), 1.0, fwhm)


def read_model(path: Path, identity: Mapping[str, str | int | float] | None = None) -> PSFModel:
    """Read a PSFEx model from a file.

    Three forms are known: PSFEx's own ``.psf`` (numbers in the header), the Legacy Surveys' copies of it (some
    keywords left out), and their merged files (a row for each CCD, numbers in columns).

    Parameters
    ----------
    path
        The file.
    identity
        EXPNUM and CCDNAME; picks the row of a merged file.

    Raises
    ------
    FileTypeError
        The file has no PSFEx model, or none for this exposure and CCD, or one with the wrong number of terms.
    """
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            names = {c.lower() for c in getattr(getattr(hdu, "columns", None), "names", None) or ()}
            if "psf_mask" not in names:
                continue
            row = _find_row(hdu.data, names, identity or {}, path) if "psf_samp" in names else 0
            coefficients = np.asarray(hdu.data["psf_mask"][row], float)
            get = _getter(hdu, names, row)
            degree = int(get("poldeg1", 0))
            coefficients = coefficients.reshape((-1, *coefficients.shape[-2:]))
            terms, expected_terms = len(coefficients), (degree + 1) * (degree + 2) // 2
            if terms != expected_terms:
                raise FileTypeError(
                    f"{path.name}: {terms} PSF terms, but degree {degree} needs {expected_terms}; the file is damaged"
                )
            return PSFModel(
                coefficients,
                degree,
                (get("polzero1", 0.0), get("polzero2", 0.0)),
                (get("polscal1", 1.0), get("polscal2", 1.0)),
                get("psf_samp", 1.0),
                get("psf_fwhm", 0.0),
                get("chi2", 0.0),
                int(get("loaded", 0)),
                int(get("accepted", 0)),
            )
    raise FileTypeError(f"{path.name}: no table with a column PSF_MASK; not a PSFEx model")


def _getter(hdu: Any, names: set[str], row: int) -> Any:
    """Return a function that reads a number from a table row or, without that column, from the header."""

    def get(key: str, default: float) -> float:
        return float(hdu.data[key][row]) if key in names else float(hdu.header.get(key.upper(), default))

    return get


def _find_row(
    rows: npt.NDArray[np.void], names: set[str], identity: Mapping[str, str | int | float], path: Path
) -> int:
    """Return the index of the first row of the exposure and CCD of ``identity``; without these keys the first row."""
    matches = np.ones(len(rows), bool)
    if "expnum" in names and "EXPNUM" in identity:
        matches &= rows["expnum"] == identity["EXPNUM"]
    if "ccdname" in names and "CCDNAME" in identity:
        matches &= np.char.strip(rows["ccdname"].astype(str)) == identity["CCDNAME"]
    if not matches.any():
        raise FileTypeError(
            f"{path.name}: no row for exposure {identity.get('EXPNUM')}, CCD {identity.get('CCDNAME')}; provide the "
            "PSF file of this exposure"
        )
    return int(np.flatnonzero(matches)[0])


def write_model(path: Path, model: PSFModel, header: fits.Header) -> None:
    """Write a model as PSFEx does (HDU PSF_DATA), with ``header``'s cards in the primary header.

    Parameters
    ----------
    path
        File to write.
    model
        The model.
    header
        Cards of the primary header.
    """
    terms, ny, nx = model.coefficients.shape
    column = fits.Column(
        name="PSF_MASK",
        format=f"{terms * ny * nx}E",
        dim=f"({nx},{ny},{terms})",
        array=model.coefficients[None].astype(np.float32),
    )
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    cards: list[tuple[str, str | int | float, str]] = [
        ("LOADED", model.loaded, "stars found"),
        ("ACCEPTED", model.accepted, "stars kept"),
        ("CHI2", model.chi2, "final reduced chi2"),
        ("POLNAXIS", 2, "context parameters"),
        ("POLGRP1", 1, "polynomial group"),
        ("POLNAME1", "X_IMAGE", "context parameter"),
        ("POLZERO1", model.zero[0], "offset"),
        ("POLSCAL1", model.scale[0], "scale"),
        ("POLGRP2", 1, "polynomial group"),
        ("POLNAME2", "Y_IMAGE", "context parameter"),
        ("POLZERO2", model.zero[1], "offset"),
        ("POLSCAL2", model.scale[1], "scale"),
        ("POLNGRP", 1, "polynomial groups"),
        ("POLDEG1", model.degree, "degree"),
        ("PSF_FWHM", model.fwhm, "[pixel] FWHM"),
        ("PSF_SAMP", model.samp, "[pixel] sampling step"),
        ("PSFNAXIS", 3, "axes of PSF_MASK"),
        ("PSFAXIS1", nx, ""),
        ("PSFAXIS2", ny, ""),
        ("PSFAXIS3", terms, ""),
    ]
    for key, value, text in cards:
        table.header[key] = (value, text)
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(path, overwrite=True, checksum=True)


_FIELDS = re.compile(r'<TABLE ID="PSF_Fields".*?</TABLE>', re.DOTALL)


def read_psf_fields(xml: str) -> dict[str, float]:
    """Parse table PSF_Fields of PSFEx XML: the numbers of the first catalogue by column name; empty without the table."""
    table = _FIELDS.search(xml)
    if table is None:
        return {}
    names = re.findall(r'<FIELD name="(\w+)"', table.group())
    cells = re.findall(r"<TD>(.*?)</TD>", table.group(), re.DOTALL)
    numbers = {}
    # There are as many names as cells in a row: the cells of further rows are dropped.
    for name, cell in zip(names, cells, strict=False):
        try:
            numbers[name] = float(cell)
        except ValueError:
            continue  # columns that hold a text or a pair of numbers
    return numbers
