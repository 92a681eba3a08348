"""What nights are made of: the programs, the corner cases, and the command that makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import UsageError
from desdm.simulate.conditions import BANDS, assess, magzero
from desdm.simulate.extras import magnitudes_in
from desdm.simulate.instrument import mini
from desdm.simulate.night import make_night, renderer_of
from desdm.simulate.plan import Shot, plan_night
from tests.simulate.inverse import overscanned
from tests.support.fits import unclean


def test_the_demo_night_has_what_the_demo_needs() -> None:
    plan = plan_night(1, program="demo", biases=7, flats=5)
    kinds = Counter((s.obstype, s.band) for s in plan.shots)
    assert kinds["zero", "none"] == 7
    assert [kinds["dome flat", b] for b in "gri"] == [5, 5, 5]
    assert [kinds["object", b] for b in "gri"] == [2, 4, 2]
    cloudy, junk = plan.shots[-2:]
    assert cloudy.cloud > 1.0
    assert cloudy.processed
    assert junk.title == "junk"
    assert not junk.processed
    numbers = [s.expnum for s in plan.shots]
    assert numbers == sorted(set(numbers))
    assert len({s.nite for s in plan.shots}) == 1


def test_pointings_overlap_but_are_not_the_same() -> None:
    shots = [s for s in plan_night(3).shots if s.kind == "object"]
    ra = np.array([s.ra for s in shots]) * np.cos(np.radians(-5.0)) * 3600
    dec = np.array([s.dec for s in shots]) * 3600
    assert 5 < np.ptp(ra) < 25
    assert 5 < np.ptp(dec) < 25


@pytest.mark.parametrize("band", list(BANDS))
def test_a_verdict_follows_from_seeing_sky_and_clouds(band: str) -> None:
    good = BANDS[band]
    # DESDM's good sky in counts a second; a count is four electrons.
    dark = {"u": 0.2, "g": 1.05, "r": 2.66, "i": 7.87, "z": 16.51, "Y": 14.56, "VR": 3.71}[band]
    assert assess(band, 0.9 * good.seeing - 0.04, 4.0 * dark, 0.1).t_eff == pytest.approx(1.0)
    assert good.sky == pytest.approx(4.0 * dark, rel=0.03)
    assert assess(band, 0.9 * good.seeing, good.sky, 0.05).verdict == "True"
    cloudy = assess(band, 0.9 * good.seeing, good.sky, 1.5)
    assert (cloudy.verdict, cloudy.reason) == ("False", "badT")
    assert cloudy.c_eff == pytest.approx(10 ** (-0.8 * 1.3))
    blurred = assess(band, 1.85, good.sky * 0.1, 0.0)
    assert (blurred.verdict, blurred.reason) == (("True", "") if band == "u" else ("False", "badF"))
    assert assess(band, 1.0, good.sky, 0.0, reference=False).verdict == "Unknown"


def test_the_light_is_decams() -> None:
    """Against numbers that are not ours: LSST's fiducial zero points for DECam, and the header of exposure 241238."""
    for band, counts in {"g": 25.11, "r": 25.35, "i": 25.2, "z": 25.0}.items():
        assert magzero(band, 1.0, 1.2, 0.0) == pytest.approx(counts + 2.5 * np.log10(4.0), abs=0.2)
    skies = [s.sky * s.exptime for s in plan_night(4, bands=("r",), exposures=40).shots if s.kind == "object"]
    assert np.mean(skies) == pytest.approx(267.5 * (4.039 + 3.781) / 2, rel=0.03)


def test_a_campaign_covers_five_nites_and_all_kinds() -> None:
    plan = plan_night(1, program="supercal", bands=("r", "z"), biases=4, flats=3)
    assert len({s.nite for s in plan.shots}) == 5
    kinds = Counter(s.kind for s in plan.shots)
    assert kinds == {
        "zero": 20,
        "dome flat": 30,
        "linearity": 36,
        "crosstalk": 4,
        "star flat": 24,
        "object": 40,
    }
    wide = [s for s in plan.shots if s.kind == "object" and s.band == "z"]
    assert len(wide) == 20
    # The sky's components vary independently, or no principal component could tell them apart.
    parts = np.array([[s.sky, *s.slope, s.ghost, s.fringe] for s in wide])
    assert np.abs(np.corrcoef(parts.T) - np.eye(5)).max() < 0.75
    assert all(s.nite == n for s, n in zip(wide[::4], sorted({s.nite for s in wide}), strict=True))


