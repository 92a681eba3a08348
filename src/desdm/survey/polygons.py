"""Outlines of tiles and images as convex polygons of great circles: which of them hold a position, or touch a region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Outlines", "unit"]

Floats = npt.NDArray[np.float64]
#: On an edge means inside; rounding of positions: 1 mas.
_SLACK = np.radians(1e-3 / 3600)


def unit(ra: Any, dec: Any) -> Floats:
    """Unit vectors, last axis 3, of positions in degrees."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


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
        for number, found in enumerate(near):
            rows = places[np.asarray(sorted(found), int)]
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
        return [int(i) for i in near if self._meets(int(i), region, edge, centre)]

    def _meets(self, number: int, region: Any, edge: Floats, centre: Floats) -> bool:
        own = self.corners[number]
        if self.inside(number, np.concatenate([edge, centre[None]])).any():
            return True
        share = np.linspace(0.0, 1.0, 64, endpoint=False)[:, None, None]
        sides = (own * (1 - share) + np.roll(own, -1, axis=0) * share).reshape(-1, 3)
        sides /= np.linalg.norm(sides, axis=-1, keepdims=True)
        return bool(region.contains(np.concatenate([sides, self.centres[number][None]])).any())
