"""Sky templates hold no objects: star fluxes after subtraction against the truth, dithered and hardly dithered."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import numpy.typing as npt
import pytest

from desdm.codes.sky.model import fill, read_skyfit, sky_of
from desdm.codes.sky.pointings import independent_exposures
from desdm.errors import FileTypeError, ProgramFailed
from desdm.survey.images import Planes, read_planes, write_planes
from tests.support.skyscene import NX, NY, header_of, image_of, sky_of_ccd, some_skies
from tests.support.tasks import run

CODES = "desdm.codes.sky.wrapper"
#: Arcsec of a pixel.
SCALE = 0.263


def _light(seed: int, shift: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Noiseless stars of a field, moved by some pixels; most stand alone."""
    rng = np.random.default_rng(seed)
    out, (yy, xx) = np.zeros((NY, NX)), np.mgrid[:NY, :NX]
    for _ in range(60):
        x, y, flux = rng.uniform(0, NX) + shift[0], rng.uniform(0, NY) + shift[1], rng.uniform(5e3, 1e5)
        out += flux * 2 / (np.pi * 9) * (1 + ((xx - x) ** 2 + (yy - y) ** 2) / 9) ** -3
    return out


class Campaign:
    """Exposures whose pointings lie so many arcsec apart, their mini-skies, and the light of their stars."""

    def __init__(self, folder: Path, pointings: list[tuple[float, float]]) -> None:
        self.folder, self.skies = folder, some_skies(6, len(pointings))
        self.images, self.minis = [], []
        self.light: list[npt.NDArray[np.float64]] = []
        for n, ((east, north), sky) in enumerate(zip(pointings, self.skies, strict=True)):
            # Fields farther away than the CCD is wide show other stars.
            field = (round(east / 180), round(north / 180))
            shift = ((east - 180 * field[0]) / SCALE, (north - 180 * field[1]) / SCALE)
            light = _light(1000 + 10 * field[0] + field[1], shift)
            data = image_of(1, sky, 300 + n, stars=0) + np.random.default_rng(n).poisson(light)
            head = header_of(1, 300 + n)
            head["TELRA"], head["TELDEC"] = 30.0 + east / 3600 / np.cos(np.radians(5)), -5.0 + north / 3600
            path = folder / f"e{300 + n}.fits"
            planes = Planes(
                data.astype(np.float32),
                np.zeros((NY, NX), np.int32),
                np.full((NY, NX), 1e-3, np.float32),
                head,
            )
            write_planes(path, planes)
            self.light.append(light)
            self.images.append(path)
            run(f"{CODES}.skycompress", folder, {"image": [path]}, {"mini": folder / f"m{n}.fits"})
            self.minis.append(folder / f"e{n}_minisky.fits")
            run(
                f"{CODES}.skycombine", folder, {"minis": [folder / f"m{n}.fits"]}, {"minisky": self.minis[-1]}
            )

    def components(self, **more: str) -> Path:
        """Components of all exposures."""
        run(
            f"{CODES}.skypca",
            self.folder,
            {"minisky": self.minis},
            {"skypc": self.folder / "pc.fits"},
            more=more,
        )
        return self.folder / "pc.fits"

    def template(self, pcs: Path, **more: str) -> Path:
        """Templates of all exposures."""
        out = self.folder / "templ.fits"
        run(
            f"{CODES}.skytemplate",
            self.folder,
            {"image": self.images, "skypc": [pcs]},
            {"skytempl": out},
            more=more,
        )
        return out

    def star_part_lost(self, pcs: Path, templates: Path, n: int) -> float:
        """Part of the light of exposure n's stars that a subtraction with the templates takes: against the true sky."""
        out = self.folder / "fit.fits"
        run(f"{CODES}.skyfit", self.folder, {"minisky": [self.minis[n]], "skypc": [pcs]}, {"skyfit": out})
        cube = np.asarray(fitsio.read(str(templates)), np.float32)
        away = fill(sky_of(read_skyfit(out), 1, (NY, NX), cube), (NY, NX)) - sky_of_ccd(1, self.skies[n])
        # Matched to the stars, over the level elsewhere: what a photometry with a local sky would lose.
        stars = self.light[n] > 100
        lost = away[stars] - np.median(away[~stars])
        return float((lost * self.light[n][stars]).sum() / (self.light[n][stars] ** 2).sum())


