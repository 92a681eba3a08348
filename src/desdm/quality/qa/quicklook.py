"""A picture of any image file, for visual inspection: zscale stretch, mask in colours, compass, scale bar and title."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError, UsageError, storage_error
from desdm.pixels.maskbits import MaskBit
from desdm.quality.qa.draw import Compass, Legend, compass, dress, paint, stretch
from desdm.quality.qa.frame import Frame, Layout, Opened, arrange, open_image, read_bits, read_mean
from desdm.quality.qa.masks import COLOURS, beside, is_mask, translator
from desdm.survey.headers import identity

__all__ = ["Picture", "quicklook"]

#: An image smaller than the picture is enlarged by a whole factor, at most this.
_LARGEST = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """What was drawn.

    Attributes
    ----------
    path
        The PNG.
    width, height
        Its size in pixels, captions and all.
    image
        Which HDUs are drawn.
    shape
        (ny, nx) of the image at full size.
    block
        Pixels averaged in each direction; below 1 the image is enlarged.
    low, high
        Limits of the grey scale, in the image's units.
    bits
        Mask bit → fraction of the image's pixels that have it; empty if no mask is drawn.
    mask
        File of the mask, if it is another one.
    title
        Title of the picture.
    """

    path: Path
    width: int
    height: int
    image: str
    shape: tuple[int, int]
    block: float
    low: float
    high: float
    bits: dict[str, float]
    mask: Path | None
    title: str


@dataclass(frozen=True, slots=True)
class _Mask:
    """A mask reduced to the size of the picture."""

    bits: npt.NDArray[np.int32]
    fraction: npt.NDArray[np.float32]
    counts: Mapping[int, int]


def quicklook(
    path: Path,
    out: Path,
    *,
    mask: Path | bool = True,
    hdu: str | int | None = None,
    size: int = 1000,
    captions: bool = True,
) -> Picture:
    """Draw an image file as PNG.

    Shown is the plane SCI of a file with planes, the image of a file with one, or all detectors of a mosaic; a
    picture file (PNG, JPEG) is reduced. Masks are drawn in the colours of their bits.

    Parameters
    ----------
    path
        FITS file, plain, gzipped or tile-compressed; or a picture.
    out
        The PNG to write.
    mask
        True: the file's own MSK plane, or a Community Pipeline mask beside it; a path: that file; False: none.
    hdu
        Name or number of the one HDU to show.
    size
        Longer side of the image within the picture, pixels; a tenth more is let be.
    captions
        False: the bare image, without title, compass and legend.

    Raises
    ------
    NotFoundError
        There is no such file.
    FileTypeError
        It cannot be read, or holds no image.
    UsageError
        It has no such HDU, or ``size`` is too small.
    """
    if not 16 <= size <= 20_000:
        raise UsageError(f"a picture of {size} pixels cannot be made; say 16 to 20000")
    if _is_picture(path):
        return _shrink(path, out, size)
    opened = open_image(path)
    try:
        return _draw(opened, out, mask=mask, hdu=hdu, size=size, captions=captions)
    finally:
        opened.fits.close()


def _draw(
    opened: Opened, out: Path, *, mask: Path | bool, hdu: str | int | None, size: int, captions: bool
) -> Picture:
    """Draw the picture of an open file and write it to `out`."""
    path = opened.path
    numbers = _choose(opened, hdu)
    layout = arrange(opened, numbers)
    names = {number: name for number, name, _ in opened.images}
    cards = opened.header(_middle(layout, numbers))
    itself = is_mask(path, names[numbers[0]], cards)
    # Whole blocks down to less than twice the wanted size; the painted picture is brought to it below.
    block = max(1, max(layout.shape) // size)
    mask_path: Path | None = None
    if itself:
        over: _Mask | None = _Mask(*read_bits(opened, layout, block, translator(names[numbers[0]], cards)))
        assert over is not None
        frame = Frame(np.full(over.bits.shape, 0.12, np.float32), block)
        limits = (0.0, 1.0)
    else:
        frame = read_mean(opened, layout, block)
        over, mask_path = _mask_for(opened, layout, numbers, mask, block)
        limits = stretch(frame.values, None if over is None else over.bits != 0)
    pixels = paint(
        frame.values,
        limits,
        None if over is None else over.bits,
        None if over is None else over.fraction,
        opaque=itself,
    )
    pixels = _fit(pixels, size)
    step = max(layout.shape) / max(pixels.shape[:2])
    label = _label(opened, numbers)
    title = _title(path, cards, numbers)
    bits = {} if over is None else _named(over.counts, layout.shape)
    if captions:
        text = _subtitle(layout, label, step, None if itself else limits, cards)
        hole = 0.0 if itself else float(np.mean(~np.isfinite(frame.values)))
        picture = dress(pixels, title, text, _compass(cards, opened, numbers), step, _legend(bits, hole))
    else:
        from PIL import Image

        picture = Image.fromarray(pixels)
    _save(picture, out)
    return Picture(
        out,
        picture.width,
        picture.height,
        label,
        layout.shape,
        step,
        limits[0],
        limits[1],
        bits,
        mask_path,
        title,
    )


def _fit(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Scale a picture to about `size` pixels on its longer side."""
    grow = min(_LARGEST, size // max(pixels.shape[:2]))
    if grow > 1:
        return np.repeat(np.repeat(pixels, grow, axis=0), grow, axis=1)
    if grow == 1 or max(pixels.shape[:2]) <= 1.1 * size:
        return pixels  # a few pixels more cost less than resampling all of them
    from PIL import Image

    scale = size / max(pixels.shape[:2])
    to = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(Image.fromarray(pixels).resize(to, Image.Resampling.LANCZOS))


def _choose(opened: Opened, hdu: str | int | None) -> list[int]:
    """Return the numbers of the HDUs to draw: the requested one, the science image, or all CCDs."""
    images = opened.images
    if hdu is not None:
        label = str(hdu).strip()
        numbers = [n for n, name, _ in images if name.upper() == label.upper()]
        numbers = numbers or [n for n, _, _ in images if str(n) == label]
        if not numbers:
            known = ", ".join(f"{n} {name}".strip() for n, name, _ in images)
            raise UsageError(f"{opened.path}: no image HDU {label}; it has: {known}")
        return numbers[:1]
    science = [n for n, name, _ in images if name.upper() == "SCI"]
    if science:
        return science[:1]
    return [n for n, _, _ in images]


def _middle(layout: Layout, numbers: list[int]) -> int:
    """The HDU in the middle of a mosaic: its header speaks for the whole."""
    if len(numbers) == 1:
        return numbers[0]
    y, x = layout.shape[0] / 2, layout.shape[1] / 2
    return min(layout.pieces, key=lambda p: abs(p.row - y) + abs(p.column - x)).hdu


def _mask_for(
    opened: Opened, layout: Layout, numbers: list[int], mask: Path | bool, block: int
) -> tuple[_Mask | None, Path | None]:
    """Return the mask of the pictured pixels and the file that it was read from, if there is one."""
    if mask is False:
        return None, None
    if mask is True:
        own = [n for n, name, _ in opened.images if name.upper() == "MSK"]
        if own and (alike := _alike(opened, own, opened, numbers)):
            plane = _moved(layout, alike)
            return _Mask(*read_bits(opened, plane, block, translator("MSK", {}))), None
    path = beside(opened.path) if mask is True else Path(mask)
    if path is None:
        return None, None
    other = open_image(path)
    try:
        every = [n for n, _, _ in other.images]
        planes = [n for n, name, _ in other.images if name.upper() == "MSK"]
        chosen = planes or every
        alike = _alike(other, chosen, opened, numbers)
        if not alike:
            raise FileTypeError(f"{path}: it is not a mask of {opened.path.name}; their shapes differ")
        name = next(name for n, name, _ in other.images if n == chosen[0])
        translate = translator(name, other.header(chosen[0]))
        return _Mask(*read_bits(other, _moved(layout, alike), block, translate)), path
    finally:
        other.fits.close()


def _alike(mask: Opened, planes: list[int], image: Opened, numbers: list[int]) -> dict[int, int]:
    """Image HDU → mask HDU, in the files' order; empty if their shapes differ."""
    shapes, others = ({n: shape for n, _, shape in file.images} for file in (image, mask))
    if [shapes[n] for n in numbers] != [others[n] for n in planes]:
        return {}
    return dict(zip(numbers, planes, strict=True))


def _moved(layout: Layout, alike: Mapping[int, int]) -> Layout:
    """The same places for the pixels of other HDUs; a mask has no overscan level."""
    pieces = (replace(p, hdu=alike[p.hdu], level=0.0) for p in layout.pieces)
    return Layout(tuple(pieces), layout.shape)


def _header(cards: Mapping[str, Any]) -> fits.Header:
    """Return those cards that an astropy header accepts."""
    header = fits.Header()
    for key, value in cards.items():
        if len(key) <= 8 and isinstance(value, str | int | float | bool):
            try:
                header[key] = value
            except ValueError:
                continue  # text that no card may hold, in a header that nobody promised to be clean
    return header


def _compass(cards: Mapping[str, Any], opened: Opened, numbers: list[int]) -> Compass | None:
    """Return the directions of north and east in the picture, or None without a usable WCS."""
    shape = next(s for n, _, s in opened.images if n == numbers[0])
    try:
        return compass(_header(cards), shape)
    except ValueError:
        return None  # wcslib's complaint about coordinates that contradict themselves: a picture needs none


def _title(path: Path, cards: Mapping[str, Any], numbers: list[int]) -> str:
    """Return the title: exposure, CCD, band and object, or the file's name."""
    try:
        who = identity(_header(cards))
    except (FileTypeError, ValueError):
        who = {}
    # Where a header has no detector's name, the HDU's name is used instead, but not a plane's name.
    named = who.get("CCDNAME", "SCI") not in ("SCI", "MSK", "WGT")
    parts = []
    if cards.get("TILENAME"):
        parts.append(f"tile {cards['TILENAME']}")
    elif "EXPNUM" in who:
        parts.append(f"exposure {who['EXPNUM']}")
        if len(numbers) > 1:
            parts.append(f"{len(numbers)} detectors")
        elif "CCDNUM" in who:
            parts.append(f"CCD {who['CCDNUM']}" + (f" ({who['CCDNAME']})" if named else ""))
    if "BAND" in who:
        parts.append(f"band {who['BAND']}")
    elif str(cards.get("BAND", "")).strip() == "det":
        parts.append("detection image")
    if not parts and who.get("OBJECT"):
        parts.append(str(who["OBJECT"]))
    return "  |  ".join(parts) or path.name


def _subtitle(
    layout: Layout, label: str, step: float, limits: tuple[float, float] | None, cards: Mapping[str, Any]
) -> str:
    """Return the line below the title: source, size, scale, exposure time and limits of the stretch."""
    parts = [label, f"{layout.shape[1]} x {layout.shape[0]} pixels"]
    if step > 1:
        parts.append(f"1 : {step:.3g}")
    if isinstance(cards.get("EXPTIME"), int | float):
        parts.append(f"{cards['EXPTIME']:g} s")
    if layout.how:
        parts.append(layout.how)
    if limits is not None:
        parts.append(f"zscale {limits[0]:.4g} to {limits[1]:.4g}")
    return "  |  ".join(parts)


def _label(opened: Opened, numbers: list[int]) -> str:
    """Return the file's name, with the HDU's name where only one of several is drawn."""
    names = {number: name for number, name, _ in opened.images}
    if len(numbers) > 1:
        return f"{opened.path.name}"
    name = names[numbers[0]]
    return opened.path.name + (f" [{name}]" if name and len(opened.images) > 1 else "")


def _named(counts: Mapping[int, int], shape: tuple[int, int]) -> dict[str, float]:
    """Return the fraction of pixels with each mask bit, by the bit's name."""
    total = shape[0] * shape[1]
    named = {}
    for value, count in sorted(counts.items()):
        name = MaskBit(value).name if value in MaskBit._value2member_map_ else None
        named[name or f"bit {value}"] = count / total
    return named


def _legend(bits: Mapping[str, float], hole: float) -> list[Legend]:
    """Return the legend's entries: mask bits with their shares, and pixels without data."""
    entries = []
    for name, fraction in bits.items():
        colour = COLOURS[MaskBit[name]] if name in MaskBit.__members__ else (255, 255, 255)
        share = f"{100 * fraction:.2g}" if 100 * fraction < 10 else f"{100 * fraction:.0f}"
        entries.append(Legend(colour, f"{name} {share} %"))
    if hole > 0:
        entries.append(Legend((38, 44, 66), f"no data {100 * hole:.2g} %"))
    return entries


def _is_picture(path: Path) -> bool:
    """Tell whether a file is a PNG or JPEG picture."""
    try:
        with path.open("rb") as file:
            return file.read(8).startswith((b"\x89PNG", b"\xff\xd8\xff"))
    except OSError:
        return False


def _shrink(path: Path, out: Path, size: int) -> Picture:
    """Write a smaller copy of a PNG or JPEG picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as source:
            nx, ny = source.size
            source.draft("RGB", (size, size))
            picture = source.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as err:
        raise FileTypeError(f"{path}: the picture cannot be read: {err}") from err
    picture.thumbnail((size, size))
    _save(picture, out)
    step = max(nx, ny) / max(picture.size)
    return Picture(
        out, picture.width, picture.height, path.name, (ny, nx), step, 0.0, 255.0, {}, None, path.name
    )


def _save(picture: Any, out: Path) -> None:
    """Write a picture; it has its name when it is whole."""
    aside = out.with_name(f".{out.name[:200]}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(aside, "PNG", optimize=False, compress_level=6)
        aside.replace(out)
    except OSError as err:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise storage_error(err, out) from err
