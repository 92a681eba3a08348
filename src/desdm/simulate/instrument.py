"""A camera as data: its CCDs with amplifiers, place in the focal plane, distortion, crosstalk and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from desdm.errors import UsageError
from desdm.simulate.sky import generator
from desdm.simulate.tpv import TPV
from desdm.survey.headers import DECAM_CCDNUM

__all__ = ["CCD", "GRID", "Amplifier", "Box", "Camera", "Crosstalk", "decam", "mini"]

Array = npt.NDArray[np.float64]

PIXSCALE = 0.263
#: Observed ADU at which a linearity table has its lines; linear interpolation between them.
GRID: Array = np.arange(0.0, 65536.0, 16.0)


@dataclass(frozen=True, slots=True)
class Amplifier:
    """One of the two amplifiers of a CCD.

    ``gain`` in electrons/ADU; ``rdnoise`` in electrons, as anyone measures it in the overscan, that is with
    the noise of digitisation (gain²/12) in it; ``saturate`` in observed ADU above the overscan; ``level`` of the bias in
    ADU; ``linear`` the true ADU at each observed ADU of `GRID`.
    """

    name: str
    gain: float
    rdnoise: float
    saturate: float
    level: float
    linear: Array


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of bad pixels: 0-based first column and row of the trimmed image, its extent, and what is wrong.

    ``kind`` is 'hot' (signal in every frame, also in a bias: ``amount`` ADU) or 'dead' (``amount`` is what is left
    of the response).
    """

    x: int
    y: int
    width: int
    height: int
    kind: str
    amount: float


@dataclass(frozen=True, slots=True)
class CCD:
    """One CCD: ``wcs`` is its solution with the optical axis at (0, 0) of the sky; ``efficiency`` relative to the mean."""

    ccdnum: int
    detpos: str
    detsec: tuple[int, int]
    wcs: TPV
    amps: tuple[Amplifier, Amplifier]
    efficiency: float
    defects: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Crosstalk:
    """``coefficient`` of what the victim amplifier (as ``ccd01A``) sees of the source amplifier's ADU."""

    victim: str
    source: str
    coefficient: float


@dataclass(frozen=True, slots=True)
class Camera:
    """A mosaic of CCDs of ``nx`` × ``ny`` pixels.

    ``radius`` is half the focal plane's diagonal in pixels, the unit of all smooth patterns; ``ar`` and ``at`` the
    brighter-fatter kernels (17 × 17, pixel per electron): shift of a pixel's right and top boundary per
    electron at each neighbour; ``psf_per_ccd`` whether the grid of PSF stamps lies on each CCD or on the whole focal plane.
    """

    name: str
    instrume: str
    nx: int
    ny: int
    ccds: tuple[CCD, ...]
    crosstalk: tuple[Crosstalk, ...]
    ar: Array
    at: Array
    radius: float
    psf_per_ccd: bool
    serial: int = 0

    def __getitem__(self, ccdnum: int) -> CCD:
        for ccd in self.ccds:
            if ccd.ccdnum == ccdnum:
                return ccd
        raise UsageError(f"camera {self.name} has no CCD {ccdnum}; it has {[c.ccdnum for c in self.ccds]}")

    def only(self, ccdnums: tuple[int, ...]) -> Camera:
        """Return the camera with some of its CCDs; crosstalk from the others is removed."""
        ccds = tuple(self[n] for n in sorted(set(ccdnums)))
        names = {f"ccd{c.ccdnum:02d}{a}" for c in ccds for a in "AB"}
        pairs = tuple(x for x in self.crosstalk if x.victim in names and x.source in names)
        return replace(self, ccds=ccds, crosstalk=pairs)

    def sources(self, ccdnum: int) -> dict[int, list[Crosstalk]]:
        """Return the amplifier pairs whose crosstalk reaches a CCD, by source CCD (itself included)."""
        out: dict[int, list[Crosstalk]] = {}
        for pair in self.crosstalk:
            if int(pair.victim[3:-1]) == ccdnum:
                out.setdefault(int(pair.source[3:-1]), []).append(pair)
        return out


