"""What changes on the sky between shots: transients and moving objects, for difference imaging and for later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from desdm.simulate.field import Field
from desdm.simulate.plan import Plan, Shot
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
    # Movers: arcsec an hour as mas a year; their place is that at the first shot.
    rate = rng.normal(scale=2.0, size=(2, n)) * mover * 1000.0 * 24 * 365.25
    first = next((s.year for s in plan.shots if s.kind == "object"), sky.epoch)
    back = first - sky.epoch
    lon, lat = lon - rate[0] * back / 3.6e6 / np.cos(np.radians(lat)), lat - rate[1] * back / 3.6e6
    mags = rng.uniform(18.5, 21.0, n)
    none = np.zeros(n)
    longer = replace(
        sky,
        ident=np.concatenate([sky.ident, FIRST + np.arange(n)]), ra=np.concatenate([sky.ra, lon]),
        dec=np.concatenate([sky.dec, lat]), pmra=np.concatenate([sky.pmra, rate[0] * np.cos(np.radians(dec)) / np.cos(np.radians(lat))]),
        pmdec=np.concatenate([sky.pmdec, rate[1]]), star=np.concatenate([sky.star, np.zeros(n, bool)]),
        mags={b: np.concatenate([m, mags]) for b, m in sky.mags.items()}, radius=np.concatenate([sky.radius, none]),
        e1=np.concatenate([sky.e1, none]), e2=np.concatenate([sky.e2, none]),
        isolation=np.concatenate([sky.isolation, np.full(n, 15.0)]),
    )  # fmt: skip
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
