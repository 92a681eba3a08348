"""The pieces of detrending one by one: overscan, crosstalk, linearity, fixed columns, checks, real instrument files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from desdm.codes.detrend import chain, checks, crosstalk, overscan
from desdm.codes.detrend.amplifiers import State
from desdm.codes.detrend.bf import read_kernels
from desdm.codes.detrend.calibration import (
    Calibrations,
    Subject,
    bias_variance,
    check_pair,
    flat_variance,
    read_plane,
)
from desdm.codes.detrend.fixcols import fix_columns
from desdm.codes.detrend.linearity import read_table
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.detrend.steps import chosen
from desdm.errors import FileTypeError, UsageError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes
from desdm.survey.raw import Amp, read_ccd
from desdm.survey.sections import Section
from tests.support import detrending

FIXED, BPM = int(MaskBit.FIXED), int(MaskBit.BPM)


def frame(ny: int = 800, noise: float = 1.6) -> tuple[np.ndarray, np.ndarray, Amp]:
    """A raw array with an overscan of 50 columns, its true level, and the amplifier."""
    rng = np.random.default_rng(2)
    y = np.linspace(0, 1, ny)
    level = 2000.0 + 2.0 * y + 3.0 * np.exp(-y / 0.05)
    data = np.rint(level[:, None] + rng.normal(0, noise, (ny, 100))).astype(np.int32)
    amp = Amp("A", Section(51, 100, 1, ny), Section(1, 50, 1, ny), None, Section(1, 50, 1, ny), 4.0, 6.4, 4e4)
    return data, level, amp


@pytest.mark.parametrize(
    ("form", "expected"), [("row", 1.6 / 40**0.5), ("smooth", 1.6 * (2.25 / 31 / 40) ** 0.5)]
)
def test_the_level_of_a_row_is_as_good_as_its_pixels_allow(form: str, expected: float) -> None:
    data, level, amp = frame()
    recipe = overscan.Recipe(form)
    error = overscan.levels(data, amp, recipe) - level
    assert abs(error.mean()) < 0.02
    # ends of the smoothing window are worse by a factor, but few
    assert error.std() < 1.25 * np.hypot(expected, 0.29 / 40**0.5)
    assert recipe.noise(50) == pytest.approx((expected / 1.6) ** 2)


def test_cosmic_rays_and_trailing_charge_do_not_move_the_level() -> None:
    data, _, amp = frame()
    clean = overscan.levels(data, amp, overscan.Recipe())
    hurt = data.copy()
    hurt[100:103, 20:26] += 5000
    hurt[:, 45:50] += 300  # trailing charge in the last columns, which are left out
    assert np.abs(overscan.levels(hurt, amp, overscan.Recipe()) - clean).max() < 0.15


@pytest.mark.parametrize(("rows", "window"), [(800, 31), (31, 31), (40, 7)])
def test_the_smoothing_is_that_of_scipy_up_to_the_ends(rows: int, window: int) -> None:
    from scipy.signal import savgol_filter

    data, _, amp = frame(rows)
    means = overscan.levels(data, amp, overscan.Recipe("row"))
    smooth = overscan.levels(data, amp, overscan.Recipe("smooth", window=window))
    assert np.allclose(smooth, savgol_filter(means, window, 2, mode="interp"), rtol=0, atol=1e-9)


def test_whole_numbers_do_not_bias_the_level() -> None:
    """A median of digitised pixels would sit on whole numbers: here the true level moves through a tenth of an ADU."""
    rng = np.random.default_rng(3)
    for level in (2000.1, 2000.25, 2000.5, 2000.8):
        data = np.rint(rng.normal(level, 1.0, (4000, 60))).astype(np.int32)
        means = overscan.row_means(data, 0, 4000, 0, 60, 5.0)
        assert means.mean() == pytest.approx(level, abs=0.012)


def test_other_forms_of_the_overscan(real: Path) -> None:
    data, level, amp = frame()
    polynomial = overscan.levels(data, amp, overscan.Recipe("polynomial", order=12))
    assert np.abs(polynomial - level)[20:-20].max() < 0.4
    assert np.ptp(overscan.levels(data, amp, overscan.Recipe("constant"))) == 0
    with pytest.raises(UsageError, match="'spline' is not a form"):
        overscan.Recipe("spline")
    with pytest.raises(UsageError, match="no BIASSEC"):
        overscan.levels(data, Amp("A", amp.data, None, None, amp.trimmed, 1.0, 1.0, None), overscan.Recipe())


def test_the_real_saao_frame_is_detrended_with_its_ten_columns_of_overscan(real: Path) -> None:
    """Real sky of 2013: what comes out is the level over the overscan, in electrons, with the noise that gain tells."""
    path = real / "raw-overscan" / "a8280271.fits"
    raw = read_ccd(path, 0)
    recipe = Recipe(chosen("overscan,gain,weight"))
    planes = chain.detrend(raw, path.name, Calibrations(), recipe, map).planes
    assert planes.shape == (520, 512)
    data = fits.getdata(path).astype(float)
    expected = 1.9 * (np.median(data[:, 16:528]) - np.mean(data[:, 6:10]))
    assert np.median(planes.sci) == pytest.approx(expected, abs=1.0)
    assert planes.header["GAIN"] == 1.0
    # Its header has no SATURATE: no pixel can be marked, and the archive and the run say so.
    assert [(f.key, f.assumed) for f in raw.amps[0].findings if f.key == "SATURATE"] == [
        ("SATURATE", "saturated pixels are not marked")
    ]
    marked = chain.detrend(
        raw, path.name, Calibrations(), Recipe(chosen("overscan,saturate,gain,weight")), map
    )
    assert not (marked.planes.msk & MaskBit.SATURATE).any()
    assert "SATURATE" not in marked.planes.header
    # noise of neighbours against the weight's variance: a frame without flat, so a few per cent of structure are left
    steps = (planes.sci[:, 1:] - planes.sci[:, :-1]).ravel()
    sigma = 1.4826 * np.median(np.abs(steps - np.median(steps))) / 2**0.5
    assert sigma == pytest.approx(float(np.median(planes.wgt)) ** -0.5, rel=0.15)


def test_decams_own_crosstalk_file_is_read(real: Path) -> None:
    matrix = crosstalk.read_matrix(real / "decam-instrument" / "DECam_xtalk_20130606.txt")
    assert matrix["ccd25A"]["ccd25B"] == 3.16e-4
    assert matrix["ccd26B"]["ccd26A"] == -5.36e-4
    raw = detrending.make(64, 64).raw
    assert crosstalk.within(matrix, 25, raw.amps) == {"A": ("B", 3.16e-4), "B": ("A", 1.34e-4)}
    from_others = crosstalk.sources(matrix, 26, 2e-5)
    assert ("A", "B", 3.90e-5) in from_others[25]
    assert all(abs(c) >= 2e-5 and n != 26 for n, pairs in from_others.items() for _, _, c in pairs)


def test_a_wrong_line_of_a_crosstalk_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    for line, text in (
        ("ccd01A ccd01B", "is not a line"),
        ("ccd01A ccd01B much", "is not a line"),
        ("a b 0.5", "impossible"),
    ):
        path.write_text(f"# comment\nccd01A ccd01B 1e-4\n{line}\n")
        with pytest.raises(FileTypeError, match=rf"x\.txt:3: .*{text}"):
            crosstalk.read_matrix(path)


def test_crosstalk_of_another_ccd_is_found_where_it_was_read_at_the_same_moment() -> None:
    victim, source = detrending.make(64, 64, seed=1).raw, detrending.make(64, 64, seed=2).raw
    source.data[...] = 2000
    source.data[50 + 10, 56 + 3] = 32000  # amplifier A, third column from the left edge
    out = crosstalk.between_ccds(
        victim, {9: [("A", "A", 1e-3), ("B", "A", -2e-3)]}, lambda n: source, overscan.Recipe("constant")
    )
    assert np.argwhere(np.abs(out) > 1).tolist() == [[10, 3], [10, 60]]
    assert out[10, 3] == pytest.approx(30.0)
    assert out[10, 60] == pytest.approx(-60.0)  # B is read towards the right: as far from that edge


def test_a_pixel_of_the_source_without_a_value_writes_nothing_into_another_ccd() -> None:
    victim, source = detrending.make(64, 64, seed=1).raw, detrending.make(64, 64, seed=2).raw
    entries, recipe = {9: [("A", "A", 1e-3)]}, overscan.Recipe("smooth", window=31)
    whole = crosstalk.between_ccds(victim, entries, lambda n: source, recipe)
    amp = next(a for a in source.amps if a.name == "A")
    missing = np.zeros(source.data.shape, bool)
    missing[amp.data.slices][20, 3:9] = True
    missing[amp.bias.slices][40] = True
    # What stands where there is no value must not matter.
    blank = replace(source, data=np.where(missing, 0, source.data), missing=missing)
    holed = crosstalk.between_ccds(victim, entries, lambda n: blank, recipe)
    place = next(a for a in victim.amps if a.name == "A").trimmed.slices
    assert (holed[place][20, 3:9] == 0).all()
    seen = np.ones(whole[place].shape, bool)
    seen[20, 3:9] = False
    assert np.abs(holed[place] - whole[place])[seen].max() < 0.01
    dead = replace(blank, missing=np.ones_like(missing))
    assert (crosstalk.between_ccds(victim, entries, lambda n: dead, recipe) == 0).all()


def lintable(path: Path, adu: Any, a: Any, b: Any, name: str = "CCD03") -> Path:
    """Write a linearity table of one CCD."""
    columns = [
        fits.Column(n, "D", array=v) for n, v in (("ADU", adu), ("ADU_LINEAR_A", a), ("ADU_LINEAR_B", b))
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name=name)]).writeto(
        path, overwrite=True
    )
    return path


def test_a_table_is_interpolated_between_its_lines(tmp_path: Path) -> None:
    adu = np.arange(0, 65536, 16.0)
    table = read_table(lintable(tmp_path / "l.fits", adu, adu * 1.01, adu + 2e-7 * adu**2), 3)
    assert (table.first, table.step) == (0.0, 16.0)
    for value in (0.0, 8.0, 1000.3, 65000.0):
        assert table.linear("A", value) == pytest.approx(value * 1.01, abs=1e-3)
    assert table.linear("B", 20000.0) == pytest.approx(20000 + 2e-7 * 20000**2, abs=1e-2)
    uneven = np.concatenate([np.arange(0, 100, 5.0), np.arange(100, 60001, 100.0)])
    table = read_table(lintable(tmp_path / "u.fits", uneven, uneven * 0.99, uneven), 3)
    assert table.linear("A", 12345.6) == pytest.approx(12345.6 * 0.99, abs=1e-2)


def test_a_table_that_cannot_be_used_is_refused_by_file_and_ccd(tmp_path: Path) -> None:
    adu = np.arange(0, 100.0)
    path = lintable(tmp_path / "l.fits", adu, adu, adu)
    with pytest.raises(FileTypeError, match=r"l\.fits CCD 7: the linearity table has no HDU CCD07"):
        read_table(path, 7)
    with pytest.raises(FileTypeError, match=r"l\.fits CCD 3: .* no column ADU_LINEAR_C"):
        read_table(path, 3, ("A", "C"))
    lintable(path, adu[::-1], adu, adu)
    with pytest.raises(FileTypeError, match=r"l\.fits CCD 3: ADU of the linearity table does not rise"):
        read_table(path, 3)
    lintable(path, adu, np.where(adu == 5, np.nan, adu), adu)
    with pytest.raises(
        FileTypeError, match=r"ADU_LINEAR_A of the linearity table has values that are no numbers"
    ):
        read_table(path, 3)


@given(st.floats(-200.0, 200.0), st.integers(0, 10_000))
def test_a_column_with_an_offset_is_set_level(offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(500, 20, (300, 30)).astype(np.float32)
    truth, mask = image.copy(), np.zeros(image.shape, np.int32)
    image[60:, 12] += np.float32(offset)
    mask[60:, 12] = FIXED | BPM
    assert fix_columns(image, mask, BPM) == (1, 0)
    # the median of 240 differences of σ 20·sqrt(1.25) is known to 1.8
    assert np.abs(image - truth).max() < 8
    assert (mask[60:, 12] == FIXED).all()
    assert not mask[:60].any()


def test_a_column_whose_fault_is_noise_stays_bad() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(500, 20, (300, 30)).astype(np.float32)
    image[:, 12] += rng.normal(0, 100, 300).astype(np.float32)
    before, mask = image.copy(), np.zeros(image.shape, np.int32)
    mask[:, 12] = FIXED
    assert fix_columns(image, mask, BPM) == (0, 1)
    assert np.array_equal(image, before)
    assert (mask[:, 12] == BPM).all()


def test_a_light_bulb_is_seen_and_a_dark_one_is_not() -> None:
    rng = np.random.default_rng(6)
    image = rng.normal(1000, 32, (300, 300)).astype(np.float32)
    mask = np.zeros(image.shape, np.int32)
    bulb = checks.Bulb(150, 160, 30)
    found = checks.glow(image, mask, bulb, BPM)
    assert found is not None
    assert abs(found[0]) < 5 * found[1] < 0.02
    y, x = np.mgrid[:300, :300]
    image[np.hypot(x - 149, y - 159) < 35] += 100
    found = checks.glow(image, mask, bulb, BPM)
    assert found is not None
    assert found[0] == pytest.approx(0.1, abs=0.01)
    mask[:] = BPM
    assert checks.glow(image, mask, bulb, BPM) is None


def test_charge_left_behind_shows_as_correlation() -> None:
    rng = np.random.default_rng(7)
    image = rng.normal(1000, 32, (800, 200)).astype(np.float32)
    states = [State(n, Section(a, a + 99, 1, 800), 1.0, 5.0, 1e5) for n, a in (("A", 1), ("B", 101))]
    left = image.copy()
    left[:, 101:200] += 0.2 * image[:, 100:199]
    found = checks.charge_left(left, np.zeros(image.shape, np.int32), states, BPM)
    assert abs(found["A"]) < 0.03
    assert found["B"] == pytest.approx(0.2 / 1.04, abs=0.04)


def test_an_amplifier_without_light_is_found_beside_the_other() -> None:
    rng = np.random.default_rng(9)
    image = rng.normal(400, 20, (800, 200)).astype(np.float32)
    image[:, 100:] = rng.normal(0, 6, (800, 100))
    states = [State(n, Section(a, a + 99, 1, 800), 1.0, 5.0, 1e5) for n, a in (("A", 1), ("B", 101))]
    mask = np.zeros(image.shape, np.int32)
    ratio, name = checks.amplifier_balance(image, mask, states, BPM) or (1.0, "")
    assert name == "B" and ratio == pytest.approx(0.0, abs=0.002)
    assert checks.amplifier_balance(image / 50, mask, states, BPM) is None, "too little sky to tell"
    mask[:, 100:] = BPM
    assert checks.amplifier_balance(image, mask, states, BPM) is None, "masked as a whole"


def test_a_dark_amplifier_is_a_finding_and_a_number() -> None:
    t = detrending.make(ny=512)
    recipe = Recipe(chosen("overscan,bpm,gain,cticheck"))
    healthy = chain.detrend(t.raw, "raw.fits", Calibrations(bpm=t.bpm), recipe, map)
    # The scene has the same light in ADU: its electrons are as the gains.
    gains = sorted(amp.gain or 0.0 for amp in t.raw.amps)
    assert healthy.metrics["amp_balance"][0] == pytest.approx(gains[0] / gains[1], abs=0.01)
    assert not any("no light" in text for _, text in healthy.findings)
    t.raw.data[:, 56 : 56 + 96] = t.raw.data[:, 6:56].mean(axis=1, keepdims=True)
    result = chain.detrend(t.raw, "raw.fits", Calibrations(bpm=t.bpm), recipe, map)
    assert abs(result.metrics["amp_balance"][0]) < 0.02
    assert [
        (level, text[: text.index("light: ") + 7]) for level, text in result.findings if "no light" in text
    ] == [(2, "raw.fits CCD 3: amplifier A records no light: ")]


def test_what_is_found_goes_to_the_operator() -> None:
    t = detrending.make()
    y, x = np.mgrid[:256, :192]
    t.raw.data[50:, 56:248][np.hypot(x - 100, y - 90) < 22] += 200
    recipe = Recipe(
        chosen("overscan,bpm,gain,lightbulb,cticheck"), bulbs={3: (checks.Bulb(101, 91, 20),)}, cti_limit=-1.0
    )
    result = chain.detrend(t.raw, "raw.fits", Calibrations(bpm=t.bpm), recipe, map)
    said = [text for _, text in result.findings]
    assert any(text.startswith("raw.fits CCD 3: the light bulb at (101, 91) is on") for text in said)
    assert sum("leaves charge behind" in text for text in said) == 2


def test_the_own_noise_of_bias_and_flat_is_read_from_their_weights() -> None:
    ny, nx = 200, 300
    rng = np.random.default_rng(8)
    flat = (1 + 0.05 * rng.standard_normal((ny, nx))).astype(np.float32)
    planes = Planes(flat, np.zeros((ny, nx), np.int32), (1 / (2.5e-5 * flat)).astype(np.float32))
    assert flat_variance(planes) == pytest.approx(2.5e-5, rel=1e-4)
    planes.wgt[:] = 4.0
    assert bias_variance(planes) == 0.25
    planes.wgt[:] = 0.0
    assert bias_variance(planes) == flat_variance(planes) == 0.0


def test_kernels_and_planes_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "k.fits"
    fitsio.write(str(path), np.zeros((17, 17)), extname="AR")
    with pytest.raises(FileTypeError, match=r"k\.fits: no brighter-fatter kernel HDU AT"):
        read_kernels(path)
    fitsio.write(str(path), np.zeros((15, 15)), extname="AT")
    with pytest.raises(FileTypeError, match=r"k\.fits: HDU AT is not a finite kernel of 17×17"):
        read_kernels(path)
    with pytest.raises(FileTypeError, match=r"k\.fits: there is no HDU MSK that holds an image"):
        read_plane(path, "MSK")
    with pytest.raises(FileTypeError, match=r"none\.fits"):
        read_plane(tmp_path / "none.fits", "MSK")
    head = fits.Header([("CCDNUM", 3)])
    check_pair(head, (4, 5), "b.fits", Subject("raw.fits", 3, "", (4, 5)), band=False)
