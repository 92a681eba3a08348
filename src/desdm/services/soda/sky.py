"""Pixel grid of an image on the sky: the box of a stencil, and the pixels of a box that are inside."""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import UsageError
from desdm.pixels.boxes import Box
from desdm.pixels.compiled import compiled
from desdm.services.soda.stencil import Around, Circle, Stencil, angles, frame
from desdm.sky.projection import is_polynomial
from desdm.sky.spherical import angles_to, unit
from desdm.survey.headers import wcs_of

__all__ = ["Grid"]

Floats = npt.NDArray[np.float64]


#: Points of a stencil's edge that are nearer than so many pixels lie on one side of it.
_APART = 100


@compiled()
def _disc(
    crpix: Floats, cd: Floats, centre: Floats, chord2: float, x0: int, y0: int, out: npt.NDArray[np.bool_]
) -> None:
    """`Circle.contains` in the axes of the image's own frame, without a temporary array of vectors."""
    for y in range(out.shape[0]):
        dy = y + y0 - crpix[1]
        for x in range(out.shape[1]):
            dx = x + x0 - crpix[0]
            xi, eta = cd[0, 0] * dx + cd[0, 1] * dy, cd[1, 0] * dx + cd[1, 1] * dy
            length = 1.0 / math.sqrt(1.0 + xi * xi + eta * eta)
            a, b, c = length - centre[0], xi * length - centre[1], eta * length - centre[2]
            out[y, x] = a * a + b * b + c * c <= chord2


