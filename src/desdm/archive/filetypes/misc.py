"""Files without rules of content: anything by request, notes that come with a delivery, any FITS image."""

from __future__ import annotations

from desdm.archive.filetypes.filetype import FileType, has_images
from desdm.archive.filetypes.keywords import image

MISC = FileType(
    name="misc",
    text="any bytes; taken only when asked for",
    table="miscfile",
    pattern=r".+",
    directory="misc",
    auto_detected=False,
)
NOTE = FileType(
    name="note",
    text="a note that comes with a delivery (README.md)",
    table="miscfile",
    pattern=r"(?:README|LICENSE|CHANGES|NOTES)[\w-]*(?:\.(?:md|txt|rst))?",
    directory="note",
    names_repeat=True,
)
FITS_IMAGE = FileType(
    name="fits_image",
    text="a FITS image that no other type claims",
    table="image",
    pattern=r".+\.fits?",
    directory="fits_image",
    rule=has_images(),
    read_metadata=image,
)
TYPES = (MISC, NOTE)
LAST = (FITS_IMAGE,)
