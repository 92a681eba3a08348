"""What a night consists of: frozen shots, the clock that numbers them, and the usual ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from desdm.errors import UsageError
from desdm.simulate.conditions import BANDS
from desdm.simulate.field import Density
from desdm.simulate.sky import generator

__all__ = ["FIELD", "Clock", "Plan", "Shot", "flat", "nite_after", "science", "zero"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure as it is planned; all that is not drawn from the seed.

    ``kind`` chooses what falls on the camera: 'zero', 'dome flat', 'linearity', 'crosstalk', 'star flat', 'object';
    ``obstype`` and ``title`` are what the header says. ``level`` is a flat's mean in electrons; ``sky`` in
    electrons/s/pixel; ``seeing`` the FWHM of the PSF without the pixel at the optical axis, arcsec; ``cloud`` in mag;
    ``slope`` of the sky relative to its mean from the axis to the rim, along x and y; ``ghost``, ``fringe`` relative to
    the sky. ``lit_band`` is the band that the light has, where the header (``band``) lies. ``streaks`` satellites
    cross the field; ``missing`` CCDs are not delivered; ``processed`` whether firstcut should take it; ``reference``
    whether a reference catalogue covers it; ``corner`` names a corner case; ``dead`` is the CCD and amplifier (A or B) that
    gives its bias alone.
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
    dead: tuple[int, str] = (0, "")

    @property
    def filename(self) -> str:
        """As the camera names it."""
        return f"DECam_{self.expnum:08d}.fits.fz"

    @property
    def year(self) -> float:
        """Julian year."""
        return 2000.0 + (self.mjd - 51544.5) / 365.25

    @property
    def light_band(self) -> str:
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


#: Where the survey looks, degrees.
FIELD = (30.0, -5.0)


@dataclass(slots=True)
class Clock:
    """Gives each shot of one nite its number and its time."""

    seed: int
    nite: str
    expnum: int
    day: float
    night: float

    @classmethod
    def of(cls, seed: int, nite: str, expnum: int) -> Clock:
        """Return the clock at noon of a night.

        Parameters
        ----------
        seed
            Seed.
        nite
            Night, YYYYMMDD.
        expnum
            Number of the next exposure.

        Returns
        -------
        Clock
            The clock.
        """
        try:
            noon = date(int(nite[:4]), int(nite[4:6]), int(nite[6:])) - date(1858, 11, 17)
        except ValueError as err:
            raise UsageError(f"nite {nite!r} is not a date YYYYMMDD") from err
        # Chile's afternoon begins at 17 h UT; its night, on the next UT day, at 0.5 h.
        return cls(seed, nite, expnum, noon.days + 0.72, noon.days + 1.02)

    def stamp(self, exptime: float, dark: bool) -> tuple[int, float]:
        """Return number and MJD of the next exposure, in the afternoon or at night."""
        number, self.expnum = self.expnum, self.expnum + 1
        start = self.night if dark else self.day
        step = (exptime + 30.0) / 86400.0
        if dark:
            self.night += step
        else:
            self.day += step
        return number, start


def zero(clock: Clock, **more: object) -> Shot:
    """Plan a bias frame."""
    number, mjd = clock.stamp(0.0, False)
    return replace(Shot(number, "zero", "zero", "zero", "none", 0.0, mjd, clock.nite), **more)  # type: ignore[arg-type]


def flat(clock: Clock, band: str, **more: object) -> Shot:
    """Plan a dome flat near 20 000 ADU; the lamp varies by some per cent."""
    number, mjd = clock.stamp(10.0, False)
    rng = generator(clock.seed, 300, number)
    shot = Shot(
        number,
        "dome flat",
        "dome flat",
        f"dome flat {band}",
        band,
        10.0,
        mjd,
        clock.nite,
        level=82000.0 * float(rng.uniform(0.97, 1.03)),
    )
    return replace(shot, **more)  # type: ignore[arg-type]


def science(clock: Clock, band: str, exptime: float = 90.0, **more: object) -> Shot:
    """Plan an exposure of the survey in good conditions, dithered by some 20″ about the field.

    Parameters
    ----------
    clock
        Source of exposure numbers and times.
    band
        Band.
    exptime
        Exposure time, s.
    more
        Further fields of the shot.

    Returns
    -------
    Shot
        The exposure.
    """
    number, mjd = clock.stamp(exptime, True)
    rng = generator(clock.seed, 301, number)
    of, ra, dec = BANDS[band], *FIELD
    dra, ddec = rng.uniform(-10.0, 10.0, 2)
    angle, size = rng.uniform(0, 6.283), rng.uniform(0.004, 0.015)
    import math

    shot = Shot(
        number,
        "object",
        "object",
        f"DES survey hex {band} tiling 1",
        band,
        exptime,
        mjd,
        clock.nite,
        ra=ra + float(dra) / 3600.0 / math.cos(math.radians(dec)),
        dec=dec + float(ddec) / 3600.0,
        airmass=round(float(rng.uniform(1.05, 1.35)), 3),
        seeing=0.86 * of.seeing * float(rng.uniform(0.95, 1.08)),
        sky=of.sky * float(rng.uniform(0.95, 1.2)),
        cloud=float(rng.uniform(0.0, 0.05)),
        slope=(float(size * math.cos(angle)), float(size * math.sin(angle))),
        ghost=of.ghost * float(rng.uniform(0.6, 1.4)),
        fringe=of.fringe * float(rng.uniform(0.6, 1.4)),
        streaks=int(rng.random() < 0.25),
        processed=True,
    )
    return replace(shot, **more)  # type: ignore[arg-type]


def nite_after(nite: str, days: int) -> str:
    """Return the night some days later."""
    day = date(int(nite[:4]), int(nite[4:6]), int(nite[6:])) + timedelta(days=days)
    return day.strftime("%Y%m%d")
