"""The brighter-fatter effect undone: charge goes back over pixel boundaries that brighter neighbours had moved.

After Gruen et al. (2015, JINST 10, C05032) as DESDM applies it: the shift of a pixel's right (top) boundary is
the kernel AR (AT) times the charge around it, and what moved is the shift times the mean charge of the two pixels. The
sums over 17×17 neighbours are taken directly: as fused multiply-adds over whole rows they cost less than
Fourier transforms, and are exact. Rows of a kernel that are equal or opposite, as of every kernel that knows no
left and right, are multiplied once, with the sum or difference of the two rows of charge.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import fitsio
import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError
from desdm.pixels.compiled import compiled
from desdm.pixels.fitsbytes import Pool

__all__ = ["HALF", "Kernels", "correct", "read_kernels"]

HALF = 8
_SIZE = 2 * HALF + 1
_BAND = 128

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.int32]
Kernels = tuple[Plane, Plane]


def read_kernels(path: Path) -> Kernels:
    """Kernels AR and AT of a ``cal_bf`` file, pixel per electron, each (17, 17).

    Element [8+dy, 8+dx] is the shift outward of the right (top) boundary per electron at (x+dx, y+dy).

    Raises
    ------
    FileTypeError
        An HDU is missing, of another size, or not finite.
    """
    kernels = []
    for name in ("AR", "AT"):
        try:
            kernel = np.asarray(fitsio.read(str(path), ext=name), np.float64)
        except OSError as err:
            raise FileTypeError(f"{path.name}: no brighter-fatter kernel HDU {name} ({err})") from err
        if kernel.shape != (_SIZE, _SIZE) or not np.isfinite(kernel).all():
            raise FileTypeError(f"{path.name}: HDU {name} is not a finite kernel of {_SIZE}×{_SIZE} pixels")
        kernels.append(kernel.astype(np.float32))
    return kernels[0], kernels[1]


class _Folded(NamedTuple):
    """A kernel whose equal or opposite rows are taken together: half the multiplications of a symmetric one."""

    rows: npt.NDArray[np.int64]  #: (n, 2): the two rows of each pair, the second -1 where a row is alone
    signs: Plane  #: (n,): +1 where the pair is equal, -1 where it is opposite
    weights: Plane  #: (n, 17): the first row's elements


def _fold(kernel: Plane) -> _Folded:
    """Fold a symmetric or antisymmetric kernel: pairs of equal rows are added before they are convolved."""
    left = [j for j in range(_SIZE) if kernel[j].any()]
    pairs: list[tuple[int, int, float]] = []
    while left:
        j = left.pop(0)
        for sign in (1.0, -1.0):
            other = next((k for k in left if np.array_equal(kernel[k], sign * kernel[j])), None)
            if other is not None:
                left.remove(other)
                pairs.append((j, other, sign))
                break
        else:
            pairs.append((j, -1, 0.0))
    return _Folded(
        np.array([p[:2] for p in pairs], np.int64).reshape(-1, 2),
        np.array([p[2] for p in pairs], np.float32),
        np.ascontiguousarray(kernel[[p[0] for p in pairs]]),
    )


@compiled(fast=True)
def _shifts(charge: Plane, y: int, kernel: _Folded, both: Plane, out: Plane) -> None:
    """Convolve one row of charge with a folded kernel into ``out``."""
    # Row y of the padded charge is 8 rows below the pixel row whose shifts these are.
    for x in range(out.size):
        out[x] = 0.0
    for n in range(kernel.signs.size):
        weight, sign = kernel.weights[n], kernel.signs[n]
        first = charge[y + kernel.rows[n, 0]]
        second = charge[y + kernel.rows[n, 1]] if sign != 0 else first
        for x in range(both.size):
            both[x] = first[x] + sign * second[x]
        for x in range(out.size):
            total = np.float32(0.0)
            for i in range(_SIZE):
                total += weight[i] * both[x + i]
            out[x] += total


@compiled()
def _pad(
    image: Plane, mask: Bits, level: float, bad: int, full: int, y0: int, charge: Plane, good: Plane
) -> None:
    """Charge above the level with a rim of zeros, and 1 where charge may move; from row y0 - 9 of the image."""
    ny, nx = image.shape
    base = np.float32(level)
    charge[:] = 0.0
    good[:] = 0.0
    for row in range(charge.shape[0]):
        y = y0 - 1 - HALF + row
        if y < 0 or y >= ny:
            continue
        for x in range(nx):
            bits = mask[y, x]
            # A saturated pixel's charge is real and repels; that of a defect is not.
            charge[row, x + HALF] = image[y, x] - base if (bits & bad) == 0 else np.float32(0.0)
            good[row, x] = np.float32(1.0) if (bits & (bad | full)) == 0 else np.float32(0.0)


@compiled()
def _mark(
    mask: npt.NDArray[np.int32],
    here: Plane,
    lower: Plane,
    upper: Plane,
    suspect: int,
    bits: npt.NDArray[np.int32],
) -> None:
    """The bits of a row, with SUSPECT where charge may move here but not to one of the four neighbours."""
    last, flag = here.size - 1, np.int32(suspect)
    for x in range(1, last):
        beside = here[x - 1] * here[x + 1] * lower[x] * upper[x]
        bits[x] = mask[x] | (flag if (here[x] > 0) & (beside == 0) else np.int32(0))
    for x, beside in ((0, here[min(1, last)]), (last, here[max(last - 1, 0)])):
        lost = here[x] > 0 and beside * lower[x] * upper[x] == 0
        bits[x] = mask[x] | (flag if lost else np.int32(0))


@compiled()
def _exchange(
    image: Plane,
    mask: Bits,
    ar: _Folded,
    at: _Folded,
    charge: Plane,
    good: Plane,
    y0: int,
    y1: int,
    suspect: int,
    out: Plane,
    bits: Bits,
) -> None:
    """Move charge across the borders of the pixels in rows ``y0`` to ``y1``."""
    ny, nx = image.shape
    right, top, below = np.empty(nx, np.float32), np.empty(nx, np.float32), np.zeros(nx, np.float32)
    half, ones, both = np.float32(0.5), np.ones(nx, np.float32), np.empty(nx + 2 * HALF, np.float32)
    for y in range(y0 - 1, y1):
        if y < 0:
            continue
        row = y - (y0 - 1)
        # Row by row in slices: the compiler vectorises no loop over two indices.
        here, pixels = good[row + HALF], image[y]
        if y + 1 < ny:
            _shifts(charge, row, at, both, top)
            above, upper_pixels = good[row + HALF + 1], image[y + 1]
            for x in range(nx):
                top[x] *= half * (pixels[x] + upper_pixels[x]) * here[x] * above[x]
        else:
            top[:] = 0.0
        if y >= y0:
            _shifts(charge, row, ar, both, right)
            for x in range(nx - 1):
                right[x] *= half * (pixels[x] + pixels[x + 1]) * here[x] * here[x + 1]
            right[nx - 1] = 0.0
            new = out[y]
            new[0] = pixels[0] - (right[0] + (top[0] - below[0]))
            for x in range(1, nx):
                # The small terms first: a bright pixel is rounded once.
                new[x] = pixels[x] - ((right[x] - right[x - 1]) + (top[x] - below[x]))
            # Outside the CCD there is no neighbour that could be bad.
            lower = good[row + HALF - 1] if y > 0 else ones
            upper = good[row + HALF + 1] if y + 1 < ny else ones
            _mark(mask[y], here, lower, upper, suspect, bits[y])
        for x in range(nx):
            below[x] = top[x]


def correct(
    image: Plane, mask: Bits, kernels: Kernels, level: float, *, bad: int, full: int, suspect: int, run: Pool
) -> tuple[Plane, Bits]:
    """Put the charge back.

    Parameters
    ----------
    image
        (ny, nx) electrons, not yet flat-fielded.
    mask
        (ny, nx) bits.
    kernels
        AR and AT.
    level
        Electrons from which charge counts (the sky): even light moves none, and the CCD's rim makes no false step.
    bad, full
        Bits of defects, and of saturated pixels. No charge moves to or from either; a defect's own charge does not count.
    suspect
        Bit that the neighbours of such pixels get.
    run
        Where bands of rows are worked on.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        The new image and mask.
    """
    ny, nx = image.shape
    out, bits = np.empty_like(image), np.empty_like(mask)
    ar, at = (_fold(kernel) for kernel in kernels)

    rows = _BAND + 2 + 2 * HALF
    # Fresh memory for every band would have to be cleared by the operating system.
    spare: list[tuple[Plane, Plane]] = []

    def band(y0: int) -> None:
        y1 = min(y0 + _BAND, ny)
        try:
            charge, good = spare.pop()
        except IndexError:
            charge = np.empty((rows, nx + 2 * HALF), np.float32)
            good = np.empty((rows, nx), np.float32)
        _pad(image, mask, level, bad, full, y0, charge, good)
        _exchange(image, mask, ar, at, charge, good, y0, y1, suspect, out, bits)
        spare.append((charge, good))

    for _ in run(band, range(0, ny, _BAND)):
        pass
    return out, bits
