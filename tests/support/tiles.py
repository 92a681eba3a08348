"""Two overlapping tiles in two bands, written with known stars, and a release that is made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from PIL import Image

from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.archive.tags import tag
from desdm.facility import Facility, initialise
from desdm.release.build import STEPS
from desdm.release.create import create
from desdm.release.publish import publish
from desdm.schema.database import Database
from desdm.sky.healpix import hpix29
from desdm.survey.imageio import Planes, write_planes
from desdm.survey.tiles import Tile

__all__ = ["BANDS", "QUICK", "TILES", "demo_release", "deposit_tiles", "stars"]

NAXIS, PIXSCALE = 600, 0.263
BANDS = ("g", "r")
#: Their centres are 500 pixels apart in declination, so that 100 rows overlap.
TILES = (
    Tile("DES0200-0500", 30.0, -5.0, NAXIS, PIXSCALE),
    Tile("DES0200-0457", 30.0, -5.0 + 500 * PIXSCALE / 3600, NAXIS, PIXSCALE),
)
TAG = "BLESSED"
#: Steps of a build that leave out maps and pictures of the sky, for tests that are about something else.
QUICK = tuple(step for step in STEPS if step.name in ("tables", "images"))


@dataclass(frozen=True)
class Stars:
    """Truth: place in degrees and AB magnitude by band of every star."""

    ra: Any
    dec: Any
    mag: dict[str, Any]


def stars(count: int = 160, seed: int = 5) -> Stars:
    """The stars of both tiles, each once, none nearer than 4 pixels to an edge of the field."""
    rng = np.random.default_rng(seed)
    half = (NAXIS / 2 - 4) * PIXSCALE / 3600
    ra = 30.0 + rng.uniform(-half, half, count) / np.cos(np.radians(5.0))
    dec = rng.uniform(TILES[0].dec - half, TILES[1].dec + half, count)
    return Stars(ra, dec, {band: rng.uniform(18, 23, count) for band in BANDS})


def _pixels(tile: Tile, known: Stars) -> tuple[Any, Any]:
    from astropy.wcs import WCS

    x, y = WCS(tile.header()).all_world2pix(known.ra, known.dec, 0)
    return x, y


def image(tile: Tile, band: str, known: Stars) -> Planes:
    """The coadd of a tile: the stars as Gaussians, noise, a square without data."""
    rng = np.random.default_rng([ord(c) for c in tile.name + band])
    sci = rng.normal(0, 3.0, (NAXIS, NAXIS))
    x, y = _pixels(tile, known)
    grid = np.arange(-8, 9)
    for px, py, mag in zip(x, y, known.mag[band], strict=True):
        if not (8 <= px < NAXIS - 8 and 8 <= py < NAXIS - 8):
            continue
        column, row = round(px), round(py)
        profile = np.exp(
            -0.5 * ((grid + column - px)[None, :] ** 2 + (grid + row - py)[:, None] ** 2) / 1.6**2
        )
        sci[row - 8 : row + 9, column - 8 : column + 9] += 10 ** (0.4 * (30 - mag)) * profile / profile.sum()
    msk, wgt = np.zeros((NAXIS, NAXIS), np.int32), np.full((NAXIS, NAXIS), 1 / 9.0, np.float32)
    msk[:40, :40], wgt[:40, :40], sci[:40, :40] = 1, 0, 0
    head = tile.header()
    for key, value in {
        "TILENAME": tile.name, "BAND": band, "MAGZERO": 30.0, "NCOMBINE": 2, "EXP00001": "1 1", "ZP00001": "measured",
        "EXPTIME": 180.0, "GAIN": 1.0,
        "SATURATE": 1e5, "FWHM": 3.77, "NITE": "20121120",
    }.items():  # fmt: skip
        head[key] = value
    return Planes(sci.astype(np.float32), msk, wgt, head)


def _exposure(tile: Tile, band: str, expnum: int) -> Planes:
    small = Tile(tile.name, tile.ra, tile.dec, 16, PIXSCALE * NAXIS / 16)
    head = small.header()
    for key, value in {
        "EXPNUM": expnum, "CCDNUM": 1, "BAND": band, "EXPTIME": 90.0, "MJD-OBS": 56252.0 + expnum / 1000,
        "NITE": "20121120",
    }.items():  # fmt: skip
        head[key] = value
    flat = np.ones((16, 16), np.float32)
    return Planes(flat, np.zeros((16, 16), np.int32), flat, head)


def _objects(tile: Tile, known: Stars) -> pa.Table:
    """What a tile's catalogue holds: its stars, measured with an error of some mas of its own."""
    x, y = _pixels(tile, known)
    inside = (x > 0) & (x < NAXIS - 1) & (y > 0) & (y < NAXIS - 1)
    rng = np.random.default_rng([ord(c) for c in tile.name])
    ra = known.ra[inside] + rng.normal(0, 2e-6, inside.sum())
    dec = known.dec[inside] + rng.normal(0, 2e-6, inside.sum())
    pixel = hpix29(ra, dec)
    order = np.argsort(pixel)
    columns: dict[str, tuple[Any, str, str, str]] = {
        "hpix29": (pixel, "HEALPix number, order 29, nested", "", "pos.healpix"),
        "coadd_object_id": (pixel, "identifier of the object", "", "meta.id;meta.main"),
        "tilename": (np.full(len(ra), tile.name), "tile", "", "meta.id;obs.field"),
        "star": (
            np.flatnonzero(inside).astype(np.int32),
            "number of the star in the truth",
            "",
            "meta.number",
        ),
        "ra": (ra, "right ascension (ICRS)", "deg", "pos.eq.ra;meta.main"),
        "dec": (dec, "declination (ICRS)", "deg", "pos.eq.dec;meta.main"),
    }
    for band in BANDS:
        mag = known.mag[band][inside].astype(np.float32)
        columns[f"mag_auto_{band}"] = (mag, f"Kron AB magnitude, band {band}", "mag", "phot.mag")
    fields = [
        pa.field(
            name,
            pa.array(v).type,
            metadata={"description": text, "ucd": ucd} | ({"unit": unit} if unit else {}),
        )
        for name, (v, text, unit, ucd) in columns.items()
    ]
    schema = pa.schema(fields, metadata={"TILENAME": tile.name, "BANDS": ",".join(BANDS)})
    return pa.table([pa.array(v[order]) for v, *_ in columns.values()], schema=schema)


