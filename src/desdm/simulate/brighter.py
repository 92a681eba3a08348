"""Brighter-fatter effect: charge in pixels moves the boundaries between others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["move_charge"]

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_SIDE = 32  # of the blocks in which shifts are refined, pixels


@compiled(fast=True)
def _near(
    charge: Plane,
    level: float,
    least: float,
    right: Plane,
    top: Plane,
    r0: float,
    r1: float,
    t0: float,
    t1: float,
) -> None:
    """Shifts that a faint charge gives the boundaries of its own pixel: they are what moves the sky's noise."""
    ny, nx = charge.shape
    a0, a1, b0, b1 = np.float32(r0), np.float32(r1), np.float32(t0), np.float32(t1)
    mean, most = np.float32(level), np.float32(least)
    row, above = np.empty(nx + 1, np.float32), np.zeros(nx + 1, np.float32)
    row[nx] = above[nx] = np.float32(0.0)
    for x in range(nx):
        q = charge[0, x] - mean
        row[x] = q if abs(q) < most else np.float32(0.0)
    for y in range(ny):
        for x in range(nx):
            q = charge[y + 1, x] - mean if y + 1 < ny else np.float32(0.0)
            above[x] = q if abs(q) < most else np.float32(0.0)
        for x in range(nx):
            right[y, x] = a0 * row[x] + a1 * row[x + 1]
            top[y, x] = b0 * row[x] + b1 * above[x]
        row, above = above, row


@compiled(fast=True)
def _far(charge: Plane, ar: Plane, at: Plane, level: float, least: float, right: Plane, top: Plane) -> None:
    """Shifts that a bright charge gives all boundaries within the kernel (``ar``, ``at``: turned by 180°)."""
    ny, nx = charge.shape
    size = ar.shape[0]
    half = size // 2
    mean, most = np.float32(level), np.float32(least)
    for y in range(ny):
        for x in range(nx):
            q = charge[y, x] - mean
            if abs(q) < most:
                continue
            # Pixel (x + i, y + j) has this charge at the offset (-i, -j).
            left, end = max(x - half, 0), min(x + half, nx - 1) + 1
            for row in range(max(y - half, 0), min(y + half, ny - 1) + 1):
                j, i = row - y + half, left - x + half
                of_right, of_top = ar[j, i : i + end - left], at[j, i : i + end - left]
                to_right, to_top = right[row, left:end], top[row, left:end]
                for c in range(end - left):
                    to_right[c] += of_right[c] * q
                    to_top[c] += of_top[c] * q


@compiled()
def _shift(
    charge: Plane,
    by: Plane,
    right: Plane,
    top: Plane,
    out: Plane,
    bits: npt.NDArray[np.int32],
    well_a: float,
    well_b: float,
) -> None:
    """Each pixel gains what its boundaries sweep over of the two pixels' mean charge ``by``; full pixels stay full."""
    ny, nx = charge.shape
    half = np.float32(0.5)
    # Nothing crosses the rim.
    right[:, nx - 1] = np.float32(0.0)
    top[ny - 1] = np.float32(0.0)
    flow = np.zeros(nx + 1, np.float32)
    below = np.zeros(nx, np.float32)
    for y in range(ny):
        here, above = by[y], by[min(y + 1, ny - 1)]
        for x in range(nx - 1):
            flow[x + 1] = right[y, x] * half * (here[x] + here[x + 1])
        for x in range(nx):
            up = top[y, x] * half * (here[x] + above[x])
            out[y, x] = charge[y, x] + (flow[x + 1] - flow[x]) + (up - below[x])
            below[x] = up
        for x in range(nx):
            well = np.float32(well_a) if x < nx // 2 else np.float32(well_b)
            if (bits[y, x] & 2) != 0 or out[y, x] > well:
                out[y, x] = well


