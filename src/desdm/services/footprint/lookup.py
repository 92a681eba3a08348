"""Look-up in the footprint of one release, shared by the service and the command."""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from desdm.errors import NotFoundError, UsageError
from desdm.numbers import decimal_number
from desdm.services.footprint.maps import NSIDE, BandMap, Values, cells
from desdm.services.soda.stencil import Stencil
from desdm.sky.polygons import Outlines, unit
from desdm.survey.bands import band_order

__all__ = ["Answer", "Footprint", "Summary", "shortest"]

Floats = npt.NDArray[np.float64]


class BandValues(TypedDict):
    """Values of one band at a position, as in JSON; outside, all but ``inside`` are None."""

    inside: bool
    depth: float | None
    nexp: int | None
    fraction: float | None


class Image(TypedDict):
    """An image that contributes to a tile, as in JSON."""

    expnum: int
    ccdnum: int
    band: str
    mjd_obs: float
    exptime: float
    filename: str


class Statistics(TypedDict):
    """Median, least and largest value, as in JSON."""

    median: float
    min: float
    max: float


class BandSummary(TypedDict):
    """Summary of one band in a region, as in JSON: cells, their good area (deg²), depth and exposures."""

    cells: int
    area: float
    depth: Statistics | None
    nexp: Statistics | None


class PositionRecord(TypedDict):
    """`Answer` as JSON."""

    ra: float
    dec: float
    hpix: int
    inside: bool
    bands: dict[str, BandValues]
    tiles: list[str]
    exposures: list[Image]


