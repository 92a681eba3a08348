"""The fused passes do what plain numpy does step by step, with any number of threads, once, and only to their own CCD."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.detrend import bf, chain, overscan
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.linearity import Table
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.detrend.steps import STEPS, chosen
from desdm.errors import FileTypeError, UsageError
from desdm.pixels.fitsbytes import pool
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes
from desdm.survey.raw import RawCCD
from tests.support import detrending
from tests.support.detrending import Truth

FIRST = "crosstalk,overscan,bias,linearity,bpm,saturate,gain"
REST = "bf,flat,weight,nullweight"


def calibrations(t: Truth, **other: Any) -> Calibrations:
    """The CCD's own constants, without noise of their own."""
    head = fits.Header([("CCDNUM", 3), ("BAND", "g")])
    none, sure = np.zeros(t.raw.shape, np.int32), np.full(t.raw.shape, 1e12, np.float32)
    cal = Calibrations(
        {"ccd03A": {"ccd03B": t.crosstalk["A"]}, "ccd03B": {"ccd03A": t.crosstalk["B"]}},
        Table(0.0, 16.0, {amp: (v - t.adu).astype(np.float32) for amp, v in t.linear.items()}),
        Planes(t.bias, none, sure, head), t.bpm, (t.ar.astype(np.float32), t.at.astype(np.float32)),
        Planes(t.flat, none, sure, head),
        {
            "biascor": "b.fits", "dflatcor": "f.fits", "lintable": "l.fits", "crosstalk": "x.txt", "bpm": "p.fits",
            "bf": "k.fits",
        },
    )  # fmt: skip
    return replace(cal, **other)


def run(t: Truth | Planes, cal: Calibrations, steps: str, threads: int = 1) -> chain.Result:
    """Detrend with some steps."""
    with pool(threads) as workers:
        return chain.detrend(
            t.raw if isinstance(t, Truth) else t, "raw.fits", cal, Recipe(chosen(steps)), workers
        )


@pytest.fixture(scope="module")
def truth() -> Truth:
    """One made-up CCD."""
    return detrending.make()


def test_the_fused_chain_agrees_with_plain_numpy(truth: Truth) -> None:
    """To 1e-4 of the noise, in every pixel, with the same bits and weights: acceptance of the fused pass."""
    cal = calibrations(truth)
    result = run(truth, cal, f"{FIRST},{REST}")
    head = result.planes.header
    sci, msk = detrending.to_electrons(truth)
    level = float(np.median(sci))
    sci, msk = detrending.brighter_fatter(sci, msk, truth.ar, truth.at, level)
    dark = {"A": head["WGTVARA"], "B": head["WGTVARB"]}
    sci, msk, wgt = detrending.flatten(sci, msk, truth.flat, dark, head["WGTSKY"], truth)
    assert np.array_equal(result.planes.msk, msk)
    kept = wgt > 0
    assert ((result.planes.wgt > 0) == kept).all()
    assert np.allclose(result.planes.wgt[kept], wgt[kept], rtol=1e-6)
    sigma = np.sqrt(1 / wgt[kept] + np.maximum(sci[kept] - level, 0))
    assert (np.abs(result.planes.sci[kept] - sci[kept]) / sigma).max() < 1e-4
    # read noise² and the share that the smoothed overscan adds; the sky of 400 ADU times the gain
    assert head["WGTVARA"] == pytest.approx(6.5**2 * (1 + 2.25 / 31 / 40))
    assert head["WGTSKY"] == pytest.approx(400 * 4.0, rel=0.06)


@pytest.mark.parametrize("steps", [f"{FIRST},flat,weight,nullweight,resaturate", f"{FIRST},fixcols,{REST}"])
def test_threads_do_not_change_a_bit(truth: Truth, steps: str) -> None:
    """Both ways through: all steps at once, and in two stretches."""
    cal = calibrations(truth)
    one = run(truth, cal, steps).planes
    for threads in (2, 3, 7):
        more = run(truth, cal, steps, threads).planes
        assert np.array_equal(one.sci, more.sci)
        assert np.array_equal(one.msk, more.msk)
        assert np.array_equal(one.wgt, more.wgt)
        assert one.header.tostring() == more.header.tostring()


def test_done_at_once_or_in_two_stretches_is_the_same(truth: Truth) -> None:
    cal = calibrations(truth)
    no_push = replace(cal, bf=(np.zeros((17, 17), np.float32),) * 2)
    once = run(truth, cal, f"{FIRST},flat,weight").planes
    twice = run(truth, no_push, f"{FIRST},bf,flat,weight").planes
    assert np.array_equal(once.sci, twice.sci)
    assert np.array_equal(once.wgt, twice.wgt)


