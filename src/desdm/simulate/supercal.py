"""The program of a calibration campaign: what `supercal` needs, spread over five nites."""

from __future__ import annotations

from desdm.simulate.conditions import BANDS
from desdm.simulate.shots import Clock, Shot, flat, nite_after, science, zero
from desdm.simulate.sky import generator

__all__ = ["DENSE_FIELD", "supercal_shots"]

NITES = 5
#: Where star flats look: a dense field far from the survey's.
DENSE_FIELD = (75.0, -30.0)
#: Seconds of a ramp's flats: 200 ADU to beyond saturation, denser where the response bends.
RAMP = (0.1, 0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 18.5, 20.0, 21.5, 23.0, 26.0)
_RATE = 8300.0  # electrons a second: 2000 ADU


def supercal_shots(
    clock: Clock, bands: tuple[str, ...], exposures: int, biases: int, flats: int
) -> list[Shot]:
    """Return all shots, in order of time.

    Parameters
    ----------
    clock
        Of the first nite.
    bands
        Bands.
    exposures
        Sky exposures a band, over all nites; sky level, gradient, ghost and fringes vary widely between them.
    biases, flats
        A nite, and a nite and band.

    Notes
    -----
    The first nite also has two linearity ramps in the first band, four crosstalk fields, and in each band twelve
    star flats dithered over a whole focal plane.
    """
    shots: list[Shot] = []
    number, nite = clock.expnum, clock.nite
    for n in range(NITES):
        night = Clock.of(clock.seed, nite_after(nite, n), number)
        shots += [zero(night) for _ in range(biases)]
        shots += [flat(night, b) for b in bands for _ in range(flats)]
        if n == 0:
            shots += _ramps(night, bands[0]) + _crosstalk_fields(night, "r" if "r" in bands else bands[0])
            shots += [s for b in bands for s in _star_flats(night, b)]
        share = [i for i in range(exposures) if i % NITES == n]
        shots += [_wide(night, b) for b in bands for _ in share]
        number = night.expnum
    return shots


def _ramps(clock: Clock, band: str) -> list[Shot]:
    """Plan two ramps of flats."""
    out = []
    for _ in range(2):
        for seconds in RAMP:
            number, mjd = clock.stamp(seconds, False)
            # The lamp is regulated for a ramp: only photons scatter its levels.
            out.append(
                Shot(
                    number,
                    "linearity",
                    "dome flat",
                    f"linearity ramp {band} {seconds:g}s",
                    band,
                    seconds,
                    mjd,
                    clock.nite,
                    level=_RATE * seconds,
                )
            )
    return out


def _crosstalk_fields(clock: Clock, band: str) -> list[Shot]:
    """Plan exposures of bright stars that measure crosstalk."""
    few = BANDS[band].sky * 0.5
    return [
        science(
            clock,
            band,
            10.0,
            kind="crosstalk",
            title="crosstalk field",
            sky=few,
            streaks=0,
            cloud=0.0,
            processed=False,
        )
        for _ in range(4)
    ]


def _star_flats(clock: Clock, band: str) -> list[Shot]:
    """Plan dithered exposures of a dense field."""
    out = []
    for n in range(12):
        rng = generator(clock.seed, 302, clock.expnum)
        dra, ddec = (float(v) for v in rng.uniform(-0.05, 0.05, 2))
        out.append(
            science(
                clock,
                band,
                30.0,
                kind="star flat",
                title=f"star flat {band} {n + 1}",
                ra=DENSE_FIELD[0] + dra,
                dec=DENSE_FIELD[1] + ddec,
                cloud=0.0,
                streaks=0,
                airmass=1.05,
                processed=False,
            )
        )
    return out


def _wide(clock: Clock, band: str) -> Shot:
    """Plan an exposure of changing sky and pointing."""
    rng = generator(clock.seed, 303, clock.expnum)
    of = BANDS[band]
    dra, ddec = rng.uniform(-0.04, 0.04, 2)
    slope = rng.uniform(-0.025, 0.025, 2)
    return science(
        clock,
        band,
        ra=30.0 + float(dra),
        dec=-5.0 + float(ddec),
        sky=of.sky * float(rng.uniform(0.9, 2.2)),
        slope=(float(slope[0]), float(slope[1])),
        ghost=of.ghost * float(rng.uniform(0.2, 2.5)),
        fringe=of.fringe * float(rng.uniform(0.2, 2.5)),
    )
