"""Star lists as DESDM delivers them: the choice of findstars, the input of PIFF, the stars that PSFEx used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError

__all__ = ["StarList", "read_star_list"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StarList:
    """Objects of one CCD, and which of them are stars that serve the PSF.

    Attributes
    ----------
    ident
        The list's own number of the object.
    x, y
        FITS pixels.
    mag
        Magnitude; NaN where the list has none (PSFEx).
    star
        Whether it was taken for a star.
    used
        Whether it served the PSF model; that of stars where the list does not tell it.
    """

    ident: npt.NDArray[np.int64]
    x: Array
    y: Array
    mag: Array
    star: npt.NDArray[np.bool_]
    used: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.x.size)


def read_star_list(path: Path) -> StarList:
    """A list of stars: of types psf_stars, psf_use_stars or psfex_used.

    Raises
    ------
    FileTypeError
        The file has no table with the columns of one of them.
    """
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            names = {c.lower() for c in getattr(getattr(hdu, "columns", None), "names", None) or ()}
            if {"id", "x", "y", "star_flag"} <= names:
                rows = hdu.data
                star = np.asarray(rows["star_flag"]) == 1
                used = np.asarray(rows["use"], bool) if "use" in names else star
                mag = np.asarray(rows["mag"], np.float64) if "mag" in names else np.full(len(rows), np.nan)
                return StarList(
                    np.asarray(rows["id"], np.int64),
                    np.asarray(rows["x"], np.float64),
                    np.asarray(rows["y"], np.float64),
                    mag,
                    star,
                    used,
                )
            if {"source_number", "x_image", "y_image", "norm_psf"} <= names:
                rows = hdu.data
                every = np.ones(len(rows), bool)
                return StarList(
                    np.asarray(rows["SOURCE_NUMBER"], np.int64),
                    np.asarray(rows["X_IMAGE"], np.float64),
                    np.asarray(rows["Y_IMAGE"], np.float64),
                    np.full(len(rows), np.nan),
                    every,
                    every,
                )
    raise FileTypeError(
        f"{path.name}: no star list: neither id, x, y and star_flag, nor SOURCE_NUMBER and NORM_PSF of PSFEx"
    )