def test_a_step_that_is_recorded_is_not_done_again(truth: Truth) -> None:
    cal = calibrations(truth)
    steps = f"{FIRST},fixcols,{REST},resaturate"
    first = run(truth, cal, steps)
    again = run(first.planes, cal, steps)
    for plane in ("sci", "msk", "wgt"):
        assert np.array_equal(getattr(first.planes, plane), getattr(again.planes, plane))
    assert again.planes.header.tostring() == first.planes.header.tostring()
    said = " ".join(text for level, text in again.findings if level == 3)
    for step in chosen(steps):
        assert f"the step {step!r} is done already" in said


def test_steps_may_be_done_in_two_runs(truth: Truth) -> None:
    cal = calibrations(truth)
    whole = run(truth, cal, f"{FIRST},{REST}").planes
    part = run(truth, cal, "crosstalk,overscan,bias,linearity").planes
    assert part.header["BUNIT"] == "adu"
    assert "DESGAINC" not in part.header
    rest = run(part, cal, f"bpm,saturate,gain,{REST}").planes
    good = whole.wgt > 0
    # saturation is then judged on linear instead of observed ADU, at the linear limit: the same pixels
    assert np.array_equal(whole.msk, rest.msk)
    assert np.allclose(whole.sci[good], rest.sci[good], rtol=1e-6)


def test_the_header_says_what_was_done_and_is_true_of_the_pixels(truth: Truth) -> None:
    cal = calibrations(truth)
    result = run(truth, cal, f"{FIRST},{REST}")
    head = result.planes.header
    assert (head["DESBIAS"], head["DESFLAT"], head["DESLINCR"]) == ("b.fits", "f.fits", "l.fits")
    assert (head["DESXTALK"], head["DESBPM"], head["DESBFC"]) == ("x.txt", "p.fits", "k.fits")
    assert head["DESOSCN"] == "smooth 31"
    assert "DESSTAR" not in head
    assert (head["GAIN"], head["GAINA"], head["BUNIT"]) == (1.0, 1.0, "electrons")
    assert head["RDNOISEB"] == 7.1
    full = {a: float(np.interp(v, truth.adu, truth.linear[a])) for a, v in (("A", 40000.0), ("B", 42000.0))}
    assert head["SATURATA"] == pytest.approx(full["A"] * 4.1, abs=0.1)
    assert head["SATURATE"] == pytest.approx(min(full["A"] * 4.1, full["B"] * 3.9), abs=0.1)
    assert not [key for key in head if key.startswith(("BIASSEC", "DATASEC", "TRIMSEC"))]
    assert result.metrics["sky"][0] == pytest.approx(head["SKYBRITE"], abs=1e-3)
    assert result.metrics["satfrac"][0] == pytest.approx(
        ((result.planes.msk & int(MaskBit.SATURATE)) != 0).mean()
    )


@pytest.mark.parametrize("steps", ["overscan", "overscan,bias", "crosstalk,overscan,bias,linearity", FIRST])
def test_every_beginning_of_the_chain_can_be_asked_for(truth: Truth, steps: str) -> None:
    """A calibration pipeline stops early; without a weight step the weight is that of the read noise."""
    planes = run(truth, calibrations(truth), steps).planes
    done = {s.name for s in STEPS if s.keyword in planes.header}
    assert done == set(chosen(steps))
    noise = 6.5**2 * (1 + 2.25 / 31 / 40)
    expected = 1 / noise if "gain" in steps else 4.1**2 / noise
    assert planes.wgt[100, 90] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"CCDNUM": 4}, r"f\.fits is of CCD 4, but raw\.fits is CCD 3"),
        ({"BAND": "r"}, r"f\.fits is of band r, but raw\.fits CCD 3 is of band g"),
        ({"BAND": ""}, r"f\.fits does not say its BAND, but raw\.fits"),
        ({"CCDNUM": None}, r"f\.fits does not say its CCDNUM, but raw\.fits"),
    ],
)
def test_a_flat_that_is_not_this_images_is_refused(truth: Truth, change: dict[str, Any], text: str) -> None:
    cal = calibrations(truth)
    assert cal.dflatcor is not None
    head = cal.dflatcor.header.copy()
    for key, value in change.items():
        head[key] = value
        if value is None:
            del head[key]
    other = replace(cal, dflatcor=Planes(cal.dflatcor.sci, cal.dflatcor.msk, cal.dflatcor.wgt, head))
    with pytest.raises(FileTypeError, match=text):
        run(truth, other, f"{FIRST},flat,weight")


