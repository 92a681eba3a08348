"""What a night consists of: frozen shots, and programs that plan them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from desdm.errors import UsageError
from desdm.simulate.conditions import BANDS
from desdm.simulate.field import Density
from desdm.simulate.sky import generator

__all__ = ["PROGRAMS", "Plan", "Shot", "plan_night"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure as it is planned; all that is not drawn from the seed.

    ``kind`` chooses what falls on the camera: 'zero', 'dome flat', 'linearity', 'crosstalk', 'star flat', 'object';
    ``obstype`` and ``title`` are what the header says. ``level`` is a flat's mean in electrons; ``sky`` in
    electrons/s/pixel; ``seeing`` the FWHM of the PSF without the pixel at the optical axis, arcsec; ``cloud`` in mag;
    ``slope`` of the sky relative to its mean from the axis to the rim, along x and y; ``ghost``, ``fringe`` relative to
    the sky. ``lit_band`` is the band that the light has, where the header (``band``) lies. ``streaks`` satellites
    cross the field; ``missing`` CCDs are not delivered; ``processed`` whether firstcut should take it; ``reference``
    whether a reference catalogue covers it; ``corner`` names a corner case.
    """

    expnum: int
    kind: str
    obstype: str
    title: str
    band: str
    exptime: float
    mjd: float
    nite: str
    ra: float = 0.0
    dec: float = -30.0
    airmass: float = 1.0
    seeing: float = 0.95
    sky: float = 0.0
    cloud: float = 0.0
    level: float = 0.0
    slope: tuple[float, float] = (0.0, 0.0)
    ghost: float = 0.0
    fringe: float = 0.0
    streaks: int = 0
    lit_band: str = ""
    missing: tuple[int, ...] = ()
    corner: str = ""
    processed: bool = False
    reference: bool = True
    propid: str = "2012B-0001"

    @property
    def filename(self) -> str:
        """As the camera names it."""
        return f"DECam_{self.expnum:08d}.fits.fz"

    @property
    def year(self) -> float:
        """Julian year."""
        return 2000.0 + (self.mjd - 51544.5) / 365.25

    @property
    def lit(self) -> str:
        """Band of the light."""
        return self.lit_band or self.band


@dataclass(frozen=True, slots=True)
class Plan:
    """A set of shots under one seed, and the sky they look at."""

    seed: int
    shots: tuple[Shot, ...]
    bands: tuple[str, ...]
    density: Density = field(default_factory=Density)
    truth: str = "tables"
    transients: int = 6
    movers: int = 4


PROGRAMS = ("night", "demo", "supercal")
_FIELD = (30.0, -5.0)


@dataclass(slots=True)
class _Clock:
    """Gives each shot its number and its time."""

    seed: int
    nite: str
    expnum: int
    day: float
    night: float

    @classmethod
    def of(cls, seed: int, nite: str, expnum: int) -> _Clock:
        try:
            noon = date(int(nite[:4]), int(nite[4:6]), int(nite[6:])) - date(1858, 11, 17)
        except ValueError as err:
            raise UsageError(f"nite {nite!r} is no date YYYYMMDD") from err
        # Chile's afternoon begins at 17 h UT; its night, on the next UT day, at 0.5 h.
        return cls(seed, nite, expnum, noon.days + 0.72, noon.days + 1.02)

    def stamp(self, exptime: float, dark: bool) -> tuple[int, float]:
        number, self.expnum = self.expnum, self.expnum + 1
        start = self.night if dark else self.day
        step = (exptime + 30.0) / 86400.0
        if dark:
            self.night += step
        else:
            self.day += step
        return number, start


def zero(clock: _Clock, **more: object) -> Shot:
    """A bias frame."""
    number, mjd = clock.stamp(0.0, False)
    return replace(Shot(number, "zero", "zero", "zero", "none", 0.0, mjd, clock.nite), **more)  # type: ignore[arg-type]


def flat(clock: _Clock, band: str, **more: object) -> Shot:
    """A dome flat near 20 000 ADU; the lamp wanders by some per cent."""
    number, mjd = clock.stamp(10.0, False)
    rng = generator(clock.seed, 300, number)
    shot = Shot(
        number, "dome flat", "dome flat", f"dome flat {band}", band, 10.0, mjd, clock.nite,
        level=82000.0 * float(rng.uniform(0.97, 1.03)),
    )  # fmt: skip
    return replace(shot, **more)  # type: ignore[arg-type]


