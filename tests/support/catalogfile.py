"""Records of files of the archive, for tests of what only reads such records."""

from __future__ import annotations

from typing import Any

from desdm.archive.catalogfile import CatalogFile, FileMetadata


def catalog_file(filename: str, **columns: Any) -> CatalogFile:
    """A record of the archive; ``columns`` are fields or metadata."""
    values: dict[str, Any] = {
        "id": 1,
        "filename": filename,
        "filetype": "raw",
        "pfw_attempt_id": None,
        "expnum": None,
        "ccdnum": None,
        "band": None,
        "nite": None,
        "tilename": None,
        "compression": "",
        "filesize": 1,
        "sha256": "0" * 64,
        "md5sum": "0" * 32,
        "archive_name": "desar",
        "path": "raw",
        "table": "image",
    }
    metadata = {k: v for k, v in columns.items() if k in FileMetadata._fields}
    values |= {k: v for k, v in columns.items() if k not in metadata}
    return CatalogFile(**values, metadata=FileMetadata(**metadata))
