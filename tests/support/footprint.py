"""What a footprint should say, counted pixel by pixel with astropy alone."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy_healpix import HEALPix

__all__ = ["Sampled", "sampled"]


@dataclass
class Sampled:
    """Of each cell: good fraction, mean number of exposures, depth, and pixels that were looked at."""

    cells: Any
    fraction: Any
    nexp: Any
    depth: Any
    looked: Any


def sampled(coadd: Path, nwgints: Sequence[Path], depth: Path, step: int = 2) -> Sampled:
    """Every ``step``-th pixel of a coadd by itself: good or not, in which cell, on how many images."""
    with fits.open(coadd) as hdus:
        head, msk, wgt = hdus["SCI"].header, hdus["MSK"].data, hdus["WGT"].data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(head)
    y, x = (v.ravel() for v in np.mgrid[0 : msk.shape[0] : step, 0 : msk.shape[1] : step])
    ra, dec = wcs.all_pix2world(x, y, 0)
    grid = HEALPix(nside=4096, order="nested")
    cells, index = np.unique(grid.lonlat_to_healpix(ra * units.deg, dec * units.deg), return_inverse=True)
    good = (wgt[y, x] > 0) & ((msk[y, x] & ~4) == 0)
    count = np.zeros(x.size)
    for path in nwgints:
        with fits.open(path) as hdus, warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            weights = hdus["WGT"].data
            u, v = WCS(hdus["SCI"].header).all_world2pix(ra, dec, 0)
        on = (u > -0.5) & (v > -0.5) & (u < weights.shape[1] - 0.5) & (v < weights.shape[0] - 0.5)
        count[on] += weights[np.rint(v[on]).astype(int), np.rint(u[on]).astype(int)] > 0
    scale = head["PIXSCALE"]
    share = (scale * step / 3600) ** 2 / grid.pixel_area.to_value("deg2")
    seen = np.bincount(index, good)
    # A disk of 1″ radius, with the edge's pixels counted by how far in they lie.
    far = np.hypot(*np.mgrid[-9:10, -9:10])
    disk = np.clip(1 / scale + 0.5 - far, 0, 1).sum()
    noise = [
        np.median(1 / np.sqrt(wgt[y, x][good & (index == i)])) if seen[i] else np.inf
        for i in range(cells.size)
    ]
    sigma = np.array(noise) * np.sqrt(disk) * json.loads(depth.read_text())["correlation"]
    return Sampled(
        cells, seen * share, np.bincount(index, good * count) / np.maximum(seen, 1),
        head["MAGZERO"] - 2.5 * np.log10(10 * sigma), np.bincount(index),
    )  # fmt: skip