def test_unknown_names_are_refused() -> None:
    for wrong in ({"bands": ("q",)}, {"program": "picnic"}, {"nite": "20129999"}):
        with pytest.raises(UsageError):
            plan_night(1, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no CCD 9"):
        mini().only((9,))


def _made(folder: Path, shots: list[Shot]) -> dict[str, Path]:
    plan = replace(plan_night(5, bands=("g", "r"), biases=0, flats=0, exposures=0), shots=tuple(shots))
    make_night(folder, plan, mini().only((1, 2)))
    return {s.corner or s.title: folder / "raw" / s.filename for s in shots}


def test_a_linearity_ramp_is_straight_after_its_table(tmp_path: Path) -> None:
    """From some hundred ADU to full well: level over exposure time is constant to a thousandth, saturated ones apart."""
    shots = [s for s in plan_night(5, program="supercal", bands=("r",)).shots if s.kind == "linearity"][:18]
    files = _made(tmp_path, shots)
    table = fits.getdata(tmp_path / "instrument" / "mini_lintable.fits", "CCD01")
    with fits.open(tmp_path / "truth" / "truth_camera_c01.fits") as maps:
        good = maps["BPM"].data == 0
        good[:, 256:] = False
        bias = maps["BIAS"].data[good].mean()
    rates, curved, levels = [], [], []
    for shot in shots:
        with fits.open(files[shot.title]) as hdus:
            image = overscanned(hdus[1])[good]
            level = image.mean() - bias
        levels.append(level)
        if level < 0.95 * mini()[1].amps[0].saturate:
            curved.append(level / shot.exptime)
            rates.append(np.interp(level, table["ADU"], table["ADU_LINEAR_A"]) / shot.exptime)
    assert min(levels) < 250
    assert max(levels) > mini()[1].amps[0].saturate
    # The table is applied to the mean level, whose spread over pixels curves the mean by some 1e-5.
    assert np.ptp(rates[3:]) / np.mean(rates) < 2e-4
    assert np.ptp(curved) / np.mean(curved) > 3e-3


def test_crosstalk_stands_at_the_mirror_of_its_source(tmp_path: Path) -> None:
    """What the raw frame has above the CCD's own counts is the coefficient times the other amplifier, mirrored."""
    plan = plan_night(5, program="supercal", bands=("r",))
    shot = next(s for s in plan.shots if s.kind == "crosstalk")
    camera = mini().only((1,))
    make_night(tmp_path, replace(plan, shots=(shot,)), camera)
    with fits.open(tmp_path / "raw" / shot.filename) as hdus:
        image = overscanned(hdus[1])
        assert hdus[0].header["OBJECT"] == "crosstalk field"
    renderer, _ = renderer_of(replace(plan, shots=(shot,)), camera)
    own = renderer.charge(shot, 1).adu.astype(float)
    assert own.max() < camera[1].amps[0].saturate
    rest = image - own - fits.getdata(tmp_path / "truth" / "truth_camera_c01.fits", "BIAS")
    a, b = slice(0, 256), slice(256, 512)
    for victim, source, names in ((a, b, "AB"), (b, a, "BA")):
        bright, seen = own[:, source][:, ::-1].ravel(), rest[:, victim].ravel()
        slope = np.polyfit(bright, seen, 1)[0]
        true = next(x for x in camera.crosstalk if x.victim[-1] + x.source[-1] == names).coefficient
        limit = seen.std() / bright.std() / np.sqrt(bright.size)
        assert abs(slope - true) < 4 * limit < 2e-5
        assert (
            abs(np.polyfit(own[:, source].ravel(), seen, 1)[0]) < abs(true) / 5
        )  # not at the unmirrored place


def test_corner_cases_are_as_they_are_named(tmp_path: Path) -> None:
    plan = plan_night(5, bands=("g", "r"), biases=0, flats=0, exposures=0, corner_cases=True)
    files = _made(tmp_path, list(plan.shots))
    names = [
        "lamp off", "flat gradient", "flat of wrong band", "missing ccd", "focus", "pointing", "junk", "truncated",
        "wrong hdus", "nan", "no reference", "delivered again", "other bytes",
    ]  # fmt: skip
    assert list(files) == names
    document = json.loads((tmp_path / "truth" / "night.json").read_text())
    assert [e["corner"] for e in document["exposures"]] == names
    sound = [path for name, path in files.items() if name != "truncated"]
    assert unclean(sound) == []
    assert unclean([files["truncated"]]) != []
    with fits.open(files["missing ccd"]) as hdus:
        assert [h.header["CCDNUM"] for h in hdus[1:]] == [1]
        assert hdus[0].header["NEXTEND"] == 2
    with fits.open(files["wrong hdus"]) as hdus:
        assert len(hdus) == 1 + 2 + 1
    with fits.open(files["nan"]) as hdus:
        assert np.isnan(hdus[1].data).sum() == 4000
    with fits.open(files["focus"]) as hdus:
        assert hdus[0].header["OBSTYPE"] == "focus"
    again = tmp_path / "delivered-again"
    for name, same in (("delivered again", True), ("other bytes", False)):
        assert ((again / files[name].name).read_bytes() == files[name].read_bytes()) is same
    lone = next(e for e in document["exposures"] if e["corner"] == "no reference")
    assert (lone["verdict"], lone["reason"]) == ("Unknown", "unkn")
    known = fits.getdata(tmp_path / "refcat" / "sim_refcat_5.fits", 1)
    assert np.hypot(known["ra"] - lone["ra"], known["dec"] - lone["dec"]).min() > 1


def test_movers_move_and_transients_are_in_the_truth(tmp_path: Path) -> None:
    plan = plan_night(9, bands=("r",), biases=0, flats=0, exposures=4)
    plan = replace(plan, movers=30, transients=30)
    make_night(tmp_path, plan, mini())
    places: dict[int, list[float]] = {}
    kinds: Counter[str] = Counter()
    for path in sorted((tmp_path / "truth").glob("truth_D*.fits")):
        for row in fits.getdata(path, "TRUTH"):
            kinds[str(row["kind"])] += 1
            if row["kind"] == "mover":
                places.setdefault(int(row["id"]), []).append(float(row["dec"]))
    assert kinds["transient"] > 20
    speeds = [abs(d[-1] - d[0]) * 3600 for d in places.values() if len(d) == 4]
    # Some arcsec an hour, over the six minutes between the first shot and the last.
    assert 0.03 < np.median(speeds) < 0.6


def test_transients_explode_once_and_movers_do_not_come_back() -> None:
    """Separate plans of one seed, as a night after night is simulated: the sky between them is one."""

    def at(nite: str) -> tuple[dict[int, float], set[int], float]:
        plan = replace(plan_night(9, bands=("r",), biases=0, flats=0, exposures=1, nite=nite), transients=30)
        renderer, _ = renderer_of(plan, mini())
        assert renderer.sky is not None
        sky, shot = renderer.sky, next(s for s in plan.shots if s.kind == "object")
        mag = magnitudes_in(sky, renderer.kinds, shot, *sky.at(shot.year))
        ids = [int(i) for i in sky.ident]
        found = {i: m for i, m, k in zip(ids, mag, renderer.kinds, strict=True) if k == "transient"}
        return found, {i for i, k in zip(ids, renderer.kinds, strict=True) if k == "mover"}, shot.mjd

    first, movers, start = at("20121120")
    second, others, end = at("20121123")
    assert end - start == pytest.approx(3.0, abs=0.01)
    common = [i for i in first if i in second and first[i] < 90]
    assert len(common) > 60
    for i in common:
        # A time scale of 30 days: 1.0857 mag of them.
        assert second[i] - first[i] == pytest.approx((end - start) * 1.0857 / 30.0, abs=1e-6)
    new = [i for i in second if second[i] < 90 and first.get(i, 99.0) > 90]
    assert 0 < len(new) < 12, "30 explode in 20 days"
    assert not movers & others


def test_the_command_makes_a_night_and_says_what(tmp_path: Path) -> None:
    numbers = ["--biases", "1", "--flats", "1", "--exposures", "1"]
    words = ["simulate", "night", "--seed", "3", "--bands", "r", *numbers, "--ccds", "2", "--json", "--out"]
    ran = subprocess.run(
        [sys.executable, "-m", "desdm.cli.main", *words, str(tmp_path / "n")], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["raw"] == 3
    assert [e["obstype"] for e in document["exposures"]] == ["zero", "dome flat", "object"]
    assert sorted(p.name for p in (tmp_path / "n").iterdir()) == ["instrument", "raw", "refcat", "truth"]
    assert (tmp_path / "n" / "truth" / "truth_D00150003_c02.fits").exists()
    wrong = subprocess.run(
        [sys.executable, "-m", "desdm.cli.main", *words, str(tmp_path / "m"), "--bands", "q"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "no band q" in wrong.stderr


def test_a_field_across_ra_0_is_drawn_as_any_other() -> None:
    """Pointings at 359.99 and 0.01 lie 0.02 degrees apart, not 360."""
    counts = []
    for ra in (0.0, 30.0):
        _, field = renderer_of(plan_night(3, ra=ra, dec=-5.0), mini())
        reach = np.abs((field.ra - ra + 180.0) % 360.0 - 180.0).max()
        assert reach < 1.0
        counts.append(len(field.ra))
    assert counts[0] == pytest.approx(counts[1], rel=0.2)
