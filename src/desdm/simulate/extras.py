"""What changes on the sky between shots: transients and moving objects, for difference imaging and for later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from desdm.simulate.field import EPOCH, Field
from desdm.simulate.shots import Plan, Shot
from desdm.simulate.sky import generator

__all__ = ["add_extras", "seen"]

Array = npt.NDArray[np.float64]

#: Identifiers of transients and movers begin here, beyond any cell's.
FIRST = 9_000_000_000_000


def add_extras(
    sky: Field, plan: Plan, ra: float, dec: float, size: tuple[float, float]
) -> tuple[Field, npt.NDArray[np.str_]]:
    """Append transients and movers to the field; returns it with the kind of each object.

    Parameters
    ----------
    sky
        Stars and galaxies.
    plan
        How many; a transient peaks within the plan's nights, a mover goes some arcsec an hour.
    ra, dec, size
        Where: the centre in degrees and the extent in degrees (along RA on the sky, and Dec).
    """
    rng = generator(plan.seed, 400)
    n = plan.transients + plan.movers
    kinds = np.where(sky.star, "star", "galaxy").astype("U9")
    if n == 0:
        return sky, kinds
    mover = np.arange(n) >= plan.transients
    x, y = rng.uniform(-0.45, 0.45, (2, n)) * np.array(size)[:, None]
    lon, lat = ra + x / np.cos(np.radians(dec)), dec + y
    # Movers: arcsec an hour as mas a year, from the first shot on.
    rate = rng.normal(scale=2.0, size=(2, n)) * mover * 1000.0 * 24 * 365.25
    first = next((s.year for s in plan.shots if s.kind == "object"), EPOCH)
    mags, none = rng.uniform(18.5, 21.0, n), np.zeros(n)

    def more(have: Array, new: Array) -> Array:
        return np.concatenate([have, new])

    longer = replace(
        sky,
        ident=np.concatenate([sky.ident, FIRST + np.arange(n)]),
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
        epoch=more(np.full(sky.ra.size, sky.epoch), np.full(n, first)),
    )
    return longer, np.concatenate([kinds, np.where(mover, "mover", "transient")])


def seen(sky: Field, kinds: npt.NDArray[np.str_], shot: Shot, ra: Array, dec: Array) -> Array:
    """Magnitudes in a shot's band; a transient fades after its day with a month's time scale and is not there before it."""
    mag = sky.mags[shot.lit].copy()
    for i in np.flatnonzero(kinds == "transient"):
        # Its day lies within twelve hours of the field's first shots: some are there from the start, some appear.
        rng = generator(int(sky.ident[i]), 401)
        age = (shot.mjd % 1.0) - float(rng.uniform(-0.3, 0.12))
        mag[i] = 99.0 if age < 0 else mag[i] + age * 1.0857 / 30.0
    return mag
