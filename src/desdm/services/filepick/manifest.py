"""A manifest of those files of a release that a caller may have, as JSON and as ``sha256sum -c`` reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from desdm.release.model import ReleaseFile

__all__ = ["DIGESTS", "MANIFEST", "as_digests", "as_json"]

MANIFEST = "manifest.json"
DIGESTS = "MANIFEST.sha256"


def as_json(release: str, files: Sequence[ReleaseFile]) -> bytes:
    """The manifest of some files of a release, in the form of the release's own."""
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
    """A line for each file: digest, two blanks, path."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()