def deposit_tiles(database: Database, archive: Archive, folder: Path) -> Stars:
    """Write the tiles' files, deposit them and tag the coadds' products `TAG`; the truth."""
    known = stars()
    folder.mkdir(parents=True, exist_ok=True)
    items: list[Deposit] = []
    released = []
    for i, tile in enumerate(TILES):
        stem = f"{tile.name}_r1p01"
        for b, band in enumerate(BANDS):
            exposures = []
            for n in (0, 1):
                expnum = 100 + 10 * b + n
                path = folder / f"{stem}_D{expnum:08d}_{band}_c01_nwgint.fits"
                write_planes(path, _exposure(tile, band, expnum), threads=1)
                exposures.append(path)
            items += [Deposit(path) for path in exposures]
            coadd = folder / f"{stem}_{band}_coadd.fits"
            write_planes(coadd, image(tile, band, known), threads=1)
            items.append(Deposit(coadd, parents=tuple(path.name for path in exposures)))
            released.append(coadd)
        objects = folder / f"{stem}_objects.parquet"
        pq.write_table(_objects(tile, known), objects)
        picture = folder / f"{stem}_color.png"
        noise = np.random.default_rng(i).integers(0, 255, (NAXIS, NAXIS, 3), np.uint8)
        Image.fromarray(noise).save(picture)
        items += [Deposit(objects), Deposit(picture)]
        released += [objects, picture]
    report = deposit(database, archive, items, who="tester")
    assert not report.refused, report.refused
    with database.write() as conn:
        tag(conn, TAG, [path.name for path in released], [], who="tester")
    return known


def demo_release(
    home: Path,
    name: str = "D1",
    *,
    proprietary: bool = False,
    before_publication: Callable[[Facility, Path], None] = lambda facility, root: None,
) -> Stars:
    """An installation at ``home`` with a published release of the two tiles: table ``objects``, images, pictures.

    ``before_publication`` may add to the release, of which it gets the folder.
    """
    if not (home / "desdm.toml").exists():
        initialise(home)
    facility = Facility.open(home)
    try:
        database, root = facility.database, facility.config.releases / name
        known = deposit_tiles(database, facility.archive, home / "incoming")
        create(
            database, facility.archive, root, name, {"tag": TAG}, title="Two tiles", proprietary=proprietary,
            who="tester",
        )  # fmt: skip
        before_publication(facility, root)
        publish(database, root, name, who="tester")
    finally:
        facility.close()
    return known


def fits_header(path: Path, plane: str) -> fits.Header:
    """Header of a plane, as astropy reads it."""
    header: fits.Header = fits.getheader(path, plane)
    return header
