"""Streaks of one exposure joined across its CCDs: the same line on the sky, and where else it must pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from desdm.codes.immask.streaks import Streak
from desdm.codes.immask.table import PREDICTED, CcdStreaks, Row, numbered
from desdm.sky.gnomonic import gnomonic
from desdm.survey.headers import wcs_of

__all__ = ["connect"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line in the tangent plane (degrees): points p with normal · p = offset."""

    normal: Array
    offset: float

    @classmethod
    def through(cls, points: Array, weights: Array) -> _Line:
        """The line of least squared distances."""
        centre = np.average(points, axis=0, weights=weights)
        spread = (points - centre) * np.sqrt(weights)[:, None]
        normal: Array = np.linalg.svd(spread, full_matrices=False)[2][-1]
        return cls(normal, float(normal @ centre))

    def distance(self, points: Array) -> Array:
        """Signed distance in degrees of each point."""
        away: Array = points @ self.normal - self.offset
        return away


def _project(ra: npt.ArrayLike, dec: npt.ArrayLike, centre: tuple[float, float]) -> Array:
    """Gnomonic coordinates, degrees; NaN far from the centre."""
    x, y, cosine = gnomonic(ra, dec, *centre)
    return np.where((cosine > 0.1)[..., None], np.stack([x, y], axis=-1), np.nan)


def _ends(row: Row, centre: tuple[float, float]) -> Array:
    """Return both ends of a streak projected about ``centre``."""
    ra1, dec1, ra2, dec2 = row.sky
    return _project([ra1, ra2], [dec1, dec2], centre)


def _groups(rows: Sequence[Row], centre: tuple[float, float], near: float) -> list[list[Row]]:
    """Rows that lie on one line, the strongest first; ``near`` degrees at a streak's own distance from the first."""
    left = sorted(rows, key=lambda r: (-r.streak.length * r.streak.snr, r.ccdnum))
    groups: list[list[Row]] = []
    while left:
        group, points = [left.pop(0)], None
        changed = True
        while changed:
            changed = False
            points = np.concatenate([_ends(r, centre) for r in group])
            line = _Line.through(points, np.ones(len(points)))
            along = np.array([-line.normal[1], line.normal[0]])
            reach = np.ptp(points @ along)
            for row in list(left):
                ends = _ends(row, centre)
                away = np.abs(ends @ along - np.median(points @ along)).max()
                # The direction is known to some `near` over the length covered so far.
                if np.abs(line.distance(ends)).max() < near * max(1.0, 0.5 * away / max(reach, 1e-9)):
                    group.append(row)
                    left.remove(row)
                    changed = True
        groups.append(group)
    return groups


def _border(ccd: CcdStreaks, count: int = 33) -> tuple[Array, Array]:
    """Points around a CCD: pixel coordinates from 0, and (ra, dec)."""
    ny, nx = ccd.shape
    t = np.linspace(0.0, 1.0, count)[:-1]
    x = np.concatenate([t * (nx - 1), np.full(t.size, nx - 1.0), (1 - t) * (nx - 1), np.zeros(t.size)])
    y = np.concatenate([np.zeros(t.size), t * (ny - 1), np.full(t.size, ny - 1.0), (1 - t) * (ny - 1)])
    pixels = np.stack([x, y], axis=-1)
    ra, dec = wcs_of(ccd.header).all_pix2world(x, y, 0)
    return pixels, np.stack([ra, dec], axis=-1)


def _crossing(pixels: Array, distance: Array) -> tuple[float, float, float, float] | None:
    """Where a line enters and leaves a CCD, from the distances of its border points; None: it does not cross."""
    if not np.isfinite(distance).all():
        return None
    after = np.roll(distance, -1)
    cuts = np.flatnonzero((distance < 0) != (after < 0))
    if cuts.size != 2:
        return None
    part = distance[cuts] / (distance[cuts] - after[cuts])
    at = pixels[cuts] + part[:, None] * (np.roll(pixels, -1, axis=0)[cuts] - pixels[cuts])
    return float(at[0, 0]), float(at[0, 1]), float(at[1, 0]), float(at[1, 1])


def connect(ccds: Sequence[CcdStreaks], *, near_asec: float = 3.0, shortest: float = 24.0) -> list[Row]:
    """All streaks of an exposure, numbered, with the CCDs where each is expected besides.

    Parameters
    ----------
    ccds
        Streaks of each CCD (also of those without any: a streak may cross them).
    near_asec
        How far from a line another CCD's streak may lie to be the same, arcsec.
    shortest
        Pixels that a predicted stretch must be long.

    Returns
    -------
    list of Row
        The detected rows with their number, then the predicted ones: ends where the line crosses the CCD, width and
        crest of the strongest detected piece, SNR 0.
    """
    placed = [c for c in ccds if "CRVAL1" in c.header]
    rows = [r for c in placed for r in c.rows if np.isfinite(r.sky).all()]
    out = [r for c in ccds for r in c.rows if not np.isfinite(r.sky).all()]
    if not rows:
        return out
    centre = (rows[0].sky[0], rows[0].sky[1])
    borders = {c.ccdnum: _border(c) for c in placed}
    for number, group in enumerate(_groups(rows, centre, near_asec / 3600.0), start=1):
        out += [numbered(r, number) for r in group]
        points = np.concatenate([_ends(r, centre) for r in group])
        line = _Line.through(points, np.ones(len(points)))
        own = {r.ccdnum for r in group}
        for ccd in placed:
            if ccd.ccdnum in own:
                continue
            pixels, sky = borders[ccd.ccdnum]
            ends = _crossing(pixels, line.distance(_project(sky[:, 0], sky[:, 1], centre)))
            if ends is not None:
                streak = replace(
                    _as_predicted(group[0].streak), x1=ends[0], y1=ends[1], x2=ends[2], y2=ends[3]
                )
                if streak.length >= shortest:
                    out.append(_predicted(ccd, streak, number))
    return out


def _as_predicted(streak: Streak) -> Streak:
    """Return a streak with SNR 0, that is, predicted only."""
    return replace(streak, snr=0.0)


def _predicted(ccd: CcdStreaks, streak: Streak, number: int) -> Row:
    """Return the row of a streak that is predicted on a CCD."""
    ra, dec = wcs_of(ccd.header).all_pix2world([streak.x1, streak.x2], [streak.y1, streak.y2], 0)
    sky = (float(ra[0]), float(dec[0]), float(ra[1]), float(dec[1]))
    return Row(ccd.ccdnum, streak, sky, PREDICTED, number)
