"""A simulated night is truth for all pipelines, so it is undone here by other means and held against itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.instrument import mini
from desdm.simulate.night import Night, make_night, renderer_of
from desdm.simulate.plan import Plan, plan_night
from desdm.simulate.readout import read_out
from tests.simulate.inverse import Inverse, overscanned, section
from tests.support.fits import unclean

CAMERA = mini().only((3, 4))


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Two biases, two flats, an exposure each in r and z, one with a satellite."""
    made = plan_night(7, bands=("r", "z"), exposures=1, biases=2, flats=2, truth="full")
    shots = [replace(s, streaks=1) if s.kind == "object" and s.band == "r" else s for s in made.shots]
    return replace(made, shots=tuple(shots))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("night")


@pytest.fixture(scope="module")
def night(folder: Path, plan: Plan) -> Night:
    return make_night(folder, plan, CAMERA)


def _exposures(night: Night, kind: str) -> list[dict[str, object]]:
    return [e for e in night.document["exposures"] if e["kind"] == kind]


def test_every_file_conforms_to_fits(night: Night) -> None:
    tables = [p for p in night.instrument if p.suffix == ".fits"]
    assert unclean([*night.raw, *tables, night.refcat, *night.truth.glob("*.fits")]) == []


def test_undone_by_other_means_the_rest_is_the_noise_that_the_truth_states(
    night: Night, folder: Path
) -> None:
    """(image - truth)/σ has mean 0 and variance 1, also where objects are bright: every effect is in the truth."""
    for entry in _exposures(night, "object"):
        undone = Inverse(folder, str(entry["filename"]))
        for ccd in (3, 4):
            with fits.open(folder / "truth" / f"truth_D{entry['expnum']:08d}_c{ccd:02d}.fits") as truth:
                model = truth["NOISELESS"].data + truth["SKY"].data.astype(float)
                pull = (undone.calibrated(ccd) - model) / np.sqrt(truth["VAR"].data)
                good = truth["MSK"].data == 0
                bright = good & (truth["NOISELESS"].data > 5000)
            n = good.sum()
            assert abs(pull[good].mean()) < 0.01
            # Five standard errors of a variance, and half a per cent for the overscan's own noise.
            assert abs(pull[good].var() - 1.0) < 5 * np.sqrt(2 / n) + 0.005
            assert abs(pull[bright].mean()) < 5 / np.sqrt(bright.sum())
            assert abs(pull[bright].var() - 1.0) < 5 * np.sqrt(2 / bright.sum())


def test_sections_of_the_header_point_at_what_they_say(night: Night, folder: Path) -> None:
    with fits.open(night.raw[0]) as hdus:
        assert hdus[0].header["NEXTEND"] == len(hdus) - 1
        for hdu in hdus[1:]:
            head, raw = hdu.header, hdu.data
            assert raw.shape == (1024 + 50, 512 + 112)
            trimmed = np.concatenate([raw[section(head["DATASECA"])], raw[section(head["DATASECB"])]], axis=1)
            assert np.array_equal(trimmed, raw[section(head["TRIMSEC"])])
            for amp in "AB":
                bias, prescan = raw[section(head[f"BIASSEC{amp}"])], raw[section(head[f"PRESEC{amp}"])]
                assert bias.shape == (1024, 50)
                assert prescan.shape == (50, 256)
                # The overscan has the read noise, digits included, that the header states.
                noise = np.std(np.diff(bias, axis=1)) / np.sqrt(2) * head[f"GAIN{amp}"]
                assert noise == pytest.approx(head[f"RDNOISE{amp}"], rel=0.02)
            assert section(head["AMPSECB"]) == (slice(0, 1024), slice(256, 512))


def test_the_first_solution_errs_by_seconds_of_arc_and_the_true_one_does_not(
    night: Night, folder: Path
) -> None:
    entry = _exposures(night, "object")[0]
    with fits.open(folder / "raw" / str(entry["filename"])) as raw:
        guess = WCS(raw[1].header)
    with fits.open(folder / "truth" / f"truth_D{entry['expnum']:08d}_c03.fits") as truth:
        wcs, rows = WCS(truth["TRUTH"].header), truth["TRUTH"].data
    ra, dec = wcs.all_pix2world(rows["x"], rows["y"], 1)
    assert np.abs(dec - rows["dec"]).max() * 3.6e6 < 0.01
    assert np.abs(ra - rows["ra"]).max() * 3.6e6 < 0.01
    ra, dec = guess.all_pix2world(rows["x"], rows["y"], 1)
    off = np.hypot((ra - rows["ra"]) * np.cos(np.radians(dec)), dec - rows["dec"]) * 3600
    assert 0.3 < np.median(off) < 15


def test_a_ccd_alone_is_the_same_as_among_all_and_threads_do_not_matter(
    night: Night, folder: Path, plan: Plan, tmp_path: Path
) -> None:
    shot = next(s for s in plan.shots if s.kind == "object")
    fresh, _ = renderer_of(plan, CAMERA)
    lit = {n: fresh.charge(shot, n) for n in (4, 3)}  # the other way round
    with fits.open(folder / "raw" / shot.filename) as hdus:
        assert np.array_equal(read_out(fresh, shot, 4, lit), hdus[2].data)
    few = replace(plan, shots=plan.shots[-2:])
    again = make_night(tmp_path, few, CAMERA, threads=2)
    assert [p.read_bytes() for p in again.raw] == [(folder / "raw" / p.name).read_bytes() for p in again.raw]


