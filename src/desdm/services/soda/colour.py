"""Colour pictures: three bands through one asinh stretch that keeps colours (Lupton et al. 2004, PASP 116, 133)."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm import __version__
from desdm.errors import UsageError
from desdm.services.soda.cutout import Cut
from desdm.survey.lupton import WHITE, lupton

__all__ = ["Lupton", "grey_or_colour", "noise_of", "png", "split_bands", "three_of"]

_NOISES = 12.0  # default stretch, in units of the sky's noise


@dataclass(frozen=True, slots=True)
class Lupton:
    """Parameters of a picture.

    Attributes
    ----------
    q
        Softening: how strongly the bright end is compressed.
    stretch
        Width of the linear part, in the image's unit; 0: 12 times the noise of the sky.
    minimum
        Value that is black.
    """

    q: float = 8.0
    stretch: float = 0.0
    minimum: float = 0.0


def three_of(bands: Collection[str], requested: str) -> list[str]:
    """The bands of a picture, from blue to red: the requested ones, else g r i, else those that exist.

    Parameters
    ----------
    bands
        Images by band.
    requested
        ``g,r,i`` or ``gri``, or one band for a grey picture; empty: default.

    Raises
    ------
    UsageError
        A requested band has no image, or their number is neither one nor three.
    """
    names = split_bands(requested)
    for name in names:
        if name not in bands:
            raise UsageError(f"band {name!r} is not there; there are: {', '.join(sorted(bands))}")
    if names:
        if len(names) not in (1, 3):
            raise UsageError(f"BANDS={requested[:40]}: a picture takes one band or three")
        return sorted(names, key=list(WHITE).index)
    if {"g", "r", "i"} <= set(bands):
        return ["g", "r", "i"]
    usable = [b for b in WHITE if b in bands]
    if not usable:
        raise UsageError("there is no image in a known band")
    return [usable[0], usable[len(usable) // 2], usable[-1]] if len(usable) > 1 else usable


def split_bands(text: str) -> list[str]:
    """Return the bands of a list (``g,r,i``) or a word (``gri``); `UsageError` for an unknown band."""
    words = [w for w in text.replace(",", " ").replace(";", " ").split() if w]
    if len(words) == 1 and words[0] not in WHITE:
        words = list(words[0])
    for word in words:
        if word not in WHITE:
            raise UsageError(f"{word[:10]!r} is not a band; bands are {', '.join(WHITE)}")
    return list(dict.fromkeys(words))


def noise_of(cut: Cut) -> float:
    """Return the noise of the sky from the median weight; 1 without positive weights."""
    weight = cut.planes.get("WGT")
    good = weight[weight > 0] if weight is not None else np.empty(0, np.float32)
    return 1.0 / math.sqrt(float(np.median(good))) if good.size else 1.0


def grey_or_colour(cuts: Mapping[str, Cut], settings: Lupton) -> tuple[npt.NDArray[np.uint8], dict[str, str]]:
    """Render cutouts of one box in one to three bands, and describe how.

    Parameters
    ----------
    cuts
        By band, from blue to red; with SCI and, without an explicit stretch, WGT.
    settings
        Parameters of the stretch.

    Returns
    -------
    rgb : numpy.ndarray
        (ny, nx, 3), uint8.
    texts : dict
        Parameters and sources, for the PNG's text chunks.
    """
    bands = list(cuts)
    factors = {b: WHITE[b] if len(bands) == 3 else 1.0 for b in bands}
    planes = {b: cuts[b].planes["SCI"].astype(np.float32) * np.float32(factors[b]) for b in bands}
    stretch = settings.stretch
    if not stretch > 0:
        noises = [factors[b] * noise_of(cuts[b]) for b in bands]
        stretch = _NOISES * math.sqrt(sum(n * n for n in noises)) / len(noises)
    # One band is grey; of two the redder one is green and red.
    chosen = [bands[0], bands[len(bands) // 2], bands[-1]]
    blue, green, red = (planes[b] for b in chosen)
    rgb = lupton(red, green, blue, settings.q, stretch, settings.minimum)
    first = cuts[bands[0]]
    texts = {
        "Software": f"desdm {__version__}",
        "Title": f"{first.file.release} {first.file.tilename or first.file.path}",
        "Source": "; ".join(f"{cuts[b].file.path} sha256:{cuts[b].file.sha256}" for b in bands),
        "Region": first.stencil.text,
        "Bands": " ".join(
            f"{name}={b}*{factors[b]:g}"
            for name, b in zip("BGR", chosen if len(bands) > 1 else bands, strict=False)
        ),
        "Lupton": f"Q={settings.q:g} stretch={stretch:.6g} minimum={settings.minimum:g}",
    }
    return rgb, texts


def png(rgb: npt.NDArray[np.uint8], texts: Mapping[str, str]) -> bytes:
    """Encode a picture as PNG, first row at the bottom as in the image, with ``texts`` as text chunks.

    Sky noise does not compress at any level, so that the fastest level is used.
    """
    from PIL import Image as Pillow
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    out = io.BytesIO()
    Pillow.fromarray(rgb[::-1]).save(out, "PNG", compress_level=1, pnginfo=info)
    return out.getvalue()
