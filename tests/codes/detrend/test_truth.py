"""Simulated exposures, detrended with the camera's exact constants, are the truth to within their noise.

Constants and sky are exact here, so that every error seen is detrending's own; how well constants are measured, and the
sky is fitted, is tested with those codes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.sky.fit import SkyFit
from desdm.codes.sky.minisky import Place
from desdm.codes.sky.model import write_skyfit
from desdm.errors import FileTypeError, ProgramFailed
from desdm.framework.wrapper import Task
from desdm.pixels.maskbits import MaskBit
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night
from desdm.survey import detectors
from desdm.survey.detectors import Outage
from desdm.survey.images import Planes, read_planes, write_planes
from tests.support.tasks import run

CCDS = (1, 2)
NY, NX = 1024, 512


class Night:
    """One exposure of one seed and band, and the camera's constants as calibration files."""

    def __init__(self, out: Path, seed: int, band: str) -> None:
        plan = plan_night(seed, bands=(band,), exposures=1, biases=0, flats=0, truth="full")
        night = make_night(out, plan, camera_of("mini"))
        entry = json.loads((night.truth / "night.json").read_text())["exposures"][0]
        self.out, self.band, self.raw = out, band, night.raw[0]
        self.truth, self.expnum, self.instrument = night.truth, int(entry["expnum"]), out / "instrument"

    def plane(self, ccdnum: int, name: str) -> Any:
        """A plane of the exposure's truth."""
        return fitsio.read(str(self.truth / f"truth_D{self.expnum:08d}_c{ccdnum:02d}.fits"), ext=name)

    def constant(self, ccdnum: int, name: str) -> Any:
        """A plane of the camera's truth."""
        return fitsio.read(str(self.truth / f"truth_camera_c{ccdnum:02d}.fits"), ext=name)

    def inputs(self, ccdnum: int) -> dict[str, list[Path]]:
        """Everything that detrending takes."""
        out = {}
        for name, extension in (("biascor", "BIAS"), ("dflatcor", f"FLAT_{self.band}")):
            head = fits.Header([("CCDNUM", ccdnum), ("BAND", self.band)])
            data = self.constant(ccdnum, extension).astype(np.float32)
            planes = Planes(data, np.zeros(data.shape, np.int32), np.full(data.shape, 1e12, np.float32), head)
            out[name] = [self.out / f"{name}_c{ccdnum}.fits"]
            write_planes(out[name][0], planes)
        for name, file in (
            ("lintable", "lintable.fits"), ("crosstalk", "xtalk.txt"), ("bf", "bf.fits"), ("bpm", f"bpm_c{ccdnum:02d}.fits")
        ):  # fmt: skip
            out[name] = [self.instrument / f"mini_{file}"]
        return {"raw": [self.raw], **out}

    def detrend(self, ccdnum: int, **settings: str) -> tuple[Task, Path]:
        """Run the wrapper ``detrend``."""
        path = self.out / f"c{ccdnum}_detrend.fits"
        task = run(
            "desdm.codes.detrend.wrapper.detrend", self.out / "work", self.inputs(ccdnum), {"image": path},
            {"ccdnum": str(ccdnum), "expnum": str(self.expnum)}, settings,
        )  # fmt: skip
        return task, path

    def skysubtract(self, ccdnum: int, image: Path) -> tuple[Task, Path]:
        """Run the wrapper ``skysubtract`` with the true sky as the only template."""
        starflat = self.instrument / f"mini_starflat_{self.band}_c{ccdnum:02d}.fits"
        # The sky lies on the detector as light that went through the dome flat only.
        template = self.plane(ccdnum, "SKY") * fitsio.read(str(starflat), ext="SCI")
        cube = self.out / f"skytempl_c{ccdnum}.fits"
        head = fits.Header([("CCDNUM", ccdnum), ("BAND", self.band), ("EXTNAME", "TEMPLATES")])
        fits.PrimaryHDU(template[None].astype(np.float32), head).writeto(cube, overwrite=True)
        sky, places = float(np.median(template)), (Place(ccdnum, 0, 0, NX, NY, 32),)
        grid = np.full((32, 16), sky, np.float32)
        fit = self.out / f"skyfit_c{ccdnum}.fits"
        write_skyfit(fit, SkyFit(np.ones(1), np.zeros(1), grid, places, 0, 0.0, sky, 1.0, 0.0), fits.Header())
        path = self.out / f"c{ccdnum}_skysub.fits"
        task = run(
            "desdm.codes.detrend.wrapper.skysubtract", self.out / "work",
            {"image": [image], "skyfit": [fit], "skytempl": [cube], "starflat": [starflat]}, {"image": path},
            {"ccdnum": str(ccdnum)},
        )  # fmt: skip
        return task, path