def test_wrong_shapes_and_missing_calibrations_are_refused(truth: Truth) -> None:
    cal = calibrations(truth)
    small = np.zeros((8, 8), np.float32)
    bias = Planes(small, small.astype(np.int32), small, fits.Header([("CCDNUM", 3)]))
    with pytest.raises(FileTypeError, match=r"b\.fits has 8×8 pixels, but CCD 3 of raw\.fits has 192×256"):
        run(truth, replace(cal, biascor=bias), "overscan,bias")
    with pytest.raises(FileTypeError, match=r"p\.fits has another shape"):
        run(truth, replace(cal, bpm=np.zeros((8, 8), np.int32)), "overscan,bpm")
    with pytest.raises(FileTypeError, match=r"raw\.fits CCD 3: the step 'bf' needs the input 'bf'"):
        run(truth, replace(cal, bf=None), f"{FIRST},bf")


def test_steps_that_do_not_go_together_are_refused(truth: Truth) -> None:
    cal = calibrations(truth)
    with pytest.raises(UsageError, match="'polish' is not a step"):
        chosen("overscan,polish")
    with pytest.raises(UsageError, match="needs the step 'overscan'"):
        run(truth, cal, "bias,gain")
    with pytest.raises(UsageError, match="'weight' needs electrons"):
        run(truth, cal, "overscan,weight")
    trimmed = run(truth, cal, "overscan").planes
    with pytest.raises(UsageError, match="crosstalk can only be done on a raw frame"):
        run(trimmed, cal, "crosstalk,gain")


def test_pixels_without_a_value_become_bad_and_harm_nobody(truth: Truth) -> None:
    data = truth.raw.data.copy()
    missing = np.zeros(data.shape, bool)
    missing[50 + 77, 56 + 33] = missing[50 + 80, 10] = True
    data[missing] = 0
    hurt = replace(truth, raw=replace(truth.raw, data=data, missing=missing))
    cal = calibrations(truth)
    sound, result = run(truth, cal, f"{FIRST},{REST}").planes, run(hurt, cal, f"{FIRST},{REST}")
    planes = result.planes
    assert planes.msk[77, 33] & int(MaskBit.BPM)
    assert planes.wgt[77, 33] == 0
    assert abs(planes.sci[77, 33] - planes.header["SKYBRITE"]) < 10 * planes.header["SKYSIGMA"]
    assert any("1 pixels have no value; they are marked BPM" in text for _, text in result.findings)
    near = np.zeros(planes.shape, bool)
    near[66:88, 22:44] = True
    same = (sound.wgt > 0) & ~near
    assert np.abs(planes.sci - sound.sci)[same].max() < 0.5


def test_rows_whose_overscan_has_no_value_have_the_level_of_the_rows_beside_them(truth: Truth) -> None:
    """The bias drifts along the rows, so that the median of the whole overscan would be wrong by hundreds of ADU."""
    data = truth.raw.data.astype(np.int32)
    amp = next(a for a in truth.raw.amps if a.name == "A")
    rows = amp.data.slices[0]
    for one in truth.raw.amps:
        drift = np.arange(rows.stop - rows.start)[:, None] * 2
        data[one.data.slices] += drift
        data[rows, one.bias.slices[1]] += drift
    missing = np.zeros(data.shape, bool)
    missing[rows, amp.bias.slices[1]][40:60] = True
    missing[rows, amp.bias.slices[1]][-10:] = True
    cal, steps = calibrations(truth), "overscan,gain,saturate"
    sound = run(replace(truth, raw=replace(truth.raw, data=data)), cal, steps).planes
    holed = replace(truth, raw=replace(truth.raw, data=np.where(missing, 0, data), missing=missing))
    result = run(holed, cal, steps)
    inside = np.s_[:-30, :]
    assert np.abs(result.planes.sci - sound.sci)[inside].max() < 5
    marked = (result.planes.msk & int(MaskBit.BPM)) != 0
    assert marked[amp.trimmed.slices][-10:].all()
    assert not marked[amp.trimmed.slices][:-10].any()
    [text] = [text for _, text in result.findings if "overscan" in text]
    assert "30 rows of amplifier A have no overscan with a value" in text
    assert "10 lie at the edge: they are marked BPM" in text


@pytest.mark.parametrize("window", [0, -5, 30])
def test_an_overscan_window_that_cannot_be_is_refused(window: int) -> None:
    with pytest.raises(UsageError, match=f"overscan_window = {window} is not an odd number"):
        overscan.Recipe(window=window)


