"""Bins of an image, against numpy's own sums."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.pixels.bins import bin_sums


@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_sums_and_numbers_are_numpys_and_a_bad_pixel_does_not_count(size: int) -> None:
    rng = np.random.default_rng(8)
    image = rng.normal(100.0, 10.0, (45, 64)).astype(np.float32)
    bad = rng.random(image.shape) < 0.2
    image[bad] = np.nan
    total, count = bin_sums(image, bad, size)
    assert total.shape == (45 // size, 64 // size)
    for y in range(total.shape[0]):
        for x in range(total.shape[1]):
            here = (slice(y * size, (y + 1) * size), slice(x * size, (x + 1) * size))
            good = image[here][~bad[here]].astype(np.float64)
            assert count[y, x] == good.size
            assert total[y, x] == pytest.approx(good.sum(), rel=1e-14)
