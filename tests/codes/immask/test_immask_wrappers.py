"""The modules as a job runs them: image in, image out, the table of streaks between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import ProgramFailed
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes, read_planes, write_planes
from tests.support.ccdscene import Scene, make_scene
from tests.support.tasks import run

CODES = "desdm.codes.immask.wrapper"


def _image(path: Path, scene: Scene) -> Path:
    head = fits.Header()
    head["EXPNUM"], head["CCDNUM"], head["BAND"], head["GAIN"] = 5, 1, "r", 1.0
    for key, value in (
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 30.0), ("CRVAL2", -5.0), ("CRPIX1", 256.0),
        ("CRPIX2", 512.0), ("CD1_1", -7.3e-5), ("CD1_2", 0.0), ("CD2_1", 0.0), ("CD2_2", 7.3e-5),
    ):  # fmt: skip
        head[key] = value
    image = scene.image.astype(np.float32)
    msk = np.where(image > 60000, int(MaskBit.SATURATE), 0).astype(np.int32)
    write_planes(path, Planes(image, msk, scene.weight, head))
    return path


def test_from_saturation_to_the_mended_image(tmp_path: Path) -> None:
    scene = make_scene(31, rays_per_mpix=150, streak=((20.0, -50.0), (480.0, 1100.0), 60.0))
    raw = _image(tmp_path / "raw.fits", scene)
    out = {k: tmp_path / f"{k}.fits" for k in ("bleed", "ray", "table", "joined", "streak", "null")}
    run(f"{CODES}.bleedmask", tmp_path, {"image": [raw]}, {"image": out["bleed"]})
    task = run(
        f"{CODES}.immask", tmp_path, {"image": [out["bleed"]]}, {"image": out["ray"], "streaks": out["table"]}
    )
    metrics = {m.name: m.value for m in task.metrics}
    assert metrics["streaks"] == 1
    assert metrics["cray_hits"] > 30
    assert metrics["core_fwhm"] == pytest.approx(4.0, rel=0.15)
    run(f"{CODES}.connect_streaks", tmp_path, {"streaks": [out["table"]]}, {"connected": out["joined"]})
    run(
        f"{CODES}.streakmask",
        tmp_path,
        {"image": [out["ray"]], "connected": [out["joined"]]},
        {"image": out["streak"]},
    )
    run(
        "desdm.codes.nullweight.wrapper.rowinterp_nullweight", tmp_path, {"image": [out["streak"]]},
        {"image": out["null"]},
    )  # fmt: skip
    planes = read_planes(out["null"])
    rays = scene.rays > 10 * scene.sigma
    assert ((planes.msk & int(MaskBit.CRAY)) != 0)[rays].mean() > 0.95
    assert ((planes.msk & int(MaskBit.STREAK)) != 0)[scene.streak > 0.5 * scene.sigma].mean() > 0.9
    assert (planes.wgt[rays & ((planes.msk & int(MaskBit.CRAY)) != 0)] == 0).all()
    assert ((planes.msk & int(MaskBit.INTERP)) != 0).any()
    # What was a cosmic ray on empty sky is near the sky again.
    empty = rays & ((planes.msk & int(MaskBit.INTERP)) != 0) & (scene.noiseless < scene.sigma)
    assert np.abs(planes.sci[empty] / scene.sigma).mean() < 2.0


def test_a_dead_ccd_is_named(tmp_path: Path) -> None:
    scene = make_scene(1, (256, 256))
    path = _image(tmp_path / "dead.fits", scene)
    planes = read_planes(path)
    planes.msk[:] = int(MaskBit.BPM)
    write_planes(path, planes)
    with pytest.raises(ProgramFailed, match=r"dead\.fits: no pixel"):
        run(f"{CODES}.immask", tmp_path, {"image": [path]}, {"image": tmp_path / "out.fits"})


def test_a_ccd_mostly_masked_is_reported(tmp_path: Path) -> None:
    path = _image(tmp_path / "half.fits", make_scene(2))
    planes = read_planes(path)
    planes.msk[:700] = int(MaskBit.BADAMP)
    write_planes(path, planes)
    task = run(f"{CODES}.bleedmask", tmp_path, {"image": [path]}, {"image": tmp_path / "out.fits"})
    assert any("half.fits" in f.text and "masked" in f.text for f in task.log.findings)
