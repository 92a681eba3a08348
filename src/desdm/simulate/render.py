"""Renders one CCD of one shot: the light, the charge, the observed counts, and what is true of each pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from desdm.pixels.maskbits import MaskBit
from desdm.simulate import pixels, profile
from desdm.simulate.brighter import move_charge
from desdm.simulate.conditions import magzero
from desdm.simulate.events import cosmics, streak_light
from desdm.simulate.field import Field
from desdm.simulate.instrument import CCD, GRID, Camera
from desdm.simulate.profile import PSF
from desdm.simulate.response import Response
from desdm.simulate.shots import Plan, Shot
from desdm.simulate.sky import generator
from desdm.simulate.tpv import TPV

__all__ = ["Charge", "Objects", "Renderer", "Stage"]

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

READOUT = 20.0  # s
_STEP = 16.0


class Stage(IntEnum):
    """What a generator's numbers are for: each stage of each CCD has its own."""

    PSF = 10
    POINTING = 11
    STREAK = 12
    SPOTS = 13
    PHOTONS = 14
    COSMICS = 15
    READ = 16
    LEVEL = 17
    EXTRAS = 18


@dataclass(frozen=True, slots=True)
class Objects:
    """Sources of one CCD of one shot: 0-based pixel position and electrons of each; ``index`` is its row in the field."""

    index: npt.NDArray[np.int64]
    x: Array
    y: Array
    ra: Array
    dec: Array
    mag: Array
    flux: Array


@dataclass(slots=True)
class Charge:
    """One CCD before it is read: observed ADU above the overscan (no read noise), and its truth.

    ``light`` (electrons of the objects at response 1) and ``extra`` (electrons of cosmics and streaks) only where the
    truth is wanted in full.
    """

    adu: Plane
    bits: npt.NDArray[np.int32]
    objects: Objects | None = None
    light: Plane | None = None
    extra: Plane | None = None


