"""The true maps of each CCD: response, dome flat, star flat, pupil ghost, fringes, bias and bad pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.conditions import BANDS
from desdm.simulate.instrument import CCD, Camera
from desdm.simulate.sky import generator

__all__ = ["Maps", "Response"]

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Maps:
    """One CCD in one band, planes (ny, nx).

    ``response`` R of a pixel to light from the sky; ``flat`` what a perfect normalised dome flat is (response times the
    screen's unevenness, median 1 over the focal plane); ``ghost`` and ``fringe`` patterns of the night sky's extra light
    (peak about 1, mean about 0 for fringes). The star flat is response/flat.
    """

    response: Plane
    flat: Plane
    ghost: Plane
    fringe: Plane

    @property
    def starflat(self) -> Plane:
        """What a flat-fielded image must be divided by for stars to come out even."""
        return np.asarray(self.response / self.flat, np.float32)


@dataclass(slots=True)
class Response:
    """Computes and caches the maps of a camera (``keep`` False: of the last CCD only)."""

    camera: Camera
    keep: bool = True
    _maps: dict[tuple[int, str], Maps] = field(default_factory=dict)
    _pixels: dict[int, Plane] = field(default_factory=dict)
    _bias: dict[int, Plane] = field(default_factory=dict)
    _norm: dict[str, float] = field(default_factory=dict)

    def place(self, ccd: CCD, x: Array, y: Array) -> tuple[Array, Array]:
        """Return focal-plane positions in units of the camera's radius.

        Parameters
        ----------
        ccd
            The CCD.
        x, y
            FITS pixels.

        Returns
        -------
        tuple of numpy.ndarray
            u and v.
        """
        radius = self.camera.radius
        return (x - ccd.wcs.crpix[0]) / radius, (y - ccd.wcs.crpix[1]) / radius

    def maps(self, ccd: CCD, band: str) -> Maps:
        """Return the maps of one CCD in one band."""
        key = (ccd.ccdnum, band)
        maps = self._maps.get(key)
        if maps is None:
            maps = self._make(ccd, band)
            if not self.keep:
                self._maps = {k: v for k, v in self._maps.items() if k[0] == ccd.ccdnum}
            self._maps[key] = maps
        return maps

    def bias(self, ccd: CCD) -> Plane:
        """Two-dimensional structure of the bias above the overscan, ADU, hot pixels and columns in it."""
        plane = self._bias.get(ccd.ccdnum)
        if plane is None:
            plane = self._make_bias(ccd)
            if not self.keep:
                self._bias = {}
            self._bias[ccd.ccdnum] = plane
        return plane

    def bad(self, ccd: CCD) -> npt.NDArray[np.int32]:
        """BPM bit of each pixel."""
        out = np.zeros((self.camera.ny, self.camera.nx), np.int32)
        for box in ccd.defects:
            out[box.y : box.y + box.height, box.x : box.x + box.width] = int(MaskBit.BPM)
        return out

    def _grid(self, ccd: CCD, step: int = 1) -> tuple[Plane, Plane]:
        """Return the focal-plane positions of all pixels."""
        x = np.arange(0, self.camera.nx, step, dtype=float) + 1
        y = np.arange(0, self.camera.ny, step, dtype=float) + 1
        u, _ = self.place(ccd, x, y)
        _, v = self.place(ccd, x, y)
        # Single precision: the cosines of the patterns are most of what a map costs.
        return u[None, :].astype(np.float32), v[:, None].astype(np.float32)

    def _make(self, ccd: CCD, band: str) -> Maps:
        """Compute the maps of a CCD."""
        u, v = self._grid(ccd)
        response = self._smooth(ccd, band, u, v).astype(np.float32)
        response *= self._structure(ccd)
        for box in ccd.defects:
            if box.kind == "dead":
                response[box.y : box.y + box.height, box.x : box.x + box.width] *= box.amount
        screen = self._screen(band, u, v)
        flat = (response * screen / self._flatnorm(band)).astype(np.float32)
        ghost = np.broadcast_to(_ghost(u, v), response.shape).astype(np.float32)
        fringe = _fringe(self.camera.serial, ccd.ccdnum, band, u, v) if BANDS[band].fringe else 0.0
        return Maps(
            response, flat, ghost, np.broadcast_to(np.float32(fringe), response.shape).astype(np.float32)
        )

    def _flatnorm(self, band: str) -> float:
        """Median of response times screen over all good pixels; of a big camera, of every 16th without its grain."""
        if band not in self._norm:
            values, step = [], 1 if self.keep else 16
            for ccd in self.camera.ccds:
                u, v = self._grid(ccd, step)
                light = self._smooth(ccd, band, u, v) * self._screen(band, u, v)
                if self.keep:
                    light = (light * self._structure(ccd))[self.bad(ccd) == 0]
                values.append(light.ravel())
            self._norm[band] = float(np.median(np.concatenate(values)))
        return self._norm[band]

    def _smooth(self, ccd: CCD, band: str, u: Plane, v: Plane) -> Plane:
        """Return the smooth response."""
        rng = generator(self.camera.serial, 110, ord(band[0]))
        a, b, c = (float(x) for x in rng.uniform(-0.006, 0.006, 3))
        vignetting = 1.0 - 0.01 * (u**2 + v**2 - 0.4)
        return np.asarray(ccd.efficiency * vignetting * (1.0 + a * u + b * v + c * u * v))

    def _screen(self, band: str, u: Plane, v: Plane) -> Plane:
        """Unevenness of the dome flat's light, with the pupil ghost that stray light from the screen makes."""
        rng = generator(self.camera.serial, 111, ord(band[0]))
        a, b = (float(x) for x in rng.uniform(-0.012, 0.012, 2))
        return np.asarray(
            (1.0 + a * u + b * v + 0.015 * (u * u - v * v)) * (1.0 + 1.5 * BANDS[band].ghost * _ghost(u, v))
        )

    def _structure(self, ccd: CCD) -> Plane:
        """Pixel areas (0.4 %), tree rings (0.2 %) and shadows of dust: the same in all bands."""
        plane = self._pixels.get(ccd.ccdnum)
        if plane is not None:
            return plane
        ny, nx = self.camera.ny, self.camera.nx
        rng = generator(self.camera.serial, 112, ccd.ccdnum)
        out = rng.standard_normal((ny, nx), np.float32)
        out *= 0.004
        out += 1.0
        x, y = np.arange(nx, dtype=np.float32)[None, :], np.arange(ny, dtype=np.float32)[:, None]
        # The rings' centre is the axis of the silicon boule, off the corner of the chip.
        r = np.hypot(x - nx * 1.3, y + ny * 0.1)
        out *= 1.0 + np.float32(0.002) * np.cos(r * np.float32(2 * np.pi / 80.0) + 0.00004 * r * r)
        for _ in range(max(2, nx * ny // 250_000)):
            cx, cy, size = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(12, 30)
            low, high, left, right = (
                int(max(cy - 2 * size, 0)),
                int(cy + 2 * size),
                int(max(cx - 2 * size, 0)),
                int(cx + 2 * size),
            )
            d = np.hypot(x[:, left:right] - cx, y[low:high] - cy)
            out[low:high, left:right] *= 1.0 - 0.02 * np.exp(-0.5 * ((d - size) / 4.0) ** 2)
        if not self.keep:
            self._pixels = {}
        self._pixels[ccd.ccdnum] = out
        return out

    def _make_bias(self, ccd: CCD) -> Plane:
        """Compute the bias structure of a CCD."""
        ny, nx = self.camera.ny, self.camera.nx
        rng = generator(self.camera.serial, 113, ccd.ccdnum)
        x, y = np.arange(nx), np.arange(ny)[:, None]
        side = np.minimum(x, nx - 1 - x)  # columns from the amplifier's output
        out = np.asarray(
            rng.normal(scale=0.4, size=nx)[None, :] + 2.5 * np.exp(-side / 12.0) + 1.5 * np.exp(-y / 25.0)
        )
        out = (
            out + 0.5 * np.cos(2 * np.pi * y / ny * rng.uniform(0.5, 2)) + rng.normal(scale=0.5, size=(ny, 1))
        ).astype(np.float32)
        for box in ccd.defects:
            if box.kind == "hot":
                out[box.y : box.y + box.height, box.x : box.x + box.width] += box.amount
        return np.asarray(out, np.float32)


def _ghost(u: Plane, v: Plane) -> Plane:
    """Return the ghost: the out-of-focus image of the pupil, a ring slightly off the axis."""
    r = np.hypot(u - 0.03, v + 0.02)
    return np.asarray((1.0 / (1.0 + np.exp((r - 0.62) / 0.05))) * (1.0 / (1.0 + np.exp((0.22 - r) / 0.05))))


def _fringe(serial: int, ccdnum: int, band: str, u: Plane, v: Plane) -> Plane:
    """Interference of sky lines in silicon of uneven thickness: cosines of a smooth thickness map, mean near 0."""
    rng = generator(serial, 114, ccdnum)
    # Thickness in fringe orders: some ten orders over a CCD, whose place differs from CCD to CCD.
    height = float(np.ptp(v))
    du, dv = (u - u.mean()) / height, (v - v.mean()) / height
    thick = float(rng.uniform(0, 1)) + 2.0 * du + 1.5 * dv
    for _ in range(4):
        kx, ky = (float(x) for x in rng.normal(scale=5.0, size=2))
        depth, phase = float(rng.uniform(0.8, 1.6)), float(rng.uniform(0, 2 * np.pi))
        thick = thick + depth * np.cos(kx * du + ky * dv + phase)
    order = 2 * float(np.pi) * {"i": 1.15, "z": 1.0, "Y": 0.92}[band]
    return np.asarray(0.7 * np.cos(order * thick) + 0.3 * np.cos(1.07 * order * thick + 1.0))
