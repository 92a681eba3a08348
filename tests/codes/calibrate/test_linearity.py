"""Linearity from a ramp: the curve, the shutter, and points that do not belong."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.calibrate.linearity import Ramp, fit_ramps, level, read_ramps, write_ramps, write_table
from desdm.errors import FileTypeError, ProgramFailed

TIMES = np.round(np.concatenate([[0.2, 0.5], np.geomspace(1, 50, 16)]), 2)
SHUTTER = 0.03


def law(rng):
    """An amplifier of some per cent: true of observed on a fine grid."""
    grid = np.arange(0.0, 65536.0, 4.0)
    return grid, grid * (1 + rng.uniform(-3e-7, 4e-7) * grid + rng.uniform(-4e-12, 4e-12) * grid**2)


def ramps(rng, count=8):
    made, laws = [], {}
    lamp = 1 + rng.normal(0, 1e-4, TIMES.size)
    for i in range(count):
        grid, true = law(rng)
        name = f"ccd{i // 2 + 1:02d}{'AB'[i % 2]}"
        light = rng.uniform(900, 1100) * (TIMES + SHUTTER) * lamp
        observed = np.minimum(np.interp(light, true, grid), 41000.0)
        error = np.sqrt(observed / 4 + 2) / 500
        made.append(Ramp(name, TIMES, observed + rng.normal(0, error), error))
        laws[name] = (grid, true)
    return made, laws


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_curves_come_back_to_a_tenth_of_a_per_cent(seed):
    rng = np.random.default_rng(seed)
    made, laws = ramps(rng)
    made[2].observed[9] *= 1.02  # someone opened the dome
    curves = fit_ramps(made, saturate={r.name: 41000.0 for r in made})
    for curve in curves:
        grid, true = laws[curve.name]
        inside = (grid > 200) & (grid < 0.93 * 41000)
        assert np.abs(curve.linear(grid)[inside] / true[inside] - 1).max() < 1e-3
        assert curve.shutter == pytest.approx(SHUTTER, abs=1e-3)
    assert curves[2].worst < 1e-3


def test_the_table_is_the_curve_and_the_levels_survive_their_file(tmp_path):
    rng = np.random.default_rng(4)
    made, laws = ramps(rng, 4)
    full = {r.name: 41000.0 for r in made} | {"ccd01B": 40000.0}
    write_ramps(tmp_path / "ramp.fits", made, full, None, fits.Header())
    again, saturate = read_ramps(tmp_path / "ramp.fits")
    assert [r.name for r in again] == [r.name for r in made]
    np.testing.assert_array_equal(again[1].observed, made[1].observed)
    assert saturate["ccd01B"] == 40000.0
    a1, b1, a2, b2 = fit_ramps(again, saturate=saturate)
    write_table(tmp_path / "table.fits", {1: (a1, b1), 2: (a2, b2)}, fits.Header())
    with fits.open(tmp_path / "table.fits") as hdus:
        rows = hdus["CCD02"].data
        assert list(rows.names) == ["ADU", "ADU_LINEAR_A", "ADU_LINEAR_B"]
        grid, true = laws["ccd02B"]
        at = 1250  # 20 000 ADU
        assert rows["ADU"][at] == 20000.0
        assert rows["ADU_LINEAR_B"][at] == pytest.approx(np.interp(20000.0, grid, true), rel=1e-3)
        # Beyond what was measured the table still rises, to the converter's end.
        assert (np.diff(rows["ADU_LINEAR_A"]) > 0).all()
        assert rows["ADU"][-1] == 65536.0


def test_too_short_a_ramp_is_refused_by_name():
    short = Ramp("ccd03B", TIMES[:5], 1000 * TIMES[:5], np.ones(5))
    with pytest.raises(ProgramFailed, match="ccd03B: 5 usable points"):
        fit_ramps([short])


def test_a_file_without_levels_is_refused(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "x.fits")
    with pytest.raises(FileTypeError, match=r"x\.fits: no table RAMP"):
        read_ramps(tmp_path / "x.fits")


def test_a_level_is_finer_than_an_adu():
    rng = np.random.default_rng(5)
    pixels = np.rint(rng.normal(200.37, 8, (256, 512))).astype(np.float32)
    pixels[:4] = 60000  # saturated rows
    value, error = level(pixels)
    assert value == pytest.approx(200.37, abs=5 * error)
    assert error == pytest.approx(8 / (252 * 512) ** 0.5, rel=0.05)
