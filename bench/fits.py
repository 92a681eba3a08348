"""Image files of one full-size CCD: megapixels a CPU second written and read, compressed and plain, and their size.

Peers, in the same run and to the same folder: cfitsio through fitsio, astropy, and the fpack program, all with the usual
quantisation at a quarter of the noise (q 4), which they must estimate; ours is told the step.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fitsio
import numpy as np
from astropy.io import fits

from common import clock, emit, workplace
from desdm.pixels import packed
from desdm.pixels.cards import read_hdus
from desdm.pixels.fitsbytes import pool, sealed, word_sum, write
from desdm.survey.imageio import LEVEL, Planes, mapped, pixels, read_planes, write_planes

NY, NX = 4096, 2048
COUNT = NY * NX
SIZE = COUNT / 1e6
NOISE = 40.0


def image() -> Planes:
    """Sky of 1500 electrons, stars, a few bad columns; a weight that follows a flat of 0.5 % from pixel to pixel."""
    rng = np.random.default_rng(1)
    flat = 1.0 + 0.005 * rng.standard_normal((NY, NX), np.float32)
    sci = rng.normal(0.0, NOISE, (NY, NX)).astype(np.float32)
    y, x = np.mgrid[-15:16, -15:16]
    for cy, cx, flux in zip(
        rng.integers(16, NY - 16, 3000),
        rng.integers(16, NX - 16, 3000),
        10 ** rng.uniform(2, 5, 3000),
        strict=True,
    ):
        sci[cy - 15 : cy + 16, cx - 15 : cx + 16] += (
            flux / 25 * np.exp(-(x**2 + y**2) / 8.0).astype(np.float32)
        )
    msk = np.zeros((NY, NX), np.int32)
    wgt = (flat / NOISE**2).astype(np.float32)
    for column in rng.integers(0, NX, 8):
        msk[:, column], wgt[:, column], sci[:, column] = 1, 0.0, 0.0
    return Planes(sci, msk, wgt, fits.Header([("EXPNUM", 1), ("CCDNUM", 1)]))


def spent(work: Callable[[], object], runs: int = 5, *, children: bool = False) -> float:
    """Median CPU seconds of several runs, after one to warm up."""
    work()
    seconds = []
    for _ in range(runs):
        with clock(children=children) as once:
            work()
        seconds.append(once.cpu)
    return statistics.median(seconds)


def packed_sci(path: Path, planes: Planes) -> None:
    """SCI alone, in steps of a quarter of the noise."""
    with pool(1) as run:
        header, unit = packed.pack(planes.sci, packed.Steps(NOISE / LEVEL), run)
    write(
        path,
        [
            sealed(fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)]), 0),
            sealed(header, word_sum(unit)),
            unit,
        ],
    )


def by_fitsio(path: Path, data: np.ndarray) -> None:
    """The same by cfitsio."""
    with fitsio.FITS(str(path), "rw", clobber=True) as file:
        file.write(data, compress="RICE", qlevel=4.0, qmethod="SUBTRACTIVE_DITHER_2", dither_seed=1)


def by_astropy(path: Path, data: np.ndarray) -> None:
    """The same by astropy."""
    fits.CompImageHDU(
        data, compression_type="RICE_1", quantize_level=4.0, quantize_method=2, dither_seed=1
    ).writeto(path, overwrite=True)


def by_fpack(plain: Path, path: Path) -> None:
    """A plain file by the fpack program."""
    path.unlink(missing_ok=True)
    subprocess.run(["fpack", "-q", "4", "-O", str(path), str(plain)], check=True, stdin=subprocess.DEVNULL)


def compressed(folder: Path, planes: Planes) -> None:
    """SCI alone, then all three planes."""
    ours, theirs, plain = folder / "o.fits.fz", folder / "t.fits.fz", folder / "p.fits"
    peers = {
        "fitsio": SIZE / spent(lambda: by_fitsio(theirs, planes.sci), 3),
        "astropy": SIZE / spent(lambda: by_astropy(folder / "a.fits.fz", planes.sci), 3),
    }
    figure = SIZE / spent(lambda: packed_sci(ours, planes))
    for name, peer in peers.items():
        emit(f"fits.write_{name}", figure, "Mpix/cpu s", 1, peer=round(peer, 1))
    emit(
        "fits.size", ours.stat().st_size / COUNT, "byte/pix", 1, peer=round(theirs.stat().st_size / COUNT, 4)
    )
    write_planes(plain, planes)
    peer = 3 * SIZE / spent(lambda: by_fpack(plain, theirs), 3, children=True)
    figure = 3 * SIZE / spent(lambda: write_planes(ours, planes, NOISE / LEVEL, threads=1))
    emit("fits.writeplanes", figure, "Mpix/cpu s", 3, peer=round(peer, 1))
    with clock() as once:
        write_planes(ours, planes, NOISE / LEVEL, threads=2)
    emit("fits.writeplanes_threads2", 3 * SIZE / once.cpu, "Mpix/cpu s", 3, wall=once.wall)
    emit(
        "fits.planesize",
        ours.stat().st_size / COUNT,
        "byte/pix",
        3,
        peer=round(theirs.stat().st_size / COUNT, 4),
    )
    peer = 3 * SIZE / spent(lambda: [fitsio.read(str(ours), ext=e) for e in ("SCI", "MSK", "WGT")], 3)
    emit(
        "fits.readplanes",
        3 * SIZE / spent(lambda: read_planes(ours, threads=1)),
        "Mpix/cpu s",
        3,
        peer=round(peer, 1),
    )
    back = read_planes(ours)
    good = planes.wgt > 0
    emit("fits.weighterror", float(np.abs(back.wgt[good] / planes.wgt[good] - 1).max()), "relative", 1)


def plain_files(folder: Path, planes: Planes) -> None:
    """Files that programs read."""
    path, other = folder / "p.fits", folder / "q.fits"

    def peer() -> None:
        with fitsio.FITS(str(other), "rw", clobber=True) as file:
            for data in (planes.sci, planes.msk, planes.wgt):
                file.write(data)
                file[-1].write_checksum()

    theirs = 3 * SIZE / spent(peer, 3)
    figure = 3 * SIZE / spent(lambda: write_planes(path, planes, threads=1))
    emit("fits.writeplain", figure, "Mpix/cpu s", 3, peer=round(theirs, 1))
    theirs = 3 * SIZE / spent(lambda: [fitsio.read(str(path), ext=e) for e in range(3)], 3)
    figure = 3 * SIZE / spent(lambda: read_planes(path, threads=1))
    emit("fits.readplain", figure, "Mpix/cpu s", 3, peer=round(theirs, 1))


def raw_frame(folder: Path) -> None:
    """A raw CCD as the camera delivers it: int32, Rice by cfitsio."""
    rng = np.random.default_rng(2)
    data = np.rint(rng.normal(2300.0, 11.0, (NY + 50, NX + 112))).astype(np.int32)
    path = folder / "r.fits.fz"
    with fitsio.FITS(str(path), "rw", clobber=True) as file:
        file.write(data, compress="RICE", extname="S29")

    def ours() -> None:
        with mapped(path) as buffer, pool(1) as run:
            hdus = read_hdus(buffer, len(buffer))
            assert pixels(path, buffer, hdus, 1, run).values.size

    theirs = data.size / 1e6 / spent(lambda: fitsio.read(str(path), ext=1), 3)
    emit("fits.readraw", data.size / 1e6 / spent(ours), "Mpix/cpu s", 1, peer=round(theirs, 1))


def main() -> None:
    """Print the figures."""
    folder, planes = workplace(), image()
    compressed(folder, planes)
    plain_files(folder, planes)
    raw_frame(folder)


if __name__ == "__main__":
    main()
