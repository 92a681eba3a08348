"""The comparison with the truth sees an offset and a flux error that were put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from desdm.simulate.patch import make
from tests.support.truthcompare import compare_objects


def test_an_offset_and_a_flux_error_come_out_as_they_went_in(tmp_path: Path) -> None:
    truth = make(tmp_path, seed=3, bands=("r",), nexp=1, size=512)
    true = fits.getdata(truth.table)
    cos = np.cos(np.radians(np.median(true["dec"])))
    flux = 10 ** (-0.4 * (true["mag_r"] - 30.0))
    kept = true["snr_r"] > 20  # what is fainter is not found
    columns = {
        "ra": true["ra"],
        "dec": true["dec"],
        "ra_win_r": true["ra"] + 5.0 / 3.6e6 / cos,
        "dec_win_r": true["dec"] - 2.0 / 3.6e6,
        "flux_psf_r": flux * 10 ** (-0.4 * 0.010),
        "flags_r": np.zeros(len(true), np.int16),
    }
    table = pa.table({k: np.asarray(v, dtype=v.dtype.newbyteorder("="))[kept] for k, v in columns.items()})
    pq.write_table(table, tmp_path / "objects.parquet")
    found = compare_objects(truth.table, tmp_path / "objects.parquet")["r"]
    assert found.stars > 20
    assert found.ra_offset == pytest.approx(5.0, abs=0.01)
    assert found.dec_offset == pytest.approx(-2.0, abs=0.01)
    assert found.mag_offset == pytest.approx(10.0, abs=0.01)
    assert not found.completeness > 0
