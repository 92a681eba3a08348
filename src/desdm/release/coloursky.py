"""The coadds of a release as one colour picture of the sky, read box by box from its compressed images."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from desdm.pixels.boxes import Box, Plane, open_plane
from desdm.pixels.cards import read_hdus
from desdm.pixels.fitsbytes import hdu_header
from desdm.release.steps import BuildContext
from desdm.survey.headers import wcs_of
from desdm.survey.imageio import mapped
from desdm.survey.lupton import WHITE, lupton

__all__ = ["ColourSky"]

Floats = npt.NDArray[np.float64]
_Q, _NOISES = 8.0, 12.0
_GAP = 16  # pixels between the points of an image whose cells are taken; a HiPS tile is some 400 wide


@dataclass(frozen=True, slots=True)
class _Coadd:
    """One tile: its grid, and its planes from red to blue with their factors."""

    wcs: WCS
    shape: tuple[int, int]
    planes: tuple[tuple[float, Plane], ...]


@dataclass(slots=True)
class ColourSky:
    """Colour picture of the coadds of a release.

    Attributes
    ----------
    cells, order
        Deepest HiPS tiles that the images touch.
    date
        Time of the last exposure, as date of the picture.
    """

    coadds: list[_Coadd]
    stretch: float
    order: int
    cells: npt.NDArray[np.int64]
    date: str

    @classmethod
    def of(cls, context: BuildContext) -> ColourSky | None:
        """Open the images below the release's directory; None if there are none."""
        coadds, noises, scales, last = [], [], [], 0.0
        for folder in sorted((context.root / "images").glob("*")):
            files = {p.name.split(".")[0].rpartition("_")[2]: p for p in sorted(folder.glob("*.fits.fz"))}
            bands = [b for b in WHITE if b in files]
            if not bands:
                continue
            chosen = (
                ["g", "r", "i"]
                if {"g", "r", "i"} <= set(bands)
                else [bands[0], bands[len(bands) // 2], bands[-1]]
            )
            opened = {b: _open(files[b]) for b in dict.fromkeys(chosen)}
            header = opened[chosen[0]][1]
            wcs, plane = wcs_of(header), opened[chosen[0]][0]
            coadds.append(_Coadd(wcs, plane.shape, tuple((WHITE[b], opened[b][0]) for b in reversed(chosen))))
            noises.append(math.sqrt(sum((WHITE[b] * _noise(opened[b][0])) ** 2 for b in chosen)) / 3.0)
            scales.append(math.sqrt(abs(float(np.linalg.det(wcs.pixel_scale_matrix)))))
            last = max(last, *(float(h.get("MJD-OBS", 0.0)) for _, h in opened.values()))
        if not coadds:
            return None
        order = _order(float(np.median(scales)))
        cells = np.unique(np.concatenate([_cells(c, order) for c in coadds]))
        return cls(coadds, _NOISES * float(np.median(noises)), order, cells, _date(last))

    def sample(self, ra: Floats, dec: Floats) -> npt.NDArray[np.uint8]:
        """Return RGBA at positions (n x n); where tiles overlap, of the first."""
        from scipy.ndimage import map_coordinates

        out = np.zeros((*ra.shape, 4), np.uint8)
        for coadd in self.coadds:
            if not _near(coadd, ra, dec):
                continue
            x, y = coadd.wcs.wcs_world2pix(ra, dec, 0)
            ny, nx = coadd.shape
            with np.errstate(invalid="ignore"):
                inside = (x >= 0) & (y >= 0) & (x <= nx - 1) & (y <= ny - 1) & (out[..., 3] == 0)
            if not inside.any():
                continue
            x, y = x[inside], y[inside]
            box = Box(int(x.min()), int(x.max()) + 2, int(y.min()), int(y.max()) + 2).within(coadd.shape)
            red, green, blue = (
                np.float32(f) * plane.read(box).astype(np.float32) for f, plane in coadd.planes
            )
            rgb = lupton(red, green, blue, _Q, self.stretch, 0.0)
            at = [y - box.y0, x - box.x0]
            for i in range(3):
                out[..., i][inside] = (
                    map_coordinates(rgb[..., i].astype(np.float32), at, order=1, mode="nearest") + 0.5
                )
            out[..., 3][inside] = 255
        return out


def _open(path: Path) -> tuple[Plane, fits.Header]:
    """Open the science plane of an image, and read its header."""
    with mapped(path) as view:
        hdus = read_hdus(view, len(view))
        number = next(i for i, h in enumerate(hdus) if h.name == "SCI")
        header = hdu_header(bytes(view[hdus[number].start : hdus[number].data_start]))
    # The descriptor stays as long as the build's process.
    return open_plane(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC), number, hdus[number]), header


def _noise(plane: Plane) -> float:
    """Estimate the noise of the centre of a plane."""
    ny, nx = plane.shape
    middle = plane.read(Box(nx // 2 - 256, nx // 2 + 256, ny // 2 - 256, ny // 2 + 256).within(plane.shape))
    values = middle[np.isfinite(middle)]
    return max(1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 1.0, 1e-6)


def _order(scale: float) -> int:
    """Return the order of HiPS tiles whose pixels are nearest to those of the images (degrees)."""
    pixel = math.degrees(math.sqrt(math.pi / 3.0))
    return max(3, round(math.log2(pixel / scale)) - 9)


def _cells(coadd: _Coadd, order: int) -> npt.NDArray[np.int64]:
    """Return the HiPS tiles that an image touches."""
    from astropy import units
    from astropy_healpix import HEALPix

    ny, nx = coadd.shape
    x, y = np.meshgrid(
        np.append(np.arange(0, nx - 1, _GAP), nx - 1), np.append(np.arange(0, ny - 1, _GAP), ny - 1)
    )
    ra, dec = coadd.wcs.all_pix2world(x, y, 0)
    grid = HEALPix(nside=2**order, order="nested")
    return np.unique(np.asarray(grid.lonlat_to_healpix(ra * units.deg, dec * units.deg), np.int64))


def _near(coadd: _Coadd, ra: Floats, dec: Floats) -> bool:
    """Tell whether positions may lie on an image."""
    n = ra.shape[0] // 2
    ra0, dec0 = coadd.wcs.wcs.crval
    distance = math.hypot(
        ((ra[n, n] - ra0 + 180) % 360 - 180) * math.cos(math.radians(dec0)), dec[n, n] - dec0
    )
    reach = math.hypot(*coadd.shape) * math.sqrt(abs(float(np.linalg.det(coadd.wcs.pixel_scale_matrix))))
    return bool(distance < 2.0 * reach + 1.0) or abs(dec0) > 80.0


def _date(mjd: float) -> str:
    """Format a date (MJD); 2000-01-01 for none."""
    from astropy.time import Time

    return str(Time(mjd or 51544.0, format="mjd").strftime("%Y-%m-%dT%H:%MZ"))
