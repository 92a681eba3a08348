"""Sky off, star flat and final weight in one compiled pass over the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.detrend import amplifiers
from desdm.codes.detrend.steps import record
from desdm.errors import FileTypeError, UsageError
from desdm.pixels.compiled import compiled
from desdm.pixels.fitsbytes import Pool
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes

__all__ = ["Coarse", "Names", "Templates", "subtract"]

Plane = npt.NDArray[np.float32]
_BAND = 64
_NONE = np.zeros((1, 1), np.float32)
_NO_CUBE = np.zeros((1, 1, 1), np.float32)
_LINE = np.zeros(1, np.float32)
_NOSKY, _TEMPLATES, _COARSE = 0, 1, 2


@runtime_checkable
class Coarse(Protocol):
    """Sky on the centres of blocks, linear between them and beyond (`sky.model.CoarseSky`)."""

    @property
    def grid(self) -> Plane:
        """Electrons, (rows, columns) of blocks."""

    @property
    def x(self) -> Plane:
        """Centres of the columns, pixels from 0."""

    @property
    def y(self) -> Plane:
        """Centres of the rows, pixels from 0."""


@runtime_checkable
class Templates(Protocol):
    """Sky as a sum of coefficients times templates (`sky.model.TemplateSky`)."""

    @property
    def coefficients(self) -> Plane:
        """Electrons, (n,)."""

    @property
    def templates(self) -> Plane:
        """(n, ny, nx)."""


@dataclass(frozen=True, slots=True)
class Names:
    """File names for the header: of the sky fit (empty: none) and of the star flat (empty: none)."""

    sky: str = ""
    starflat: str = ""


@compiled()
def _coarse_row(grid: Plane, xs: Plane, ys: Plane, row: int, out: Plane) -> None:
    """Interpolate the coarse sky grid bilinearly at one image row."""
    rows, columns = grid.shape
    line = np.empty(columns, np.float32)
    j = 0
    while j < rows - 2 and row > ys[j + 1]:
        j += 1
    part = (np.float32(row) - ys[j]) / (ys[j + 1] - ys[j]) if rows > 1 else np.float32(0.0)
    for k in range(columns):
        line[k] = grid[j, k] + (part * (grid[j + 1, k] - grid[j, k]) if rows > 1 else np.float32(0.0))
    if columns == 1:
        out[:] = line[0]
        return
    for k in range(columns - 1):
        first = 0 if k == 0 else int(np.floor(xs[k])) + 1
        last = out.size if k == columns - 2 else int(np.floor(xs[k + 1])) + 1
        slope = (line[k + 1] - line[k]) / (xs[k + 1] - xs[k])
        for x in range(first, last):
            out[x] = line[k] + (np.float32(x) - xs[k]) * slope


@compiled(ieee=True)
def _rows(
    sci: Plane,
    msk: npt.NDArray[np.int32],
    wgt: Plane,
    kind: int,
    coefficients: Plane,
    templates: Plane,
    grid: Plane,
    xs: Plane,
    ys: Plane,
    starflat: Plane,
    dark: Plane,
    light: float,
    flat_noise: float,
    bad: int,
    y0: int,
    y1: int,
) -> None:
    """Subtract the sky, divide by the star flat, and compute the weight, in rows ``y0`` to ``y1``."""
    nx = sci.shape[1]
    sky = np.zeros(nx, np.float32)
    one, zero, four = np.float32(1.0), np.float32(0.0), np.float32(4.0)
    old, more, squared = np.float32(light), np.float32(flat_noise), np.float32(light * light)
    divide = starflat.size > 1
    for y in range(y0, y1):
        if kind == _TEMPLATES:
            sky[:] = zero
            for k in range(coefficients.size):
                c = coefficients[k]
                for x in range(nx):
                    sky[x] += c * templates[k, y, x]
        if kind == _COARSE:
            _coarse_row(grid, xs, ys, y, sky)
        if kind != _NOSKY:
            for x in range(nx):
                s, w = max(sky[x], zero), wgt[y, x]
                variance = one / w if w > zero else one
                # The weight itself tells the dome flat D there: variance = (dark/D + light)/D.
                d = (old + np.sqrt(squared + four * dark[x] * variance)) / (variance + variance)
                variance += (s + more * s * s - old) / d
                wgt[y, x] = one / variance if (w > zero and variance > zero) else zero
                sci[y, x] -= sky[x]
        if divide:
            for x in range(nx):
                f = starflat[y, x]
                usable = f > zero
                sci[y, x] = sci[y, x] / f if usable else sci[y, x]
                wgt[y, x] = wgt[y, x] * (f * f) if usable else zero
                msk[y, x] |= np.int32(0) if usable else np.int32(bad)


def subtract(
    planes: Planes, sky: Coarse | Templates | None, starflat: Plane | None, names: Names, run: Pool
) -> tuple[str, ...]:
    """Make (image - sky)/star flat, and the weight from the sky's level at every pixel; in place.

    The weight of `chain.detrend` rests on one level of sky for the CCD, in the header with the other terms; here the
    fitted sky takes its place. Objects do not enter the weight.

    Parameters
    ----------
    planes
        Electrons, with the sky still in it; changed.
    sky, starflat
        What to take off and to divide by; None: leave.
    names
        For the header.
    run
        Where bands of rows are worked on.

    Returns
    -------
    tuple of str
        Steps that the header records already and that were therefore skipped.

    Raises
    ------
    FileTypeError
        The star flat has another shape, or the header lacks the terms of the weight.
    UsageError
        The star flat was applied already, but the sky, which comes before, was not.
    """
    header, (ny, nx) = planes.header, planes.shape
    skipped = []
    if sky is not None and "DESSKYSB" in header:
        sky, skipped = None, ["sky"]
    if starflat is not None and "DESSTAR" in header:
        starflat = None
        skipped.append("starflat")
    if sky is not None and "DESSTAR" in header:
        raise UsageError("the star flat is in this image, so its sky cannot be subtracted any more")
    if sky is None and starflat is None:
        return tuple(skipped)
    if starflat is not None and starflat.shape != planes.shape:
        raise FileTypeError(f"{names.starflat}: star flat of {starflat.shape} for an image of {planes.shape}")
    kind, coefficients, cube, grid, xs, ys = _NOSKY, _LINE, _NO_CUBE, _NONE, _LINE, _LINE
    level = 0.0
    if isinstance(sky, Templates):
        kind, coefficients, cube = _TEMPLATES, sky.coefficients, np.ascontiguousarray(sky.templates)
        level = float(sum(c * np.median(t[::8, ::8]) for c, t in zip(coefficients, cube, strict=True)))
    elif sky is not None:
        kind, grid, xs, ys = _COARSE, sky.grid, sky.x, sky.y
        level = float(np.median(grid))
    dark, light, flat_noise = (np.zeros(nx, np.float32), 0.0, 0.0) if sky is None else _noise(header, planes)
    divisor = _NONE if starflat is None else np.ascontiguousarray(starflat)

    def band(y: int) -> None:
        _rows(
            planes.sci,
            planes.msk,
            planes.wgt,
            kind,
            coefficients,
            cube,
            grid,
            xs,
            ys,
            divisor,
            dark,
            light,
            flat_noise,
            int(MaskBit.BPM),
            y,
            min(y + _BAND, ny),
        )

    for _ in run(band, range(0, ny, _BAND)):
        pass
    states = amplifiers.of_image(header, planes.shape)
    scale = 1.0 if starflat is None else float(np.median(starflat[::8, ::8]))
    for state in states:
        state.saturate = (state.saturate - level) / scale
    amplifiers.write_states(header, states, str(header.get("BUNIT", "electrons")))
    if sky is not None:
        header["SKYBRITE"] = (round(level, 4), "[electrons] median of the sky subtracted")
        record(header, "sky", names.sky)
    if starflat is not None:
        record(header, "starflat", names.starflat)
    return tuple(skipped)


def _noise(header: fits.Header, planes: Planes) -> tuple[Plane, float, float]:
    """Dark variance of each column, variance by light, and the flat's, as `chain.detrend` put them into the weight."""
    dark = np.zeros(planes.shape[1], np.float32)
    for state in amplifiers.of_image(header, planes.shape):
        value = header.get(f"WGTVAR{state.name}")
        if value is None or "WGTSKY" not in header:
            raise FileTypeError(
                f"CCD {header.get('CCDNUM')}: no WGTVAR{state.name} or WGTSKY in the header; "
                "run detrend with the step 'weight'"
            )
        dark[state.place.slices[1]] = value
    sky, flat_noise = float(header["WGTSKY"]), float(header.get("WGTGRAIN", 0.0))
    return dark, sky + flat_noise * sky * sky, flat_noise
