"""Detrending again, in plain numpy, a whole array a step: slow, obvious, and what the fused passes must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.signal import savgol_filter

from desdm.pixels.maskbits import MaskBit
from desdm.survey.raw import Amp, RawCCD, amps_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Truth:
    """A made-up CCD: raw frame, and the constants that it is to be detrended with."""

    raw: RawCCD
    bias: Array
    flat: Array
    bpm: Array
    adu: Array
    linear: dict[str, Array]
    crosstalk: dict[str, float]
    ar: Array
    at: Array


def header(ny: int, nx: int, ccdnum: int = 3) -> fits.Header:
    """Keywords of a DECam-like CCD of ``ny`` × ``nx`` data pixels."""
    half, head = nx // 2, fits.Header()
    head["CCDNUM"], head["BAND"], head["EXPNUM"] = ccdnum, "g", 12345
    head["DATASECA"], head["DATASECB"] = (
        f"[57:{56 + half},51:{ny + 50}]",
        f"[{57 + half}:{56 + nx},51:{ny + 50}]",
    )
    head["BIASSECA"], head["BIASSECB"] = f"[7:56,51:{ny + 50}]", f"[{57 + nx}:{106 + nx},51:{ny + 50}]"
    head["AMPSECA"], head["AMPSECB"] = f"[1:{half},1:{ny}]", f"[{half + 1}:{nx},1:{ny}]"
    for amp, gain, noise, full in (("A", 4.1, 6.5, 40000.0), ("B", 3.9, 7.1, 42000.0)):
        head[f"GAIN{amp}"], head[f"RDNOISE{amp}"], head[f"SATURAT{amp}"] = gain, noise, full
    return head


def kernels() -> tuple[Array, Array]:
    """Brighter-fatter kernels of the right size and signs: antisymmetric about the boundary."""
    d = np.arange(-8, 9, dtype=float)
    dx, dy = d[None, :] - 0.5, d[:, None]
    right = 4e-7 * dx / ((dx**2 + dy**2) ** 1.5 + 0.2)
    right[:, 0] = 0.0
    return right, right.T.copy()


def make(ny: int = 256, nx: int = 192, seed: int = 1, sky: float = 400.0) -> Truth:
    """A raw frame with a few bright stars, bad pixels and everything that is to be taken off (ADU)."""
    rng = np.random.default_rng(seed)
    head = header(ny, nx)
    places, shape = amps(head, (ny + 50, nx + 112))
    data = rng.normal(2000.0, 1.6, (ny + 50, nx + 112)) + 3.0 * np.sin(np.arange(ny + 50) / 40.0)[:, None]
    bias = rng.normal(1.0, 2.0, shape).astype(np.float32)
    flat = (1.0 + 0.03 * rng.standard_normal(shape)).astype(np.float32)
    flat[10, 20:23] = 0.0
    light = rng.poisson(sky * np.maximum(flat, 0.0)).astype(float)
    y, x = np.mgrid[0:ny, 0:nx]
    for cy, cx, peak in ((60, 40, 30000.0), (130, 150, 60000.0), (200, 100, 8000.0), (30, nx // 2, 20000.0)):
        light += peak * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8.0)
    light = np.minimum(light, 45000.0)
    data[50:, 56 : 56 + nx] += light + bias
    bpm = np.zeros(shape, np.int32)
    bpm[rng.integers(0, ny, 40), rng.integers(0, nx, 40)] = int(MaskBit.BPM)
    adu = np.arange(0.0, 65536.0, 16.0)
    linear = {"A": adu + 2e-7 * adu**2, "B": adu - 1e-7 * adu**2}
    raw = RawCCD(head, np.rint(data).astype(np.int32), places, shape)
    return Truth(raw, bias, flat, bpm, adu, linear, {"A": 4e-4, "B": -7e-4}, *kernels())


def amps(head: fits.Header, shape: tuple[int, ...]) -> tuple[tuple[Amp, ...], tuple[int, int]]:
    """Amplifiers and trimmed shape of such a CCD."""
    return amps_of(_Get(head), shape, "made up")  # type: ignore[arg-type]


class _Get:
    """A header as `amps_of` asks it."""

    def __init__(self, head: fits.Header) -> None:
        self.head = head

    def get(self, key: str, default: Any = None) -> Any:
        return self.head.get(key, default)

    def number(self, key: str) -> float | None:
        return float(self.head[key]) if key in self.head else None

    def __contains__(self, key: str) -> bool:
        return key in self.head


def row_levels(raw: Array, rows: slice, columns: slice, window: int = 31, trim: int = 5) -> Array:
    """Clipped mean of each row's overscan, smoothed by parabolas."""
    part = raw[rows, columns.start + trim : columns.stop - trim].astype(float)
    middle = np.median(part, axis=1)
    sample = part[::16] - np.median(part[::16], axis=1)[:, None]
    clip = max(3.0, 5.0 * 1.4826 * float(np.median(np.abs(sample))))
    middle = np.sort(part, axis=1)[:, part.shape[1] // 2]
    keep = np.abs(part - middle[:, None]) <= clip
    means = np.where(keep, part, 0.0).sum(axis=1) / keep.sum(axis=1)
    return np.asarray(savgol_filter(means, window, 2, mode="interp"))


def to_electrons(t: Truth, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Overscan, crosstalk, bias, linearity, bad pixels, saturation, gain, one whole-array step after another."""
    sci, msk = np.empty(t.raw.shape, dtype), np.zeros(t.raw.shape, np.int32)
    parts = {}
    for amp in t.raw.amps:
        assert amp.bias is not None
        level = row_levels(t.raw.data, amp.data.slices[0], amp.bias.slices[1])
        parts[amp.name] = (t.raw.data[amp.data.slices] - level[:, None]).astype(dtype)
    for amp, other in (("A", "B"), ("B", "A")):
        state = next(a for a in t.raw.amps if a.name == amp)
        here = state.trimmed.slices
        value = parts[amp] - dtype(t.crosstalk[amp]) * parts[other][:, ::-1]
        value = value - t.bias[here].astype(dtype)
        table = t.linear[amp]
        inside = np.interp(value, t.adu, table)
        below = table[0] + (value - t.adu[0]) * (table[1] - table[0]) / (t.adu[1] - t.adu[0])
        value = np.where(value < t.adu[0], below, inside).astype(dtype)
        bits = t.bpm[here] | np.where(parts[amp] >= state.saturate, int(MaskBit.SATURATE), 0)
        sci[here] = value * dtype(state.gain)
        msk[here] = bits
    return sci, msk


def brighter_fatter(sci: Array, msk: Array, ar: Array, at: Array, level: float) -> tuple[Array, Array]:
    """Charge back over the boundaries, by Fourier transforms."""
    from scipy.signal import fftconvolve

    bad = (msk & int(MaskBit.BPM | MaskBit.BADAMP)) != 0
    good = ~bad & ((msk & int(MaskBit.SATURATE)) == 0)
    charge = np.where(bad, 0.0, sci - level)
    right = fftconvolve(charge, ar[::-1, ::-1], mode="same")
    top = fftconvolve(charge, at[::-1, ::-1], mode="same")
    out, suspect = sci.copy(), np.zeros(sci.shape, bool)
    moved = right[:, :-1] * 0.5 * (sci[:, :-1] + sci[:, 1:]) * (good[:, :-1] & good[:, 1:])
    out[:, :-1] -= moved
    out[:, 1:] += moved
    moved = top[:-1] * 0.5 * (sci[:-1] + sci[1:]) * (good[:-1] & good[1:])
    out[:-1] -= moved
    out[1:] += moved
    suspect[:, :-1] |= ~good[:, 1:]
    suspect[:, 1:] |= ~good[:, :-1]
    suspect[:-1] |= ~good[1:]
    suspect[1:] |= ~good[:-1]
    return out, msk | np.where(suspect & good, int(MaskBit.SUSPECT), 0).astype(np.int32)


def flatten(
    sci: Array, msk: Array, flat: Array, dark: dict[str, float], sky: float, t: Truth
) -> tuple[Array, Array, Array]:
    """Dome flat and weight: variance = dark/D² + sky/D."""
    dead = ~(flat > 0.05)
    divisor = np.where(dead, 1.0, flat)
    out = sci / divisor
    variance = np.empty(sci.shape)
    for amp in t.raw.amps:
        here = amp.trimmed.slices
        variance[here] = dark[amp.name] / divisor[here] ** 2 + sky / divisor[here]
    mask = msk | np.where(dead, int(MaskBit.BPM), 0).astype(np.int32)
    return out, mask, np.where(mask & int(MaskBit.BPM), 0.0, 1.0 / variance)
