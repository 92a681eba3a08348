"""A tile: its coadds, objects, inputs and picture, of the run that stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from astropy.table import Table
from sqlalchemy import Connection
from typing_extensions import override

from desdm.archive import catalog
from desdm.archive.catalogfile import CatalogFile
from desdm.archive.store import exposures_of_attempt
from desdm.errors import NotFoundError
from desdm.facility import Facility
from desdm.framework.watch import store as watch
from desdm.look import store
from desdm.look.display import Picture, picture_of
from desdm.look.images import Image
from desdm.look.installation import file_record, listed, verified_path
from desdm.look.runs import Run, read_run
from desdm.look.tables import read_table
from desdm.quality.qa.verdict import standings
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name
from desdm.survey.bands import band_order

__all__ = ["Tile", "read_tile"]


@dataclass(frozen=True)
class Tile:
    """A tile.

    Attributes
    ----------
    name
        Name of the tile.
    images
        Band → coadd.
    inputs
        Exposures and CCDs that were combined, with the verdict that counts now.
    runs
        Runs of the pipeline coadd for the tile, the newest first.
    """

    name: str
    images: Mapping[str, Image] = field(repr=False)
    inputs: Table = field(repr=False, compare=False)
    runs: tuple[watch.RunRow, ...] = field(repr=False)
    facility: Facility = field(repr=False, compare=False)
    _standing: str = field(repr=False)
    _files: tuple[CatalogFile, ...] = field(repr=False)

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands with a coadd, blue to red."""
        return tuple(self.images)

    @cached_property
    def run(self) -> Run:
        """The run whose products count."""
        return read_run(self.facility, self._standing)

    def image(self, band: str) -> Image:
        """Return the coadd of a band; `NotFoundError` names the bands that there are."""
        if band not in self.images:
            raise NotFoundError(
                f"tile {self.name} has no coadd in band {band!r}; its bands: {listed(self.bands)}"
            )
        return self.images[band]

    @cached_property
    def catalog(self) -> Table:
        """Objects of the tile, all bands in one row."""
        file = self._one("coadd_objects", "table of objects")
        return read_table(self._path(file.filename))

    def picture(self, band: str | None = None, *, size: int = 1000) -> Picture:
        """Return the colour picture, or that of the coadd of one band.

        Parameters
        ----------
        band
            Band; None: all bands in colour.
        size
            Longer side, pixels.
        """
        if band is not None:
            return self.image(band).picture(size=size)
        return picture_of(
            self._path(self._one("coadd_color", "colour picture").filename), mask=False, size=size
        )

    def _one(self, filetype: str, what: str) -> CatalogFile:
        """Return the file of a type; `NotFoundError` names the file types that there are."""
        for file in self._files:
            if file.filetype == filetype:
                return file
        kinds = listed(sorted({file.filetype for file in self._files}), 40)
        raise NotFoundError(f"tile {self.name} has no {what}; file types of run {self._standing}: {kinds}")

    def _path(self, name: str) -> Path:
        """Return where a file lies."""
        with self.facility.database.read() as conn:
            return verified_path(self.facility, file_record(conn, name))

    @override
    def __str__(self) -> str:
        """Return the tile in one line."""
        return f"{self.name}: bands {listed(self.bands)}; run {self._standing}; {len(self.inputs)} CCD images"


def read_tile(facility: Facility, name: str) -> Tile:
    """Return a tile; see `desdm.look.tile`."""
    name = name.strip()
    with facility.database.read() as conn:
        runs = tuple(run for run in watch.runs(conn, {"unitname": name}, None) if run.pipeline == "coadd")
        if not runs:
            raise NotFoundError(f"no coadd of tile {name!r}; tiles: {listed(store.tiles(conn), 20)}")
        standing = _standing(conn, facility, name, {run.id: run for run in runs})
        if standing is None:
            states = listed(f"{run.run} ({run.state}, data {run.data_state})" for run in runs)
            raise NotFoundError(f"tile {name} has no run that stands; its runs: {states}")
        files = tuple(catalog.find(conn, {"attempt": standing.run}))
        coadds = sorted((f for f in files if f.filetype == "coadd"), key=lambda f: band_order(f.band or ""))
        images = {
            f.band or "": Image(f.filename, f.filetype, f.band or "", standing.run, facility) for f in coadds
        }
        return Tile(
            name, images, _inputs(conn, facility, standing.id, files), runs, facility, standing.run, files
        )


def _standing(
    conn: Connection, facility: Facility, name: str, runs: Mapping[int, watch.RunRow]
) -> watch.RunRow | None:
    """Return the newest run of which a coadd is found."""
    files = catalog.find(conn, {"filetype": "coadd", "tilename": name}, scope=facility.production)
    numbers = [f.pfw_attempt_id for f in files if f.pfw_attempt_id in runs]
    return runs[max(n for n in numbers if n is not None)] if numbers else None


def _inputs(conn: Connection, facility: Facility, attempt: int, files: tuple[CatalogFile, ...]) -> Table:
    """Return the table of CCD images that a run combined."""
    bands = {(f.expnum, f.ccdnum): f.band or "" for f in files if f.filetype == "coadd_nwgint"}
    used = exposures_of_attempt(conn, attempt)
    judged = standings(conn, sorted(used), facility.production)
    rows = [
        (expnum, ccdnum, bands.get((expnum, ccdnum), ""), exposure_name(expnum), verdict.name.lower())
        for expnum, ccds in sorted(used.items())
        for verdict in [judged[expnum].overall[0] if expnum in judged else Verdict.UNKNOWN]
        for ccdnum in sorted(ccds)
    ]
    return Table(
        rows=rows or None,
        names=("expnum", "ccdnum", "band", "exposure", "verdict"),
        dtype=(int, int, str, str, str),
    )