class Grid:
    """The pixel grid of one image on the sky; pixels count from 0.

    A plain gnomonic image, as all coadds are, is computed here (FITS WCS paper II, section 5.1.3), many times faster than
    a general library and without a lock; any other is left to wcslib.

    Parameters
    ----------
    header
        With the image's WCS.
    shape
        (rows, columns).
    """

    def __init__(self, header: fits.Header, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._wcs = wcs_of(header)
        if not self._wcs.has_celestial:
            raise UsageError("the image has no celestial coordinates")
        self._lock = threading.Lock()
        w = self._wcs.wcs
        self._crpix = w.crpix - 1.0
        self._cd = self._wcs.pixel_scale_matrix
        self._inverse = np.linalg.inv(self._cd)
        self._frame = frame(*w.crval)
        # wcslib itself calls a TPV image TAN after it has parsed the polynomial: the header decides.
        plain = [str(header.get(f"CTYPE{i}")).strip() for i in (1, 2)] == ["RA---TAN", "DEC--TAN"]
        self._plain = plain and not is_polynomial(header) and w.lonpole in (180.0, 999.0)
        #: arcsec a pixel
        self.scale = math.sqrt(abs(float(np.linalg.det(self._cd)))) * 3600.0

    def pixels(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Return the pixels of positions (degrees, ICRS); NaN on the far side of the sky."""
        if not self._plain:
            with self._lock:
                x, y = self._wcs.all_world2pix(ra, dec, 0, quiet=True)
            return np.asarray(x), np.asarray(y)
        toward, east, north = self._frame
        v = unit(ra, dec)
        depth = v @ toward
        depth = np.where(depth > 1e-3, depth, np.nan)
        xi, eta = np.degrees(v @ east / depth), np.degrees(v @ north / depth)
        m = self._inverse
        return (
            m[0, 0] * xi + m[0, 1] * eta + self._crpix[0],
            m[1, 0] * xi + m[1, 1] * eta + self._crpix[1],
        )

    def points(self, x: Floats, y: Floats) -> Floats:
        """Unit vectors (…, 3) of pixel positions."""
        if not self._plain:
            with self._lock:
                ra, dec = self._wcs.all_pix2world(x, y, 0)
            return unit(np.asarray(ra), np.asarray(dec))
        toward, east, north = self._frame
        dx, dy = x - self._crpix[0], y - self._crpix[1]
        m = np.radians(self._cd)
        xi, eta = m[0, 0] * dx + m[0, 1] * dy, m[1, 0] * dx + m[1, 1] * dy
        length = 1.0 / np.sqrt(1.0 + xi * xi + eta * eta)
        out = np.empty((*xi.shape, 3))
        for i in range(3):
            out[..., i] = (toward[i] + xi * east[i] + eta * north[i]) * length
        return out

    def box(self, stencil: Stencil | Around) -> Box:
        """Return the smallest box within the image that has the stencil's pixels, to within one pixel; possibly empty."""
        if isinstance(stencil, Around):
            return self._around(stencil).within(self.shape)
        # The common part extends to the stencil's edge near the image, and to the image's corners in the stencil.
        ny, nx = self.shape
        corners = np.array([[-0.5, -0.5], [nx - 0.5, -0.5], [nx - 0.5, ny - 0.5], [-0.5, ny - 0.5]])
        x, y = self._edge(stencil, corners)
        covered = corners[stencil.contains(self.points(*corners.T))]
        x, y = np.concatenate([x, covered[:, 0]]), np.concatenate([y, covered[:, 1]])
        if not x.size:
            return Box(0, 0, 0, 0)
        edge = 1.0 if isinstance(stencil, Circle) else 0.0
        low, high = np.floor([x.min() - edge, y.min() - edge]), np.ceil([x.max() + edge, y.max() + edge])
        (x0, y0), (x1, y1) = np.clip(low, -1e9, 1e9).astype(int), np.clip(high, -1e9, 1e9).astype(int)
        return Box(int(x0), int(x1) + 1, int(y0), int(y1) + 1).within(self.shape)

    def _edge(self, stencil: Stencil, corners: Floats) -> tuple[Floats, Floats]:
        """Pixels of the stencil's edge where it is near the image."""
        ny, nx = self.shape
        toward = self.points(np.array([(nx - 1) / 2.0]), np.array([(ny - 1) / 2.0]))[0]
        reach = float(angles_to(toward, self.points(*corners.T)).max()) * 1.05
        x, y = self.pixels(*angles(stencil.edge_within(toward, reach)))
        good = np.isfinite(x) & np.isfinite(y)
        return x[good], y[good]

    def size_of(self, stencil: Around) -> tuple[int, int]:
        """Columns and rows of a box of so many arcmin."""
        return max(1, round(stencil.width * 60.0 / self.scale)), max(
            1, round(stencil.height * 60.0 / self.scale)
        )

    def _around(self, stencil: Around) -> Box:
        """Return the box of pixels around a point, possibly beyond the image."""
        x, y = self.pixels(np.array([stencil.ra]), np.array([stencil.dec]))
        if not (math.isfinite(x[0]) and math.isfinite(y[0])):
            return Box(0, 0, 0, 0)
        nx, ny = self.size_of(stencil)
        x0, y0 = round(float(x[0]) - (nx - 1) / 2.0), round(float(y[0]) - (ny - 1) / 2.0)
        return Box(x0, x0 + nx, y0, y0 + ny)

    def _contained(self, stencil: Stencil, box: Box) -> npt.NDArray[np.bool_]:
        """Return which pixel centres of a box lie in the stencil."""
        if self._plain and isinstance(stencil, Circle):
            toward = unit(np.array(stencil.ra), np.array(stencil.dec))
            chord = 2.0 * math.sin(math.radians(stencil.radius) / 2.0)
            own = np.array([toward @ axis for axis in self._frame])
            out = np.empty(box.shape, np.bool_)
            _disc(self._crpix, np.radians(self._cd), own, chord * chord, box.x0, box.y0, out)
            return out
        x, y = np.arange(box.x0, box.x1, dtype=float), np.arange(box.y0, box.y1, dtype=float)
        return stencil.contains(self.points(*np.meshgrid(x, y)))

    def inside(self, stencil: Stencil, box: Box) -> tuple[Box, npt.NDArray[np.bool_]]:
        """Return the pixels of a box whose centres lie in the stencil, and the box trimmed to them.

        A stencil that lies between the centres of pixels takes the pixel under its own centre.

        Returns
        -------
        Box, numpy.ndarray
            Box, and booleans of its (rows, columns); both empty if no pixel is inside.
        """
        if not box.pixels:
            return box, np.zeros(box.shape, bool)
        selected = self._contained(stencil, box)
        if not selected.any():
            ra, dec = stencil.centre()
            x, y = self.pixels(np.array([ra]), np.array([dec]))
            if not (np.isfinite(x[0]) and np.isfinite(y[0])):
                return self._under_edge(stencil, box)
            column, row = round(float(x[0])), round(float(y[0]))
            pixel = Box(column, column + 1, row, row + 1).within(self.shape)
            if box.x0 <= column < box.x1 and box.y0 <= row < box.y1:
                return pixel, np.ones(pixel.shape, bool)
            return self._under_edge(stencil, box)
        return _trim(box, selected)

    def _under_edge(self, stencil: Stencil, box: Box) -> tuple[Box, npt.NDArray[np.bool_]]:
        """The pixels under the edge of a stencil so thin that no pixel has its centre in it."""
        ny, nx = self.shape
        corners = np.array([[-0.5, -0.5], [nx - 0.5, -0.5], [nx - 0.5, ny - 0.5], [-0.5, ny - 0.5]])
        x, y = self._edge(stencil, corners)
        # The edge's points are some pixels apart; between two of one side all pixels are under it.
        side = np.flatnonzero(np.hypot(np.diff(x), np.diff(y)) < _APART)
        share = np.linspace(0.0, 1.0, 2 * _APART)[:, None]
        x, y = (
            np.round(np.concatenate([v, (v[side] * (1 - share) + v[side + 1] * share).ravel()])).astype(int)
            for v in (x, y)
        )
        in_box = (x >= box.x0) & (x < box.x1) & (y >= box.y0) & (y < box.y1)
        selected = np.zeros(box.shape, bool)
        selected[y[in_box] - box.y0, x[in_box] - box.x0] = True
        return _trim(box, selected) if in_box.any() else (Box(0, 0, 0, 0), np.zeros((0, 0), bool))


def _trim(box: Box, selected: npt.NDArray[np.bool_]) -> tuple[Box, npt.NDArray[np.bool_]]:
    """A box and its pixels, cut to those that are in the stencil."""
    columns, rows = np.flatnonzero(selected.any(axis=0)), np.flatnonzero(selected.any(axis=1))
    (cx0, cx1), (cy0, cy1) = (columns[0], columns[-1] + 1), (rows[0], rows[-1] + 1)
    cut = Box(box.x0 + int(cx0), box.x0 + int(cx1), box.y0 + int(cy0), box.y0 + int(cy1))
    return cut, selected[cy0:cy1, cx0:cx1]
