"""A whole exposure is solved at once against reference stars; what cannot be solved keeps its first WCS and says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.astrometry.exposure import read_combined, read_heads, useful
from desdm.framework.wrapper import Task
from desdm.survey.headers import wcs_of
from desdm.survey.images import read_planes, write_planes
from tests.support.exposure import NX, NY, Chip, Scene, scene
from tests.support.fits import unclean
from tests.support.tasks import run

WRAPPER = "desdm.codes.astrometry.wrapper."


@dataclass
class Solved:
    """What came out: the task of scamp, its head, and each CCD's image with its new WCS."""

    task: Task
    catalog: Path
    head: Path
    images: dict[int, Path]

    @property
    def findings(self) -> str:
        return "\n".join(f.text for f in self.task.log.findings)

    def flag(self, ccd: int) -> int:
        return int(fits.getheader(self.images[ccd])["SCAMPFLG"])


def catalogued(images: list[Path], out: Path) -> Path:
    """scampcat of each CCD, and combine_cats."""
    cats = []
    for image in images:
        cats.append(out / f"{image.stem}_scampcat.fits")
        run(WRAPPER + "scampcat", out / image.stem, {"image": [image]}, {"catalog": cats[-1]})
    whole, ahead = out / "exposure_cat.fits", out / "exposure.ahead"
    run(WRAPPER + "combine_cats", out / "cc", {"catalogs": cats}, {"catalog": whole, "ahead": ahead})
    return whole


def solved(
    images: list[Path],
    refcat: list[Path],
    out: Path,
    more: dict[str, Any] | None = None,
    catalog: Path | None = None,
) -> Solved:
    """From detrended images to images with a solution."""
    catalog = catalogued(images, out) if catalog is None else catalog
    head, xml = out / "x.head", out / "x.xml"
    inputs = {"catalog": [catalog], "refcat": refcat, "ahead": [out / "exposure.ahead"]}
    inputs = {k: [p for p in v if p.is_file()] for k, v in inputs.items()}
    task = run(WRAPPER + "scampexposure", out / "sc", inputs, {"head": head, "xml": xml}, more=more)
    made = {}
    for image in images:
        target = out / f"{image.stem}_wcs.fits"
        run(WRAPPER + "updatewcs", out / "uw", {"image": [image], "head": [head]}, {"image": target})
        made[int(fits.getheader(target)["CCDNUM"])] = target
    return Solved(task, catalog, head, made)


def errors(chip: Chip, image: Path) -> tuple[float, float]:
    """(rms, worst) distance in mas between a file's WCS and the truth, over the whole CCD to its corners."""
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(1, NX, 24), np.linspace(1, NY, 48)))
    ra, dec = wcs_of(fits.getheader(image)).all_pix2world(x, y, 1)
    true_ra, true_dec = chip.wcs.world(x, y)
    off = np.hypot((ra - true_ra) * np.cos(np.radians(true_dec)), dec - true_dec) * 3.6e6
    return float(np.sqrt(np.mean(off**2))), float(off.max())


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene(tmp_path_factory.mktemp("night"), seed=1, background=True)


@pytest.fixture(scope="module")
def done(night: Scene, tmp_path_factory: pytest.TempPathFactory) -> Solved:
    return solved(night.images, [night.refcat], tmp_path_factory.mktemp("done"))


def test_the_solution_agrees_with_the_truth_over_every_ccd(night: Scene, done: Solved) -> None:
    for one in read_combined(done.catalog):
        assert useful(one).sum() > 100
    for chip in night.chips:
        assert errors(chip, chip.path)[0] > 3000, "the pointing was wrong by arcseconds"
        rms, worst = errors(chip, done.images[chip.ccdnum])
        assert rms < 3.0
        assert worst < 12.0
        assert done.flag(chip.ccdnum) == 0