def mini(serial: int = 0) -> Camera:
    """Return the test camera: 2 × 2 CCDs of 512 × 1024 pixels, gaps of 40 pixels, and distortion as large as DECam's.

    Parameters
    ----------
    serial
        Another serial number is another camera of the same build: gains, defects, flats differ.
    """
    nx, ny, gap = 512, 1024, 40
    places = {"S1": (0, 0), "S2": (0, 1), "N1": (1, 0), "N2": (1, 1)}
    corner = float(np.hypot(nx + gap / 2, ny + gap / 2))
    wcs = {name: _placed(*_crpix(place, nx, ny, gap), _radial(corner)) for name, place in places.items()}
    # Symmetric about 1, so that mean and median of the focal plane agree and a flat's norm is no question of taste.
    efficiencies = (0.988, 1.001, 0.999, 1.012)
    ccds = tuple(
        CCD(
            i + 1,
            name,
            (places[name][0] * (nx + gap), places[name][1] * (ny + gap)),
            wcs[name],
            (_amplifier("A", serial, i + 1), _amplifier("B", serial, i + 1)),
            efficiencies[i],
            _defects(serial, i + 1, nx, ny, columns=3, pixels=45),
        )
        for i, name in enumerate(places)
    )
    return Camera("mini", "MINICAM", nx, ny, ccds, _crosstalk(serial, 4), *_kernels(), corner, False, serial)


def decam(serial: int = 0) -> Camera:
    """DECam's build with constants of our own: rows of the focal plane as DECam's, nominal gaps, cubic distortion."""
    nx, ny = 2048, 4096
    radius = 15000.0
    rows: dict[int, list[str]] = {}
    for name in DECAM_CCDNUM:
        rows.setdefault(_row(name), []).append(name)
    rng = generator(serial, 100)
    ccds = []
    for name, number in DECAM_CCDNUM.items():
        row, place = _row(name), rows[_row(name)].index(name)
        # Centres 2250 and 4258 pixels apart: DECam's gaps of 201 columns and some 150 rows.
        dx, dy = (row - 5.5) * 2250.0, (place - (len(rows[row]) - 1) / 2) * 4258.0
        ccds.append(
            CCD(
                number,
                name,
                (row * 2250, round(dy + 15000)),
                _placed(nx / 2 + 0.5 - dx, ny / 2 + 0.5 - dy, _radial(radius)),
                (_amplifier("A", serial, number), _amplifier("B", serial, number)),
                1.0 + 0.01 * float(rng.uniform(-1, 1)),
                _defects(serial, number, nx, ny, columns=8, pixels=400),
            )
        )
    return Camera(
        "decam", "DECam", nx, ny, tuple(ccds), _crosstalk(serial, 62), *_kernels(), radius, True, serial
    )


def _row(name: str) -> int:
    """Return the row of a CCD in the focal plane."""
    number = DECAM_CCDNUM[name]
    return int(np.searchsorted(np.cumsum([3, 4, 5, 6, 6, 7, 7, 6, 6, 5, 4, 3]), number))


def _crpix(place: tuple[int, int], nx: int, ny: int, gap: int) -> tuple[float, float]:
    """Return the reference pixel of a CCD about the centre of the camera."""
    return (
        nx + gap / 2 + 0.5 if place[0] == 0 else -gap / 2 + 0.5,
        ny + gap / 2 + 0.5 if place[1] == 0 else -gap / 2 + 0.5,
    )


def _radial(corner: float) -> Mapping[str, tuple[float, ...]]:
    """TPV terms of a cubic distortion of 1.3 % at ``corner`` pixels from the axis, and a tenth of it of coma."""
    rim = corner * PIXSCALE / 3600.0
    k = -0.013 / rim**2
    c = 0.0013 / rim
    pv1 = (0.0, 1.0, 0.0, 0.0, c, 0.0, c / 3, k, 0.0, k, 0.02 * k)
    pv2 = (0.0, 1.0, 0.0, 0.0, -c, 0.0, -c / 3, k, 0.01 * k, k, 0.0)
    return {"PV1": pv1, "PV2": pv2}