def science(clock: _Clock, band: str, exptime: float = 90.0, **more: object) -> Shot:
    """An exposure of the survey in good conditions, dithered by some 20″ about the field."""
    number, mjd = clock.stamp(exptime, True)
    rng = generator(clock.seed, 301, number)
    of, ra, dec = BANDS[band], *_FIELD
    dra, ddec = rng.uniform(-10.0, 10.0, 2)
    angle, size = rng.uniform(0, 6.283), rng.uniform(0.004, 0.015)
    import math

    shot = Shot(
        number, "object", "object", f"DES survey hex {band} tiling 1", band, exptime, mjd, clock.nite,
        ra=ra + float(dra) / 3600.0 / math.cos(math.radians(dec)), dec=dec + float(ddec) / 3600.0,
        airmass=round(float(rng.uniform(1.05, 1.35)), 3),
        seeing=0.86 * of.seeing * float(rng.uniform(0.95, 1.08)), sky=of.sky * float(rng.uniform(0.95, 1.2)),
        cloud=float(rng.uniform(0.0, 0.05)), slope=(float(size * math.cos(angle)), float(size * math.sin(angle))),
        ghost=of.ghost * float(rng.uniform(0.6, 1.4)), fringe=of.fringe * float(rng.uniform(0.6, 1.4)),
        streaks=int(rng.random() < 0.25), processed=True,
    )  # fmt: skip
    return replace(shot, **more)  # type: ignore[arg-type]


def plan_night(
    seed: int,
    *,
    program: str = "night",
    nite: str = "20121120",
    bands: Sequence[str] = ("g", "r", "i"),
    exposures: int | None = None,
    biases: int = 8,
    flats: int = 6,
    corner_cases: bool = False,
    truth: str = "tables",
    density: Density | None = None,
    expnum: int = 0,
    ra: float | None = None,
    dec: float | None = None,
) -> Plan:
    """Plan a program.

    Parameters
    ----------
    seed
        Of all that is drawn.
    program
        'night': biases, dome flats and ``exposures`` a band. 'demo': the same, with one more exposure in r
        under heavy clouds and one junk exposure. 'supercal': also linearity ramps, crosstalk fields, dithered star flats
        and 20 sky exposures a band, over five nites from ``nite`` on.
    bands, exposures, biases, flats
        Bands; exposures and flats a band (None: 2 exposures, in a supercal 20); biases.
    corner_cases
        Add the frames of `desdm.simulate.corners`.
    truth
        'tables' or 'full' (truth planes too).
    expnum
        Number of the first exposure; 0: 150001.
    ra, dec
        Centre of the field in degrees; the default lies at (30, -5).

    Raises
    ------
    UsageError
        An unknown program, band or date.
    """
    unknown = [b for b in bands if b not in BANDS]
    if unknown:
        raise UsageError(f"no band {', '.join(unknown)}; the camera has {', '.join(BANDS)}")
    clock = _Clock.of(seed, nite, expnum or 150001)
    if exposures is None:
        exposures = 20 if program == "supercal" else 2
    if program == "supercal":
        from desdm.simulate.supercal import supercal_shots

        shots = supercal_shots(clock, tuple(bands), exposures, biases, flats)
    elif program in PROGRAMS:
        shots = [zero(clock) for _ in range(biases)]
        shots += [flat(clock, b) for b in bands for _ in range(flats)]
        shots += [science(clock, b) for b in bands for _ in range(exposures)]
        if program == "demo":
            band = "r" if "r" in bands else bands[0]
            shots.append(science(clock, band, cloud=1.25, streaks=0, title=f"DES survey hex {band} tiling 2"))
            shots.append(
                science(clock, band, title="junk", seeing=2.6, sky=4 * BANDS[band].sky, processed=False)
            )
    else:
        raise UsageError(f"no program {program!r}; known: {', '.join(PROGRAMS)}")
    if corner_cases:
        from desdm.simulate.corners import corner_shots

        shots += corner_shots(clock, tuple(bands))
    if ra is not None and dec is not None:
        shots = [_moved(s, ra - _FIELD[0], dec - _FIELD[1]) for s in shots]
    return Plan(seed, tuple(shots), tuple(bands), density or Density(), truth)


def _moved(shot: Shot, dra: float, ddec: float) -> Shot:
    if shot.kind not in ("object", "star flat", "crosstalk"):
        return shot
    return replace(shot, ra=(shot.ra + dra) % 360.0, dec=shot.dec + ddec)


def nite_after(nite: str, days: int) -> str:
    """The nite some days later."""
    day = date(int(nite[:4]), int(nite[4:6]), int(nite[6:])) + timedelta(days=days)
    return day.strftime("%Y%m%d")
