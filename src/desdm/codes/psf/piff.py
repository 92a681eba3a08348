"""PIFF in place of PSFEx: its configuration, its list of stars, and its model read as one that Source Extractor reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.psf.model import PSFModel
from desdm.errors import FileTypeError

__all__ = ["configuration", "read_piff", "read_piff_sky", "write_stars"]


def write_stars(path: Path, rows: npt.NDArray[np.void], chosen: npt.NDArray[np.bool_]) -> None:
    """The chosen objects' windowed positions as the catalogue that PIFF reads.

    Parameters
    ----------
    path
        File to write.
    rows
        Catalogue rows with XWIN_IMAGE and YWIN_IMAGE, FITS pixels.
    chosen
        (n,) true for the stars.
    """
    columns = [
        fits.Column("X", "D", unit="pixel", array=rows["XWIN_IMAGE"][chosen].astype(float)),
        fits.Column("Y", "D", unit="pixel", array=rows["YWIN_IMAGE"][chosen].astype(float)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="STARS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


def configuration(image: Path, stars: Path, out: Path, order: int, size: int, stamp: int) -> str:
    """PIFF's YAML for one 3-plane image: a pixel grid of the image's own scale, a polynomial of the pixel position.

    The coordinates are pixels, not the sky's, so that the model is in the frame in which Source Extractor uses it.

    Parameters
    ----------
    image
        3-plane image.
    stars
        Catalogue of stars, by `write_stars`.
    out
        Model file that PIFF writes.
    order
        Order of the polynomial in position.
    size
        Side of the pixel grid, pixels.
    stamp
        Side of a star's stamp, pixels.

    Returns
    -------
    str
        The YAML document.
    """
    # Paths are quoted as YAML wants them: a quote within is doubled.
    image_name, stars_name, out_name = (str(p).replace("'", "''") for p in (image, stars, out))
    return f"""input:
  image_file_name: '{image_name}'
  image_hdu: 0
  badpix_hdu: 1
  weight_hdu: 2
  cat_file_name: '{stars_name}'
  cat_hdu: 1
  x_col: X
  y_col: Y
  stamp_size: {stamp}
  wcs: {{type: PixelScale, scale: 1.0}}
psf:
  model: {{type: PixelGrid, scale: 1.0, size: {size}}}
  interp: {{type: BasisPolynomial, order: {order}, keys: [x, y]}}
  outliers: {{type: Chisq, nsigma: 5, max_remove: 0.05}}
output:
  file_name: '{out_name}'
