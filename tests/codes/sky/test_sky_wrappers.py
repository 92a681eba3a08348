"""The sky's modules as jobs run them, from images to the fit, and supercal's templates."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest

from desdm.codes.sky.model import fill, read_skyfit, sky_of
from desdm.codes.sky.pca import read_pca
from desdm.errors import ProgramFailed
from desdm.survey.images import Planes, write_planes
from tests.support.skyscene import NX, NY, Sky, header_of, image_of, sky_of_ccd, some_skies
from tests.support.tasks import run

CODES = "desdm.codes.sky.wrapper"


def _image(folder: Path, sky: Sky, expnum: int, ccdnum: int) -> Path:
    path = folder / f"e{expnum}_c{ccdnum}.fits"
    data = image_of(ccdnum, sky, expnum)
    planes = Planes(
        data, np.zeros(data.shape, np.int32), np.full(data.shape, 1e-3, np.float32), header_of(ccdnum, expnum)
    )
    for key, value in (
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 30.0), ("CRVAL2", -5.0), ("CRPIX1", 128.0),
        ("CRPIX2", 256.0), ("CD1_1", -7.3e-5), ("CD1_2", 0.0), ("CD2_1", 0.0), ("CD2_2", 7.3e-5),
    ):  # fmt: skip
        planes.header[key] = value
    write_planes(path, planes)
    return path


def _minisky(folder: Path, images: list[Path], expnum: int) -> Path:
    minis = []
    for image in images:
        minis.append(folder / f"{image.stem}_mini.fits")
        run(f"{CODES}.skycompress", folder, {"image": [image]}, {"mini": minis[-1]})
    out = folder / f"e{expnum}_minisky.fits"
    run(f"{CODES}.skycombine", folder, {"minis": minis}, {"minisky": out})
    return out


def test_from_images_to_the_fitted_sky(tmp_path: Path) -> None:
    sky = Sky(1500.0, (0.01, -0.02), 0.01, 0.0)
    mini = _minisky(tmp_path, [_image(tmp_path, sky, 9, c) for c in (1, 2)], 9)
    task = run(f"{CODES}.skyfit", tmp_path, {"minisky": [mini]}, {"skyfit": tmp_path / "e9_skyfit.fits"})
    metrics = {m.name: m.value for m in task.metrics}
    true = np.median([sky_of_ccd(c, sky) for c in (1, 2)])
    assert metrics["sky"] == pytest.approx(true, rel=0.002)
    assert metrics["sky_rate"] == pytest.approx(true / 90, rel=0.002)
    assert metrics["sky_sigma"] == pytest.approx(np.sqrt(true + 49), rel=0.03)
    assert any("no sky components" in f.text for f in task.log.findings)
    head = fitsio.read_header(str(tmp_path / "e9_skyfit.fits"))
    assert head["SKYBRITE"] == pytest.approx(true, rel=0.002)
    assert head["EXPNUM"] == 9


def test_supercal_makes_templates_that_a_later_night_uses(tmp_path: Path) -> None:
    skies = some_skies(6, 9)
    images = {n: _image(tmp_path, sky, 200 + n, 1) for n, sky in enumerate(skies)}
    minis = [_minisky(tmp_path, [images[n]], 200 + n) for n in images]
    pcs, templates = tmp_path / "z_skypc.fits", tmp_path / "z_c01_skytempl.fits"
    run(f"{CODES}.skypca", tmp_path, {"minisky": minis[:8]}, {"skypc": pcs})
    run(
        f"{CODES}.skytemplate", tmp_path, {"image": [images[n] for n in range(8)], "skypc": [pcs]},
        {"skytempl": templates}, more={"memory_mb": "4"},
    )  # fmt: skip
    cube, head = fitsio.read(str(templates), header=True)
    assert cube.shape == (read_pca(pcs).components.shape[0], NY, NX)
    assert (head["CCDNUM"], head["BAND"], head["NEXP"]) == (1, "z", 8)
    out = tmp_path / "e208_skyfit.fits"
    run(f"{CODES}.skyfit", tmp_path, {"minisky": [minis[8]], "skypc": [pcs]}, {"skyfit": out})
    away = fill(sky_of(read_skyfit(out), 1, (NY, NX), np.asarray(cube, np.float32)), (NY, NX)) - sky_of_ccd(
        1, skies[8]
    )
    assert away.std() < 0.005 * skies[8].level
    with pytest.raises(ProgramFailed, match="are needed"):
        run(
            f"{CODES}.skytemplate", tmp_path, {"image": [images[0], images[8]], "skypc": [pcs]},
            {"skytempl": tmp_path / "none.fits"},
        )  # fmt: skip


def test_a_dead_ccd_is_named(tmp_path: Path) -> None:
    path = _image(tmp_path, Sky(100.0, (0, 0), 0, 0), 1, 1)
    with fitsio.FITS(str(path), "rw") as hdus:
        hdus["MSK"].write(np.ones((NY, NX), np.int32))
    with pytest.raises(ProgramFailed, match=r"e1_c1\.fits"):
        run(f"{CODES}.skycompress", tmp_path, {"image": [path]}, {"mini": tmp_path / "mini.fits"})
