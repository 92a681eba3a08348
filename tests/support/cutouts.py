"""A published release of images for tests: two neighbouring tiles in g, r, i, packed by fpack and not by our code."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits

from desdm.facility import Facility, initialise
from desdm.release import store
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.images import facts
from desdm.release.manifest import list_files, measure, on_disk
from desdm.release.publish import publish
from desdm.release.steps import BuiltFile
from desdm.survey.imageio import Planes

__all__ = ["SIZE", "ImageRelease", "image_release", "tile_header"]

#: Pixels a side, and the tiles' centres: at the equator across RA 0, their edges just touching.
SIZE = 700
SCALE = 0.263
CENTRES = {"DES0000+0000": (0.02, 0.0), "DES2359+0000": (359.969, 0.0)}
NOISE = {"g": 5.0, "r": 7.0, "i": 9.0}


@dataclass(frozen=True)
class ImageRelease:
    """An installation with one release of images; ``path(tile, band)`` is a file of it."""

    home: Path
    name: str

    def path(self, tile: str, band: str) -> Path:
        """Where a release image lies."""
        return self.home / "releases" / self.name / self.relative(tile, band)

    def relative(self, tile: str, band: str) -> str:
        """Its path in the release."""
        return f"images/{tile}/{tile}_{band}.fits.fz"

    def did(self, tile: str, band: str) -> str:
        """Its publisher DID."""
        return f"ivo://desdm/{self.name}?{self.relative(tile, band)}"


def tile_header(tile: str, band: str, size: int = SIZE) -> fits.Header:
    """Header of a tile's image."""
    ra, dec = CENTRES.get(tile, (30.0, -5.0))
    head = fits.Header()
    for key, value in {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "CRVAL1": ra, "CRVAL2": dec,
        "CRPIX1": (size + 1) / 2, "CRPIX2": (size + 1) / 2, "CD1_1": -SCALE / 3600, "CD1_2": 0.0, "CD2_1": 0.0,
        "CD2_2": SCALE / 3600, "RADESYS": "ICRS", "EQUINOX": 2000.0, "TILENAME": tile, "BAND": band, "MAGZERO": 30.0,
        "PIXSCALE": SCALE, "FWHM": 4.0,
    }.items():  # fmt: skip
        head[key] = value
    head.add_history("made for a test")
    return head


def planes_of(tile: str, band: str) -> Planes:
    """A sky with stars, a masked corner and columns without information."""
    rng = np.random.default_rng(list(f"{tile}{band}".encode()))
    noise = NOISE[band]
    sci = rng.normal(0, noise, (SIZE, SIZE)).astype(np.float32)
    y, x = np.mgrid[-15:16, -15:16]
    star = np.exp(-(x * x + y * y) / 8.0)
    for cx, cy in rng.integers(20, SIZE - 20, (40, 2)):
        sci[cy - 15 : cy + 16, cx - 15 : cx + 16] += (500 * star).astype(np.float32)
    msk = np.zeros((SIZE, SIZE), np.int32)
    msk[:40, :60] = 1
    msk[rng.integers(0, SIZE, 300), rng.integers(0, SIZE, 300)] |= 16
    wgt = (rng.uniform(0.9, 1.1, (SIZE, SIZE)) / noise**2).astype(np.float32)
    wgt[:, 300:303] = 0
    return Planes(sci, msk, wgt, tile_header(tile, band))


def write_packed(path: Path, planes: Planes, release: str, source: str) -> None:
    """Three planes in squares of 256 pixels, by fpack; the primary header tells release and source, as ours do."""
    plain = path.with_name("plain.fits")
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"RELEASE": release, "ATTEMPT": "a_r1p01", "SRCFILE": "a.fits", "SRCSHA": source})
    for name in ("SCI", "MSK", "WGT"):
        hdu = fits.ImageHDU(getattr(planes, name.lower()), planes.header, name=name)
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(plain, overwrite=True)
    subprocess.run(["fpack", "-r", "-t", "256,256", "-O", str(path), str(plain)], check=True)
    plain.unlink()


def image_release(
    home: Path,
    name: str = "C1",
    *,
    proprietary: bool = False,
    more: Callable[[Path], object] = lambda root: None,
) -> ImageRelease:
    """Make the installation if there is none, and publish a release of images and their objects in it.

    ``more`` may put other files below the release's directory before it is published.
    """
    made = ImageRelease(home, name)
    if not (home / "desdm.toml").exists():
        initialise(home)
    facility = Facility.open(home)
    try:
        root = facility.config.releases / name
        create_empty(facility.database, root, name, title="Images", proprietary=proprietary, who="tester")
        files = []
        for tile in CENTRES:
            (root / "images" / tile).mkdir(parents=True)
            for band in NOISE:
                planes = planes_of(tile, band)
                source = hashlib.sha256(f"{tile}{band}".encode()).hexdigest()
                write_packed(made.path(tile, band), planes, name, source)
                files.append(
                    BuiltFile(
                        made.relative(tile, band), "coadd", "application/fits", tile, band, source_sha256=source,
                        **facts(planes),
                    )
                )  # fmt: skip
        more(root)
        files += list_files(path for path in on_disk(root) if path.startswith("hips/"))
        rows = measure(root, name, files)
        with facility.database.write() as conn:
            store.insert_files(conn, rows)
        add_table(
            facility.database, root, name, "objects", iter(_objects().to_batches()), ra="ra", dec="dec",
            id_column="id", text="Objects, one a row", who="tester",
        )  # fmt: skip
        publish(facility.database, root, name, who="tester")
    finally:
        facility.close()
    return made


def _objects() -> pa.Table:
    rng = np.random.default_rng(5)
    ra = np.concatenate([CENTRES[t][0] + rng.uniform(-0.02, 0.02, 50) for t in CENTRES]) % 360.0
    texts = {"id": ("identifier", "", "meta.id;meta.main"), "ra": ("RA", "deg", "pos.eq.ra;meta.main"),
             "dec": ("Dec", "deg", "pos.eq.dec;meta.main")}  # fmt: skip
    values = [pa.array(np.arange(100) + 5_000_000_000), pa.array(ra), pa.array(rng.uniform(-0.02, 0.02, 100))]
    fields = [
        pa.field(
            key, value.type, metadata={"description": text, "ucd": ucd} | ({"unit": unit} if unit else {})
        )
        for value, (key, (text, unit, ucd)) in zip(values, texts.items(), strict=True)
    ]
    return pa.table(values, schema=pa.schema(fields))