verbose: 1
"""


def read_piff(path: Path) -> PSFModel:
    """A PIFF file of one chip with PixelGrid and BasisPolynomial in x and y, as a polynomial of stamps.

    PIFF keeps a column for each power (x^i y^j, i slowest) and a row for each sample (y slowest).

    Raises
    ------
    FileTypeError
        It is not a PIFF file, of another model or interpolation, or in sky coordinates (see `read_piff_sky`).
    """
    model, sky = _read(path)
    if sky:
        raise FileTypeError(
            f"{path.name}: its polynomial is in u and v on the sky, not in pixels; read_piff_sky reads such models"
        )
    return model


def read_piff_sky(path: Path) -> PSFModel:
    """A PIFF file as DESDM makes them: samples in arcsec on the sky, a polynomial in u and v.

    The model is that of `read_piff` with other units: `PSFModel.image_at` takes u and v (arcsec from the pointing, as the
    columns ``u`` and ``v`` of the file's PSF_STARS), ``samp`` and ``fwhm`` are arcsec; rows of a stamp are v, columns u.

    Raises
    ------
    FileTypeError
        It is not a PIFF file, of another model or interpolation, or in pixels (see `read_piff`).
    """
    model, sky = _read(path)
    if not sky:
        raise FileTypeError(f"{path.name}: its polynomial is in pixels; read_piff reads such models")
    return model


def _read(path: Path) -> tuple[PSFModel, bool]:
    """The model, and whether its polynomial is in sky coordinates."""
    with fits.open(path, memmap=False) as hdus:
        names = {h.name.lower(): h for h in hdus}
        lacking = [n for n in ("psf_model", "psf_interp", "psf_interp_solution") if n not in names]
        if lacking:
            raise FileTypeError(
                f"{path.name}: no HDU {', '.join(lacking)}; it is not a PIFF model of one chip"
            )
        model, interp = names["psf_model"].data[0], names["psf_interp"].data[0]
        kinds = str(model["type"]).strip(), str(interp["type"]).strip()
        if kinds != ("PixelGrid", "BasisPolynomial"):
            raise FileTypeError(
                f"{path.name}: PIFF's {kinds[0]} with {kinds[1]} cannot be turned into stamps"
            )
        size, order = int(model["size"]), int(np.ravel(interp["order"])[0])
        solution = np.asarray(names["psf_interp_solution"].data["q"][0], float)
        stars = names["psf_stars"].data if "psf_stars" in names else np.zeros(0, [("x", "f8"), ("y", "f8")])
        fit = names["psf_chisq"].data[0] if "psf_chisq" in names else None
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    wanted = [(i, j) for j in range(order + 1) for i in range(order + 1 - j)]
    # PIFF before 1.0 stored the grid without the one or three samples that flux and centroid determine.
    whole = size * size
    if solution.size not in {n * len(powers) for n in (whole, whole - 1, whole - 3)}:
        raise FileTypeError(
            f"{path.name}: {solution.shape} numbers do not fit {size}x{size} samples of order {order}"
        )
    solution = solution.reshape(-1, len(powers))
    sky = _on_the_sky(solution, powers, stars)
    scale = float(model["scale"])
    coefficients = np.stack(
        [_whole(solution[:, powers.index(p)], size, 1.0 / scale**2 if p == (0, 0) else 0.0) for p in wanted]
    )
    chi2 = float(fit["chisq"]) / max(int(fit["dof"]), 1) if fit is not None else 0.0
    used_stars = len(stars) - (int(fit["nremoved"]) if fit is not None else 0)
    psf = PSFModel(
        coefficients,
        order,
        (0.0, 0.0),
        (1.0, 1.0),
        scale,
        0.0,
        chi2=chi2,
        loaded=len(stars),
        accepted=used_stars,
    )
    # Moments begin at the model's FWHM; in the midst of the stars the polynomial is best known.
    names_of = ("u", "v") if sky else ("x", "y")
    middle = tuple(float(np.mean(stars[n])) for n in names_of) if len(stars) else (0.0, 0.0)
    return replace(psf, fwhm=psf.fwhm_from_area(*middle)), sky


def _on_the_sky(
    solution: npt.NDArray[np.number], powers: list[tuple[int, int]], stars: npt.NDArray[np.void]
) -> bool:
    """Whether the polynomial is in u and v: PIFF does not write it, but the stars' own parameters, which are its values."""
    columns = stars.dtype.names or ()
    if not len(stars) or not {"params", "u", "v"} <= set(columns):
        return False
    star_parameters = np.asarray(stars["params"], float).reshape(len(stars), -1)
    if star_parameters.shape[1] != len(solution):
        return False
    misfit = {}
    for keys in (("x", "y"), ("u", "v")):
        a, b = (np.asarray(stars[k], float) for k in keys)
        misfit[keys] = float(
            np.abs(solution @ np.stack([a**i * b**j for i, j in powers]) - star_parameters.T).max()
        )
    return misfit["u", "v"] < misfit["x", "y"]


def _whole(samples: npt.NDArray[np.number], size: int, total: float) -> npt.NDArray[np.number]:
    """A grid of samples from those that PIFF stores, for one power of the polynomial.

    PIFF before 1.0 left out the middle sample, which brings the sum to ``total``, and, if it centred the model, the next
    ones in v and in u, which bring the first moments to 0. Both conditions are linear: they hold for each power.
    """
    if samples.size == size * size:
        return samples.reshape(size, size)
    middle = size // 2
    grid, free = np.zeros((size, size)), np.ones((size, size), bool)
    free[middle, middle] = False
    if samples.size == size * size - 3:
        free[middle + 1, middle] = free[middle, middle + 1] = False
    grid[free] = samples
    if samples.size == size * size - 3:
        offset = np.arange(size) - middle
        grid[middle + 1, middle] = -float((offset[:, None] * grid).sum())
        grid[middle, middle + 1] = -float((offset[None, :] * grid).sum())
    grid[middle, middle] = total - float(grid.sum())
    return grid
