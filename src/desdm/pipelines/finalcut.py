"""The pipeline ``finalcut``: an exposure processed again with the calibrations of its epoch, and every late product."""

from __future__ import annotations

from desdm.framework.pipeline import Block, Pipeline
from desdm.pipelines.firstcut import PATTERNS, exposure_modules

__all__ = ["FINALCUT"]

FINALCUT = Pipeline(
    name="finalcut",
    text="one raw exposure processed again with supercals, with every late product",
    unit="exposure",
    blocks=(
        Block(
            "exposure",
            exposure_modules("cat_finalcut", late=True),
            divide_jobs_by=("expnum",),
            text="one exposure, all CCDs",
        ),
    ),
    filename_patterns=PATTERNS,
    inclfunc="desdm.pipelines.exposure.exposure",
)
