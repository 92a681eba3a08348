"""Linearity of a CCD's amplifiers from a ramp: flats of one lamp at rising exposure times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.optimize import minimize_scalar

from desdm.errors import FileTypeError, ProgramFailed

__all__ = [
    "Curve",
    "Ramp",
    "fit_linearity",
    "fit_ramps",
    "level",
    "read_ramps",
    "usable",
    "write_ramps",
    "write_table",
]

F8 = npt.NDArray[np.float64]
#: Table's observed ADU: the whole of the 16-bit converter in steps of 16, as DECam's tables are interpolated anyway.
GRID: F8 = np.arange(0.0, 65537.0, 16.0)
_KNOT = 10_000.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """Levels of one amplifier along a ramp.

    Attributes
    ----------
    name
        Amplifier, for instance ``ccd03B``.
    exptime
        Seconds, as the header says, shape (n,).
    observed
        Mean level above overscan and bias, ADU, not linearised, shape (n,).
    error
        Standard error of ``observed``, ADU.
    """

    name: str
    exptime: F8
    observed: F8
    error: F8


@dataclass(frozen=True, slots=True)
class Curve:
    """Linearity of one amplifier: linear ADU = observed · (1 + Σ_k coefficients[k] · (observed/10⁴)^(k+1)).

    So the slope at zero is 1, and the gain, which is measured at low level, keeps its meaning.

    Attributes
    ----------
    name
        Amplifier.
    coefficients
        Of the polynomial, see above; shape (degree,).
    rate
        Linear ADU a second of the ramp's lamp.
    shutter
        Seconds that the shutter was open longer than the header says.
    top
        Highest observed level that was fitted, ADU; beyond it the curve goes on with its slope there.
    rms, worst
        Relative residuals of the points used.
    used
        Points used.
    """

    name: str
    coefficients: tuple[float, ...]
    rate: float
    shutter: float
    top: float
    rms: float
    worst: float
    used: int

    def linear(self, observed: F8) -> F8:
        """Linear ADU of observed ADU, any shape."""
        x = np.minimum(observed, self.top)
        value = x * (1.0 + _powers(x, len(self.coefficients)) @ np.array(self.coefficients))
        steps = np.arange(1, len(self.coefficients) + 1) + 1.0
        slope = 1.0 + _powers(np.array([self.top]), len(self.coefficients))[0] @ (
            np.array(self.coefficients) * steps
        )
        out: F8 = value + np.maximum(observed - self.top, 0.0) * slope
        return out


def level(pixels: npt.NDArray[np.floating], nsigma: float = 4.0) -> tuple[float, float]:
    """Clipped mean of an amplifier's pixels and its standard error, ADU (a mean, for a median of integers has steps)."""
    values = pixels[np.isfinite(pixels)].astype(np.float64)
    if values.size < 100:
        return float("nan"), float("nan")
    # The first cut is by the median, for a few saturated or dead pixels would drag a mean.
    middle = float(np.median(values[:: max(1, values.size // 20_000)]))
    sigma = 1.4826 * float(np.median(np.abs(values[:: max(1, values.size // 20_000)] - middle)))
    for _ in range(3):
        inliers = values[np.abs(values - middle) <= nsigma * max(sigma, 1e-6)]
        middle, sigma = float(inliers.mean()), float(inliers.std())
    return middle, sigma / inliers.size**0.5


def fit_ramps(
    ramps: Sequence[Ramp],
    *,
    degree: int = 5,
    floor: float = 2e-4,
    least: int = 8,
    saturate: Mapping[str, float] | None = None,
) -> list[Curve]:
    """Fit the curves of many amplifiers with one shutter offset for all of them.

    Parameters
    ----------
    ramps
        One an amplifier; the more, the better the shutter is known.
    degree
        Highest degree tried; the one with the best Bayesian information criterion over all amplifiers is taken.
    floor
        Relative error added to each point: what lamp and shutter repeat to.
    least
        Points that a curve must have.
    saturate
        Observed ADU at which an amplifier saturates, by its name; points above 95 % of it are left out.

    Raises
    ------
    ProgramFailed
        An amplifier has too few points; the text says which and how many.
    """
    limits = saturate or {}
    usable_ramps = [usable(r, limits.get(r.name, np.inf)) for r in ramps]
    for ramp in usable_ramps:
        if len(ramp.observed) < max(least, 4):
            raise ProgramFailed(
                f"{ramp.name}: {len(ramp.observed)} usable points in the linearity ramp, {max(least, 4)} are needed"
            )
    offset = 0.0
    for _ in range(3):
        best = min(range(1, degree + 1), key=lambda k: _criterion(usable_ramps, offset, k, floor))
        offset = _shutter(usable_ramps, offset, best, floor)
        usable_ramps = [_clip(r, offset, best, floor) for r in usable_ramps]
    return [_curve(r, offset, best, floor) for r in usable_ramps]


def usable(ramp: Ramp, saturate: float) -> Ramp:
    """The points of a ramp that can be fitted: known, positive, below 95 % of saturation (observed ADU)."""
    valid = np.isfinite(ramp.observed) & np.isfinite(ramp.error)
    valid &= (ramp.observed > 0) & (ramp.observed < 0.95 * saturate)
    return Ramp(ramp.name, ramp.exptime[valid], ramp.observed[valid], ramp.error[valid])


def fit_linearity(ramp: Ramp, *, degree: int = 5, floor: float = 2e-4) -> Curve:
    """`fit_ramps` for a single amplifier.

    Parameters
    ----------
    ramp
        Levels of the amplifier, ADU, over exposure time, s.
    degree
        Largest degree of the polynomial.
    floor
        Relative error added to that of each level.

    Returns
    -------
    Curve
        The fitted relation.
    """
    return fit_ramps([ramp], degree=degree, floor=floor)[0]


def _powers(x: F8, degree: int) -> F8:
    """Return the powers 1 to ``degree`` of the scaled level, shape (n, degree)."""
    return (np.asarray(x, np.float64)[..., None] / _KNOT) ** np.arange(1, degree + 1)


def _solve(ramp: Ramp, offset: float, degree: int, floor: float) -> tuple[F8, float, F8]:
    """Fit the polynomial at a fixed shutter offset: (flux and coefficients, χ², residuals in σ)."""
    # observed (1 + Σ b_k p_k) = F (t + dt)   ⇔   observed = F (t + dt) - Σ b_k observed p_k: linear in F and b.
    x = ramp.observed
    sigma = np.hypot(ramp.error, floor * x)
    design = np.column_stack([ramp.exptime + offset, -x[:, None] * _powers(x, degree)]) / sigma[:, None]
    scale = np.linalg.norm(design, axis=0)
    fit, *_ = np.linalg.lstsq(design / scale, x / sigma, rcond=None)
    residual = x / sigma - design @ (fit / scale)
    return fit / scale, float(residual @ residual), residual


def _criterion(ramps: Sequence[Ramp], offset: float, degree: int, floor: float) -> float:
    """Return the Bayesian information criterion of a degree for all ramps, infinite with too few points."""
    chi2, terms, points = 0.0, 0, 0
    for ramp in ramps:
        if len(ramp.observed) <= degree + 2:
            return float("inf")
        chi2 += _solve(ramp, offset, degree, floor)[1]
        terms += degree + 1
        points += len(ramp.observed)
    return chi2 + terms * float(np.log(points))


def _shutter(ramps: Sequence[Ramp], near: float, degree: int, floor: float) -> float:
    """Return the shutter offset, s, that minimises χ² of all ramps."""
    minimum = minimize_scalar(
        lambda dt: sum(_solve(r, dt, degree, floor)[1] for r in ramps), bracket=(near - 0.05, near + 0.05)
    )
    return float(minimum.x)


def _clip(ramp: Ramp, offset: float, degree: int, floor: float) -> Ramp:
    """Drop points whose residual exceeds 5 σ."""
    residual = _solve(ramp, offset, degree, floor)[2]
    sigma = max(1.4826 * float(np.median(np.abs(residual))), 1.0)
    inliers = np.abs(residual) <= 5.0 * sigma
    return Ramp(ramp.name, ramp.exptime[inliers], ramp.observed[inliers], ramp.error[inliers])


def _curve(ramp: Ramp, offset: float, degree: int, floor: float) -> Curve:
    """Fit the final polynomial of one amplifier, with the scatter of its residuals."""
    fit, _, residual = _solve(ramp, offset, degree, floor)
    relative = residual * np.hypot(ramp.error, floor * ramp.observed) / ramp.observed
    return Curve(
        ramp.name,
        tuple(float(b) for b in fit[1:]),
        float(fit[0]),
        offset,
        float(ramp.observed.max()),
        float(np.sqrt(np.mean(relative**2))),
        float(np.abs(relative).max()),
        len(relative),
    )


def write_table(path: Path, curves: Mapping[int, tuple[Curve, Curve]], header: fits.Header) -> None:
    """Write cal_lintable: one BINTABLE a CCD (EXTNAME CCD01 …), columns ADU, ADU_LINEAR_A, ADU_LINEAR_B [ADU].

    Parameters
    ----------
    path
        File to write.
    curves
        CCD number → curves of amplifiers A and B.
    header
        Cards of the primary header.
    """
    hdus = [fits.PrimaryHDU(header=header)]
    for ccdnum, (a, b) in sorted(curves.items()):
        columns = [
            fits.Column("ADU", "D", unit="adu", array=GRID),
            fits.Column("ADU_LINEAR_A", "D", unit="adu", array=a.linear(GRID)),
            fits.Column("ADU_LINEAR_B", "D", unit="adu", array=b.linear(GRID)),
        ]
        hdu = fits.BinTableHDU.from_columns(columns, name=f"CCD{ccdnum:02d}")
        hdu.header["CCDNUM"] = (ccdnum, "CCD number")
        for amp, curve in (("A", a), ("B", b)):
            hdu.header[f"LINTOP{amp}"] = (curve.top, "[adu] highest level measured")
            hdu.header[f"LINRMS{amp}"] = (curve.rms, "rms of the relative residuals")
            hdu.header[f"LINN{amp}"] = (curve.used, "points of the ramp used")
        hdu.header["SHUTTER"] = (a.shutter, "[s] shutter open longer than EXPTIME")
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True, checksum=True)


def write_ramps(
    path: Path,
    ramps: Sequence[Ramp],
    saturate: Mapping[str, float],
    mask: npt.NDArray[np.int32] | None,
    header: fits.Header,
) -> None:
    """Write a cal_ramp file: table RAMP, one row a level of an amplifier, and image MSK of the non-linear pixels.

    Parameters
    ----------
    path
        File to write.
    ramps
        One for each amplifier: levels, ADU, over exposure time, s.
    saturate
        Amplifier → saturation, ADU.
    mask
        (ny, nx) bits of the non-linear pixels; None: no image MSK.
    header
        Cards of the primary header.
    """
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("AMP", "8A", array=[r.name for r in ramps for _ in r.exptime]),
            fits.Column("EXPTIME", "D", unit="s", array=np.concatenate([r.exptime for r in ramps])),
            fits.Column("LEVEL", "D", unit="adu", array=np.concatenate([r.observed for r in ramps])),
            fits.Column("ERROR", "D", unit="adu", array=np.concatenate([r.error for r in ramps])),
            fits.Column(
                "SATURATE",
                "D",
                unit="adu",
                array=[saturate[r.name] for r in ramps for _ in r.exptime],
            ),
        ],
        name="RAMP",
    )
    hdus = [fits.PrimaryHDU(header=header), hdu]
    if mask is not None:
        hdus.append(fits.CompImageHDU(mask, name="MSK", compression_type="RICE_1"))
    fits.HDUList(hdus).writeto(path, overwrite=True, checksum=True)


def read_ramps(path: Path) -> tuple[list[Ramp], dict[str, float]]:
    """Ramps and saturation levels (ADU, by amplifier) of a cal_ramp file; `FileTypeError` if it is none."""
    with fits.open(path, memmap=False) as hdus:
        if "RAMP" not in hdus:
            raise FileTypeError(f"{path.name}: no table RAMP; it is not a cal_ramp file")
        rows = hdus["RAMP"].data
        names = [str(n).strip() for n in rows["AMP"]]
        ramps, saturate = [], {}
        for name in dict.fromkeys(names):
            of = np.array([n == name for n in names])
            ramps.append(
                Ramp(
                    name,
                    *(np.array(rows[key][of], np.float64) for key in ("EXPTIME", "LEVEL", "ERROR")),
                )
            )
            saturate[name] = float(rows["SATURATE"][of][0])
    return ramps, saturate
