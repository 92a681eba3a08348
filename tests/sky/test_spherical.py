"""Regions meet images as a dense sampling with astropy's gnomonic WCS says: strips, circles, polygons, poles, RA 0."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from desdm.services.soda.stencil import stencils_of
from desdm.sky.spherical import Bounds, unit

#: Pixels of a side; the sides of a gnomonic image are great circles.
_SIDE = 1000


def image(ra: float, dec: float, size: float, turn: float = 0.0) -> WCS:
    """A square gnomonic image of ``size`` degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [(_SIDE + 1) / 2] * 2
    c, s, step = np.cos(np.radians(turn)), np.sin(np.radians(turn)), size / _SIDE
    wcs.wcs.cd = np.array([[-c, s], [s, c]]) * step
    wcs.wcs.set()
    return wcs


def corners(wcs: WCS) -> np.ndarray:
    """Unit vectors of the outer corners."""
    edge = _SIDE + 0.5
    return unit(*wcs.wcs_pix2world([[0.5, 0.5], [edge, 0.5], [edge, edge], [0.5, edge]], 1).T)


def sampled(wcs: WCS, ra: np.ndarray, dec: np.ndarray) -> bool | None:
    """Whether one of dense points lies in the image; None where the border is too near to say."""
    toward = unit(*wcs.wcs.crval)
    front = unit(ra, dec) @ toward > 0.5
    if not front.any():
        return False
    x, y = wcs.wcs_world2pix(np.column_stack([ra[front], dec[front]]), 1).T
    away = np.maximum(np.abs(x - (_SIDE + 1) / 2), np.abs(y - (_SIDE + 1) / 2)).min()
    return True if away < 0.5 * _SIDE - 5 else False if away > 0.5 * _SIDE + 15 else None


CENTRES = [
    (30.0, -5.0),
    (0.02, 10.0),
    (359.95, -60.0),
    (200.0, 89.9),
    (77.0, -89.95),
    (120.0, 90.0),
    (10.0, 45.0),
]


@pytest.mark.parametrize(("ra", "dec"), CENTRES)
def test_a_strip_of_any_thinness_finds_the_images_that_it_crosses(ra: float, dec: float) -> None:
    rng = np.random.default_rng(int(ra * 7 + dec + 100))
    judged = found = 0
    for _ in range(30):
        size = float(rng.choice([0.05, 0.1, 0.4, 2.0]))
        wcs = image(ra, dec, size, rng.uniform(0, 360))
        width = float(rng.choice([0.0, 1e-7, 3e-4, 0.01]))
        reach = size / max(np.cos(np.radians(min(abs(dec), 89.0))), 0.05)
        if rng.uniform() < 0.6:
            west = ra + rng.uniform(-1, 1) * min(reach, 180)
            low, high = (-90.0, 90.0) if rng.uniform() < 0.5 else sorted(rng.uniform(-90, 90, 2))
            along = np.concatenate([np.linspace(low, high, 2000), np.linspace(dec - 3, dec + 3, 40_000)])
            along = along[(along >= low) & (along <= high)]
            points = (
                np.concatenate([np.full_like(along, west), np.full_like(along, west + width)]),
                np.tile(along, 2),
            )
            pos = f"RANGE {west % 360} {(west % 360) + width} {low} {high}"
        else:
            low = min(max(dec + rng.uniform(-1, 1) * size, -90.0), 90.0)
            high = min(low + width, 90.0)
            west, span = (0.0, 360.0) if rng.uniform() < 0.5 else (rng.uniform(0, 360), rng.uniform(0, 300))
            around = west + np.linspace(0, span, 60_000)
            points = (
                np.tile(around, 2),
                np.concatenate([np.full_like(around, low), np.full_like(around, high)]),
            )
            pos = f"RANGE {west} {west + span} {low} {high}"
        truth = sampled(wcs, *points)
        if truth is not None:
            judged, found = judged + 1, found + truth
            assert stencils_of({"POS": [pos]})[0].meets(corners(wcs)) is truth, (pos, size)
    assert judged > 15 and found > 3


