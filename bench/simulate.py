"""What the simulator costs: megapixels a second and core for a full-size CCD with all effects, and a mini exposure."""

from __future__ import annotations

import statistics

import numpy as np

from common import clock, emit, workplace
from desdm.simulate.field import Density, draw_field
from desdm.simulate.instrument import Camera, decam, mini
from desdm.simulate.night import make_night, renderer_of
from desdm.simulate.plan import Plan, plan_night
from desdm.simulate.rawfile import write_raw
from desdm.simulate.readout import read_out


def full_ccd() -> None:
    """One 2048×4096 CCD with two amplifiers, some 4 000 stars and 6 000 galaxies: rendered, then also written."""
    camera = decam().only((28,))
    plan = plan_night(1, bands=("i",), exposures=4, biases=0, flats=0, density=Density(27.0, 38.0))
    plan = Plan(plan.seed, plan.shots, plan.bands, plan.density, "tables")
    centre = camera.ccds[0].wcs.world(np.array([1024.5]), np.array([2048.5]))
    shot = plan.shots[0]
    ra, dec = shot.ra + ((float(centre[0][0]) + 180) % 360 - 180), shot.dec + float(centre[1][0])
    sky = draw_field(1, ra, dec, 0.25, ("i", "r"), plan.density)
    renderer, _ = renderer_of(plan, camera, sky)
    lit = renderer.charge(plan.shots[-1], 28)  # maps are made and loops compiled before the clock starts
    read_out(renderer, plan.shots[-1], 28, {28: lit})
    pixels, spent, written, count = camera.nx * camera.ny / 1e6, [], [], 0
    folder = workplace()
    for shot in plan.shots[:3]:
        with clock() as both:
            with clock() as render:
                lit = renderer.charge(shot, 28)
                raw = read_out(renderer, shot, 28, {28: lit})
            write_raw(folder / shot.filename, camera, shot, {28: (raw, renderer.guess(shot, camera[28]))})
        assert lit.objects is not None
        count = lit.objects.x.size
        spent.append(render.cpu)
        written.append(both.cpu)
    emit("simulate.ccd", pixels / statistics.median(spent), "Mpix/cpu s", count, floor=_noise_alone(camera))
    emit("simulate.ccd_written", pixels / statistics.median(written), "Mpix/cpu s", count)


def _noise_alone(camera: Camera) -> float:
    """The rate at which the two normal deviates a pixel can be drawn: the least that any simulator must do."""
    rng = np.random.Generator(np.random.Philox(1))
    with clock() as drawn:
        for _ in range(2):
            rng.standard_normal((camera.ny, camera.nx), np.float32)
    return camera.nx * camera.ny / 1e6 / drawn.cpu


def mini_exposure(camera: Camera) -> None:
    """One exposure of the mini camera, four CCDs of 512×1024, with its truth tables."""
    plan = plan_night(1, bands=("r",), exposures=6, biases=0, flats=0)
    folder = workplace()
    first = Plan(plan.seed, plan.shots[:1], plan.bands, plan.density)
    make_night(folder / "warm", first, camera)
    with clock() as one:
        make_night(folder / "one", first, camera)
    with clock() as six:
        make_night(folder / "six", plan, camera)
    emit("simulate.mini", (six.cpu - one.cpu) / 5, "cpu s/exposure", 5, wall=(six.wall - one.wall) / 5)
    emit("simulate.mini_fixed", one.cpu, "cpu s", 1)


def main() -> None:
    """Both."""
    full_ccd()
    mini_exposure(mini())


if __name__ == "__main__":
    main()
