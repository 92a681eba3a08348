"""The file types, one family a file; this is their table of contents, in the order in which they are tried."""

from __future__ import annotations

from desdm.archive.filetypes import (
    calibrations,
    community,
    delivered,
    framework,
    instrument,
    misc,
    products,
    raw,
    refcat,
)
from desdm.archive.filetypes.filetype import FileType

__all__ = ["BY_NAME", "FILETYPES", "FileType"]

FILETYPES: tuple[FileType, ...] = (
    *products.TYPES,
    *calibrations.TYPES,
    *community.TYPES,
    *delivered.TYPES,
    *instrument.TYPES,
    *refcat.TYPES,
    *misc.TYPES,
    *framework.TYPES,
    *raw.TYPES,
    *misc.LAST,
)
BY_NAME: dict[str, FileType] = {kind.name: kind for kind in FILETYPES}
