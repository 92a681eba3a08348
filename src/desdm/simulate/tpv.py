"""The simulator's own TPV world coordinates: forward, and inverse by Newton's method.

It shares no code with astropy, SExtractor or SWarp, so that agreement with them means something.
The projection is the TPV convention (FITS registry of conventions, "TPV"): linear CD matrix, a cubic polynomial of
the plane coordinates, then the gnomonic projection of Calabretta & Greisen (2002), section 5.1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["DECAM_PV", "TPV"]

Array = npt.NDArray[np.float64]

#: Distortion of one real DECam solution (exposure 634850, CCD 34, as its header has it); terms without a
#: number in the header are 0.
DECAM_PV: dict[str, tuple[float, ...]] = {
    "PV1": (
        0.0006075911766165,
        1.005865659901,
        -0.0004588772647396,
        0.0,
        0.0008075656130093,
        -0.000137985867463,
        -0.0005714931279674,
        -0.003050114747282,
        8.621872473218e-05,
        -0.00453375130932,
        -0.001369998880302,
    ),
    "PV2": (
        0.000241293299487,
        1.00550518855,
        0.0004611052457261,
        0.0,
        -0.002159603041321,
        -0.0001278792367822,
        0.0003176798191856,
        -0.01084171409689,
        -0.002106099227521,
        -0.003440365197007,
        0.0002592306987006,
    ),
}


def _poly(pv: tuple[float, ...], a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Value and both derivatives of a TPV cubic in (a, b); axis 2 calls it with its own coordinate first."""
    value = pv[0] + a * (pv[1] + a * (pv[4] + a * pv[7])) + b * (pv[2] + b * (pv[6] + b * pv[10]))
    value = value + a * b * (pv[5] + a * pv[8] + b * pv[9])
    da = pv[1] + 2 * pv[4] * a + 3 * pv[7] * a**2 + pv[5] * b + 2 * pv[8] * a * b + pv[9] * b**2
    db = pv[2] + 2 * pv[6] * b + 3 * pv[10] * b**2 + pv[5] * a + pv[8] * a**2 + 2 * pv[9] * a * b
    return value, da, db


@dataclass(frozen=True, slots=True)
class TPV:
    """One TPV solution: ``crval`` in degrees, ``crpix`` in pixels (first pixel's centre is 1), ``cd`` in deg/pixel."""

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: tuple[tuple[float, float], tuple[float, float]]
    pv: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: DECAM_PV)

    def world(self, x: Array, y: Array) -> tuple[Array, Array]:
        """RA and Dec in degrees of FITS pixel coordinates."""
        dx, dy = np.asarray(x, float) - self.crpix[0], np.asarray(y, float) - self.crpix[1]
        a = self.cd[0][0] * dx + self.cd[0][1] * dy
        b = self.cd[1][0] * dx + self.cd[1][1] * dy
        xi, _, _ = _poly(self.pv["PV1"], a, b)
        eta, _, _ = _poly(self.pv["PV2"], b, a)
        xi, eta = np.radians(xi), np.radians(eta)
        ra0, dec0 = np.radians(self.crval[0]), np.radians(self.crval[1])
        down = np.cos(dec0) - eta * np.sin(dec0)
        ra = ra0 + np.arctan2(xi, down)
        dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, down))
        return np.degrees(ra) % 360.0, np.degrees(dec)

    def pixel(self, ra: Array, dec: Array) -> tuple[Array, Array]:
        """FITS pixel coordinates of a sky position; Newton on the cubic, to 1e-13 degree (1e-9 pixel)."""
        ra0, dec0 = np.radians(self.crval[0]), np.radians(self.crval[1])
        dra, d = np.radians(np.asarray(ra, float)) - ra0, np.radians(np.asarray(dec, float))
        denom = np.sin(d) * np.sin(dec0) + np.cos(d) * np.cos(dec0) * np.cos(dra)
        xi = np.degrees(np.cos(d) * np.sin(dra) / denom)
        eta = np.degrees((np.sin(d) * np.cos(dec0) - np.cos(d) * np.sin(dec0) * np.cos(dra)) / denom)
        a, b = xi.copy(), eta.copy()
        for _ in range(20):
            f, fa, fb = _poly(self.pv["PV1"], a, b)
            g, gb, ga = _poly(self.pv["PV2"], b, a)
            rf, rg = f - xi, g - eta
            det = fa * gb - fb * ga
            step_a, step_b = (rf * gb - rg * fb) / det, (rg * fa - rf * ga) / det
            a, b = a - step_a, b - step_b
            if max(np.max(np.abs(step_a), initial=0.0), np.max(np.abs(step_b), initial=0.0)) < 1e-13:
                break
        (c11, c12), (c21, c22) = self.cd
        det_cd = c11 * c22 - c12 * c21
        return self.crpix[0] + (c22 * a - c12 * b) / det_cd, self.crpix[1] + (c11 * b - c21 * a) / det_cd

    def cards(self) -> dict[str, str | float | int]:
        """Return the WCS as FITS keywords."""
        out: dict[str, str | float | int] = {
            "WCSAXES": 2,
            "CTYPE1": "RA---TPV",
            "CTYPE2": "DEC--TPV",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": self.crval[0],
            "CRVAL2": self.crval[1],
            "CRPIX1": self.crpix[0],
            "CRPIX2": self.crpix[1],
            "CD1_1": self.cd[0][0],
            "CD1_2": self.cd[0][1],
            "CD2_1": self.cd[1][0],
            "CD2_2": self.cd[1][1],
            "RADESYS": "ICRS",
            "EQUINOX": 2000.0,
        }
        for axis in ("PV1", "PV2"):
            out.update({f"{axis}_{i}": value for i, value in enumerate(self.pv[axis]) if i != 3})
        return out
