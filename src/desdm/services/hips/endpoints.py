"""The endpoint of HiPS."""

from __future__ import annotations

from desdm.services.endpoint import Endpoint

__all__ = ["ENDPOINTS", "TILE"]

TILE = Endpoint(
    ("GET",),
    "/hips/{release}/{name}/{path:path}",
    "Tile, properties or coverage of a picture survey (HiPS 1.0).",
    media_types=("image/png", "text/plain", "application/fits"),
)
ENDPOINTS = (TILE,)
