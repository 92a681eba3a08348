"""Outlines of tiles and images as convex polygons of great circles: which of them hold a position, or touch a region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.sky.spherical import SLACK as _SLACK
from desdm.sky.spherical import unit

__all__ = ["Outlines", "unit"]

Floats = npt.NDArray[np.float64]


class Outlines:
    """Outlines by their corners.

    Parameters
    ----------
    corners
        (n, 4, 2): right ascension and declination in degrees, in either order round the outline.
    """

    def __init__(self, corners: Floats) -> None:
        self.corners = unit(corners[..., 0], corners[..., 1])
        middle = self.corners.sum(axis=1)
        self.centres = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
        self.radii = np.linalg.norm(self.corners - self.centres[:, None], axis=-1).max(axis=-1)
        normals = np.cross(self.corners, np.roll(self.corners, -1, axis=1))
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-300)
        turn = np.sign(np.einsum("nij,nj->ni", normals, self.centres).sum(axis=1))
        self._normals = normals * turn[:, None, None]

    def holding(self, ra: float, dec: float) -> list[int]:
        """Numbers of those that hold a position, ascending."""
        point = unit(ra, dec)
        near = np.flatnonzero(np.linalg.norm(self.centres - point, axis=-1) <= self.radii + _SLACK)
        inside = (self._normals[near] @ point >= -_SLACK).all(axis=1)
        return [int(i) for i in near[inside]]

    def each(self, points: Floats) -> list[list[int]]:
        """The same for many positions, unit vectors (n, 3): for each the numbers, ascending."""
        from scipy.spatial import cKDTree

        out: list[list[int]] = [[] for _ in range(len(points))]
        finite = np.isfinite(points).all(axis=1)
        places = np.flatnonzero(finite)
        if not places.size or not len(self.centres):
            return out
        # Ordered by outline, so that each adds its number behind smaller ones.
        near = cKDTree(points[places]).query_ball_point(self.centres, self.radii + _SLACK)
        for number, candidates in enumerate(near):
            rows = places[np.asarray(sorted(candidates), int)]
            for row in rows[self.inside(number, points[rows])].tolist():
                out[row].append(number)
        return out

    def inside(self, number: int, points: Floats) -> npt.NDArray[np.bool_]:
        """Which positions, unit vectors (..., 3), lie in one of them."""
        return np.asarray((points @ self._normals[number].T >= -_SLACK).all(axis=-1))

    def touched(self, region: Any) -> list[int]:
        """Numbers of those that a stencil (``services/soda/stencil.py``) touches, ascending."""
        edge = unit(*region.outline())
        centre = unit(*region.centre())
        reach = float(np.linalg.norm(edge - centre, axis=-1).max())
        away = np.linalg.norm(self.centres - centre, axis=-1)
        # Beyond a quarter of the sky the outline says nothing any more of how far its inside reaches.
        near = np.flatnonzero(away <= reach + self.radii + 0.01) if reach < 1.2 else np.arange(len(away))
        # Most are known by a corner; the others need their sides.
        corner_inside = region.contains(self.corners[near]).any(axis=-1)
        return [
            int(i)
            for i, inside in zip(near, corner_inside, strict=True)
            if inside or region.meets(self.corners[i])
        ]
