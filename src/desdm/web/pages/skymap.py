"""Sky map of images as SVG: outlines of the tiles in a flat projection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup, escape

from desdm.operations.surveytable.summary import Place
from desdm.release.model import ReleaseFile

__all__ = ["places_svg", "sky_svg"]

#: Width of the picture in its own units, and its largest ratio of height to width.
_WIDE, _HIGHER = 400.0, 1.1


def sky_svg(files: Iterable[ReleaseFile], release: str) -> Markup | None:
    """Draw the outlines of the tiles with a grid; each tile is a link to its files. None without images.

    East is left as on the sky; right ascension is squeezed by the cosine of the middle declination.
    """
    tiles: dict[str, list[tuple[float, float]]] = {}
    for file in files:
        if file.tilename and file.s_region and file.tilename not in tiles:
            outline = _outline(file.s_region)
            if len(outline) > 2:
                tiles[file.tilename] = outline
    if not tiles:
        return None
    middle = next(iter(tiles.values()))[0][0]
    # Around the first tile's meridian, so that a survey across RA 0 stays in one piece.
    tiles = {
        name: [((ra - middle + 180) % 360 - 180, dec) for ra, dec in outline]
        for name, outline in tiles.items()
    }
    ras = [x for outline in tiles.values() for x, _ in outline]
    decs = [y for outline in tiles.values() for _, y in outline]
    squeeze = max(0.05, math.cos(math.radians((min(decs) + max(decs)) / 2)))
    margin = 0.12 * max((max(ras) - min(ras)) * squeeze, max(decs) - min(decs), 0.05)
    left, right = max(ras) + margin / squeeze, min(ras) - margin / squeeze
    top, low = max(decs) + margin, min(decs) - margin
    # A tall strip is padded at its sides.
    lack = max(0.0, (top - low) / _HIGHER - (left - right) * squeeze) / squeeze / 2
    left, right = left + lack, right - lack
    scale = _WIDE / ((left - right) * squeeze)
    high = (top - low) * scale

    def place(ra: float, dec: float) -> tuple[float, float]:
        return (left - ra) * squeeze * scale, (top - dec) * scale

    parts = [
        f'<svg class="sky" viewBox="0 0 {_WIDE:.0f} {high + 26:.0f}" role="img" '
        f'aria-label="{len(tiles)} tile{"s" * (len(tiles) != 1)} of {escape(release)} on the sky">'
    ]
    parts += _grid(left, right, low, top, middle, place)
    for name, outline in sorted(tiles.items()):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in outline))
        address = f"/pick?release={escape(release)}&amp;tilename={escape(name)}"
        parts.append(
            f'<a href="{address}"><polygon class="tile" points="{points}"><title>{escape(name)}</title></polygon></a>'
        )
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - every name above is escaped, the rest are numbers


def places_svg(places: Sequence[Place]) -> Markup | None:
    """Draw places as points with a grid: done, begun, and not begun; None without places."""
    if not places:
        return None
    middle = _middle_ra([p.ra for p in places])
    ras = [(p.ra - middle + 180) % 360 - 180 for p in places]
    decs = [p.dec for p in places]
    squeeze = max(0.05, math.cos(math.radians((min(decs) + max(decs)) / 2)))
    span = max((max(ras) - min(ras)) * squeeze, max(decs) - min(decs), 2.0)
    margin = 0.08 * span
    left, right = max(ras) + margin / squeeze, min(ras) - margin / squeeze
    top, low = max(decs) + margin, min(decs) - margin
    lack = max(0.0, (top - low) / 0.62 - (left - right) * squeeze) / squeeze / 2
    left, right = left + lack, right - lack
    scale = _WIDE / ((left - right) * squeeze)
    high = (top - low) * scale

    def place(ra: float, dec: float) -> tuple[float, float]:
        return (left - ra) * squeeze * scale, (top - dec) * scale

    paths: dict[str, list[str]] = {"owed": [], "begun": [], "done": []}
    for one, ra in zip(places, ras, strict=True):
        x, y = place(ra, one.dec)
        look = "done" if one.done >= 1 else "begun" if one.begun else "owed"
        paths[look].append(f"M{x:.0f} {y:.0f}h0")
    parts = [
        f'<svg class="sky places" viewBox="0 0 {_WIDE:.0f} {high + 26:.0f}" role="img" '
        f'aria-label="{len(places)} pointings on the sky: {len(paths["done"])} done, {len(paths["begun"])} begun, '
        f'{len(paths["owed"])} not begun">'
    ]
    parts += _grid(left, right, low, top, middle, place)
    width = max(1.6, min(9.0, 0.55 * _WIDE / max(1.0, len(places) ** 0.5)))
    parts += [
        f'<path class="{look}" stroke-width="{width:.1f}" d="{"".join(marks)}"/>'
        for look, marks in paths.items()
        if marks
    ]
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - all of it are numbers


def _middle_ra(ras: Sequence[float]) -> float:
    """Return the middle of right ascensions on the circle."""
    x = sum(math.cos(math.radians(ra)) for ra in ras)
    y = sum(math.sin(math.radians(ra)) for ra in ras)
    return round(math.degrees(math.atan2(y, x)) % 360, 1)


def _grid(
    left: float,
    right: float,
    low: float,
    top: float,
    middle: float,
    place: Callable[[float, float], tuple[float, float]],
) -> list[str]:
    """Draw the lines and labels of the grid."""
    step = _step(max(left - right, top - low))
    parts = []
    for k in range(math.ceil((right + middle) / step), math.floor((left + middle) / step) + 1):
        (x, y0), (_, y1) = place(k * step - middle, top), place(k * step - middle, low)
        parts.append(f'<path class="grid" d="M{x:.1f} {y0:.1f}V{y1:.1f}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{y1 + 18:.1f}" font-size="13" text-anchor="middle">{k * step % 360:g}°</text>'
        )
    for k in range(math.ceil(low / step), math.floor(top / step) + 1):
        (x0, y), (x1, _) = place(left, k * step), place(right, k * step)
        parts.append(f'<path class="grid" d="M{x0:.1f} {y:.1f}H{x1:.1f}"/>')
        parts.append(f'<text x="6" y="{y - 5:.1f}" font-size="13">{k * step:+g}°</text>')
    return parts


def _step(span: float) -> float:
    """Return the spacing of the grid for a span in degrees."""
    return next((s for s in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0) if span / s <= 5), 45.0)


def _outline(region: str) -> list[tuple[float, float]]:
    """Corners of ``POLYGON [frame] ra dec …`` (STC-S), degrees."""
    numbers = []
    for word in region.split():
        try:
            numbers.append(float(word))
        except ValueError:
            continue
    return list(zip(numbers[::2], numbers[1::2], strict=False))
