"""Crosstalk coefficients, from fields of bright stars."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.codes.calibrate.crosstalk import fit_crosstalk, gather, write_crosstalk
from desdm.errors import ProgramFailed

NAMES = [f"ccd{c:02d}{a}" for c in (1, 2, 3, 4) for a in "AB"]
TRUE = {
    ("ccd01A", "ccd01B"): 8e-4, ("ccd01B", "ccd01A"): -5e-4, ("ccd02A", "ccd02B"): 3e-4, ("ccd02B", "ccd02A"): -3e-4,
    ("ccd03A", "ccd03B"): 2e-4, ("ccd04B", "ccd04A"): 9e-4, ("ccd02A", "ccd01B"): 6e-5, ("ccd03A", "ccd04A"): 4e-5,
}  # fmt: skip


def frame(rng, stars=25):
    """Amplifiers of one exposure: sky, faint and bright stars, crosstalk, read noise."""
    ny, nx = 512, 256
    y, x = np.mgrid[-15:16, -15:16]
    clean = {}
    for name in NAMES:
        image = np.zeros((ny, nx))
        for bright in (True, False):
            for _ in range(stars if bright else 2 * stars):
                j, i = int(rng.integers(16, ny - 16)), int(rng.integers(16, nx - 16))
                peak = 10 ** rng.uniform(4.3, 4.58) if bright else 10 ** rng.uniform(1, 2.5)
                image[j - 15 : j + 16, i - 15 : i + 16] += peak / (1 + (x**2 + y**2) / 6) ** 2.5
        clean[name] = np.minimum(rng.poisson(4 * (image + 80)) / 4, 42000)
    seen = {}
    for name in NAMES:
        image = clean[name].copy()
        for (victim, source), value in TRUE.items():
            if victim == name:
                image += value * clean[source]
        seen[name] = np.rint(image + rng.normal(0, 1.6, image.shape)).astype(np.float32)
    return seen


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_coefficients_to_two_in_a_hundred_thousand(seed):
    rng = np.random.default_rng(seed)
    frames = [gather(frame(rng), saturate=dict.fromkeys(NAMES, 41000.0)) for _ in range(9)]
    found = {(c.victim, c.source): c for c in fit_crosstalk(frames)}
    for pair, value in TRUE.items():
        # A pair that is not told is one below four errors, which is below the tolerance too.
        assert (found[pair].value if pair in found else 0.0) == pytest.approx(
            value, abs=2e-5 if pair in found else 5e-5
        )
    assert max(c.error for c in found.values()) < 1e-5
    assert sum(pair not in TRUE for pair in found) <= 2
    assert all(abs(c.value) < 5 * c.error for pair, c in found.items() if pair not in TRUE)


def test_a_field_without_bright_stars_is_refused():
    empty = gather({n: np.zeros((64, 64), np.float32) for n in NAMES})
    with pytest.raises(ProgramFailed, match="no bright source"):
        fit_crosstalk([empty])


def test_the_file_reads_as_decams_own(tmp_path):
    rng = np.random.default_rng(5)
    found = fit_crosstalk([gather(frame(rng))])
    write_crosstalk(tmp_path / "xtalk.txt", found, ["made in a test"])
    lines = (tmp_path / "xtalk.txt").read_text().splitlines()
    assert lines[0] == "# made in a test"
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert len(rows) == len(found)
    assert all(len(row) == 8 for row in rows)
    assert float(rows[0][2]) == pytest.approx(found[0].value, rel=1e-6)
