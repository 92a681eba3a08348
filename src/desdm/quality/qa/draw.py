"""Draws a quicklook: stretched pixels, mask colours over them, compass and scale bar, title and legend."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from desdm.quality.qa.masks import COLOURS, PRIORITY

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

    Font: TypeAlias = FreeTypeFont | BitmapFont

__all__ = ["Compass", "Legend", "compass", "drawable", "dress", "paint", "stretch"]

Pixels = npt.NDArray[np.uint8]
_GROUND = (18, 20, 24)
_INK, _FAINT = (236, 238, 242), (154, 160, 172)
_NODATA = (38, 44, 66)
#: Lengths that a scale bar may have, arcsec, with their text.
_BARS = (
    (0.5, "0.5 arcsec"),
    (1, "1 arcsec"),
    (2, "2 arcsec"),
    (5, "5 arcsec"),
    (10, "10 arcsec"),
    (20, "20 arcsec"),
    (30, "30 arcsec"),
    (60, "1 arcmin"),
    (120, "2 arcmin"),
    (300, "5 arcmin"),
    (600, "10 arcmin"),
    (1200, "20 arcmin"),
    (1800, "30 arcmin"),
    (3600, "1 deg"),
    (7200, "2 deg"),
)


class Compass(NamedTuple):
    """North and east as unit vectors (x to the right, y up), and arcsec a pixel of the full-size image."""

    north: tuple[float, float]
    east: tuple[float, float]
    scale: float


class Legend(NamedTuple):
    """One entry of the legend: colour and text."""

    colour: tuple[int, int, int]
    text: str


def stretch(values: npt.NDArray[np.float32], exclude: npt.NDArray[np.bool_] | None) -> tuple[float, float]:
    """Limits of the grey scale: zscale (the IRAF algorithm) over the finite pixels that are not excluded."""
    from astropy.visualization import ZScaleInterval

    good = np.isfinite(values)
    if exclude is not None and np.count_nonzero(good & ~exclude) > 100:
        good &= ~exclude
    if not good.any():
        return 0.0, 1.0
    low, high = (float(v) for v in ZScaleInterval(n_samples=4000).get_limits(values[good]))
    if not low < high:
        # Zscale finds no width in a map that is mostly one number, as weights and exposure maps are.
        low, high = float(values[good].min()), float(values[good].max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def paint(
    values: npt.NDArray[np.float32],
    limits: tuple[float, float],
    bits: npt.NDArray[np.int32] | None,
    fraction: npt.NDArray[np.float32] | None,
    *,
    opaque: bool = False,
) -> Pixels:
    """RGB rows from the top: grey by ``limits``, mask bits in their colours, NaN in a dark blue.

    Parameters
    ----------
    values
        Pixel values, shape (rows, columns); NaN where there are no data.
    limits
        Values drawn black and white.
    bits
        Mask bits of each pixel, shape as `values`; None: no mask.
    fraction
        Share of each pixel that is masked, 0 to 1, shape as `values`.
    opaque
        Draw masked pixels in the full colour instead of a blend.
    """
    low, high = limits
    grey = np.clip((values - low) / (high - low), 0.0, 1.0)
    hole = ~np.isfinite(values)
    grey[hole] = 0.0
    rgb = np.repeat((grey * 255.0)[:, :, None], 3, axis=2)
    rgb[hole] = _NODATA
    if bits is not None and fraction is not None:
        alpha = np.where(bits != 0, 1.0 if opaque else 0.28 + 0.37 * np.sqrt(fraction), 0.0)
        colour = np.zeros(rgb.shape)
        left = bits != 0
        for bit in PRIORITY:
            here = left & ((bits & int(bit)) != 0)
            colour[here] = COLOURS[bit]
            left &= ~here
        colour[left] = (255, 255, 255)
        rgb = rgb * (1.0 - alpha[:, :, None]) + colour * alpha[:, :, None]
    return np.asarray(rgb[::-1] + 0.5).astype(np.uint8)


def compass(header: Any, shape: tuple[int, int]) -> Compass | None:
    """Where north and east are at the middle of an image of (ny, nx) pixels; None without celestial coordinates."""
    from desdm.sky.projection import complaint, has_wcs
    from desdm.survey.headers import wcs_of

    if not has_wcs(header) or complaint(header):
        return None
    wcs = wcs_of(header)
    if not wcs.has_celestial:
        return None
    x, y = shape[1] / 2.0, shape[0] / 2.0
    lon, lat = (
        wcs.wcs_pix2world if wcs.sip is None and not wcs.wcs.ctype[0].endswith("TPV") else wcs.all_pix2world,
        0,
    )
    ra, dec = (np.asarray(v) for v in lon(np.array([x, x + 1, x]), np.array([y, y, y + 1]), lat))
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        return None
    dra = (ra[1:] - ra[0] + 180.0) % 360.0 - 180.0
    jacobian = np.array([dra * math.cos(math.radians(dec[0])), dec[1:] - dec[0]]) * 3600.0
    scale = math.sqrt(abs(float(np.linalg.det(jacobian))))
    if not scale > 0:
        return None
    inverse = np.linalg.inv(jacobian)
    east, north = (inverse[:, i] / np.hypot(*inverse[:, i]) for i in (0, 1))
    return Compass((float(north[0]), float(north[1])), (float(east[0]), float(east[1])), scale)


def _font(size: int) -> Font:
    """Pillow's own font, which every installation has."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


