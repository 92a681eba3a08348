"""Programs of exposures: a night, the demo's night, a calibration campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from desdm.errors import UsageError
from desdm.simulate.conditions import BANDS
from desdm.simulate.corners import corner_shots
from desdm.simulate.field import Density
from desdm.simulate.shots import FIELD, Clock, Plan, Shot, flat, science, zero
from desdm.simulate.supercal import supercal_shots

__all__ = ["PROGRAMS", "Clock", "Plan", "Shot", "flat", "plan_night", "science", "zero"]

PROGRAMS = ("night", "demo", "supercal")


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
    clock = Clock.of(seed, nite, expnum or 150001)
    if exposures is None:
        exposures = 20 if program == "supercal" else 2
    if program == "supercal":
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
        shots += corner_shots(clock, tuple(bands))
    if ra is not None and dec is not None:
        shots = [_moved(s, ra - FIELD[0], dec - FIELD[1]) for s in shots]
    return Plan(seed, tuple(shots), tuple(bands), density or Density(), truth)


def _moved(shot: Shot, dra: float, ddec: float) -> Shot:
    """Shift the pointing of a shot on the sky."""
    if shot.kind not in ("object", "star flat", "crosstalk"):
        return shot
    return replace(shot, ra=(shot.ra + dra) % 360.0, dec=shot.dec + ddec)
