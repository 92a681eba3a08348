"""A plot of the sky around an exposure: the outlines of its CCDs, north up and east left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from desdm.operations.report.svg import Plot, Scale

__all__ = ["SkyField", "sky_field", "sky_plot"]


class SkyField(NamedTuple):
    """CCDs on a plane: east and north offsets in arcmin of corners, by CCD, and half the width that holds them."""

    corners: list[list[tuple[float, float]]]
    reach: float


def sky_field(corners: Sequence[Sequence[tuple[float, float]]]) -> SkyField | None:
    """Return the corners of CCDs on a plane tangent at the first; None if there is none, or a corner is not finite.

    ``corners``: right ascension and declination of the corners of each CCD, in turn [deg].
    """
    if not corners:
        return None
    ra0, dec0 = corners[0][0]
    cosd = math.cos(math.radians(dec0))
    planes = [
        [(((r - ra0 + 180) % 360 - 180) * cosd * 60, (d - dec0) * 60) for r, d in four] for four in corners
    ]
    flat = np.array([p for four in planes for p in four])
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    if not np.isfinite(flat).all():
        return None
    moved = [[(float(x - middle[0]), float(y - middle[1])) for x, y in four] for four in planes]
    return SkyField(moved, float(np.abs(flat - middle).max()))


def sky_plot(title: str, field: SkyField, *, right: int = 14) -> Plot:
    """Return a plot with one scale for both axes and the outlines of the CCDs.

    Parameters
    ----------
    title
        Title, for readers without the picture.
    field
        The CCDs.
    right
        Margin on the right, pixels: room for a scale of colours.
    """
    plot = Plot(title, "east of the centre [arcmin]", "north of the centre [arcmin]", height=330, right=right)
    ratio = (plot.width - plot.left - plot.right) / (plot.height - plot.top - plot.bottom)
    reach = field.reach * 1.06
    plot.scale_x([-reach * ratio, reach * ratio], pad=0.0)
    plot.x = Scale(plot.x.high, plot.x.low, plot.x.begin, plot.x.end)
    plot.scale_y([-reach, reach], pad=0.0)
    for four in field.corners:
        for start, end in zip(four, [*four[1:], four[0]], strict=True):
            plot.segment(*start, *end, "ccd")
    return plot
