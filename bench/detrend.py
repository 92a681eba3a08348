"""Detrending of one full-size CCD: megapixels a CPU second of the fused chain, of brighter-fatter and of the sky pass.

Beside them, in the same run, plain numpy step by step, and brighter-fatter by Fourier transforms. Memory is the peak of a
process that does nothing else.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from astropy.io import fits

from common import clock, emit
from desdm.codes.detrend import bf, chain, skysub
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.linearity import Table
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.detrend.steps import chosen
from desdm.survey.images import Planes
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
    peak = subprocess.run(
        [sys.executable, __file__, "memory"], capture_output=True, text=True, check=True
    ).stdout.split()
    # What the raw frame and its calibrations take before the first step is the floor.
    emit("detrend.memory", float(peak[1]), "MB", 1, floor=float(peak[0]))


def memory() -> None:
    """Peak of a process that makes a raw frame and detrends it: before and after."""

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0

    t = detrending.make(256, 192)
    chain.detrend(t.raw, "bench", calibrations(t), Recipe(chosen(STEPS + ",bf")), map)
    rng = np.random.default_rng(1)
    big = detrending.Truth(
        detrending.make(256, 192).raw, *(np.ones((NY, NX), np.float32),) * 2, np.zeros((NY, NX), np.int32), t.adu,
        t.linear, t.crosstalk, t.ar, t.at,
    )  # fmt: skip
    head = detrending.header(NY, NX)
    data = np.full((NY + 50, NX + 112), 2400, np.int32)
    data[::3] += rng.integers(-5, 5, NX + 112, np.int32)
    amps, shape = detrending.amps(head, data.shape)
    raw = type(big.raw)(head, data, amps, shape)
    cal = calibrations(detrending.replaced(big, raw))
    before = peak()
    chain.detrend(raw, "bench", cal, Recipe(chosen(STEPS + ",bf")), map)
    sys.stdout.write(f"{before} {peak()}\n")


if __name__ == "__main__":
    memory() if sys.argv[1:] == ["memory"] else main()
