"""One photometric scale for the images of a coadd: measured zero points, and nominal ones that are tied to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.coadd.relative import tie

__all__ = ["Scale", "Source", "common_scales"]

#: Exposure and CCD number.
Image = tuple[int, int]


class Source(StrEnum):
    """Where the zero point of an image of a coadd comes from; the value of its card ZPnnnnn."""

    MEASURED = "measured"  # the image's header or a delivered table
    TIED = "tied"  # nominal, moved to the measured ones by the stars in common
    NOMINAL = "nominal"  # of the band, for no image of the coadd has a measured one
    UNTIED = "untied"  # nominal, while others are measured, and no stars tie it to them


@dataclass(frozen=True, slots=True)
class Scale:
    """Factor of an image to the common zero point, the source of its zero point, and what is odd in words."""

    factor: float
    source: Source
    text: str = ""


def common_scales(
    heads: Sequence[fits.Header], catalogs: Mapping[Image, npt.NDArray[np.void]]
) -> list[Scale]:
    """Scales of the images of one band.

    Parameters
    ----------
    heads
        Headers of the images: FLXSCALE, ZPSOURC (header, table or nominal), EXPNUM, CCDNUM.
    catalogs
        Objects of each image; an image without them cannot be tied.

    Returns
    -------
    list of Scale
        One an image.
    """
    rough = [h.get("ZPSOURC") == "nominal" for h in heads]
    who = [(int(h.get("EXPNUM", 0)), int(h.get("CCDNUM", 0))) for h in heads]
    measured = [catalogs[w] for w, nominal in zip(who, rough, strict=True) if not nominal and w in catalogs]
    out = []
    for head, nominal, image in zip(heads, rough, who, strict=True):
        factor, name = float(head["FLXSCALE"]), f"exposure {image[0]} CCD {image[1]}"
        if not nominal:
            out.append(Scale(factor, Source.MEASURED))
        elif all(rough):
            out.append(Scale(factor, Source.NOMINAL))
        elif (found := tie(catalogs[image], measured) if image in catalogs else None) is None:
            text = f"{name}: no stars tie its nominal zero point to the measured ones of the others"
            out.append(Scale(factor, Source.UNTIED, text))
        else:
            text = (
                f"{name}: nominal zero point changed by {found.offset:+.3f} ± {found.error:.3f} mag, by {found.count} "
                "objects in common with calibrated exposures"
            )
            # Magnitudes that must grow by `offset` belong to counts that were too bright.
            out.append(Scale(factor * 10.0 ** (-0.4 * found.offset), Source.TIED, text))
    return out
