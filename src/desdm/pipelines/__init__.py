"""The pipelines: each a value in a file of its own; this is their table of contents."""

from __future__ import annotations

from desdm.framework.pipeline import Pipeline
from desdm.pipelines.coadd import COADD

__all__ = ["PIPELINES"]

#: Every pipeline, by the name that an operator submits it under.
PIPELINES: tuple[Pipeline, ...] = (COADD,)
