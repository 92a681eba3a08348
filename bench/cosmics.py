"""How fast cosmic rays are found on one 2048×4096 CCD, and how many of them: Mpix per CPU second and core."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import clock, emit
from desdm.codes.immask.cosmics import find_cosmics
from desdm.codes.immask.seeing import measure_seeing
from desdm.codes.immask.streaks import find_streaks
from desdm.codes.nullweight.rowinterp import interpolate_rows
from desdm.codes.sky.objects import sky_between
from tests.support.ccdscene import make_scene

SHAPE = (4096, 2048)
FWHM = 3.6
ROUNDS = 5
#: astroscrappy 1.3 with two iterations on the same kind of machine; it is not installed here.
ASTROSCRAPPY = 1.0
#: DESDM's block medians (mini-sky) on the same kind of machine.
MINISKY = 70.0


def main() -> None:
    """Simulate one CCD (seed 5) and time each search on it."""
    scene = make_scene(5, SHAPE, fwhm=FWHM, rays_per_mpix=120, stars_per_mpix=500, galaxies_per_mpix=600)
    image, weight, bad = scene.image.astype(np.float32), scene.weight, np.zeros(SHAPE, bool)
    mpix = image.size / 1e6
    # What is compiled is kept between processes; the first call may still have to load it.
    seeing = measure_seeing(image, weight, bad)
    fwhm = seeing.fwhm if seeing is not None else FWHM
    found = find_cosmics(image, weight, bad, fwhm)
    with clock() as spent:
        for _ in range(ROUNDS):
            measure_seeing(image, weight, bad)
            found = find_cosmics(image, weight, bad, fwhm)
    charge = scene.rays / scene.sigma
    emit("cosmics.rate", ROUNDS * mpix / spent.cpu, "Mpix/s", image.size, peer=ASTROSCRAPPY, wall=spent.wall)
    strong = charge > 10
    emit("cosmics.completeness", float(found[strong].mean()), "of pixels over 10 sigma", int(strong.sum()))
    emit("cosmics.false", float((found & (charge < 0.5)).mean()), "of all pixels", image.size)
    stars = scene.stars[scene.stars[:, 2] > 3000]
    x, y = (np.clip(np.rint(stars[:, k]).astype(int), 0, SHAPE[1 - k] - 1) for k in (0, 1))
    emit("cosmics.cores", float((found & (charge < 0.5))[y, x].mean()), "of star cores eaten", len(stars))

    find_streaks(image, found, scene.sigma)
    with clock() as spent:
        for _ in range(ROUNDS):
            find_streaks(image, found, scene.sigma)
    emit("cosmics.streaks", ROUNDS * mpix / spent.cpu, "Mpix/s", image.size, wall=spent.wall)

    sky = image + np.float32(600.0)
    sky_between(sky, found, 128)
    with clock() as spent:
        for _ in range(ROUNDS):
            sky_between(sky, found, 128)
    emit("cosmics.minisky", ROUNDS * mpix / spent.cpu, "Mpix/s", image.size, peer=MINISKY, wall=spent.wall)

    interpolate_rows(sky, found, 20)
    with clock() as spent:
        for _ in range(ROUNDS):
            interpolate_rows(sky, found, 20)
    emit("cosmics.rowinterp", ROUNDS * mpix / spent.cpu, "Mpix/s", image.size, wall=spent.wall)


if __name__ == "__main__":
    main()