#: Signs that Pillow's own font lacks; it would draw boxes.
_PLAIN = str.maketrans(
    {
        "×": "x",
        "…": "...",
        "–": "-",
        "—": "-",
        "−": "-",
        "″": '"',
        "′": "'",
        "°": " deg",
        "σ": "sigma",
        "µ": "u",
    }
)


def drawable(text: str) -> str:
    """Return a text with signs of ASCII only, the ones that Pillow's own font draws."""
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in letters)


def dress(
    pixels: Pixels, title: str, subtitle: str, compass: Compass | None, block: float, legend: Sequence[Legend]
) -> Image:
    """The finished picture: title above, compass and scale bar on it, legend below.

    ``block`` is how many full-size pixels one pixel of ``pixels`` spans (below 1: it is enlarged).

    Parameters
    ----------
    pixels
        RGB pixels, shape (rows, columns, 3).
    title
        Text above the picture.
    subtitle
        Second line above the picture.
    compass
        Directions and pixel scale; None: neither compass nor scale bar.
    block
        Full-size pixels that one pixel of `pixels` spans.
    legend
        Entries below the picture.
    """
    from PIL import Image, ImageDraw

    title, subtitle = drawable(title), drawable(subtitle)
    legend = [entry._replace(text=drawable(entry.text)) for entry in legend]
    height, width = pixels.shape[:2]
    unit = max(11, min(18, max(width, height) // 62))
    big, small = _font(round(unit * 1.25)), _font(unit)
    wide = max(width, 30 * unit)
    rows = _flow([(entry, small.getlength(entry.text) + 2.2 * unit) for entry in legend], wide - 2 * unit)
    top = round(4.2 * unit) if subtitle else round(2.6 * unit)
    bottom = round(1.9 * unit * len(rows) + (0.8 * unit if rows else 0.3 * unit))
    canvas = Image.new("RGB", (wide, top + height + bottom), _GROUND)
    canvas.paste(Image.fromarray(pixels), ((wide - width) // 2, top))
    pen = ImageDraw.Draw(canvas)
    pen.text((unit, 0.7 * unit), _fit(title, big, wide - 2 * unit), _INK, big)
    if subtitle:
        pen.text((unit, 2.6 * unit), _fit(subtitle, small, wide - 2 * unit), _FAINT, small)
    if compass is not None and min(width, height) > 10 * unit:
        left = (wide - width) // 2
        _draw_compass(pen, compass, (left + width - 4.2 * unit, top + 4.2 * unit), unit, small)
        _draw_bar(
            pen, compass.scale * block, (left + 1.2 * unit, top + height - 1.5 * unit), width, unit, small
        )
    y = top + height + 0.7 * unit
    for row in rows:
        x = float(unit)
        for entry, length in row:
            pen.rounded_rectangle((x, y + 0.1 * unit, x + unit, y + 1.1 * unit), unit // 5, entry.colour)
            pen.text((x + 1.4 * unit, y), entry.text, _INK, small)
            x += length + unit
        y += 1.9 * unit
    return canvas


def _flow(entries: list[tuple[Legend, float]], room: float) -> list[list[tuple[Legend, float]]]:
    """Distribute the entries of a legend over rows that fit into a width in pixels."""
    rows: list[list[tuple[Legend, float]]] = []
    used = room + 1.0
    for entry, length in entries:
        if used + length > room:
            rows.append([])
            used = 0.0
        rows[-1].append((entry, length))
        used += length + 16
    return rows


def _fit(text: str, font: Font, room: float) -> str:
    """Shorten a text to a width in pixels."""
    while text and font.getlength(text) > room:
        text = text[:-4].rstrip(".") + "..." if len(text) > 4 else ""
    return text


def _halo(pen: ImageDraw, place: tuple[float, float], text: str, font: Font, anchor: str) -> None:
    """Draw a text with a dark outline, readable on any background."""
    pen.text(place, text, (255, 255, 255), font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _draw_compass(
    pen: ImageDraw, compass: Compass, centre: tuple[float, float], unit: int, font: Font
) -> None:
    """Draw arrows to north and east."""
    length = 2.4 * unit
    for (dx, dy), name in ((compass.north, "N"), (compass.east, "E")):
        tip = centre[0] + dx * length, centre[1] - dy * length
        side = 0.32 * unit
        base = centre[0] + dx * (length - 1.4 * side), centre[1] - dy * (length - 1.4 * side)
        head = [
            tip,
            (base[0] - dy * side, base[1] - dx * side),
            (base[0] + dy * side, base[1] + dx * side),
        ]
        for colour, thick in (((0, 0, 0), max(4, unit // 3)), ((255, 255, 255), max(2, unit // 7))):
            pen.line((centre, base), colour, thick)
        pen.polygon(head, (255, 255, 255), (0, 0, 0))
        label = centre[0] + dx * (length + 0.8 * unit), centre[1] - dy * (length + 0.8 * unit)
        _halo(pen, label, name, font, "mm")


def _draw_bar(
    pen: ImageDraw, scale: float, place: tuple[float, float], width: int, unit: int, font: Font
) -> None:
    """Draw a scale bar with its length, the longest that fits."""
    fitting = [(length, text) for length, text in _BARS if length / scale <= 0.28 * width]
    if not fitting:
        return
    length, text = fitting[-1]
    x, y = place
    for colour, thick, grow in (((0, 0, 0), max(4, unit // 3), 1), ((255, 255, 255), max(2, unit // 7), 0)):
        pen.line((x - grow, y, x + length / scale + grow, y), colour, thick)
    _halo(pen, (x + length / scale / 2, y - 0.5 * unit), text, font, "mb")
