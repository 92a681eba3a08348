"""The night's PSF: a bank of Moffat stamps over the field and the sub-pixel phases, and the loops that set them down.

A star is the mixture of the stamps at the four field nodes and the four phases about it, bilinear in both: its
centroid is exact but for the truncation of the stamp, where the nearest phase alone would err by 0.036 pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["BETA", "PSF", "add_galaxies", "add_stars", "bank", "measured_fwhm"]

Array = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

BETA = 3.5
NODES = 4
PHASES = 9
HALF = 20  # of the bank's stamps
#: Fluxes (electrons) up to which stamps of half size 12, 20 (the bank's), 30 and 45 suffice; brighter stars get 90. What
#: is cut off is below 25 electrons, spread over thousands of pixels.
LIMITS = (2.0e3, 1.0e5, 4.0e5, 3.0e6)
#: Gauss-Legendre rules of 1, 2 and 3 nodes on a pixel of side 1.
_RULES: list[list[Plane]] = [
    [np.asarray(v, np.float32) / np.float32(2) for v in np.polynomial.legendre.leggauss(n)] for n in (1, 2, 3)
]

#: Exponential profile as four Gaussians: (weight, σ²/r_half²), Hogg & Lang (2013, PASP 125, 719), refitted.
_DISK = np.array([[0.0970, 0.0455], [0.3050, 0.245], [0.4200, 0.820], [0.1780, 2.10]])


@dataclass(frozen=True, slots=True)
class PSF:
    """An elliptical Moffat profile (β = 3.5) that varies smoothly over the focal plane.

    ``fwhm`` in pixels at the axis, without the pixel; ``slope`` its relative change towards the rim along x and y,
    ``curve`` the relative growth with the square of the distance; ``e`` ellipticity at the axis, ``twist`` its change to
    the rim. Focal-plane positions u, v are in units of the camera's radius.
    """

    fwhm: float
    slope: tuple[float, float]
    curve: float
    e: tuple[float, float]
    twist: tuple[float, float]

    def shape(self, u: Array, v: Array) -> Array:
        """FWHM (pixels), e1 and e2 at focal-plane positions, shape (3, n)."""
        r2 = u**2 + v**2
        wide = self.fwhm * (1.0 + self.slope[0] * u + self.slope[1] * v + self.curve * r2)
        # Astigmatism: the ellipticity of a defocused wide-field corrector turns with the place.
        e1 = self.e[0] + self.twist[0] * u + self.twist[1] * (u**2 - v**2)
        e2 = self.e[1] + self.twist[0] * v + self.twist[1] * 2.0 * u * v
        return np.stack([wide, e1, e2])

    def forms(self, u: Array, v: Array) -> Array:
        """Quadratic forms (qxx, qxy, qyy) and normalisation of the profile, shape (n, 4)."""
        wide, e1, e2 = self.shape(u, v)
        alpha2 = (wide / 2.0) ** 2 / (2.0 ** (1.0 / BETA) - 1.0)
        area = np.sqrt(1.0 - e1**2 - e2**2)
        # Inverse of [[1+e1, e2], [e2, 1-e1]]/area, over alpha².
        return np.stack(
            [
                (1 - e1) / area / alpha2,
                -e2 / area / alpha2,
                (1 + e1) / area / alpha2,
                (BETA - 1) / np.pi / alpha2,
            ],
            axis=1,
        )


def measured_fwhm(psf: PSF, u: float, v: float) -> float:
    """Return the FWHM of the PSF with the pixel: the mean width at half of the peak, over all directions.

    A fit to the pixel-convolved PSF measures the same; here it is integrated and solved, not fitted.

    Parameters
    ----------
    psf
        The PSF.
    u, v
        Position in the focal plane, units of its radius.

    Returns
    -------
    float
        FWHM, pixels.
    """
    form = psf.forms(np.array([u]), np.array([v]))[0]
    nodes, weights = np.polynomial.legendre.leggauss(8)
    gx, gy = np.meshgrid(nodes / 2, nodes / 2)
    weight = np.outer(weights, weights) / 4

    def surface(dx: float, dy: float) -> float:
        x, y = gx + dx, gy + dy
        q = 1.0 + form[0] * x**2 + 2 * form[1] * x * y + form[2] * y**2
        return float((weight * q**-BETA).sum())

    half, areas = surface(0.0, 0.0) / 2, []
    for angle in np.arange(8) * np.pi / 8:
        low, high = 0.0, 4.0 * psf.fwhm
        for _ in range(24):
            mid = (low + high) / 2
            low, high = (
                (mid, high) if surface(mid * np.cos(angle), mid * np.sin(angle)) > half else (low, mid)
            )
        areas.append(low**2)
    # The circle of the same area as the contour at half maximum.
    return 2.0 * float(np.sqrt(np.mean(areas)))


@compiled(fast=True)
def _add_row(row: Plane, x0: float, y: float, form: Plane, nodes: Plane, weights: Plane) -> None:
    """Add to a row of pixels, the first at (x0, y) from the centre, the profile integrated over each of them."""
    one, two = np.float32(1.0), np.float32(2.0)
    for j in range(nodes.size):
        dy = np.float32(y) + nodes[j]
        cross, across = two * form[1] * dy, one + form[2] * dy * dy
        for i in range(nodes.size):
            w, base = weights[i] * weights[j] * form[3], np.float32(x0) + nodes[i]
            for c in range(row.size):
                x = base + np.float32(c)
                q = across + x * (cross + form[0] * x)
                row[c] += w / (q * q * q * np.sqrt(q))


@compiled(fast=True)
def _fill(out: Plane, forms: Plane, nodes: Plane, weights: Plane) -> None:
    """Fill the bank with stamps at all nodes and phases."""
    half, size = out.shape[2] // 2, out.shape[2]
    out[:] = np.float32(0.0)
    for k in range(forms.shape[0]):
        for p in range(81):
            fx, fy = (p % 9) / 8.0 - 0.5, (p // 9) / 8.0 - 0.5
            for r in range(size):
                _add_row(out[k * 81 + p, r], -half - fx, r - half - fy, forms[k], nodes, weights)


def bank(psf: PSF, u: Array, v: Array) -> Plane:
    """Return stamps of 41 × 41 pixels at the field nodes and 9 × 9 phases from -1/2 to 1/2 pixel.

    Parameters
    ----------
    psf
        The PSF.
    u, v
        Field nodes (4 × 4), units of the radius of the focal plane.

    Returns
    -------
    numpy.ndarray
        Stamps (nodes × phases, 41, 41).
    """
    out = np.empty((NODES * NODES * PHASES * PHASES, 2 * HALF + 1, 2 * HALF + 1), np.float32)
    nodes, weights = _RULES[2]
    _fill(out, psf.forms(u.ravel(), v.ravel()).astype(np.float32), nodes, weights)
    return out


@compiled(fast=True)
def _mix(
    image: Plane, stamps: Plane, x: float, y: float, flux: float, gx: float, gy: float, half: int
) -> None:
    """Add a star interpolated from the bank."""
    ny, nx = image.shape
    cx, cy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    px, py = (x - cx + 0.5) * 8.0, (y - cy + 0.5) * 8.0
    ix, iy = min(int(px), 7), min(int(py), 7)
    px, py = px - ix, py - iy
    kx, ky = min(max(int(gx), 0), 2), min(max(int(gy), 0), 2)
    gx, gy = gx - kx, gy - ky
    middle = stamps.shape[1] // 2
    for n in range(16):
        a, b, c, d = n & 1, (n >> 1) & 1, (n >> 2) & 1, n >> 3
        weight = (
            flux
            * (px if a else 1 - px)
            * (py if b else 1 - py)
            * (gx if c else 1 - gx)
            * (gy if d else 1 - gy)
        )
        if weight == 0.0:
            continue
        stamp = stamps[((ky + d) * 4 + kx + c) * 81 + (iy + b) * 9 + ix + a]
        f = np.float32(weight)
        left, right = max(cx - half, 0), min(cx + half, nx - 1)
        for row in range(max(cy - half, 0), min(cy + half, ny - 1) + 1):
            source = stamp[row - cy + middle]
            shift = middle - cx
            for col in range(left, right + 1):
                image[row, col] += f * source[col + shift]


@compiled(fast=True)
def _direct(image: Plane, form: Plane, x: float, y: float, flux: float, half: int, rules: Plane) -> None:
    """A star whose wings reach beyond the bank: 3 × 3 nodes a pixel near its centre, 2 × 2 and 1 where it is smooth."""
    ny, nx = image.shape
    cx, cy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    scaled = form.copy()
    scaled[3] *= np.float32(flux)
    for row in range(max(cy - half, 0), min(cy + half, ny - 1) + 1):
        left = max(cx - half, 0)
        while left <= min(cx + half, nx - 1):
            # Spans of columns at ends -30, -10, +10 and +30 from the centre share a rule.
            column, far = left - cx, abs(row - cy)
            end = (
                half
                if column > 30
                else 30
                if column > 10
                else 10
                if column >= -10
                else -11
                if column >= -30
                else -31
            )
            if far > 30:
                end = half
            elif far > 10 and end < 30:
                end = 30 if column >= -30 else -31
            reach = max(far, min(abs(column), abs(end)) if column * end > 0 else 0)
            order = 3 if reach <= 10 else 2 if reach <= 30 else 1
            right = min(cx + end, cx + half, nx - 1)
            nodes, weights = rules[order - 1, 0, :order], rules[order - 1, 1, :order]
            _add_row(image[row, left : right + 1], left - x, row - y, scaled, nodes, weights)
            left = right + 1


@compiled(fast=True)
def _stars(
    image: Plane,
    stamps: Plane,
    x: Array,
    y: Array,
    flux: Array,
    gx: Array,
    gy: Array,
    forms: Plane,
    rules: Plane,
    limits: Array,
) -> None:
    """Add stars, bright ones without the bank."""
    for i in range(x.size):
        f = flux[i]
        if f < limits[1]:
            _mix(image, stamps, x[i], y[i], f, gx[i], gy[i], 12 if f < limits[0] else 20)
        else:
            _direct(
                image, forms[i], x[i], y[i], f, 30 if f < limits[2] else 45 if f < limits[3] else 90, rules
            )


def add_stars(
    image: Plane, stamps: Plane, x: Array, y: Array, flux: Array, gx: Array, gy: Array, forms: Array
) -> None:
    """Add point sources.

    Parameters
    ----------
    image
        Plane (ny, nx) in electrons, changed in place.
    stamps
        From `bank`.
    x, y
        0-based positions of the centres.
    flux
        Electrons. Bright ones, whose wings reach beyond the bank's stamps, are integrated one by one.
    gx, gy
        Position in the bank's grid of field nodes, 0 to 3.
    forms
        Quadratic forms of the profile at each source (`PSF.forms`), for the bright ones.
    """
    rules = np.zeros((3, 2, 3), np.float32)
    for i, (nodes, weights) in enumerate(_RULES):
        rules[i, 0, : i + 1], rules[i, 1, : i + 1] = nodes, weights
    _stars(image, stamps, x, y, flux, gx, gy, forms.astype(np.float32), rules, np.array(LIMITS))


@compiled(fast=True)
def _galaxies(image: Plane, x: Array, y: Array, flux: Array, shape: Array, disk: Array) -> None:
    """Add galaxies as sums of Gaussians."""
    ny, nx = image.shape
    for g in range(x.size):
        for k in range(disk.shape[0]):
            cxx = disk[k, 1] * shape[g, 0] + shape[g, 3]
            cxy = disk[k, 1] * shape[g, 1]
            cyy = disk[k, 1] * shape[g, 2] + shape[g, 3]
            det = cxx * cyy - cxy * cxy
            a, b, c = cyy / det, -cxy / det, cxx / det
            norm = flux[g] * disk[k, 0] / (2 * np.pi * np.sqrt(det))
            reach = int(4.0 * np.sqrt(max(cxx, cyy))) + 1
            cx, cy = int(np.floor(x[g] + 0.5)), int(np.floor(y[g] + 0.5))
            left, right = max(cx - reach, 0), min(cx + reach, nx - 1)
            for row in range(max(cy - reach, 0), min(cy + reach, ny - 1) + 1):
                dx, dy = left - x[g], row - y[g]
                # exp of a quadratic by second differences: two products a pixel instead of an exponential.
                value = norm * np.exp(-0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy))
                ratio = np.exp(-0.5 * (a * (2 * dx + 1) + 2 * b * dy))
                second = np.exp(-a)
                for col in range(left, right + 1):
                    image[row, col] += np.float32(value)
                    value *= ratio
                    ratio *= second


def add_galaxies(
    image: Plane, x: Array, y: Array, flux: Array, half_light: Array, e1: Array, e2: Array, fwhm: float
) -> None:
    """Add exponential disks folded with a Gaussian of the PSF's width and with the pixel.

    Galaxies are truth in flux and centre; their wings fall faster than the stars'. ``half_light`` and ``fwhm`` in pixels.

    Parameters
    ----------
    image
        Image, electrons; changed in place.
    x, y
        Centres, 0-based pixels.
    flux
        Fluxes, electrons.
    half_light
        Half-light radii, pixels.
    e1, e2
        Ellipticities.
    fwhm
        FWHM of the PSF, pixels.
    """
    r2 = half_light**2
    wide = (fwhm / 2.3548) ** 2 * 1.1 + 1.0 / 12.0
    shape = np.stack([r2 * (1 + e1), r2 * e2, r2 * (1 - e1), np.full(r2.size, wide)], axis=1)
    _galaxies(image, x, y, flux, shape, _DISK)