@compiled(fast=True)
def _active(charge: Plane, level: float, least: float, side: int, reach: int) -> npt.NDArray[np.bool_]:
    """Blocks of ``side`` pixels that lie within ``reach`` pixels of a charge of ``least`` above the level."""
    ny, nx = charge.shape
    out = np.zeros(((ny + side - 1) // side, (nx + side - 1) // side), np.bool_)
    most = np.float32(level + least)
    for y in range(ny):
        for x in range(nx):
            if charge[y, x] > most:
                for j in range(max(y - reach, 0) // side, min(y + reach, ny - 1) // side + 1):
                    for i in range(max(x - reach, 0) // side, min(x + reach, nx - 1) // side + 1):
                        out[j, i] = True
    return out


@compiled()
def _refine(
    charge: Plane,
    shifted: Plane,
    ar: Plane,
    at: Plane,
    core: Array,
    level: float,
    least: float,
    right: Plane,
    top: Plane,
    bits: npt.NDArray[np.int32],
    well_a: float,
    well_b: float,
    active: npt.NDArray[np.bool_],
    side: int,
) -> None:
    """Repeat the shifts in the active blocks with the charges ``shifted``, block after block and in place."""
    ny, nx = charge.shape
    size = ar.shape[0]
    half = size // 2
    for block in range(active.size):
        j, i = block // active.shape[1], block % active.shape[1]
        if not active[j, i]:
            continue
        y0, y1, x0, x1 = j * side, min((j + 1) * side, ny), i * side, min((i + 1) * side, nx)
        low, high, left, end = max(y0 - half, 0), min(y1 + half, ny), max(x0 - half, 0), min(x1 + half, nx)
        part = shifted[low:high, left:end].copy()
        to_right, to_top = np.empty_like(part), np.empty_like(part)
        _near(part, level, least, to_right, to_top, core[0], core[1], core[2], core[3])
        _far(part, ar, at, level, least, to_right, to_top)
        for y in range(y0, y1):
            for x in range(x0, x1):
                right[y, x] = to_right[y - low, x - left] if x < nx - 1 else np.float32(0.0)
                top[y, x] = to_top[y - low, x - left] if y < ny - 1 else np.float32(0.0)
        for y in range(y0, y1):
            for x in range(x0, x1):
                own, moved = part[y - low, x - left], np.float32(0.0)
                if x + 1 < nx:
                    moved += right[y, x] * np.float32(0.5) * (own + part[y - low, x + 1 - left])
                if x > 0:
                    moved -= right[y, x - 1] * np.float32(0.5) * (own + part[y - low, x - 1 - left])
                if y + 1 < ny:
                    moved += top[y, x] * np.float32(0.5) * (own + part[y + 1 - low, x - left])
                if y > 0:
                    moved -= top[y - 1, x] * np.float32(0.5) * (own + part[y - 1 - low, x - left])
                well = np.float32(well_a) if x < nx // 2 else np.float32(well_b)
                value = charge[y, x] + moved
                shifted[y, x] = well if (bits[y, x] & 2) != 0 or value > well else value


def move_charge(
    charge: Plane,
    ar: Array,
    at: Array,
    wells: tuple[float, float],
    bits: npt.NDArray[np.int32],
    everywhere: bool,
) -> Plane:
    """Brighter-fatter effect: each pixel gains what its boundaries sweep over.

    The shift of the right boundary of pixel (x, y) is Σ AR[dy, dx]·(charge at (x+dx, y+dy)), likewise the top one
    with AT; what moves is the shift times the mean charge of the two pixels, all charges being those at the end. Even
    light moves nothing (the kernels are antisymmetric), so charges count from the median on, also beyond the CCD's rim.

    Parameters
    ----------
    charge
        Electrons (ny, nx).
    ar, at
        Kernels (17, 17), pixel per electron.
    wells
        Full well of either half, electrons: a pixel whose bit SATURATE is set in ``bits`` stays full.
    everywhere
        Count every pixel's charge in the whole kernel, by Fourier transforms (flats). Otherwise charges that
        stand out by less than 1000 electrons and 5 σ push their own boundaries only: beyond them their
        pushes cancel to less than 0.01 of the noise.
    """
    level = float(np.median(charge[::7, ::5]))
    half = ar.shape[0] // 2
    right, top = np.empty_like(charge), np.empty_like(charge)
    # A correlation: the kernels are turned for a convolution.
    turned_r, turned_t = (np.ascontiguousarray(k[::-1, ::-1], np.float32) for k in (ar, at))
    # The final charge in the pixels moves the boundaries: each pass puts the last one's result in. Shifts
    # reach some hundredths of a pixel beside bright stars, some thousandths in a flat's noise.
    if everywhere:
        return _flat_passes(charge, level, turned_r, turned_t, wells, bits)
    least = max(1000.0, 5.0 * np.sqrt(max(level, 0.0)))
    core = np.array([ar[half, half], ar[half, half + 1], at[half, half], at[half + 1, half]])
    out = np.empty_like(charge)
    _near(charge, level, least, right, top, *core)
    _far(charge, turned_r, turned_t, level, least, right, top)
    _shift(charge, charge, right, top, out, bits, *wells)
    active = _active(out, level, 20000.0, _SIDE, 5)
    for _ in range(2):
        _refine(charge, out, turned_r, turned_t, core, level, least, right, top, bits, *wells, active, _SIDE)
    return out


def _flat_passes(
    charge: Plane,
    level: float,
    turned_r: Plane,
    turned_t: Plane,
    wells: tuple[float, float],
    bits: npt.NDArray[np.int32],
) -> Plane:
    """Shift the charges of a flat in several passes."""
    from scipy.signal import oaconvolve

    moved = charge
    for _ in range(2):
        above = moved - np.float32(level)
        right = np.ascontiguousarray(oaconvolve(above, turned_r, mode="same"))
        top = np.ascontiguousarray(oaconvolve(above, turned_t, mode="same"))
        out = np.empty_like(charge)
        _shift(charge, moved, right, top, out, bits, *wells)
        moved = out
    return moved
