"""What a calibration campaign measures on simulated frames, against the truth of the camera."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

from desdm.simulate.instrument import mini
from desdm.simulate.night import make_night
from desdm.simulate.shots import Clock, Plan, flat, zero
from desdm.simulate.supercal import _crosstalk_fields, _ramps
from desdm.survey.images import read_planes
from tests.support.precal import Precal

BAND = "r"


@pytest.fixture(scope="module", params=[1, 2, 3])
def campaign(request, tmp_path_factory):
    seed = request.param
    out = tmp_path_factory.mktemp(f"campaign{seed}")
    time = Clock.of(seed, "20121120", 150001)
    shots = [zero(time) for _ in range(5)] + [flat(time, BAND) for _ in range(5)]
    shots += _ramps(time, BAND)[:18] + _crosstalk_fields(time, BAND)  # one of the two ramps
    made = make_night(out / "night", Plan(seed, tuple(shots), (BAND,)), mini(seed))
    (out / "cal").mkdir()
    precal = Precal(out / "cal", made.raw)
    precal.biases()
    precal.campaign(BAND)
    return precal, made.truth, json.loads((made.truth / "camera.json").read_text())


def test_linearity_to_a_tenth_of_a_per_cent(campaign):
    precal, _, camera = campaign
    with fits.open(precal.path("lintable")) as hdus:
        for ccd in camera["ccds"]:
            rows = hdus[f"CCD{ccd['ccdnum']:02d}"].data
            for name, amp in ccd["amps"].items():
                x = rows["ADU"]
                true = x + sum(c * x**k for c, k in zip(amp["linearity"], (2, 3), strict=True))
                inside = (x > 200) & (x < 0.95 * amp["saturate"])
                assert np.abs(rows[f"ADU_LINEAR_{name}"] / np.maximum(true, 1) - 1)[inside].max() < 1e-3


def test_crosstalk_to_two_in_a_hundred_thousand(campaign):
    precal, _, camera = campaign
    rows = [line.split() for line in (precal.out / "xtalk.txt").read_text().splitlines()]
    found = {(r[0], r[1]): float(r[2]) for r in rows if not r[0].startswith("#")}
    true = {(v, s): c for v, s, c in camera["crosstalk"]}
    # Whatever pair the table lacks counts as nought.
    off = [found.get(pair, 0.0) - true.get(pair, 0.0) for pair in {*true, *found}]
    assert np.abs(off).max() < 2e-5


def test_bad_pixels_are_found_and_good_ones_left(campaign):
    precal, truth, _ = campaign
    found = false = bad = good = 0
    for ccd in precal.ccds:
        mask = fits.getdata(precal.path("bpm", ccd), "MSK") & 1
        true = fits.getdata(truth / f"truth_camera_c{ccd:02d}.fits", "BPM") > 0
        found, bad = found + (mask[true] > 0).sum(), bad + true.sum()
        false, good = false + (mask[~true] > 0).sum(), good + (~true).sum()
    assert found / bad > 0.99
    assert false / good < 0.001


def test_flats_with_own_constants_are_as_good_as_their_photons(campaign):
    precal, truth, _ = campaign
    for ccd in precal.ccds:
        planes = read_planes(precal.path("dflatcor", BAND, ccd))
        head = fits.getheader(precal.path("dflatcor", BAND, ccd))
        true = fits.getdata(truth / f"truth_camera_c{ccd:02d}.fits", f"FLAT_{BAND}")
        use = (planes.wgt > 0) & (planes.msk == 0)
        pull = (planes.sci / true - 1)[use] / np.sqrt(1 / (true * head["FLATELEC"]))[use]
        assert 0.9 < np.sqrt(np.mean((pull - np.median(pull)) ** 2)) < 1.1
        bad = fits.getdata(precal.path("bpm", ccd), "MSK") & 1
        assert ((planes.msk & 1)[bad > 0] == 1).all()
    assert not [f.text for f in precal.findings if f.level == 1]
