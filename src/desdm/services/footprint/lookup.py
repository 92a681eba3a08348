"""The footprint of one release: the Python call that service, command and tests share."""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from desdm.errors import NotFoundError, UsageError
from desdm.services.footprint.maps import NSIDE, BandMap, Values, cells
from desdm.sky.polygons import Outlines, unit
from desdm.survey.bands import band_order

__all__ = ["Answer", "Footprint", "Summary", "shortest"]

Floats = npt.NDArray[np.float64]
_CELL = 4 * math.pi * math.degrees(1) ** 2 / (12 * NSIDE**2)
#: Tiles whose lists of images are kept.
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What a release knows of one position.

    Attributes
    ----------
    bands
        By band: inside, depth (AB mag of S/N 10 in 2″), nexp, fraction; outside the last three are None.
    tiles
        Names of the tiles that hold it.
    exposures
        The images that went into those tiles and hold it: expnum, ccdnum, band, mjd_obs, exptime, filename.
    """

    ra: float
    dec: float
    hpix: int
    bands: dict[str, dict[str, Any]]
    tiles: list[str]
    exposures: list[dict[str, Any]]

    @property
    def inside(self) -> bool:
        """Whether any band has seen it."""
        return any(band["inside"] for band in self.bands.values())

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "ra": self.ra, "dec": self.dec, "hpix": self.hpix, "inside": self.inside, "bands": self.bands,
            "tiles": self.tiles, "exposures": self.exposures,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Summary:
    """What a release knows of a region.

    Attributes
    ----------
    bands
        By band: cells (with good area and their centre in the region), area (their good area, deg²), and median, least and
        largest depth and nexp; None where there are no cells.
    tiles
        Names of the tiles that the region touches.
    """

    region: str
    bands: dict[str, dict[str, Any]]
    tiles: list[str]


class Footprint:
    """The footprint of a release, from the files below its directory; may be asked by many threads.

    Parameters
    ----------
    root
        The release's directory.

    Raises
    ------
    NotFoundError
        The release has no footprint.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / "footprint"
        try:
            listed = json.loads((self._root / "tiles.json").read_text("utf-8"))["tiles"]
        except FileNotFoundError:
            raise NotFoundError(
                f"release {root.name} has no footprint: it holds no coadd whose pipeline made one"
            ) from None
        self.tiles: list[str] = [tile["tilename"] for tile in listed]
        made = {band: None for tile in listed for band in tile["bands"]}
        self.bands: tuple[str, ...] = tuple(sorted(made, key=band_order))
        self._outlines = Outlines(np.array([tile["corners"] for tile in listed], float).reshape(-1, 4, 2))
        self._maps: dict[str, BandMap] = {}
        self._images: OrderedDict[str, tuple[Outlines, list[dict[str, Any]]]] = OrderedDict()
        self._lock = threading.Lock()

    def chosen(self, bands: Sequence[str]) -> tuple[str, ...]:
        """The bands meant, in order; none said: all.

        Raises
        ------
        UsageError
            The footprint has no such band.
        """
        for band in bands:
            if band not in self.bands:
                raise UsageError(
                    f"band {band[:20]!r} is not in the footprint; it has {', '.join(self.bands)}"
                )
        return tuple(b for b in self.bands if b in bands) if bands else self.bands

    def map(self, band: str) -> BandMap:
        """The map of a band."""
        with self._lock:
            if band not in self._maps:
                self._maps[band] = BandMap(self._root / f"{band}.hsp")
            return self._maps[band]

    def points(self, ra: Floats, dec: Floats, bands: Sequence[str] = ()) -> dict[str, Values]:
        """Depth, exposures and good fraction at many positions (degrees, ICRS), by band; no position is outside."""
        pixels = cells(np.ascontiguousarray(ra, float), np.ascontiguousarray(dec, float))
        return {band: self.map(band).values(pixels) for band in self.chosen(bands)}

    def tiles_at(self, ra: Floats, dec: Floats) -> list[list[str]]:
        """Names of the tiles that hold each of many positions."""
        found = self._outlines.each(unit(np.asarray(ra, float), np.asarray(dec, float)))
        return [[self.tiles[i] for i in numbers] for numbers in found]

    def at(self, ra: float, dec: float, bands: Sequence[str] = ()) -> Answer:
        """Everything at one position (degrees, ICRS).

        Raises
        ------
        UsageError
            It is no position.
        """
        if not (math.isfinite(ra) and math.isfinite(dec) and abs(dec) <= 90):
            raise UsageError(
                f"ra={ra:g}, dec={dec:g} is no position; degrees are wanted, dec within -90 and 90"
            )
        place = np.array([ra % 360.0]), np.array([dec])
        values = self.points(*place, bands)
        told = {}
        for band, one in values.items():
            inside = bool(one.inside[0])
            told[band] = {
                "inside": inside, "depth": shortest(one.depth[0]) if inside else None,
                "nexp": int(one.nexp[0]) if inside else None,
                "fraction": shortest(one.fraction[0]) if inside else None,
            }  # fmt: skip
        tiles = [self.tiles[i] for i in self._outlines.holding(ra, dec)]
        images = [
            image for tile in tiles for image in self._images_at(tile, ra, dec) if image["band"] in values
        ]
        # An exposure near the edge of a tile went into its neighbour too.
        once = {(self.bands.index(i["band"]), i["expnum"], i["ccdnum"]): i for i in reversed(images)}
        return Answer(
            ra % 360.0, dec, int(cells(*place)[0]), told, tiles, [once[key] for key in sorted(once)]
        )

    def _images_at(self, tile: str, ra: float, dec: float) -> list[dict[str, Any]]:
        with self._lock:
            if tile not in self._images:
                self._images[tile] = self._read_images(tile)
                while len(self._images) > _KEPT:
                    self._images.popitem(last=False)
            self._images.move_to_end(tile)
            outlines, rows = self._images[tile]
        return [rows[i] for i in outlines.holding(ra, dec)]

    def _read_images(self, tile: str) -> tuple[Outlines, list[dict[str, Any]]]:
        # Rows lie by tile: the statistics of the row groups leave out all but one or two.
        rows = pq.read_table(self._root / "images.parquet", filters=[("tilename", "=", tile)]).to_pylist()
        corners = [[[row[f"ra{i}"], row[f"dec{i}"]] for i in range(1, 5)] for row in rows]
        names = ("expnum", "ccdnum", "band", "mjd_obs", "exptime", "filename")
        return Outlines(np.array(corners, float).reshape(-1, 4, 2)), [{n: r[n] for n in names} for r in rows]

    def within(self, region: Any, bands: Sequence[str] = ()) -> Summary:
        """What lies in a region: a stencil of ``services/soda/stencil.py``."""
        told = {band: _summary(self.map(band), region) for band in self.chosen(bands)}
        return Summary(region.text, told, [self.tiles[i] for i in self._outlines.touched(region)])


