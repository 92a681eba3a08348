"""Manifest of the files of a release that a caller may read, as JSON and for ``sha256sum -c``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from desdm.release.model import ReleaseFile

__all__ = ["DIGESTS", "MANIFEST", "as_digests", "as_json"]

MANIFEST = "manifest.json"
DIGESTS = "MANIFEST.sha256"


def as_json(release: str, files: Sequence[ReleaseFile]) -> bytes:
    """Return the manifest of some files, in the format of the release's own manifest."""
    rows = [
        {
            "path": file.path,
            "size": file.filesize,
            "sha256": file.sha256,
            "filetype": file.filetype,
            "mime": file.mime,
            "tilename": file.tilename,
            "band": file.band,
            "source_sha256": file.source_sha256,
        }
        for file in files
    ]
    return (json.dumps({"release": release, "files": rows}, ensure_ascii=False) + "\n").encode()


def as_digests(files: Sequence[ReleaseFile]) -> bytes:
    """Return a line for each file: digest, two blanks, path."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()