@pytest.fixture(scope="module", params=[(1, "g"), (2, "r"), (3, "z")])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Three seeds, from a dark band to a bright one."""
    seed, band = request.param
    return Night(tmp_path_factory.mktemp(f"seed{seed}"), seed, band)


def test_the_image_is_the_truth_and_the_weight_its_noise(night: Night) -> None:
    """Acceptance: |mean| < 0.02, rms 0.98-1.02 of (image - truth)/σ; chi² of the weight 1.00 ± 0.01."""
    for ccdnum in CCDS:
        task, image = night.detrend(ccdnum)
        assert [e for e in task.log.findings if e.level < 3] == []
        _, image = night.skysubtract(ccdnum, image)
        planes = read_planes(image)
        clean = (night.plane(ccdnum, "MSK") == 0) & (night.plane(ccdnum, "EXTRA") == 0)
        good = (planes.msk == 0) & clean
        # Little more is marked than what is bad: neighbours of defects and of full pixels, as SUSPECT.
        assert good.sum() > 0.985 * clean.sum()
        light, variance = night.plane(ccdnum, "NOISELESS"), night.plane(ccdnum, "VAR")
        pull = ((planes.sci - light) / np.sqrt(variance))[good]
        assert abs(pull.mean()) < 0.02
        assert 0.98 < pull.std() < 1.02
        assert np.abs(pull).max() < 7
        blank = good & (light < 0.05 * np.sqrt(variance))
        assert np.mean((planes.sci - light)[blank] ** 2 * planes.wgt[blank]) == pytest.approx(1.0, abs=0.01)
        # pixel by pixel, and not only in the mean: each variance is the true one to a few thousandths
        ratio = (planes.wgt * variance)[blank]
        assert np.percentile(ratio, [1, 99]) == pytest.approx([1.0, 1.0], abs=0.01)
        assert (planes.wgt[(planes.msk & int(MaskBit.BPM)) != 0] == 0).all()


def test_saturated_pixels_are_marked(night: Night) -> None:
    for ccdnum in CCDS:
        _, image = night.detrend(ccdnum)
        full = (night.plane(ccdnum, "MSK") & int(MaskBit.SATURATE)) != 0
        seen = (read_planes(image).msk & int(MaskBit.SATURATE)) != 0
        assert (seen & full).sum() >= 0.99 * full.sum()
        assert (seen & ~full).sum() <= 1e-5 * seen.size + 0.01 * full.sum()


def test_bad_pixels_are_the_instruments(night: Night) -> None:
    _, image = night.detrend(1)
    bad = night.constant(1, "BPM") & int(MaskBit.BPM)
    assert np.array_equal(read_planes(image).msk & int(MaskBit.BPM), bad)


def test_running_the_sky_again_changes_nothing(night: Night) -> None:
    _, image = night.detrend(1)
    _, once = night.skysubtract(1, image)
    before = read_planes(once)
    kept = night.out / "kept.fits"
    once.rename(kept)
    task, again = night.skysubtract(1, kept)
    after = read_planes(again)
    for plane in ("sci", "msk", "wgt"):
        assert np.array_equal(getattr(before, plane), getattr(after, plane))
    assert sum("is done already and is skipped" in f.text for f in task.log.findings) == 2


def test_a_step_whose_calibration_is_missing_is_left_out_and_said_or_stops_the_ccd(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    night = Night(tmp_path_factory.mktemp("missing"), 4, "g")
    inputs = night.inputs(1)
    keys, path = {"ccdnum": "1"}, night.out / "x.fits"
    few = {k: v for k, v in inputs.items() if k not in ("bf", "crosstalk")}
    task = run("desdm.codes.detrend.wrapper.detrend", night.out / "w", few, {"image": path}, keys)
    said = [f.text for f in task.log.findings if f.level == 2]
    assert any("CCD 1: no bf was found; the step 'bf' is left out" in text for text in said)
    assert any("CCD 1: no crosstalk was found" in text for text in said)
    head = read_planes(path).header
    assert "DESBFC" not in head
    assert "DESXTALK" not in head
    few = {k: v for k, v in inputs.items() if k != "dflatcor"}
    with pytest.raises(ProgramFailed, match=r"CCD 1: no dflatcor was found, and the step 'flat' is required"):
        run("desdm.codes.detrend.wrapper.detrend", night.out / "w", few, {"image": path}, keys)
    few = {**inputs, "bpm": [night.instrument / "mini_bpm_c02.fits"]}
    with pytest.raises(FileTypeError, match=r"mini_bpm_c02\.fits is of CCD 2, but DECam_.* is CCD 1"):
        run("desdm.codes.detrend.wrapper.detrend", night.out / "w", few, {"image": path}, keys)
    with pytest.raises(FileTypeError, match=r"CCD 9 is not in the file"):
        run("desdm.codes.detrend.wrapper.detrend", night.out / "w", inputs, {"image": path}, {"ccdnum": "9"})


def test_a_bad_amplifier_is_masked_and_a_dead_ccd_refused(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CCD 2 with amplifier A bad, CCD 1 dead: the camera's table by date decides, without a bad-pixel mask too."""
    table = (
        Outage("minicam", 2, "N2", "20120101", "", "A", "gain changes"),
        Outage("minicam", 1, "N1", "20120101", "20121231", "", "no signal"),
    )
    monkeypatch.setattr(detectors, "OUTAGES", table)
    with fits.open(night.raw) as hdus:
        section = next(h.header["AMPSECA"] for h in hdus[1:] if h.header.get("CCDNUM") == 2)
    left, right = sorted(int(n) for n in section.strip("[]").split(",")[0].split(":"))
    task, image = night.detrend(
        2, steps="crosstalk,overscan,bias,linearity,saturate,gain,bf,flat,weight,nullweight"
    )
    planes = read_planes(image)
    bad = np.zeros(planes.shape, bool)
    bad[:, left - 1 : right] = True
    both = int(MaskBit.BPM | MaskBit.BADAMP)
    assert ((planes.msk & both) == both)[bad].all()
    assert not (planes.msk & int(MaskBit.BADAMP))[~bad].any()
    assert (planes.wgt[bad] == 0).all()
    assert (planes.wgt[~bad] > 0).mean() > 0.98
    sky = float(np.median(night.plane(2, "SKY")))
    assert planes.header["SKYBRITE"] == pytest.approx(sky, rel=0.02), "of the good half alone"
    assert any("CCD 2 (N2): amplifier A is bad from night 20120101" in f.text for f in task.log.findings)
    with pytest.raises(
        ProgramFailed, match=r"CCD 1 \(N1\): dead from night 20120101 to 20121231: no signal; leave it out"
    ):
        night.detrend(1)


