"""Raw frames as a camera delivers them: overscan still on, or the headers say so."""

from __future__ import annotations

from collections.abc import Iterator

from desdm.archive.content import Content
from desdm.archive.filetypes.keywords import image
from desdm.archive.filetypes.kind import FileType


def _raw(content: Content) -> Iterator[str]:
    if not content.images():
        yield "it has no image"
        return
    headers = [hdu.header for hdu in content.hdus[:3]]
    if str(content.keyword("PROCTYPE")).strip().lower() == "raw":
        return
    if not any(h.text(key) for h in headers for key in ("BIASSEC", "BIASSECA", "OVERSCN")):
        yield "no overscan section (BIASSEC) and PROCTYPE is not RAW"


RAW = FileType(
    name="raw",
    text="raw frame as the camera delivered it",
    table="image",
    pattern=r".+\.fits?",
    directory="raw/{nite}",
    rule=_raw,
    describe=image,
)
TYPES = (RAW,)