@pytest.mark.parametrize("seed", [2, 3])
def test_other_fields_other_errors_of_pointing(seed: int, tmp_path: Path) -> None:
    other = scene(tmp_path / "n", seed=seed, background=True, pointing=(-9.0, 6.0), ra=359.97, dec=-60.0)
    found = solved(other.images, [other.refcat], tmp_path)
    for chip in other.chips:
        rms, worst = errors(chip, found.images[chip.ccdnum])
        assert rms < 3.0
        assert worst < 12.0


def test_a_telescope_that_missed_by_half_an_arcminute_takes_a_second_try(tmp_path: Path) -> None:
    lost = scene(tmp_path / "n", seed=22, background=True, pointing=(30.0, -20.0))
    found = solved(lost.images, [lost.refcat], tmp_path)
    assert len(found.task.execs) == 2
    assert max(errors(chip, found.images[chip.ccdnum])[0] for chip in lost.chips) < 3.0


def test_products_conform_to_fits_and_the_corners_are_made_anew(night: Scene, done: Solved) -> None:
    assert unclean(list(done.images.values())) == []
    before, after = fits.getheader(night.chips[0].path), fits.getheader(done.images[1])
    assert abs(before["RA_CENT"] - after["RA_CENT"]) * 3600 == pytest.approx(3.0, abs=0.3)
    ra, dec = night.chips[0].wcs.world(np.array([0.5]), np.array([0.5]))
    assert after["RAC1"] == pytest.approx(float(ra[0]), abs=2e-5)
    assert after["DECC1"] == pytest.approx(float(dec[0]), abs=2e-5)


def test_the_numbers_that_tell_how_good_it_is(done: Solved) -> None:
    told = {m.name: m.value for m in done.task.metrics}
    assert told["scamp_solved"] == 4
    assert told["scamp_nmatch"] > 350
    # Bright stars of S/N 50 to 1000 scatter by some mas.
    assert 1.0 < told["astrom_rms"] < 12.0
    heads = read_heads(done.head)
    assert [h["CCDNUM"] for h in heads] == [1, 2, 3, 4]
    assert done.head.read_text("ascii").count("END     ") == 4


def test_without_reference_stars_over_the_field_the_first_wcs_stands(
    night: Scene, done: Solved, tmp_path: Path
) -> None:
    elsewhere = scene(tmp_path / "e", seed=9, ra=30.0, stars=200)
    found = solved(night.images, [elsewhere.refcat], tmp_path, catalog=done.catalog)
    assert "no reference stars over the field" in found.findings
    assert "exposure_cat.fits" in found.findings
    for chip in night.chips:
        assert found.flag(chip.ccdnum) == 1
        assert errors(chip, found.images[chip.ccdnum]) == pytest.approx(errors(chip, chip.path), rel=1e-6)


def test_the_stars_of_another_field_do_not_make_a_solution(
    night: Scene, done: Solved, tmp_path: Path
) -> None:
    """A reference that claims to be here, but whose stars are others: scamp answers all the same."""
    liar = scene(tmp_path / "l", seed=8)
    found = solved(night.images, [liar.refcat], tmp_path, catalog=done.catalog)
    assert "scamp does not converge" in found.findings
    assert [found.flag(c.ccdnum) for c in night.chips] == [1, 1, 1, 1]
    assert {m.name: m.value for m in found.task.metrics}["scamp_solved"] == 0


def test_a_ccd_without_stars_does_not_spoil_the_others(night: Scene, tmp_path: Path) -> None:
    images = list(night.images)
    dark = read_planes(images[2])
    dark.sci[:] = np.random.default_rng(5).normal(1000.0, 32.0, dark.sci.shape)
    images[2] = tmp_path / images[2].name
    write_planes(images[2], dark)
    found = solved(images, [night.refcat], tmp_path)
    assert "CCD 3 (N1): only 0 objects can serve" in found.findings
    assert [found.flag(c) for c in (1, 2, 3, 4)] == [0, 0, 1, 0]
    for chip in (night.chips[0], night.chips[1], night.chips[3]):
        rms, worst = errors(chip, found.images[chip.ccdnum])
        assert rms < 3.0
        assert worst < 12.0