def test_full_pixels_are_raised_where_they_would_look_unsaturated(truth: Truth) -> None:
    cal = calibrations(truth)
    left = run(truth, cal, f"{FIRST},flat,weight").planes
    raised = run(truth, cal, f"{FIRST},flat,weight,resaturate").planes
    full = (left.msk & int(MaskBit.SATURATE)) != 0
    assert full.sum() > 5
    assert (raised.sci[full] > raised.header["SATURATE"]).all()
    assert np.array_equal(raised.sci[~full], left.sci[~full])


def test_charge_is_kept_when_it_goes_back(truth: Truth) -> None:
    """Brighter-fatter moves electrons and makes none; even light moves none at all, up to the CCD's rim."""
    rng = np.random.default_rng(4)
    image = rng.normal(50000, 200, (200, 150)).astype(np.float32)
    mask = np.zeros(image.shape, np.int32)
    k = (truth.ar.astype(np.float32), truth.at.astype(np.float32))
    out, _ = bf.correct(image, mask, k, 50000.0, bad=1, full=2, suspect=2048, run=map)
    assert np.abs(out - image).max() > 5
    assert abs(float((out - image).sum(dtype=float))) < 1e-4 * float(np.abs(out - image).sum(dtype=float))
    even = np.full((60, 70), 50000, np.float32)
    out, bits = bf.correct(even, mask[:60, :70], k, 50000.0, bad=1, full=2, suspect=2048, run=map)
    assert np.array_equal(out, even)
    assert not bits.any()


def kernels_of(kind: str, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """AR and AT, by what their rows have in common."""
    ar, at = truth.ar.copy(), truth.at.copy()
    if kind == "no two rows alike":
        noise = np.random.default_rng(6).normal(1, 0.2, (2, *ar.shape))
        ar, at = ar * noise[0], at * noise[1]
    elif kind == "equal, opposite, single and empty rows":
        ar[3], ar[5], ar[9] = -ar[14], 0.0, ar[2]
        at[16], at[7] = at[1], 0.0
    return ar.astype(np.float32), at.astype(np.float32)


@pytest.mark.parametrize(
    "kind", ["mirrored rows", "no two rows alike", "equal, opposite, single and empty rows"]
)
def test_brighter_fatter_agrees_with_fourier_transforms(truth: Truth, kind: str) -> None:
    """Error below 1e-3 of the correction, also beside defects, full pixels and the rim."""
    rng = np.random.default_rng(5)
    image = rng.normal(1000, 30, (300, 260)).astype(np.float32)
    image[100:104, 100:104] += 60000
    image[0:3, 258:260] += 40000
    mask = np.zeros(image.shape, np.int32)
    mask[50, 60], mask[102, 102], mask[:, 7] = 1, 2, 1
    k = kernels_of(kind, truth)
    out, bits = bf.correct(image, mask, k, 1000.0, bad=1, full=2, suspect=2048, run=map)
    want, wanted = detrending.brighter_fatter(
        image.astype(float), mask, *(x.astype(float) for x in k), 1000.0
    )
    assert np.array_equal(bits, wanted)
    moved = want - image
    assert (out - want).std() < 1e-3 * moved.std()
    assert np.abs(out - want).max() < 1e-3 * np.abs(moved).max()
    assert out[50, 60] == image[50, 60]
    assert bits[50, 61] == bits[102, 101] == int(MaskBit.SUSPECT)


@pytest.mark.parametrize("key", ["GAINA", "RDNOISEA", "SATURATA"])
def test_what_is_not_known_does_not_stand_in_the_image_in_the_raw_frames_unit(key: str) -> None:
    """A limit in counts beside BUNIT electrons would be read as one in electrons."""
    head = detrending.header(64, 64)
    head[key] = "39440.6"
    places, shape = detrending.amps(head, (114, 176))
    rng = np.random.default_rng(5)
    raw = RawCCD(head, np.rint(rng.normal(2400.0, 20.0, (114, 176))).astype(np.int32), places, shape)
    steps = "overscan" if key == "GAINA" else "overscan,gain"
    with pool(1) as workers:
        out = chain.detrend(raw, "raw.fits", Calibrations(), Recipe(chosen(steps)), workers).planes.header
    other = {"GAINA": ("GAINB", 3.9), "RDNOISEA": ("RDNOISEB", 7.1), "SATURATA": ("SATURATB", 3.9 * 42000.0)}[
        key
    ]
    assert key not in out
    assert out[other[0]] == other[1]
