"""The pipelines: each a value in a file of its own; this is their table of contents."""

from __future__ import annotations

from desdm.errors import NotFoundError
from desdm.framework.pipeline import Pipeline
from desdm.pipelines.coadd import COADD
from desdm.pipelines.finalcut import FINALCUT
from desdm.pipelines.firstcut import FIRSTCUT
from desdm.pipelines.precal import PRECAL
from desdm.pipelines.supercal import SUPERCAL

__all__ = ["PIPELINES", "get"]

#: Every pipeline, by the name that an operator submits it under.
PIPELINES: tuple[Pipeline, ...] = (PRECAL, SUPERCAL, FIRSTCUT, FINALCUT, COADD)


def get(name: str) -> Pipeline:
    """The pipeline of that name; `NotFoundError` tells the known ones."""
    for pipeline in PIPELINES:
        if pipeline.name == name:
            return pipeline
    names = ", ".join(p.name for p in PIPELINES)
    raise NotFoundError(f"no pipeline {name}; known: {names} (or give a submit WCL file)")
