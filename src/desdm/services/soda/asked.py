"""What a SODA request asks for: its parameters, read once into items of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.release.model import ReleaseFile
from desdm.services.soda import colour
from desdm.services.soda.batch import Item, safe
from desdm.services.soda.bundle import Form
from desdm.services.soda.cutout import Outside
from desdm.services.soda.files import Shelf
from desdm.services.soda.stencil import stencils_of

__all__ = ["MOST", "Asked", "asked_of", "form_of", "outside_of"]

#: Combinations of ID and stencil in one synchronous request; an asynchronous one takes more.
MOST = 100
_FORMATS = {
    "": "fits", "fits": "fits", "application/fits": "fits", "image/fits": "fits",
    "png": "png", "image/png": "png",
    "tar": "tar", "application/x-tar": "tar", "application/tar": "tar", "zip": "zip", "application/zip": "zip",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its items, and how many files go out.

    Attributes
    ----------
    items
        One for each combination of ID and stencil; none if no stencil was given.
    whole
        The image itself, if no stencil was given.
    bundled
        Form of the stream; None if one file is the answer.
    """

    items: list[Item]
    whole: ReleaseFile | None
    bundled: Form | None


def form_of(text: str) -> str:
    """fits, png, tar or zip of a RESPONSEFORMAT; `UsageError` if it is none."""
    found = _FORMATS.get(text.split(";")[0].strip().lower())
    if found is None:
        raise UsageError(f"RESPONSEFORMAT={text[:60]}: there are fits, png, tar and zip")
    return found


def outside_of(text: str) -> Outside:
    """What OUTSIDE says of the pixels outside the stencil; `UsageError` if it is unknown."""
    found = text.strip().lower() or "flag"
    if found not in ("flag", "blank", "keep"):
        raise UsageError(f"OUTSIDE={text[:40]}: flag, blank or keep is wanted")
    return cast(Outside, found)


def asked_of(shelf: Shelf, caller: Caller, pairs: Sequence[tuple[str, str]], most: int = MOST) -> Asked:
    """Read the parameters ID, CIRCLE, POLYGON, POS, RESPONSEFORMAT, OUTSIDE, BANDS, Q, STRETCH, MINIMUM.

    ID and the stencils may be given several times: each combination is an item. Other parameters are passed over
    (DALI 1.1, section 2.3).

    Raises
    ------
    UsageError
        A parameter is missing or wrong, or there are too many.
    NotFoundError
        An ID names nothing that the caller may see.
    """
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            values.setdefault(name, []).append(value)

    def one(name: str) -> str:
        found = list(dict.fromkeys(values.get(name, [])))
        if len(found) > 1:
            raise UsageError(f"{name} is given {len(found)} times; give it once")
        return found[0] if found else ""

    identifiers = list(dict.fromkeys(values.get("ID", [])))
    if not identifiers:
        raise UsageError("ID is missing; it names the image, as ObsCore's obs_publisher_did and DataLink do")
    stencils = stencils_of(values)
    if len(identifiers) * max(1, len(stencils)) > most:
        raise UsageError(
            f"{len(identifiers) * len(stencils)} combinations of ID and stencil are more than {most}; ask an "
            "asynchronous job for as many, or send less"
        )
    form = form_of(one("RESPONSEFORMAT") or one("FORMAT"))
    outside, look = (
        outside_of(one("OUTSIDE")),
        colour.Lupton.of({k: one(k) for k in ("Q", "STRETCH", "MINIMUM")}),
    )
    files = [shelf.find(caller, text) for text in identifiers]
    if not stencils:
        if len(files) > 1 or form != "fits":
            raise UsageError("give a stencil: CIRCLE, POLYGON or POS")
        return Asked([], files[0], None)
    items: list[Item] = []
    for file in files:
        chosen = {file.band or "": file}
        if form == "png":
            bands = shelf.bands(file)
            chosen = {b: bands[b] for b in colour.three_of(bands, one("BANDS"))} if bands else chosen
        for stencil in stencils:
            stem = f"{file.release}_{file.tilename or safe(file.path)}"
            number = f"_{len(items) + 1:04d}" if len(files) * len(stencils) > 1 else ""
            items.append(
                Item(
                    len(items) + 1, safe(stem + number), stencil, chosen, fits=form != "png", png=form == "png",
                    outside=outside, look=look,
                )
            )  # fmt: skip
    many: Form | None = (
        ("zip" if form == "zip" else "tar") if len(items) > 1 or form in ("tar", "zip") else None
    )
    return Asked(items, None, many)
