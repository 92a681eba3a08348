"""Groups of pixels, against scipy's labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from desdm.codes.immask.groups import groups


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 1.0])
def test_boxes_and_sizes_are_those_of_an_independent_labelling(share: float) -> None:
    marked = np.random.default_rng(5).random((130, 170)) < share
    labels, count = ndimage.label(marked, structure=np.ones((3, 3), bool))
    expected = sorted(
        (r.start, r.stop - 1, c.start, c.stop - 1, int((labels[r, c] == k).sum()))
        for k, (r, c) in enumerate(ndimage.find_objects(labels), start=1)
    )
    before = marked.copy()
    found = groups(marked)
    assert len(found) == count
    assert sorted(tuple(row) for row in found.tolist()) == expected
    assert (marked == before).all()
