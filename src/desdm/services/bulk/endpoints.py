"""The endpoint of files themselves."""

from __future__ import annotations

from desdm.services.endpoint import Endpoint

__all__ = ["ENDPOINTS", "FILE"]

FILE = Endpoint(
    ("GET",),
    "/files/{release}/{path:path}",
    "A file: HEAD, ranges, ETag, Repr-Digest; or manifest.json and MANIFEST.sha256 of the release.",
    media_types=("*/*",),
)
ENDPOINTS = (FILE,)