@pytest.mark.parametrize(
    ("cards", "refused", "text"),
    [
        (
            {"SATURATA": "39440.6"},
            True,
            "CCD 1: SATURATA is '39440.6': it is not a number; the step 'saturate'",
        ),
        ({"RDNOISEB": -5.0}, True, "CCD 1: RDNOISEB is -5.0: it is not possible; the weight needs it"),
        ({"BUNIT": "electron"}, True, "CCD 1: BUNIT is 'electron': a raw frame is processed in counts"),
        ({"CCDSUM": "2 2"}, True, "CCD 1: CCDSUM is '2 2': the pixels are binned"),
        ({"GAINA": 4.0, "GAINB": 8.0}, False, "CCD 1: GAINA is 4 and GAINB 8: one unit cannot have both"),
        ({"AIRMASS": 9.0}, False, "AIRMASS is 9.0 (HDU 1)"),
        ({"SATURATB": None}, False, "CCD 1: no SATURATB in the header: saturated pixels are not marked"),
    ],
)
def test_a_header_that_cannot_be_is_refused_or_told_in_the_run(
    night: Night, tmp_path: Path, cards: dict[str, Any], refused: bool, text: str
) -> None:
    """Each was processed without a word, with saturation lost or the gain applied twice, or failed for a false reason."""
    raw = tmp_path / night.raw.name
    with fits.open(night.raw, disable_image_compression=True) as hdus:
        for key, value in cards.items():
            if value is None:
                del hdus[1].header[key]
            else:
                hdus[1].header[key] = value
        hdus.writeto(raw)
    inputs, keys = night.inputs(1) | {"raw": [raw]}, {"ccdnum": "1", "expnum": str(night.expnum)}
    files = {"image": tmp_path / "image.fits"}
    if refused:
        with pytest.raises(FileTypeError) as refusal:
            run("desdm.codes.detrend.wrapper.detrend", tmp_path / "w", inputs, files, keys)
        assert text in str(refusal.value)
        return
    task = run("desdm.codes.detrend.wrapper.detrend", tmp_path / "w", inputs, files, keys)
    assert [f.level for f in task.log.findings if text in f.text] == [2]
