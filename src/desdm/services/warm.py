"""Warm-up of a server: loads compiled loops, writers and readers before the first request needs them."""

from __future__ import annotations

import contextlib
import mmap
from itertools import chain
from typing import cast

import numpy as np
import pyarrow as pa

from desdm.errors import DesdmError
from desdm.pixels.boxes import Box, open_plane
from desdm.pixels.cards import read_hdus
from desdm.query.formats import choose, stream
from desdm.release.model import ReleaseColumn
from desdm.services.context import Services
from desdm.services.footprint.maps import BandMap, cells

__all__ = ["warm"]

#: More positions than `BandMap` looks up without compiled code.
_PLACES = 5000


def warm(services: Services) -> None:
    """Write every format, read one image and one map; missing or damaged files are skipped."""
    _formats()
    files = list(chain.from_iterable(services.published.current().files.values()))
    image = next((f for f in files if f.filetype == "coadd"), None)
    depth = next((f for f in files if f.path.endswith(".hsp") and f.band), None)
    # A damaged file is reported by the request that needs it.
    with contextlib.suppress(DesdmError, OSError):
        if image is not None:
            _image(services, image.release, image.path)
        if depth is not None:
            ra, dec = np.linspace(0.0, 360.0, _PLACES, endpoint=False), np.zeros(_PLACES)
            BandMap(services.root(depth.release) / depth.path).values(cells(ra, dec))


def _formats() -> None:
    """Write a small table in every format."""
    rows = pa.record_batch(
        {
            "whole": pa.array([1, None], pa.int64()),
            "small": pa.array([1, None], pa.int32()),
            "real": pa.array([1.0, None], pa.float64()),
            "single": pa.array([1.0, None], pa.float32()),
            "text": pa.array(["a", None], pa.string()),
        }
    )
    kinds = (("whole", "long"), ("small", "int"), ("real", "double"), ("single", "float"))
    columns = [*(ReleaseColumn(name, kind) for name, kind in kinds), ReleaseColumn("text", "char", "*")]
    for name in ("votable", "votable/td", "csv", "tsv", "fits", "parquet"):
        for _ in stream(choose(name), columns, iter([rows]), maxrec=10):
            pass


def _image(services: Services, release: str, path: str) -> None:
    """Read a corner of every plane of an image."""
    whole = services.root(release) / path
    with whole.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number, hdu in enumerate(read_hdus(cast(bytes, data), len(data))):
            if hdu.name in ("SCI", "MSK", "WGT"):
                open_plane(whole, file.fileno(), number, hdu).read(Box(0, 32, 0, 32))
