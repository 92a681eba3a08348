"""Corner cases of a night: frames and deliveries that a real night may hold and that must not stop it."""

from __future__ import annotations

from desdm.simulate.conditions import BANDS
from desdm.simulate.shots import Clock, Shot, flat, science

__all__ = ["corner_shots"]


def corner_shots(clock: Clock, bands: tuple[str, ...]) -> list[Shot]:
    """One shot a case; those that are faults of the file, not of the light, are added when the file is written.

    - ``lamp off``, ``flat gradient``: dome flats that do not belong to the others;
    - ``flat of wrong band``: its header says one band, its light was another;
    - ``missing ccd``: one CCD was not delivered;
    - ``focus``, ``pointing``, ``junk``: exposures that are not processed;
    - ``truncated``: the file ends early; ``wrong hdus``: one HDU too many;
    - ``nan``: one CCD came as floating-point numbers with NaN in it;
    - ``no reference``: a field that no reference catalogue covers;
    - ``delivered again``, ``other bytes``: an exposure that is delivered twice, once as it was and once changed.
    """
    band = bands[0]
    other = bands[1] if len(bands) > 1 else ("r" if band != "r" else "g")
    bad = BANDS[band].sky
    return [
        flat(clock, band, level=60.0, corner="lamp off"),
        flat(clock, band, slope=(0.3, 0.0), corner="flat gradient"),
        flat(clock, band, lit_band=other, corner="flat of wrong band"),
        science(clock, band, missing=(2,), corner="missing ccd"),
        science(
            clock, band, obstype="focus", title="focus sweep", seeing=2.0, processed=False, corner="focus"
        ),
        science(
            clock,
            band,
            obstype="pointing",
            title="pointing",
            exptime=10.0,
            processed=False,
            corner="pointing",
        ),
        science(clock, band, title="junk", seeing=2.6, sky=4 * bad, processed=False, corner="junk"),
        science(clock, band, corner="truncated", processed=False),
        science(clock, band, corner="wrong hdus"),
        science(clock, band, corner="nan"),
        science(clock, band, ra=60.0, dec=-30.0, reference=False, corner="no reference"),
        science(clock, band, corner="delivered again"),
        science(clock, band, corner="other bytes"),
    ]