def shortest(value: np.float32) -> float:
    """A single-precision number by its shortest decimal form, as tables in text have it."""
    return float(str(value))


def _summary(band: BandMap, region: Any) -> dict[str, Any]:
    import hpgeom

    edge, centre = unit(*region.outline()), unit(*region.centre())
    reach = float(np.linalg.norm(edge - centre, axis=-1).max())
    covered = band.covered
    size = math.sqrt(4 * math.pi / (12 * band.coverage_nside**2))
    middles = unit(*hpgeom.pixel_to_angle(band.coverage_nside, covered))
    if reach < 1.2:
        covered = covered[np.linalg.norm(middles - centre, axis=-1) <= reach + 1.5 * size]
    count, area, depths, nexps = 0, 0.0, [], []
    for pixels, rows in band.blocks(covered):
        inside = region.contains(unit(*hpgeom.pixel_to_angle(NSIDE, pixels)))
        count += int(inside.sum())
        area += float(rows["fraction"][inside].sum(dtype=np.float64)) * _CELL
        depths.append(rows["depth"][inside])
        nexps.append(rows["nexp"][inside])
    if not count:
        return {"cells": 0, "area": 0.0, "depth": None, "nexp": None}
    depth, nexp = np.concatenate(depths), np.concatenate(nexps)
    return {
        "cells": count, "area": area,
        "depth": {n: shortest(np.float32(f(depth))) for n, f in (("median", np.median), ("min", np.min), ("max", np.max))},
        "nexp": {"median": float(np.median(nexp)), "min": int(nexp.min()), "max": int(nexp.max())},
    }  # fmt: skip