@dataclass(slots=True)
class Renderer:
    """All that rendering needs; the same numbers whatever is rendered before.

    ``sources`` are the objects of the sky with the extras (transients, movers) at the end.
    """

    camera: Camera
    plan: Plan
    response: Response
    sky: Field | None = None
    kinds: npt.NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, "U9"))
    _inverse: dict[tuple[int, int], Plane] = field(default_factory=dict)
    _banks: dict[tuple[int, int], tuple[Plane, Array, Array]] = field(default_factory=dict)

    def psf(self, shot: Shot) -> PSF:
        """Return the PSF of a shot."""
        rng = generator(self.plan.seed, Stage.PSF, shot.expnum)
        slope, twist, e = (
            rng.uniform(-0.012, 0.012, 2),
            rng.uniform(-0.015, 0.015, 2),
            rng.normal(scale=0.015, size=2),
        )
        return PSF(
            shot.seeing / 0.263,
            (float(slope[0]), float(slope[1])),
            float(rng.uniform(0.002, 0.010)),
            (float(e[0]), float(e[1])),
            (float(twist[0]), float(twist[1])),
        )

    def wcs(self, shot: Shot, ccd: CCD) -> TPV:
        """Return the true WCS: the camera's, slightly turned and scaled (refraction, aberration, the mount)."""
        rng = generator(self.plan.seed, Stage.POINTING, shot.expnum)
        angle, scale = np.radians(rng.normal(scale=0.01)), 1.0 + float(rng.normal(scale=5e-5))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        cd = turn @ np.array(ccd.wcs.cd)
        return TPV(
            (shot.ra, shot.dec),
            ccd.wcs.crpix,
            ((float(cd[0, 0]), float(cd[0, 1])), (float(cd[1, 0]), float(cd[1, 1]))),
            ccd.wcs.pv,
        )

    def guess(self, shot: Shot, ccd: CCD) -> TPV:
        """Return the first WCS: the camera's at the nominal pointing, which is wrong by some arcsec."""
        rng = generator(self.plan.seed, Stage.POINTING, shot.expnum, 1)
        dra, ddec = rng.normal(scale=3.0 / 3600.0, size=2)
        ra = shot.ra + float(dra) / float(np.cos(np.radians(shot.dec)))
        return TPV((ra % 360.0, shot.dec + float(ddec)), ccd.wcs.crpix, ccd.wcs.cd, ccd.wcs.pv)

    # --- light -------------------------------------------------------------------------------------------

    def objects(self, shot: Shot, ccd: CCD) -> Objects:
        """Sources within reach of a CCD."""
        from desdm.simulate.extras import magnitudes_in

        assert self.sky is not None, "a shot of the sky needs a sky"
        wcs, nx, ny = self.wcs(shot, ccd), self.camera.nx, self.camera.ny
        ra, dec = self.sky.at(shot.year)
        mag = magnitudes_in(self.sky, self.kinds, shot, ra, dec)
        centre = wcs.world(np.array([nx / 2]), np.array([ny / 2]))
        reach = np.hypot(nx, ny) / 2 * 0.28 / 3600.0 + 0.01
        dra = ((ra - centre[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(centre[1]))
        near = np.flatnonzero((np.abs(dra) < reach) & (np.abs(dec - centre[1]) < reach) & (mag < 90.0))
        x, y = wcs.pixel(ra[near], dec[near])
        x, y = x - 1.0, y - 1.0
        inside = (x > -95) & (y > -95) & (x < nx + 94) & (y < ny + 94)
        index = near[inside]
        flux = 10.0 ** (-0.4 * (mag[index] - magzero(shot.band, shot.exptime, shot.airmass, shot.cloud)))
        return Objects(index, x[inside], y[inside], ra[index], dec[index], mag[index], flux)

    def stamps(self, shot: Shot, ccd: CCD) -> tuple[Plane, Array, Array]:
        """Return the PSF bank of a shot (and CCD), and the focal-plane positions of its nodes."""
        key = (shot.expnum, ccd.ccdnum if self.camera.psf_per_ccd else 0)
        if key not in self._banks:
            ccds = (ccd,) if self.camera.psf_per_ccd else self.camera.ccds
            ends = [
                self.response.place(
                    c, np.array([0.0, self.camera.nx + 1.0]), np.array([0.0, self.camera.ny + 1.0])
                )
                for c in ccds
            ]
            u = np.linspace(min(e[0][0] for e in ends), max(e[0][1] for e in ends), profile.NODES)
            v = np.linspace(min(e[1][0] for e in ends), max(e[1][1] for e in ends), profile.NODES)
            stamps = profile.bank(self.psf(shot), *np.meshgrid(u, v))
            # Threads render several shots at once; one bank is 9 MB.
            while len(self._banks) > 8:
                self._banks.pop(next(iter(self._banks)), None)
            self._banks[key] = (stamps, u, v)
        return self._banks[key]

    def _light(self, shot: Shot, ccd: CCD) -> tuple[Plane, Objects]:
        """Render the light of all objects."""
        light = np.zeros((self.camera.ny, self.camera.nx), np.float32)
        objects = self.spots(shot, ccd) if shot.kind == "crosstalk" else self.objects(shot, ccd)
        psf, (stamps, u, v) = self.psf(shot), self.stamps(shot, ccd)
        at_u, at_v = self.response.place(ccd, objects.x + 1, objects.y + 1)
        gx, gy = (at_u - u[0]) / (u[1] - u[0]), (at_v - v[0]) / (v[1] - v[0])
        point = (
            np.ones(objects.x.size, bool)
            if self.sky is None or shot.kind == "crosstalk"
            else self.kinds[objects.index] != "galaxy"
        )
        profile.add_stars(
            light,
            stamps,
            objects.x[point],
            objects.y[point],
            objects.flux[point],
            gx[point],
            gy[point],
            psf.forms(at_u[point], at_v[point]),
        )
        if not point.all() and self.sky is not None:
            g = objects.index[~point]
            profile.add_galaxies(
                light,
                objects.x[~point],
                objects.y[~point],
                objects.flux[~point],
                self.sky.radius[g] / 0.263,
                self.sky.e1[g],
                self.sky.e2[g],
                psf.fwhm,
            )
        return light, objects

    def spots(self, shot: Shot, ccd: CCD) -> Objects:
        """Bright spots below saturation, strewn over the CCD, for crosstalk to be measured."""
        rng = generator(self.plan.seed, Stage.SPOTS, shot.expnum, ccd.ccdnum)
        n = self.camera.nx * self.camera.ny // 3500
        x, y = rng.uniform(0, self.camera.nx, n), rng.uniform(0, self.camera.ny, n)
        # A peak of 0.45 to 0.75 of the full well: the peak pixel has some 6 % of the flux.
        well = min(a.gain * a.saturate for a in ccd.amps)
        peak = float(self.stamps(shot, ccd)[0][40].max())
        flux = well * rng.uniform(0.45, 0.75, n) / peak
        ra, dec = self.wcs(shot, ccd).world(x + 1, y + 1)
        mag = magzero(shot.band, shot.exptime, shot.airmass, shot.cloud) - 2.5 * np.log10(flux)
        return Objects(np.arange(n), x, y, ra, dec, mag, flux)

    # --- charge ------------------------------------------------------------------------------------------

    def sky_terms(self, shot: Shot) -> Array:
        """Mean sky in electrons a pixel, its slopes, ghost and fringe amplitudes."""
        return np.array([shot.sky * shot.exptime, *shot.slope, shot.ghost, shot.fringe])

    def charge(self, shot: Shot, ccdnum: int) -> Charge:
        """Everything up to the read-out amplifier."""
        ccd = self.camera[ccdnum]
        ny, nx = self.camera.ny, self.camera.nx
        full = self.plan.truth == "full" and shot.kind in ("object", "star flat")
        out = Charge(np.zeros((ny, nx), np.float32), np.zeros((ny, nx), np.int32))
        if shot.kind == "zero":
            out.adu = np.zeros((ny, nx), np.float32)
        else:
            maps = self.response.maps(ccd, shot.light_band)
            normal = generator(self.plan.seed, Stage.PHOTONS, shot.expnum, ccdnum).standard_normal(
                (ny, nx), np.float32
            )
            u, v = self.response.place(ccd, np.array([1.0]), np.array([1.0]))
            place = np.array([u[0], v[0], 1.0 / self.camera.radius])
            if shot.kind in ("dome flat", "linearity"):
                terms = np.array([shot.level, *shot.slope, 0.0, 0.0])
                pixels.collect(out.adu, maps.flat, maps.ghost, maps.fringe, normal, terms, place)
            else:
                out.adu, out.objects = self._light(shot, ccd)
                out.light = out.adu.copy() if full else None
                if full:
                    out.extra = np.zeros((ny, nx), np.float32)
                self._streaks(shot, ccd, out, place)
                pixels.collect(
                    out.adu, maps.response, maps.ghost, maps.fringe, normal, self.sky_terms(shot), place
                )
        self._strike(shot, ccd, out)
        self._settle(shot, ccd, out)
        out.bits |= self.response.bad(ccd)
        return out

    def _settle(self, shot: Shot, ccd: CCD, out: Charge) -> None:
        """Full wells bleed, charge pushes charge, amplifiers turn it into ADU."""
        nx = self.camera.nx
        spans = [(a * nx // 2, (a + 1) * nx // 2) for a in range(2)]
        if shot.kind != "zero":
            a, b = (x.gain * float(np.interp(1.02 * x.saturate, GRID, x.linear)) for x in ccd.amps)
            for (first, last), well in zip(spans, (a, b), strict=True):
                pixels.saturate(out.adu, first, last, well, out.bits)
            # The charge after bleeding moves the boundaries, so bleeding comes first; a full pixel stays full.
            even = shot.kind in ("dome flat", "linearity")
            out.adu = move_charge(out.adu, self.camera.ar, self.camera.at, (a, b), out.bits, even)
        for n, ((first, last), amp) in enumerate(zip(spans, ccd.amps, strict=True)):
            pixels.to_adu(out.adu, first, last, amp.gain, self._observed(ccd, n), _STEP)

    def _streaks(self, shot: Shot, ccd: CCD, out: Charge, place: Array) -> None:
        """Add streaks of satellites."""
        ny, nx = self.camera.ny, self.camera.nx
        noise = np.sqrt(shot.sky * shot.exptime + 40.0)
        for n in range(shot.streaks):
            rng = generator(self.plan.seed, Stage.STREAK, shot.expnum, n)
            origin = (1.0 - ccd.wcs.crpix[0], 1.0 - ccd.wcs.crpix[1])
            sigma = self.psf(shot).fwhm / 2.3548 * 1.05
            row, column, light = streak_light(rng, origin, ny, nx, self.camera.radius, 6.0 * noise, sigma)
            out.adu[row, column] += light.astype(np.float32)
            if out.extra is not None:
                out.extra[row, column] += light.astype(np.float32)
            visible = light > 0.5 * noise
            out.bits[row[visible], column[visible]] |= int(MaskBit.STREAK)

    def _strike(self, shot: Shot, ccd: CCD, out: Charge) -> None:
        """Add cosmic rays."""
        ny, nx = self.camera.ny, self.camera.nx
        rng = generator(self.plan.seed, Stage.COSMICS, shot.expnum, ccd.ccdnum)
        row, column, charge = cosmics(rng, ny, nx, shot.exptime + READOUT)
        if row.size:
            place, index = np.unique(row * nx + column, return_inverse=True)
            hit = np.bincount(index, charge)
            out.adu.ravel()[place] += hit.astype(np.float32)
            out.bits.ravel()[place[hit > 5.0]] |= int(MaskBit.CRAY)
            if out.extra is not None:
                response = self.response.maps(ccd, shot.light_band).response
                out.extra.ravel()[place] += (hit / np.maximum(response.ravel()[place], 1e-3)).astype(
                    np.float32
                )

    def _observed(self, ccd: CCD, a: int) -> Plane:
        """Observed ADU at true ADU k·16: the linearity table turned round."""
        key = (ccd.ccdnum, a)
        if key not in self._inverse:
            linear = ccd.amps[a].linear
            true = np.arange(0.0, max(70000.0, float(linear[-1])), _STEP)
            observed = np.interp(true, linear, GRID)
            beyond = true > linear[-1]
            observed[beyond] = GRID[-1] + (true[beyond] - linear[-1])
            self._inverse[key] = observed.astype(np.float32)
        return self._inverse[key]