@pytest.mark.parametrize(("ra", "dec"), CENTRES)
def test_circles_and_polygons_find_the_images_that_they_touch(ra: float, dec: float) -> None:
    rng = np.random.default_rng(int(ra * 3 + dec + 100))
    judged = found = 0
    for _ in range(20):
        size = float(rng.choice([0.05, 0.3, 1.0]))
        wcs = image(ra, dec, size, rng.uniform(0, 360))
        toward = unit(ra, dec)
        aside = rng.normal(size=(3, 3)) * np.radians(size) * rng.choice([0.2, 0.6, 10.0])
        ends = toward + aside
        ends /= np.linalg.norm(ends, axis=1, keepdims=True)
        share = np.linspace(0, 1, 30_000)[:, None]
        dense = np.concatenate([ends[i - 1] * (1 - share) + ends[i] * share for i in range(3)])
        weights = rng.dirichlet([1, 1, 1], 60_000)
        dense = np.concatenate([dense, weights @ ends])
        truth = sampled(wcs, *_angles(dense))
        text = " ".join(f"{a!r} {d!r}" for a, d in zip(*(v.tolist() for v in _angles(ends)), strict=True))
        if truth is not None:
            judged, found = judged + 1, found + truth
            assert stencils_of({"POS": [f"POLYGON {text}"]})[0].meets(corners(wcs)) is truth, text
        a, d = (float(v) for v in _angles(ends[0]))
        radius = float(rng.uniform(0, size))
        turn = rng.uniform(0, 2 * np.pi, 60_000)
        east = np.array([-np.sin(np.radians(a)), np.cos(np.radians(a)), 0.0])
        north = np.cross(ends[0], east)
        r = np.radians(radius) * np.sqrt(rng.uniform(0, 1, 60_000))[:, None]
        disc = np.cos(r) * ends[0] + np.sin(r) * (
            np.cos(turn)[:, None] * north + np.sin(turn)[:, None] * east
        )
        truth = sampled(wcs, *_angles(disc))
        if truth is not None:
            assert stencils_of({"POS": [f"CIRCLE {a!r} {d!r} {radius!r}"]})[0].meets(corners(wcs)) is truth
    assert judged > 10 and found > 3


def _angles(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dec = np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1]))
    return np.degrees(np.arctan2(v[..., 1], v[..., 0])) % 360, np.degrees(dec)


def test_regions_that_only_touch_and_those_that_hold_each_other() -> None:
    square = unit([29, 31, 31, 29], [-1, -1, 1, 1])
    for pos, meets in [
        ("RANGE 31 32 -0.5 0.5", True), ("RANGE 31.0001 32 -0.5 0.5", False), ("RANGE 30 30 0 0", True),
        ("RANGE 0 360 -90 90", True), ("RANGE 31 29 -90 90", True), ("RANGE 32 28 -90 90", False),
        # A great circle between corners of one declination bulges towards the pole: 1.00015 at RA 30.
        ("RANGE 29.9 30.1 1.0001 1.5", True), ("RANGE 29.9 30.1 1.0003 1.5", False),
        ("POLYGON 31 0 32 1 32 -1", True), ("POLYGON 29.5 0 30 0.1 30 -0.1", True), ("POLYGON 20 -30 40 -30 30 60", True),
        ("CIRCLE 32 0 1", True), ("CIRCLE 32 0 0.9999", False), ("CIRCLE 210 0 179", True), ("CIRCLE 210 0 178", False),
    ]:  # fmt: skip
        assert stencils_of({"POS": [pos]})[0].meets(square) is meets, pos


def test_the_distance_to_bounds_is_that_of_its_nearest_point() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        low, high = sorted(rng.uniform(-90, 90, 2))
        bounds = Bounds(rng.uniform(0, 360), rng.uniform(0, 359), low, high)
        grid = np.meshgrid(bounds.ra_deg + np.linspace(0, bounds.span_deg, 700), np.linspace(low, high, 700))
        point = unit(rng.uniform(0, 360), rng.uniform(-90, 90))
        near = 2 * np.arcsin(np.linalg.norm(unit(*grid).reshape(-1, 3) - point, axis=1).min() / 2)
        assert bounds.distance(point) == pytest.approx(near, abs=0.006)
