"""Parameters of a SODA request, parsed into regions to cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.release.model import ReleaseFile
from desdm.services.parameters import Values
from desdm.services.soda import colour
from desdm.services.soda.batch import Item, safe
from desdm.services.soda.bundle import Form
from desdm.services.soda.cutout import Outside
from desdm.services.soda.endpoints import FILTERS, SODA, STENCILS
from desdm.services.soda.files import ImageCache
from desdm.services.soda.stencil import stencils_of

__all__ = ["MOST", "CutoutRequest", "form_of", "look_of", "outside_of", "parse_request"]

#: Combinations of ID and stencil in one synchronous request; an asynchronous one takes more.
MOST = 100
_FORMATS = {
    "": "fits",
    "fits": "fits",
    "application/fits": "fits",
    "image/fits": "fits",
    "png": "png",
    "image/png": "png",
    "tar": "tar",
    "application/x-tar": "tar",
    "application/tar": "tar",
    "zip": "zip",
    "application/zip": "zip",
}


@dataclass(frozen=True, slots=True)
class CutoutRequest:
    """Regions of a request, and the form of the response.

    Attributes
    ----------
    items
        One for each combination of ID and stencil; empty without a stencil.
    whole
        The image itself, for a request without a stencil.
    bundled
        Form of the archive; None if the response is one file.
    """

    items: list[Item]
    whole: ReleaseFile | None
    bundled: Form | None


def form_of(name: str, text: str) -> str:
    """Return fits, png, tar or zip for the value of a parameter; `UsageError` for any other."""
    form = _FORMATS.get(text.split(";")[0].strip().lower())
    if form is None:
        raise UsageError(f"{name}={text[:60]}: there are fits, png, tar and zip")
    return form


def outside_of(values: Values) -> Outside:
    """Return the treatment of pixels outside the stencil."""
    # The choices of the parameter are those of the type.
    return cast(Outside, values.text("OUTSIDE"))


def look_of(values: Values) -> colour.Lupton:
    """Return the parameters of a picture."""
    return colour.Lupton(*(values.required_real(key) for key in ("Q", "STRETCH", "MINIMUM")))


def parse_request(
    images: ImageCache, caller: Caller, pairs: Sequence[tuple[str, str]], limit: int = MOST
) -> CutoutRequest:
    """Read the parameters ID, CIRCLE, POLYGON, POS, RESPONSEFORMAT, OUTSIDE, BANDS, Q, STRETCH, MINIMUM.

    ID and the stencils may be repeated: each combination is an item. The filters of SODA 1.0, sections 3.3.4 to 3.3.6, that
    would change nothing are refused; parameters that no standard names are ignored (DALI 1.1, section 2.3).

    Parameters
    ----------
    images
        Cache of release images, which resolves identifiers.
    caller
        Caller, whose rights decide which images are visible.
    pairs
        (name in capitals, value) of the request.
    limit
        Largest number of combinations.

    Returns
    -------
    CutoutRequest
        The regions.

    Raises
    ------
    UsageError
        A parameter is missing or invalid, or there are too many combinations.
    NotFoundError
        An ID does not name an image that the caller may see.
    """
    values = SODA.read(pairs)
    texts = {name: values.texts(name) for name in STENCILS}
    for name, regions in texts.items():
        if any(not region.strip() for region in regions):
            raise UsageError(f"{name} is empty; give a region, or leave it out for the whole image")
    for name in FILTERS:
        if values.texts(name):
            raise UsageError(
                f"{name} is not supported: an image has one band and one time; choose it by ID, with SIA or ObsCore"
            )
    identifiers = list(dict.fromkeys(text for text in values.texts("ID") if text.strip()))
    stencils = stencils_of(texts)
    if len(identifiers) * max(1, len(stencils)) > limit:
        raise UsageError(
            f"{len(identifiers) * len(stencils)} combinations of ID and stencil are more than {limit}; ask an "
            "asynchronous job for as many, or send less"
        )
    name = "RESPONSEFORMAT" if values.has("RESPONSEFORMAT") else "FORMAT"
    form = form_of(name, values.text(name))
    outside, look = outside_of(values), look_of(values)
    files = [images.find(caller, text) for text in identifiers]
    if not stencils:
        if len(files) > 1 or form != "fits":
            raise UsageError("give a stencil: CIRCLE, POLYGON or POS")
        return CutoutRequest([], files[0], None)
    items: list[Item] = []
    for file in files:
        chosen = {file.band or "": file}
        if form == "png":
            bands = images.bands(file)
            chosen = {b: bands[b] for b in colour.three_of(bands, values.text("BANDS"))} if bands else chosen
        for stencil in stencils:
            stem = f"{file.release}_{file.tilename or safe(file.path)}"
            number = f"_{len(items) + 1:04d}" if len(files) * len(stencils) > 1 else ""
            items.append(
                Item(
                    len(items) + 1,
                    safe(stem + number),
                    stencil,
                    chosen,
                    fits=form != "png",
                    png=form == "png",
                    outside=outside,
                    look=look,
                )
            )
    many: Form | None = (
        ("zip" if form == "zip" else "tar") if len(items) > 1 or form in ("tar", "zip") else None
    )
    return CutoutRequest(items, None, many)
