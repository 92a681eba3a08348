"""Precal on simulated nights: biases and flats against the truth, and frames that do not belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

from desdm.codes.calibrate.minis import read_frames, read_mini
from desdm.pixels.maskbits import MaskBit
from desdm.simulate.instrument import mini
from desdm.simulate.night import make_night
from desdm.simulate.shots import Clock, Plan, flat, zero
from desdm.survey import detectors
from desdm.survey.detectors import Outage
from desdm.survey.images import read_planes
from desdm.survey.sections import parse_section
from tests.support.precal import Precal, wrap

BAND = "g"


def night(out: Path, seed: int, shots) -> tuple[Precal, Path]:
    plan = Plan(seed, tuple(shots), (BAND,))
    made = make_night(out / "night", plan, mini(seed))
    instrument = out / "night" / "instrument"
    constants = {
        "lintable": [instrument / "mini_lintable.fits"],
        "crosstalk": [instrument / "mini_xtalk.txt"],
        "bf": [instrument / "mini_bf.fits"],
    }
    (out / "cal").mkdir()
    return Precal(out / "cal", made.raw, constants), made.truth


def clock(seed: int) -> Clock:
    return Clock.of(seed, "20121120", 150001)


@pytest.fixture(scope="module", params=[3])
def good(request, tmp_path_factory):
    time = clock(request.param)
    shots = [zero(time) for _ in range(8)] + [flat(time, BAND) for _ in range(6)]
    precal, truth = night(tmp_path_factory.mktemp(f"precal{request.param}"), request.param, shots)
    precal.biases()
    precal.domes(BAND)
    return precal, truth


def test_the_combined_bias_is_the_true_one(good):
    precal, truth = good
    for ccd in precal.ccds:
        planes = read_planes(precal.path("biascor", ccd))
        true = fits.getdata(truth / f"truth_camera_c{ccd:02d}.fits", "BIAS")
        off = planes.sci - true
        noise = np.median(planes.wgt) ** -0.5
        assert abs(np.median(off)) < 0.1  # ADU, the tolerance of overscan and bias
        assert abs(off.mean()) < 0.1
        assert 1.4826 * np.median(np.abs(off - np.median(off))) < 1.1 * noise
        assert (planes.msk == 0).all()
        head = fits.getheader(precal.path("biascor", ccd))
        assert (head["NEXP"], head["CCDNUM"], head["NITE"], head["BUNIT"]) == (8, ccd, "20121120", "adu")
        assert "EXPNUM" not in head


def test_the_flat_is_as_good_as_its_photons(good):
    precal, truth = good
    off = []
    for ccd in precal.ccds:
        planes = read_planes(precal.path("dflatcor", BAND, ccd))
        head = fits.getheader(precal.path("dflatcor", BAND, ccd))
        with fits.open(truth / f"truth_camera_c{ccd:02d}.fits") as hdus:
            flat_, bad = hdus[f"FLAT_{BAND}"].data, hdus["BPM"].data > 0
        use = ~bad & (planes.wgt > 0)
        limit = np.sqrt(flat_ / head["FLATELEC"])  # of the photons alone, from the truth
        # The focal plane's one number is a gauge, judged below; noise is what is left about it.
        gauge = np.median(planes.sci[use] / flat_[use])
        noise = planes.sci / gauge - flat_
        assert 0.97 < np.sqrt(np.mean((noise / limit)[use] ** 2)) < 1.03
        # The weight is the inverse variance that these flats have.
        assert 0.95 < (noise**2 * planes.wgt)[use].mean() < 1.05
        assert (head["NEXP"], head["BAND"], head["CCDNUM"]) == (6, BAND, ccd)
        off.append(np.median(planes.sci[use] / flat_[use]))
    # One number for the focal plane: CCDs agree far better than its gauge, a median, is defined.
    assert np.ptp(off) < 2e-4
    assert np.abs(np.array(off) - 1).max() < 1e-3


def test_flats_have_the_contrast_of_the_true_response(tmp_path):
    """25 flats of 82,000 electrons: the slope of small-scale structure on the truth; without the kernels it is 0.88."""
    time = clock(8)
    shots = [zero(time) for _ in range(5)] + [flat(time, BAND) for _ in range(25)]
    precal, truth = night(tmp_path, 8, shots)
    precal.ccds = precal.ccds[:2]
    precal.biases()
    precal.domes(BAND)
    for ccd in precal.ccds:
        planes = read_planes(precal.path("dflatcor", BAND, ccd))
        head = fits.getheader(precal.path("dflatcor", BAND, ccd))
        assert (head["NEXP"], head["DESBFC"]) == (25, "mini_bf.fits")
        with fits.open(truth / f"truth_camera_c{ccd:02d}.fits") as hdus:
            true, bad = np.asarray(hdus[f"FLAT_{BAND}"].data, float), hdus["BPM"].data > 0
        # Pixels beside a defect exchange charge with it; they are judged by its own bits.
        use = (ndimage.binary_dilation(bad, iterations=2) == 0) & (planes.wgt > 0)
        small = [v / ndimage.median_filter(v, 9) - 1.0 for v in (true, planes.sci.astype(float))]
        x, y = (v[use] for v in small)
        assert np.sum(x * y) / np.sum(x * x) == pytest.approx(1.0, abs=0.02)
        gauge = np.median(planes.sci[use] / true[use])
        pull = ((planes.sci / gauge - true) / np.sqrt(true / head["FLATELEC"]))[use]
        assert 0.97 < np.sqrt(np.mean(pull**2)) < 1.03, "no noisier than its photons"


def test_the_flats_of_the_focal_plane_are_one_flat(good):
    precal, _ = good
    with fits.open(precal.path("normflat", BAND)) as hdus:
        assert np.median(hdus["SCI"].data) == pytest.approx(1.0, abs=1e-3)
        assert list(hdus["CCDS"].data["CCDNUM"]) == precal.ccds
    assert not [f for f in precal.findings if f.level < 3]


def test_odd_flats_and_biases_are_left_out_by_name(tmp_path):
    time = clock(4)
    shots = [zero(time) for _ in range(5)] + [flat(time, BAND) for _ in range(6)]
    shots += [
        flat(time, BAND, level=60.0),
        flat(time, BAND, slope=(0.02, 0.0)),
        flat(time, BAND, lit_band="r"),
        flat(time, BAND, missing=(2,)),
        flat(time, BAND, level=25000.0),
    ]
    precal, _ = night(tmp_path, 4, shots)
    precal.biases()
    precal.domes(BAND)
    frames = read_frames(precal.path("flatframes", BAND))
    odd = [n for n, v in zip(frames.filenames, frames.verdicts, strict=True) if not v.good]
    assert odd == [f"DECam_{n:08d}.fits.fz" for n in (150012, 150013, 150014)]
    told = [f.text for f in precal.findings if f.level == 2]
    assert any("DECam_00150012" in t and "lamp was off" in t and "electrons" in t for t in told)
    assert any("DECam_00150013" in t and "gradient of" in t for t in told)
    assert any("DECam_00150014" in t and "%" in t for t in told)
    # The frame without CCD 2 and the faint one serve where they can.
    heads = {c: fits.getheader(precal.path("dflatcor", BAND, c)) for c in precal.ccds}
    assert {c: h["NEXP"] for c, h in heads.items()} == {1: 8, 2: 7, 3: 8, 4: 8}
    assert any("CCD 2 is not in the file" in t for t in told)


def test_too_few_flats_are_a_finding_and_nothing_breaks(tmp_path):
    time = clock(5)
    shots = [zero(time) for _ in range(5)] + [flat(time, BAND) for _ in range(3)]
    precal, _ = night(tmp_path, 5, shots)
    precal.biases()
    precal.domes(BAND)
    (finding,) = [f for f in precal.findings if f.level == 1]
    assert finding.text == (
        "dome flats of band g: 3 good of 3 taken, 5 are needed: there is no calibration from them"
    )
    assert precal.path("biascor", 1).is_file()
    assert not precal.path("dflatcor", BAND, 1).exists()
    precal.domes("r")  # not one
    assert "0 good of 0 taken" in precal.findings[-1].text


def test_an_excluded_ccd_does_not_count_in_the_comparison_of_frames(good, tmp_path):
    precal, _ = good
    raw = precal.zeros[0]
    mini_ = tmp_path / "mini.fits"
    excluded = {raw.name: frozenset({2}), "another.fits": frozenset({3})}
    wrap("wrapper.minibias", tmp_path, {"raw": [raw]}, {"mini": mini_}, excluded=excluded)
    assert read_mini(mini_).ccdnums == (1, 3, 4)


def test_a_bad_amplifier_is_masked_in_its_ccd_s_calibrations(tmp_path, monkeypatch):
    """CCD 2 with amplifier A bad, and in truth wild: its other half and the other CCDs are as without it."""
    time = clock(6)
    shots = [zero(time) for _ in range(5)] + [flat(time, BAND) for _ in range(5)]
    precal, truth = night(tmp_path, 6, shots)
    with fits.open(precal.zeros[0]) as hdus:
        head = next(h.header for h in hdus if h.header.get("CCDNUM") == 2)
        place, data = parse_section(head["AMPSECA"]), parse_section(head["DATASECA"])
    rng = np.random.default_rng(6)
    for number, path in enumerate(precal.raw):
        with fits.open(path) as hdus:
            copies = fits.HDUList([fits.PrimaryHDU(header=hdus[0].header)])
            for hdu in hdus[1:]:
                values = hdu.data.copy()
                if hdu.header["CCDNUM"] == 2:
                    part = values[data.slices]
                    values[data.slices] = np.clip(part * rng.uniform(0.3, 1.0) + 40 * number, 0, 60000)
                copies.append(fits.ImageHDU(values, hdu.header))
        path.unlink()
        copies.writeto(path)
    monkeypatch.setattr(
        detectors, "OUTAGES", (Outage("minicam", 2, "N2", "20120101", "", "A", "gain changes"),)
    )
    precal.biases()
    precal.domes(BAND)
    assert not [f for f in precal.findings if f.level == 1]
    frames = read_frames(precal.path("flatframes", BAND))
    assert all(v.good for v in frames.verdicts), "no frame is odd by the half that does not work"
    both = int(MaskBit.BPM | MaskBit.BADAMP)
    for name in ("biascor", f"dflatcor_{BAND}"):
        planes = read_planes(precal.path(name, 2))
        bad = np.zeros(planes.shape, bool)
        bad[place.slices] = True
        assert (planes.msk[bad] & both == both).all()
        assert (planes.wgt[bad] == 0).all()
        assert not (planes.msk[~bad] & both).any()
        assert (planes.wgt[~bad] > 0).mean() > 0.99
    with fits.open(truth / "truth_camera_c02.fits") as hdus:
        true, dark = hdus[f"FLAT_{BAND}"].data, hdus["BPM"].data > 0
    use = ~bad & ~dark & (planes.wgt > 0)
    # The median of the whole focal plane is the flat's unit, as the truth's.
    assert np.median(planes.sci[use] / true[use]) == pytest.approx(1.0, abs=0.01)
    bias, flats = precal.path("biascor", 2), [precal.path("flatcor", BAND, 2)]
    bpm = tmp_path / "bpm.fits"
    task = wrap(
        "wrapper.mkbpm", tmp_path, {"biascor": [bias], "flatcors": flats}, {"bpm": bpm}, {"ccdnum": "2"}
    )
    assert (fits.getdata(bpm, "MSK")[bad] & both == both).all()
    assert not [f for f in task.log.findings if "of the pixels are bad" in f.text]


def test_a_flat_is_derived_from_the_frames_and_the_bias_that_it_was_made_from(tmp_path):
    """Not from a flat that was sifted out (the lamp was off), nor from the archive's bias beside the night's own."""
    time = clock(7)
    shots = (
        [zero(time) for _ in range(5)] + [flat(time, BAND) for _ in range(5)] + [flat(time, BAND, level=60.0)]
    )
    precal, _ = night(tmp_path, 7, shots)
    precal.biases()
    precal.domes(BAND)
    *good, odd = precal.flats(BAND)
    frames, own = precal.path("flatframes", BAND), precal.path("biascor", 1)
    other = precal.path("biascor", 2)
    keys = {"ccdnum": "1", "band": BAND}
    common = {"raw": [*good, odd], "frames": [frames], "old_biascor": [other]}
    made = {"flatcor": tmp_path / "flat.fits"}
    task = precal.do("mkflatcor", {**common, "biascor": [own]}, made, **keys)
    assert task.parents == {"flat.fits": tuple(p.name for p in (*good, frames, own))}
    task = precal.do("mkflatcor", {**common, "biascor": []}, made, **{**keys, "ccdnum": "2"})
    assert task.parents == {"flat.fits": tuple(p.name for p in (*good, frames, other))}
    minis = [precal.path("miniflat", p.name[6:14]) for p in (*good, odd)]
    norm = {"flatnorm": tmp_path / "norm.json"}
    task = precal.do("find_norm", {"minis": minis, "frames": [frames]}, norm, band=BAND)
    assert task.parents == {"norm.json": (*(p.name for p in minis[:-1]), frames.name)}
