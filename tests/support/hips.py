"""A HiPS of a sky whose every colour is known: red and green tell right ascension and declination."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from desdm.release.hips import write_hips

__all__ = ["CELLS", "ORDER", "colours", "small_hips"]

ORDER = 4
#: Two brothers on the equator, and one that is left empty.
CELLS = np.array([1200, 1201, 77])


def colours(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """RGBA: red and green turn slowly with RA and Dec; nothing north of 30 degrees."""
    out = np.zeros((*ra.shape, 4), np.uint8)
    out[..., 0] = np.round(127 + 120 * np.sin(np.radians(ra * 8)))
    out[..., 1] = np.round(127 + 120 * np.sin(np.radians(dec * 8)))
    out[..., 3] = np.where(dec < 30, 255, 0)
    return out


def small_hips(out: Path) -> None:
    """Write it."""
    words = {
        "creator_did": "ivo://desdm/C1?hips/color",
        "obs_title": "test",
        "hips_release_date": "2012-11-21T00:00Z",
    }
    write_hips(out, CELLS, colours, ORDER, words)
