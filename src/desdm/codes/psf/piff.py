"""PIFF in place of PSFEx: its configuration, its list of stars, and its model read as one that Source Extractor reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.psf.model import PSFModel
from desdm.errors import FileTypeError

__all__ = ["configuration", "read_piff", "write_stars"]


def write_stars(path: Path, rows: Any, chosen: npt.NDArray[np.bool_]) -> None:
    """The chosen objects' windowed positions as the catalogue that PIFF reads."""
    columns = [
        fits.Column("X", "D", unit="pixel", array=rows["XWIN_IMAGE"][chosen].astype(float)),
        fits.Column("Y", "D", unit="pixel", array=rows["YWIN_IMAGE"][chosen].astype(float)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="STARS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


def configuration(image: Path, stars: Path, out: Path, order: int, size: int, stamp: int) -> str:
    """PIFF's YAML for one 3-plane image: a pixel grid of the image's own scale, a polynomial of the pixel position.

    The coordinates are pixels, not the sky's, so that the model is in the frame in which Source Extractor uses it.
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
    """A PIFF file (1.x) of one chip with PixelGrid and BasisPolynomial in x and y, as a polynomial of stamps.

    PIFF keeps a column for each power (x^i y^j, i slowest) and a row for each sample (y slowest).

    Raises
    ------
    FileTypeError
        It is no PIFF file, or of another model or interpolation.
    """
    with fits.open(path, memmap=False) as hdus:
        names = {h.name.lower(): h for h in hdus}
        lacking = [n for n in ("psf_model", "psf_interp", "psf_interp_solution") if n not in names]
        if lacking:
            raise FileTypeError(f"{path.name}: no HDU {', '.join(lacking)}; it is no PIFF model of one chip")
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
    # PIFF before 1.0 kept the grid without the samples that the others determine.
    if solution.shape != (size * size, len(powers)):
        raise FileTypeError(
            f"{path.name}: {solution.shape} numbers do not fit {size}x{size} samples of order {order}; "
            "models of PIFF 1.x are read"
        )
    mask = np.stack([solution[:, powers.index(p)].reshape(size, size) for p in wanted])
    chi2 = float(fit["chisq"]) / max(int(fit["dof"]), 1) if fit is not None else 0.0
    kept = len(stars) - (int(fit["nremoved"]) if fit is not None else 0)
    found = PSFModel(
        mask,
        order,
        (0.0, 0.0),
        (1.0, 1.0),
        float(model["scale"]),
        0.0,
        chi2=chi2,
        loaded=len(stars),
        accepted=kept,
    )
    # Moments begin at the model's FWHM; in the midst of the stars the polynomial is best known.
    middle = (float(np.mean(stars["x"])), float(np.mean(stars["y"]))) if len(stars) else (0.0, 0.0)
    return replace(found, fwhm=found.half_width(*middle))
