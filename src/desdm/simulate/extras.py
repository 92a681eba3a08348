"""What changes on the sky between shots: transients and moving objects, for difference imaging and for later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from desdm.simulate.field import Field
from desdm.simulate.shots import Plan, Shot
from desdm.simulate.sky import generator

__all__ = ["add_extras", "magnitudes_in"]

Array = npt.NDArray[np.float64]

#: Identifiers of transients and of movers begin here, beyond any cell's.
FIRST, MOVERS = 9_000_000_000_000, 9_500_000_000_000
#: Transients explode at so many (`Plan.transients`) in each window of so many days;
#: those of some earlier windows are still visible.
WINDOW, REMEMBERED = 20, 2


@dataclass(frozen=True, slots=True)
class _Extra:
    """A transient or mover: offsets from the field's centre (deg), magnitude, and the day (MJD) that it begins at.

    ``rate`` is a mover's, arcsec an hour along RA on the sky and Dec; a transient has none.
    """

    ident: int
    x: float
    y: float
    mag: float
    mjd: float
    rate: tuple[float, float] = (0.0, 0.0)

    @property
    def mover(self) -> bool:
        """Whether it moves."""
        return self.rate != (0.0, 0.0)


def add_extras(
    sky: Field, plan: Plan, ra: float, dec: float, size: tuple[float, float]
) -> tuple[Field, npt.NDArray[np.str_]]:
    """Append transients and movers to the field; returns it with the kind of each object.

    Parameters
    ----------
    sky
        Stars and galaxies.
    plan
        How many: transients for each window of `WINDOW` days, movers for each night. Both are the same in every plan
        with its seed, whenever it begins.
    ra, dec, size
        Where: the centre in degrees and the extent in degrees (along RA on the sky, and Dec).
    """
    times = [s.mjd for s in plan.shots if s.kind == "object"]
    extras = [*_transients(plan, times, size), *_movers(plan, times, size)]
    kinds = np.where(sky.star, "star", "galaxy").astype("U9")
    if not extras:
        return sky, kinds
    n = len(extras)
    x, y, mags, born = (np.array([getattr(o, name) for o in extras]) for name in ("x", "y", "mag", "mjd"))
    mover = np.array([o.mover for o in extras])
    # Pointings are dithered by some arcsec from plan to plan; what stands on the sky is not.
    ra, dec = round(ra, 2), round(dec, 2)
    lon, lat = ra + x / np.cos(np.radians(dec)), dec + y
    # Arcsec an hour as mas a year.
    rate = np.array([o.rate for o in extras]).T * 1000.0 * 24 * 365.25
    none = np.zeros(n)

    def more(have: Array, new: Array) -> Array:
        return np.concatenate([have, new])

    longer = replace(
        sky,
        ident=np.concatenate([sky.ident, [o.ident for o in extras]]),
        ra=more(sky.ra, lon % 360.0),
        dec=more(sky.dec, lat),
        pmra=more(sky.pmra, rate[0]),
        pmdec=more(sky.pmdec, rate[1]),
        star=np.concatenate([sky.star, np.zeros(n, bool)]),
        mags={b: more(m, mags) for b, m in sky.mags.items()},
        radius=more(sky.radius, none),
        e1=more(sky.e1, none),
        e2=more(sky.e2, none),
        isolation=more(sky.isolation, np.full(n, 15.0)),
        epoch=more(np.full(sky.ra.size, sky.epoch), 2000.0 + (born - 51544.5) / 365.25),
    )
    return longer, np.concatenate([kinds, np.where(mover, "mover", "transient")])


def _transients(plan: Plan, times: Sequence[float], size: tuple[float, float]) -> list[_Extra]:
    """Return the transients of the windows before and around the shots, the same for every plan of a seed."""
    if not times or not plan.transients:
        return []
    out = []
    for window in range(int(min(times) // WINDOW) - REMEMBERED, int(max(times) // WINDOW) + 1):
        rng = generator(plan.seed, 400, window)
        for i in range(plan.transients):
            x, y = rng.uniform(-0.45, 0.45) * size[0], rng.uniform(-0.45, 0.45) * size[1]
            mag, exploded = rng.uniform(20.0, 22.5), (window + rng.random()) * WINDOW
            out.append(_Extra(FIRST + window * 1000 + i, x, y, mag, exploded))
    return out


def _movers(plan: Plan, times: Sequence[float], size: tuple[float, float]) -> list[_Extra]:
    """Return the moving objects of each night, which have left the field by the next night."""
    out = []
    for night in sorted({int(mjd) for mjd in times}):
        rng = generator(plan.seed, 401, night)
        for i in range(plan.movers):
            x, y = rng.uniform(-0.45, 0.45) * size[0], rng.uniform(-0.45, 0.45) * size[1]
            rate = (float(rng.normal(scale=2.0)), float(rng.normal(scale=2.0)))
            out.append(_Extra(MOVERS + night * 1000 + i, x, y, rng.uniform(20.0, 22.5), float(night), rate))
    return out


def magnitudes_in(sky: Field, kinds: npt.NDArray[np.str_], shot: Shot, ra: Array, dec: Array) -> Array:
    """Return the magnitudes in the band of a shot; a transient fades within a month of its explosion.

    Parameters
    ----------
    sky
        The objects.
    kinds
        Kind of each object.
    shot
        The exposure.
    ra, dec
        Positions at the epoch of the shot, degrees.

    Returns
    -------
    numpy.ndarray
        Magnitudes; 99 before the explosion of a transient.
    """
    mag = sky.mags[shot.light_band].copy()
    transient = kinds == "transient"
    if transient.any():
        # A Julian year back to a date: the epoch of a transient is when it exploded (`add_extras`).
        exploded = 51544.5 + (np.broadcast_to(sky.epoch, mag.shape)[transient] - 2000.0) * 365.25
        age = shot.mjd - exploded
        mag[transient] = np.where(age < 0, 99.0, mag[transient] + age * 1.0857 / 30.0)
    return mag
