"""The sky of one CCD of one exposure, as subtraction needs it: coefficients with templates, or a coarse grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.sky.blocks import centres
from desdm.codes.sky.fit import SkyFit
from desdm.codes.sky.minisky import layout_hdu, read_layout
from desdm.errors import FileTypeError
from desdm.pixels.compiled import compiled

__all__ = ["CoarseSky", "SkyModel", "TemplateSky", "fill", "read_skyfit", "sky_of", "write_skyfit"]


@dataclass(frozen=True, slots=True)
class CoarseSky:
    """Sky on the centres of blocks: ``grid`` (nby, nbx) f4, and those centres in pixels from 0.

    Between them the sky is bilinear, beyond the outermost it goes on linearly.
    """

    grid: npt.NDArray[np.float32]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    size: int


@dataclass(frozen=True, slots=True)
class TemplateSky:
    """Sky as Σ coefficient · template: ``coefficients`` (n,) f4, ``templates`` (n, ny, nx) f4."""

    coefficients: npt.NDArray[np.float32]
    templates: npt.NDArray[np.float32]


SkyModel: TypeAlias = CoarseSky | TemplateSky


def sky_of(
    fit: SkyFit, ccdnum: int, shape: tuple[int, int], templates: npt.NDArray[np.float32] | None = None
) -> SkyModel:
    """The sky of one CCD.

    Parameters
    ----------
    fit
        Of the whole exposure.
    ccdnum, shape
        The CCD, and its image's (ny, nx).
    templates
        (n, ny, nx) of this CCD and band, if there are any; they serve if the fit has as many coefficients.

    Raises
    ------
    FileTypeError
        The CCD is not in the fit, has another size, or none of its blocks was known.
    """
    place = next((p for p in fit.places if p.ccdnum == ccdnum), None)
    if place is None:
        raise FileTypeError(f"CCD {ccdnum} is not in the exposure's sky fit; was it in the mini-sky?")
    if (place.ny, place.nx) != shape:
        raise FileTypeError(
            f"CCD {ccdnum}: image of {shape}, but the sky was fitted on {(place.ny, place.nx)} pixels"
        )
    if templates is not None and fit.value.size:
        if templates.shape != (fit.value.size, *shape):
            raise FileTypeError(
                f"CCD {ccdnum}: {fit.value.size} coefficients for an image of {shape} do not fit templates "
                f"of shape {templates.shape}; are templates and components from one supercal?"
            )
        return TemplateSky(fit.value.astype(np.float32), templates)
    grid = np.ascontiguousarray(fit.smooth[place.window])
    if not np.isfinite(grid).all():
        raise FileTypeError(f"CCD {ccdnum}: no block of its sky is known; are all of its pixels masked?")
    size = place.size
    return CoarseSky(
        grid, centres(shape[1], size).astype(np.float32), centres(shape[0], size).astype(np.float32), size
    )


@compiled()
def _bilinear(
    grid: npt.NDArray[np.float32],
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Interpolate the coarse grid bilinearly at every pixel of ``out``."""
    ny, nx = out.shape
    rows, columns = grid.shape
    line = np.empty(columns, np.float32)
    j = 0
    for row in range(ny):
        while j < rows - 2 and row > y[j + 1]:
            j += 1
        if rows > 1:
            part = (np.float32(row) - y[j]) / (y[j + 1] - y[j])
            for k in range(columns):
                line[k] = grid[j, k] + part * (grid[j + 1, k] - grid[j, k])
        else:
            line[:] = grid[0]
        if columns == 1:
            out[row, :] = line[0]
            continue
        for k in range(columns - 1):
            first = 0 if k == 0 else int(np.floor(x[k])) + 1
            last = nx if k == columns - 2 else int(np.floor(x[k + 1])) + 1
            slope = (line[k + 1] - line[k]) / (x[k + 1] - x[k])
            for c in range(first, last):
                out[row, c] = line[k] + (np.float32(c) - x[k]) * slope


def fill(model: SkyModel, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The sky at every pixel (ny, nx)."""
    if isinstance(model, TemplateSky):
        out = model.coefficients[0] * model.templates[0]
        for c, t in zip(model.coefficients[1:], model.templates[1:], strict=True):
            out += c * t
        return np.asarray(out, np.float32)
    out = np.empty(shape, np.float32)
    _bilinear(model.grid, model.x, model.y, out)
    return out


def write_skyfit(path: Path, fit: SkyFit, header: fits.Header) -> None:
    """Write HDUs MINISKY (fitted sky on the blocks), COEFF (may be empty) and CCDS (layout).

    Parameters
    ----------
    path
        File to write.
    fit
        Coefficients and fitted sky of the exposure.
    header
        Cards of the primary header.
    """
    head = header.copy()
    head["EXTNAME"] = "MINISKY"
    head["SKYBRITE"] = (fit.level, "[electron] median sky of a pixel")
    head["SKYSIGMA"] = (fit.sigma, "[electron] scatter of one pixel")
    head["SKYRMS"] = (fit.rms, "[electron] residual rms of the blocks")
    head["SKYGRAD"] = (fit.gradient, "range of the sky over the field, of its median")
    head["NCLIP"] = (fit.clipped, "blocks left out as objects")
    head["NTEMPL"] = (fit.value.size, "templates; 0: the mini-sky itself")
    coefficients = fits.BinTableHDU.from_columns(
        [
            fits.Column("TEMPLATE", "I", array=np.arange(1, fit.value.size + 1)),
            fits.Column("COEFF", "D", unit="electron", array=fit.value),
            fits.Column("ERROR", "D", unit="electron", array=fit.error),
        ],
        name="COEFF",
    )
    known = np.isfinite(fit.smooth)
    fits.HDUList(
        [
            fits.PrimaryHDU(np.where(known, fit.smooth, 0).astype(np.float32), head),
            coefficients,
            layout_hdu(fit.places),
            fits.ImageHDU((~known).astype(np.int32), name="MSK"),
        ]
    ).writeto(path, overwrite=True, checksum=True)


def read_skyfit(path: Path) -> SkyFit:
    """Read a file of `write_skyfit`.

    Raises
    ------
    FileTypeError
        An HDU or keyword is missing.
    """
    with fits.open(path, memmap=False) as hdus:
        names = [hdu.name for hdu in hdus]
        for name in ("MINISKY", "COEFF", "MSK"):
            if name not in names:
                raise FileTypeError(f"{path.name}: no HDU {name}; is it a sky fit?")
        head, table = hdus["MINISKY"].header, hdus["COEFF"].data
        missing = [k for k in ("SKYBRITE", "SKYSIGMA", "SKYRMS", "SKYGRAD", "NCLIP") if k not in head]
        if missing:
            raise FileTypeError(f"{path.name}: header lacks {', '.join(missing)}")
        smooth = np.where(hdus["MSK"].data != 0, np.nan, hdus["MINISKY"].data).astype(np.float32)
        return SkyFit(
            np.array(table["COEFF"], np.float64),
            np.array(table["ERROR"], np.float64),
            smooth,
            read_layout(hdus, path.name),
            int(head["NCLIP"]),
            float(head["SKYRMS"]),
            float(head["SKYBRITE"]),
            float(head["SKYSIGMA"]),
            float(head["SKYGRAD"]),
            str(head.get("SKYPC", "")).strip(),
        )