_CELL = 4 * math.pi * math.degrees(1) ** 2 / (12 * NSIDE**2)
#: Tiles whose lists of images stay in memory.
_CACHED_TILES = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Footprint of a release at one position.

    Attributes
    ----------
    bands
        By band: inside, depth (AB mag of S/N 10 in 2″), nexp, fraction; outside the last three are None.
    tiles
        Names of the tiles that contain it.
    exposures
        Images of those tiles that contain it: expnum, ccdnum, band, mjd_obs, exptime, filename.
    """

    ra: float
    dec: float
    hpix: int
    bands: dict[str, BandValues]
    tiles: list[str]
    exposures: list[Image]

    @property
    def inside(self) -> bool:
        """Whether the position is inside in any band."""
        return any(band["inside"] for band in self.bands.values())

    def record(self) -> PositionRecord:
        """Return the values for JSON."""
        return {
            "ra": self.ra,
            "dec": self.dec,
            "hpix": self.hpix,
            "inside": self.inside,
            "bands": self.bands,
            "tiles": self.tiles,
            "exposures": self.exposures,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """Footprint of a release in a region.

    Attributes
    ----------
    bands
        By band: cells (with good area and their centre in the region), area (their good area, deg²), and median, least and
        largest depth and nexp; None where there are no cells.
    tiles
        Names of the tiles that the region touches.
    """

    region: str
    bands: dict[str, BandSummary]
    tiles: list[str]


class Footprint:
    """The footprint of a release, from the files below its directory; thread-safe.

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
            entries = json.loads((self._root / "tiles.json").read_text("utf-8"))["tiles"]
        except FileNotFoundError:
            raise NotFoundError(
                f"release {root.name} has no footprint: it holds no coadd whose pipeline made one"
            ) from None
        self.tiles: list[str] = [tile["tilename"] for tile in entries]
        names = {band: None for tile in entries for band in tile["bands"]}
        self.bands: tuple[str, ...] = tuple(sorted(names, key=band_order))
        self._outlines = Outlines(np.array([tile["corners"] for tile in entries], float).reshape(-1, 4, 2))
        self._maps: dict[str, BandMap] = {}
        self._images: OrderedDict[str, tuple[Outlines, list[Image]]] = OrderedDict()
        self._lock = threading.Lock()

    def select_bands(self, bands: Sequence[str]) -> tuple[str, ...]:
        """Return the requested bands in their order; all bands if none is requested.

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
        """Return the map of a band."""
        with self._lock:
            if band not in self._maps:
                self._maps[band] = BandMap(self._root / f"{band}.hsp")
            return self._maps[band]

    def points(self, ra: Floats, dec: Floats, bands: Sequence[str] = ()) -> dict[str, Values]:
        """Look up depth, exposures and good fraction at many positions.

        Parameters
        ----------
        ra, dec
            (n,) positions, degrees (ICRS); an invalid position counts as outside.
        bands
            Bands; empty: all.

        Returns
        -------
        dict
            Values by band.
        """
        pixels = cells(np.ascontiguousarray(ra, float), np.ascontiguousarray(dec, float))
        return {band: self.map(band).values(pixels) for band in self.select_bands(bands)}

    def tiles_at(self, ra: Floats, dec: Floats) -> list[list[str]]:
        """Return the names of the tiles that contain each of many positions."""
        numbers = self._outlines.each(unit(np.asarray(ra, float), np.asarray(dec, float)))
        return [[self.tiles[i] for i in row] for row in numbers]

    def at(self, ra: float, dec: float, bands: Sequence[str] = ()) -> Answer:
        """Look up everything at one position.

        Parameters
        ----------
        ra, dec
            Position, degrees (ICRS).
        bands
            Bands; empty: all.

        Returns
        -------
        Answer
            Values by band, tiles and images.

        Raises
        ------
        UsageError
            It is not a position.
        """
        if not (math.isfinite(ra) and math.isfinite(dec) and abs(dec) <= 90):
            raise UsageError(f"ra={ra:g}, dec={dec:g} is not a position; give degrees, dec within -90 and 90")
        position = np.array([ra % 360.0]), np.array([dec])
        values = self.points(*position, bands)
        by_band: dict[str, BandValues] = {}
        for band, value in values.items():
            inside = bool(value.inside[0])
            by_band[band] = {
                "inside": inside,
                "depth": shortest(value.depth[0]) if inside else None,
                "nexp": int(value.nexp[0]) if inside else None,
                "fraction": shortest(value.fraction[0]) if inside else None,
            }
        tiles = [self.tiles[i] for i in self._outlines.holding(ra, dec)]
        images = [
            image for tile in tiles for image in self._images_at(tile, ra, dec) if image["band"] in values
        ]
        # An exposure near the edge of a tile is part of the adjacent tile too.
        unique = {(self.bands.index(i["band"]), i["expnum"], i["ccdnum"]): i for i in reversed(images)}
        return Answer(
            ra % 360.0, dec, int(cells(*position)[0]), by_band, tiles, [unique[key] for key in sorted(unique)]
        )

    def _images_at(self, tile: str, ra: float, dec: float) -> list[Image]:
        """Return the images of a tile that contain a position."""
        with self._lock:
            if tile not in self._images:
                self._images[tile] = self._read_images(tile)
                while len(self._images) > _CACHED_TILES:
                    self._images.popitem(last=False)
            self._images.move_to_end(tile)
            outlines, rows = self._images[tile]
        return [rows[i] for i in outlines.holding(ra, dec)]

    def _read_images(self, tile: str) -> tuple[Outlines, list[Image]]:
        """Read the images of a tile; the statistics of the row groups skip all but one or two."""
        rows = pq.read_table(self._root / "images.parquet", filters=[("tilename", "=", tile)]).to_pylist()
        corners = [[[row[f"ra{i}"], row[f"dec{i}"]] for i in range(1, 5)] for row in rows]
        images = [
            Image(
                expnum=row["expnum"],
                ccdnum=row["ccdnum"],
                band=row["band"],
                mjd_obs=row["mjd_obs"],
                exptime=row["exptime"],
                filename=row["filename"],
            )
            for row in rows
        ]
        return Outlines(np.array(corners, float).reshape(-1, 4, 2)), images

    def within(self, region: Stencil, bands: Sequence[str] = ()) -> Summary:
        """Summarise a region."""
        by_band = {band: _summary(self.map(band), region) for band in self.select_bands(bands)}
        return Summary(region.text, by_band, [self.tiles[i] for i in self._outlines.touched(region)])


def shortest(value: np.float32) -> float:
    """Return a single-precision number by its shortest decimal form, as text tables write it."""
    return decimal_number(str(value))


def _summary(band: BandMap, region: Stencil) -> BandSummary:
    """Summarise the cells of a band whose centres lie in a region."""
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
        "cells": count,
        "area": area,
        "depth": {
            "median": shortest(np.float32(np.median(depth))),
            "min": shortest(np.float32(np.min(depth))),
            "max": shortest(np.float32(np.max(depth))),
        },
        "nexp": {"median": float(np.median(nexp)), "min": int(nexp.min()), "max": int(nexp.max())},
    }
