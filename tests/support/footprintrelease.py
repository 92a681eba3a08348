"""A release with a footprint: two tiles that overlap across RA 0, in two bands, made from their coadds by the code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from astropy.wcs import WCS

from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.facility import Facility, initialise
from desdm.release import footprint, images
from desdm.release.create import create_empty
from desdm.release.publish import publish
from desdm.release.steps import BuildContext, BuiltFile, SelectedFile
from desdm.survey.images import Planes, write_planes
from desdm.survey.tiles import Tile
from tests.support.tasks import run

__all__ = ["BANDS", "SIDE", "TILES", "Coadds", "coadds", "context_of", "footprint_release"]

SIDE = 900
#: 3.9′ a side; the second one lies 3.2′ east, across RA 0.
TILES = (Tile("DES0000-4400", 0.015, -44.0, SIDE, 0.263), Tile("DES2359-4400", 359.942, -44.0, SIDE, 0.263))
BANDS = ("g", "r")
NOISE = {"g": 2.0, "r": 3.0}


@dataclass
class Coadds:
    """Files of the tiles: coadds, footprints and the images behind them, by (tile, band)."""

    folder: Path
    coadd: dict[tuple[str, str], Path] = field(default_factory=dict)
    footprint: dict[tuple[str, str], Path] = field(default_factory=dict)
    images: dict[tuple[str, str], list[Path]] = field(default_factory=dict)


def _image(tile: Tile, band: str, number: int) -> Planes:
    """One of the three images of a tile: the first covers it, the second its northern half, the third its west, tilted."""
    head = tile.header()
    if number == 1:
        head["CRPIX2"] -= SIDE / 2
    if number == 2:
        head["CRPIX1"] += SIDE / 3
        turn = np.radians(5.0)
        step = tile.pixscale / 3600
        head["CD1_1"], head["CD1_2"] = -step * np.cos(turn), step * np.sin(turn)
        head["CD2_1"], head["CD2_2"] = step * np.sin(turn), step * np.cos(turn)
    wgt = np.full((SIDE, SIDE), 1 / NOISE[band] ** 2, np.float32)
    msk = np.zeros((SIDE, SIDE), np.int32)
    head["BAND"], head["EXPTIME"], head["MJD-OBS"] = band, 90.0, 56000.0 + number
    # Exposures are shared by both tiles, as neighbours share them.
    head["EXPNUM"], head["CCDNUM"] = 1000 + 10 * BANDS.index(band) + number, 1 + (tile is TILES[1])
    head["DESFNAME"] = f"{tile.name}_{band}_{number}_nwgint.fits"
    return Planes(np.zeros((SIDE, SIDE), np.float32), msk, wgt, head)


def coadds(folder: Path) -> Coadds:
    """Make the files: coadds with a masked star, a strip without weight, and depth that falls to the south."""
    made = Coadds(folder)
    for tile in TILES:
        for band in BANDS:
            key, stem = (tile.name, band), f"{tile.name}_r1p01_{band}"
            paths = []
            for number in range(3):
                one = _image(tile, band, number)
                paths.append(folder / str(one.header["DESFNAME"]))
                write_planes(paths[-1], one)
            y, x = np.mgrid[0:SIDE, 0:SIDE]
            wgt = (np.where(y < SIDE / 2, 1, 2) / NOISE[band] ** 2).astype(np.float32)
            msk = np.zeros((SIDE, SIDE), np.int32)
            # A star, a gap: both tiles see the same sky.
            ra, dec = WCS(tile.header()).all_pix2world(x, y, 0)
            east = (ra - 359.98 + 180) % 360 - 180
            msk[np.hypot(east * np.cos(np.radians(44)), dec + 44.002) < 40 / 3600] = 32
            wgt[np.abs(east + 0.03) < 0.0015] = 0
            head = tile.header()
            head["TILENAME"], head["BAND"], head["MAGZERO"], head["NCOMBINE"] = tile.name, band, 30.0, 3
            made.coadd[key], made.images[key] = folder / f"{stem}_coadd.fits", paths
            write_planes(made.coadd[key], Planes(np.zeros((SIDE, SIDE), np.float32), msk, wgt, head))
            depth = folder / f"{stem}_depth.json"
            depth.write_text(json.dumps({"correlation": 1.1}))
            made.footprint[key] = folder / f"{stem}_footprint.fits"
            run(
                "desdm.codes.footprint.wrapper.footprint", folder / "work",
                {"image": [made.coadd[key]], "depth": [depth], "nwgints": paths},
                {"footprint": made.footprint[key]}, {"tilename": tile.name, "band": band},
            )  # fmt: skip
    return made


def context_of(facility: Facility, made: Coadds, release: str) -> BuildContext:
    """What the step gets: the files as if the archive had them."""
    picked = []
    for kind, files in (("coadd", made.coadd), ("coadd_footprint", made.footprint)):
        for (tile, band), path in sorted(files.items()):
            record = FileRecord(
                len(picked) + 1, path.name, "", kind, path.stat().st_size,
                sha256(path.read_bytes()).hexdigest(), "", None, "files", "", band,
            )  # fmt: skip
            picked.append(SelectedFile(record, f"{tile}_r1p01", tilename=tile, band=band))
    return BuildContext(
        release, facility.config.releases / release, facility.database, Archive("files", made.folder),
        tuple(picked), "tester",
    )  # fmt: skip


def footprint_release(
    home: Path, made: Coadds, name: str = "F1", *, proprietary: bool = False
) -> list[BuiltFile]:
    """An installation at ``home`` (made when it is not there) with a published release of images and footprint."""
    if not (home / "desdm.toml").exists():
        initialise(home)
    facility = Facility.open(home)
    try:
        context = context_of(facility, made, name)
        create_empty(facility.database, context.root, name, proprietary=proprietary, who="tester")
        found = images.make(context) + footprint.make(context)
        _record(facility, context.root, name, found)
        publish(facility.database, context.root, name, who="tester")
    finally:
        facility.close()
    return found


def _record(facility: Facility, root: Path, name: str, made: list[BuiltFile]) -> None:
    from desdm.release import manifest, store

    # The archive's numbers of the files are none of this installation's.
    rows = manifest.measure(root, name, [replace(one, desfile_id=None) for one in made])
    with facility.database.write() as conn:
        store.replace_files(conn, name, rows)
