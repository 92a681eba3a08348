"""Catalogues of coadds for tests: rows with every quantity that Source Extractor is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import desdm.codes.detection

__all__ = ["coadd_rows"]

_PARAMETERS = Path(desdm.codes.detection.__file__).parent / "data" / "coaddcat.param"
_INTEGERS = {"NUMBER": "i4", "FLAGS": "i2", "IMAFLAGS_ISO": "i4"}


def coadd_rows(count: int, **columns: Any) -> npt.NDArray[Any]:
    """Return rows of a coadd's catalogue: numbers from 1, the given columns, and zeros in all others."""
    lines = re.findall(r"^([A-Z]\w*)(?:\((\d+)\))?", _PARAMETERS.read_text("utf-8"), re.MULTILINE)
    kinds = [
        (name, _INTEGERS.get(name, "f8" if name.endswith("J2000") else "f4"), (int(size),) if size else ())
        for name, size in lines
    ]
    rows = np.zeros(count, kinds)
    rows["NUMBER"] = np.arange(1, count + 1)
    for name, values in columns.items():
        rows[name] = values
    return rows