def _placed(crpix1: float, crpix2: float, pv: Mapping[str, tuple[float, ...]]) -> TPV:
    """Return the WCS of a CCD in the orientation of DECam."""
    # DECam's orientation: rows of pixels run along declination (decam.ahead has the same signs).
    step = PIXSCALE / 3600.0
    return TPV((0.0, 0.0), (crpix1, crpix2), ((0.0, step), (-step, 0.0)), pv)


def _amplifier(name: str, serial: int, ccdnum: int) -> Amplifier:
    """Draw gain, noise and linearity of an amplifier."""
    rng = generator(serial, 101, ccdnum, ord(name))
    gain, noise = float(rng.uniform(3.8, 4.5)), float(rng.uniform(5.8, 7.2))
    # Two terms: some per cent at full well, as DECam's amplifiers have.
    c2, c3 = float(rng.uniform(-3e-7, 4e-7)), float(rng.uniform(-4e-12, 4e-12))
    linear = GRID + c2 * GRID**2 + c3 * GRID**3
    return Amplifier(
        name, gain, noise, float(rng.uniform(39000, 43000)), float(rng.uniform(1500, 2300)), linear
    )


def _crosstalk(serial: int, count: int) -> tuple[Crosstalk, ...]:
    """Within a CCD some 1e-4 to 1e-3 of either sign, between neighbours on a backplane some 1e-5 (DECam's sizes)."""
    rng = generator(serial, 102)
    out = []
    for ccd in range(1, count + 1):
        for victim, source in ("AB", "BA"):
            size = float(rng.uniform(2e-4, 1e-3)) * (1 if rng.random() < 0.6 else -1)
            out.append(Crosstalk(f"ccd{ccd:02d}{victim}", f"ccd{ccd:02d}{source}", round(size, 7)))
        other = ccd + 1 if ccd % 2 else ccd - 1
        if other <= count:
            for victim, source in ("AA", "BA"):
                size = round(float(rng.uniform(3e-5, 8e-5)), 7)
                out.append(Crosstalk(f"ccd{ccd:02d}{victim}", f"ccd{other:02d}{source}", size))
    return tuple(out)


def _kernels(half: int = 8, strength: float = 2.5e-7) -> tuple[Array, Array]:
    """Boundary shifts as of point charges: falling with the distance from the charge to the boundary's middle.

    Antisymmetric about the boundary, so that even light moves no charge.
    """
    steps = np.arange(-half, half + 1, dtype=float)
    dx, dy = steps[None, :], steps[:, None]
    # Charge repels the electrons that drift in, so a full pixel shrinks: its own charge moves its right boundary to
    # the left (negative), that of its right neighbour moves it to the right.
    right = _push(dx - 0.5, dy, strength)
    top = _push(dy - 0.5, dx, strength)
    right[:, 0] = 0.0  # the partner of this column lies outside the kernel
    top[0, :] = 0.0
    return right, top


def _push(along: Array, across: Array, strength: float) -> Array:
    """Return the shift of a pixel boundary by a charge at some distance."""
    r2 = along**2 + across**2
    return np.asarray(strength * along / (r2**1.5 + 0.15))


def _defects(serial: int, ccdnum: int, nx: int, ny: int, columns: int, pixels: int) -> tuple[Box, ...]:
    """Draw bad columns and pixels of a CCD."""
    rng = generator(serial, 103, ccdnum)
    out = []
    for _ in range(columns):
        x, y = int(rng.integers(8, nx - 8)), int(rng.integers(ny // 8, 3 * ny // 4))
        # Charge leaks from a pixel into all that are read through it: the column is bad from there to its end.
        out.append(Box(x, y, 1, ny - y, "hot", float(rng.uniform(60.0, 400.0))))
    for _ in range(pixels):
        x, y = int(rng.integers(4, nx - 4)), int(rng.integers(4, ny - 4))
        out.append(Box(x, y, 1, 1, "hot", float(10 ** rng.uniform(2.0, 3.5))))
    for _ in range(pixels):
        x, y = int(rng.integers(4, nx - 4)), int(rng.integers(4, ny - 4))
        width, height = (int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.random() < 0.2 else (1, 1)
        out.append(Box(x, y, width, height, "dead", float(rng.uniform(0.0, 0.6))))
    return tuple(out)
