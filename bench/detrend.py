"""Detrending of one full-size CCD: megapixels a CPU second of the fused chain, of brighter-fatter and of the sky pass.

Beside them, in the same run, plain numpy step by step, and brighter-fatter by Fourier transforms. Memory is the peak of a
process that does nothing else.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fitsio
import numpy as np
from astropy.io import fits

from common import clock, emit, workplace
from desdm.codes.detrend import bf, chain, skysub
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.linearity import Table
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.detrend.steps import chosen
from desdm.survey.images import Planes, read_planes, write_planes
from desdm.survey.raw import read_ccd
from tests.support import detrending

NY, NX = 4096, 2048
STEPS = "crosstalk,overscan,bias,linearity,bpm,saturate,gain,flat,weight,nullweight"


def best(work: Callable[[], object], runs: int = 5) -> float:
    """Median CPU seconds of several runs, after one that compiles and fills the caches."""
    work()
    spent = []
    for _ in range(runs):
        with clock() as once:
            work()
        spent.append(once.cpu)
    return statistics.median(spent)


def calibrations(t: detrending.Truth) -> Calibrations:
    """The made-up CCD's constants as the codes take them."""
    head = fits.Header([("CCDNUM", 3), ("BAND", "g")])
    none, sure = np.zeros(t.raw.shape, np.int32), np.full(t.raw.shape, 1e6, np.float32)
    shift = {amp: (values - t.adu).astype(np.float32) for amp, values in t.linear.items()}
    matrix = {"ccd03A": {"ccd03B": t.crosstalk["A"]}, "ccd03B": {"ccd03A": t.crosstalk["B"]}}
    return Calibrations(
        matrix, Table(0.0, 16.0, shift), Planes(t.bias, none, sure, head), t.bpm,
        (t.ar.astype(np.float32), t.at.astype(np.float32)), Planes(t.flat, none, sure, head),
    )  # fmt: skip


def plain(t: detrending.Truth) -> None:
    """The same steps in numpy, single precision, a whole array at a time."""
    sci, msk = detrending.to_electrons(t, np.float32)
    flat = t.flat.astype(np.float32)
    detrending.flatten(sci, msk, flat, {"A": 45.0, "B": 50.0}, float(np.median(sci)), t)


class Templates:
    """A sky of four templates."""

    coefficients = np.array([400.0, 1.0, 1.0, 1.0], np.float32)
    templates = np.ones((4, NY, NX), np.float32)


def main() -> None:
    """Print the figures."""
    t = detrending.make(NY, NX)
    cal, size = calibrations(t), NY * NX / 1e6
    recipe = Recipe(chosen(STEPS))
    spent = best(lambda: chain.detrend(t.raw, "bench", cal, recipe, map))
    peer = best(lambda: plain(t), 3)
    emit("detrend.chain", size / spent, "Mpix/cpu s", 1, peer=round(size / peer, 1))
    planes = chain.detrend(t.raw, "bench", cal, Recipe(chosen("overscan,bpm,saturate,gain")), map).planes
    assert cal.bf is not None
    kernels, level = cal.bf, float(np.median(planes.sci))

    def ours() -> None:
        bf.correct(planes.sci, planes.msk, kernels, level, bad=1, full=2, suspect=2048, run=map)

    spent = best(ours)
    peer = best(lambda: detrending.brighter_fatter(planes.sci, planes.msk, *kernels, level), 3)
    emit("detrend.brighterfatter", size / spent, "Mpix/cpu s", 1, peer=round(size / peer, 1))
    everything = Recipe(chosen(STEPS + ",fixcols,bf,resaturate,lightbulb,cticheck"))
    spent = best(lambda: chain.detrend(t.raw, "bench", cal, everything, map))
    emit("detrend.allsteps", size / spent, "Mpix/cpu s", 1)
    result = chain.detrend(t.raw, "bench", cal, recipe, map).planes
    starflat = np.ones(t.raw.shape, np.float32)

    def sky() -> None:
        for key in ("DESSKYSB", "DESSTAR"):
            result.header.remove(key, ignore_missing=True)
        skysub.subtract(result, Templates(), starflat, skysub.Names("s", "f"), map)

    emit("detrend.skysubtract", size / best(sky), "Mpix/cpu s", 1)
    folder = workplace()
    files(folder, t, cal)
    peak = subprocess.run(
        [sys.executable, __file__, "memory", str(folder)], capture_output=True, text=True, check=True
    ).stdout.split()
    # The floor is a process that has loaded the codes and read nothing yet.
    emit("detrend.memory", float(peak[1]), "MB", 1, floor=float(peak[0]))


def files(folder: Path, t: detrending.Truth, cal: Calibrations) -> None:
    """The raw frame and its calibrations on disk."""
    with fitsio.FITS(str(folder / "raw.fits.fz"), "rw", clobber=True) as file:
        file.write(t.raw.data, header=dict(t.raw.header), compress="RICE", extname="S31")
    fitsio.write(str(folder / "bpm.fits"), t.bpm, clobber=True)
    assert cal.biascor is not None and cal.dflatcor is not None
    write_planes(folder / "bias.fits", cal.biascor)
    write_planes(folder / "flat.fits.fz", cal.dflatcor)


def memory(folder: Path) -> None:
    """Peak of a process that reads one CCD and its calibrations, detrends it with all steps and writes it."""

    def peak() -> float:
        # Not ru_maxrss, which a child inherits from the process that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024.0

    t = detrending.make(256, 192)
    chain.detrend(t.raw, "bench", calibrations(t), Recipe(chosen(STEPS + ",bf")), map)
    before = peak()
    cal = replace(
        calibrations(t), biascor=read_planes(folder / "bias.fits"), dflatcor=read_planes(folder / "flat.fits.fz"),
        bpm=fitsio.read(str(folder / "bpm.fits")),
    )  # fmt: skip
    recipe = Recipe(chosen(STEPS + ",fixcols,bf,resaturate,lightbulb,cticheck"))
    result = chain.detrend(read_ccd(folder / "raw.fits.fz", 3), "bench", cal, recipe, map)
    write_planes(folder / "image.fits.fz", result.planes)
    sys.stdout.write(f"{before} {peak()}\n")


if __name__ == "__main__":
    memory(Path(sys.argv[2])) if sys.argv[1:2] == ["memory"] else main()
