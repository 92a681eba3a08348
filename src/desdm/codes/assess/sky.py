"""The sky of an exposure in both units: in counts, as the rule of t_eff has it, and in electrons, as it is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from desdm.survey.bands import ELECTRONS_PER_COUNT, CountUnit, gain_of, unit_complaint

__all__ = ["SkyLevel", "mean_sky"]


@dataclass(frozen=True, slots=True)
class SkyLevel:
    """Mean sky of a second and pixel, in counts and in electrons."""

    counts: float
    electrons: float


def mean_sky(headers: Sequence[fits.Header], unit: CountUnit, exptime: float) -> SkyLevel | None:
    """Average SKYBRITE of the CCDs.

    Parameters
    ----------
    headers
        Headers with SKYBRITE; those without one, with one that is not positive, or in a unit that is neither counts nor
        electrons, do not count.
    unit
        Unit of SKYBRITE where a header does not tell it by its gain.
    exptime
        Seconds, above 0.

    Returns
    -------
    SkyLevel or None
        None: no header has a sky. Counts follow from electrons by DECam's typical gain, as in assess_SE_products;
        electrons follow from counts by the CCD's own gain where the header has it.
    """
    counts, electrons = [], []
    for head in headers:
        value = head.get("SKYBRITE")
        if not isinstance(value, int | float) or not np.isfinite(value) or value <= 0:
            continue
        if unit_complaint(head):
            continue
        # The exposure's unit is better known than what the photons of one header suggest.
        own = unit if gain_of(head) is None else CountUnit.of(head) or unit
        counts.append(float(value) / own.per_count)
        gain = 1.0 if own is CountUnit.ELECTRON else gain_of(head) or ELECTRONS_PER_COUNT
        electrons.append(float(value) * gain)
    if not counts:
        return None
    return SkyLevel(float(np.mean(counts)) / exptime, float(np.mean(electrons)) / exptime)