#: Six pointings of six fields; of one field, dithered by 4 to 12 arcsec as one night of a survey is.
APART = [(180.0 * n, 0.0) for n in range(6)]
NEAR = [(0.0, 0.0), (3.0, -4.0), (-8.0, 3.0), (5.0, 5.0), (-4.0, -9.0), (1.0, 8.0)]


def test_stars_keep_their_light_with_templates_of_independent_pointings(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, APART)
    pcs = campaign.components()
    templates = campaign.template(pcs)
    for n in range(6):
        assert abs(campaign.star_part_lost(pcs, templates, n)) < 0.005
    assert fitsio.read_header(str(templates))["OBJFRAC"] < 0.02


def test_one_field_makes_neither_components_nor_templates(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, NEAR)
    with pytest.raises(FileTypeError, match="6 good exposures are of 1 independent pointings, 5 are needed"):
        campaign.components()
    # Components of other exposures do not help.
    pcs = campaign.components(least_pointings="1")
    with pytest.raises(ProgramFailed, match="are of 1 independent pointings, 5 are needed"):
        campaign.template(pcs)


def test_a_template_that_holds_stars_fails_its_check(tmp_path: Path) -> None:
    """Where pointings claim to be apart and are not: four exposures of one field of the six, objects not masked."""
    campaign = Campaign(tmp_path, [(0.0, 0.0)] * 4 + [(180.0, 0.0), (360.0, 0.0)])
    pcs = campaign.components(least_pointings="1", least_dither="0", most="2")
    trusting = {"least_pointings": "1", "least_dither": "0", "threshold": "1e9"}
    with pytest.raises(ProgramFailed, match="hold the light of"):
        campaign.template(pcs, **trusting)
    lost = campaign.star_part_lost(pcs, campaign.template(pcs, most_objects="1", **trusting), 0)
    assert lost > 0.05, "the scene is one in which the check matters"


@pytest.mark.parametrize(
    ("pointings", "taken"),
    [
        ([(30.0, -5.0), (30.0, -5.0 + 29 / 3600), (30.0, -5.0 + 31 / 3600)], [0, 2]),
        # Across 0 h, and near the pole, where right ascension is no distance.
        ([(359.999, 0.0), (0.001, 0.0), (0.02, 0.0)], [0, 2]),
        ([(10.0, 89.9999), (190.0, 89.9999), (10.0, 89.9)], [0, 2]),
        ([None, None, (30.0, -5.0)], [0, 2]),
    ],
)
def test_exposures_of_one_pointing_count_once(
    pointings: list[tuple[float, float] | None], taken: list[int]
) -> None:
    assert independent_exposures(pointings, 30.0) == taken


def test_templates_of_another_supercal_give_way_to_the_fitted_blocks(tmp_path: Path) -> None:
    """Components of a later supercal without templates: the older templates belong to other components."""
    campaign = Campaign(tmp_path, APART)
    pcs = campaign.components()
    templates = campaign.template(pcs)
    later = tmp_path / "later_skypc.fits"
    later.write_bytes(pcs.read_bytes())
    fit, out = tmp_path / "fit.fits", tmp_path / "out.fits"
    # What detrending leaves of the noise's parts (WGTVAR, WGTSKY) does not matter here.
    planes = read_planes(campaign.images[0])
    planes.header["WGTVAR"], planes.header["WGTSKY"] = 1e-3, campaign.skies[0].level
    write_planes(campaign.images[0], planes)
    for skypc, findings in ((pcs, 0), (later, 1)):
        run(f"{CODES}.skyfit", tmp_path, {"minisky": [campaign.minis[0]], "skypc": [skypc]}, {"skyfit": fit})
        task = run(
            "desdm.codes.detrend.wrapper.skysubtract",
            tmp_path,
            {"image": [campaign.images[0]], "skyfit": [fit], "skytempl": [templates]},
            {"image": out},
            {"ccdnum": "1"},
        )
        found = [
            f.text for f in task.log.findings if "belongs to pc.fits, the sky was fitted with later" in f.text
        ]
        assert len(found) == findings
        away = read_planes(out).sci - campaign.light[0]
        assert abs(float(np.median(away))) < 1.0