def test_another_seed_is_another_sky_of_the_same_camera(night: Night, folder: Path, plan: Plan) -> None:
    shot = next(s for s in plan.shots if s.kind == "object")
    other, _ = renderer_of(replace(plan, seed=8), CAMERA)
    here, _ = renderer_of(plan, CAMERA)
    assert not np.array_equal(other.charge(shot, 3).adu, here.charge(shot, 3).adu)
    assert np.array_equal(other.response.bias(CAMERA[3]), here.response.bias(CAMERA[3]))


def test_defects_show_in_biases_and_flats(night: Night, folder: Path) -> None:
    biases, flats = _exposures(night, "zero"), _exposures(night, "dome flat")
    for ccd in (3, 4):
        with fits.open(folder / "truth" / f"truth_camera_c{ccd:02d}.fits") as maps:
            bad = maps["BPM"].data == int(MaskBit.BPM)
            flat = maps["FLAT_r"].data
        assert 0.001 < bad.mean() < 0.02
        with fits.open(folder / "raw" / str(biases[0]["filename"])) as one:
            zero = overscanned(next(h for h in one[1:] if h.header["CCDNUM"] == ccd))
        with fits.open(folder / "raw" / str(flats[0]["filename"])) as one:
            lamp = overscanned(next(h for h in one[1:] if h.header["CCDNUM"] == ccd)) - zero
        seen = (zero > 30) | (lamp / np.median(lamp) < 0.8)
        assert (seen & bad).sum() > 0.98 * bad.sum()
        good = ~(bad | seen)[:, :256]  # of one amplifier: the other has another gain
        assert np.corrcoef(lamp[:, :256][good], flat[:, :256][good])[0, 1] > 0.7


def test_flats_of_the_truth_are_norm_one_over_the_focal_plane(tmp_path: Path) -> None:
    plan = plan_night(1, bands=("i",), exposures=0, biases=1, flats=0)
    make_night(tmp_path, plan, mini())
    flats = [fits.getdata(p, "FLAT_i") for p in sorted((tmp_path / "truth").glob("truth_camera_c0?.fits"))]
    assert len(flats) == 4
    assert np.median(np.stack(flats)) == pytest.approx(1.0, abs=3e-4)
    assert np.mean([np.median(f) for f in flats]) == pytest.approx(1.0, abs=3e-3)


def test_masks_of_the_truth_hold_every_kind(night: Night, folder: Path) -> None:
    seen = 0
    for path in (folder / "truth").glob("truth_D*.fits"):
        seen |= int(np.bitwise_or.reduce(fits.getdata(path, "MSK").ravel()))
    for bit in (MaskBit.BPM, MaskBit.CRAY, MaskBit.SATURATE, MaskBit.TRAIL, MaskBit.STREAK):
        assert seen & bit, bit.name


def test_there_are_stars_enough_for_astrometry_and_psf(night: Night, folder: Path) -> None:
    for path in (folder / "truth").glob("truth_D*.fits"):
        with fits.open(path) as truth:
            rows, head = truth["TRUTH"].data, truth["TRUTH"].header
        background = head["SKY"] + 40.0
        # 4π σ² pixels of a Gaussian, a third more for a Moffat profile's wings.
        area = 1.3 * 4 * np.pi * (head["FWHM"] / 2.3548) ** 2
        snr = rows["flux"] / np.sqrt(rows["flux"] + area * background)
        star = rows["kind"] == "star"
        assert (star & (snr > 30)).sum() > 130, path.name
        assert (star & (snr > 100)).sum() > 60, path.name


def test_reference_stars_are_the_true_ones_with_the_errors_they_state(night: Night, folder: Path) -> None:
    table = fits.getdata(night.refcat, 1)
    entry = next(e for e in _exposures(night, "object") if e["band"] == "r")
    rows = fits.getdata(folder / "truth" / f"truth_D{entry['expnum']:08d}_c03.fits", "TRUTH")
    stars = rows[(rows["kind"] == "star") & (rows["mag"] < 21.4)]
    index = {int(v): i for i, v in enumerate(table["source_id"])}
    at = np.array([index[int(v)] for v in stars["id"]])
    years = 2000.0 + (float(str(entry["mjd"])) - 51544.5) / 365.25 - table["ref_epoch"][at]
    ddec = (table["dec"][at] - stars["dec"]) * 3.6e6 + table["pmdec"][at] * years
    assert np.std(ddec) == pytest.approx(1.0, rel=0.35)
    assert np.std(table["mag_r"][at] - stars["mag"]) == pytest.approx(0.005, rel=0.35)
    assert table["mag_r"].max() < 21.6


def test_night_json_says_what_a_perfect_assessment_finds(night: Night) -> None:
    document = json.loads((night.truth / "night.json").read_text())
    entry = next(e for e in document["exposures"] if e["kind"] == "object" and e["band"] == "r")
    # DESDM's rule written out once more, with r's constants.
    f = (0.9 * 1.041 / (entry["fwhm_asec"] + 0.04)) ** 2
    # The rule's constants are per count of four electrons.
    assert entry["t_eff"] == pytest.approx(f * 2.66 * 4.0 / entry["sky_e_s"], rel=1e-12)
    assert entry["zeropoint"] == pytest.approx(
        25.532 + 2.5 * np.log10(4.0 * 90.0) - 0.095 * entry["airmass"] - entry["cloud_mag"]
    )
    assert (entry["verdict"], entry["reason"], entry["processed"]) == ("True", "", True)
