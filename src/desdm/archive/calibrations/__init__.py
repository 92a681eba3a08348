"""Calibrations of the archive: which of them serves an exposure, and why, and the epoch table that names them."""

from __future__ import annotations

from desdm.archive.calibrations.choose import choose, file_known
from desdm.archive.calibrations.epochs import assign, assign_all, define_epoch
from desdm.archive.calibrations.explain import explain_none
from desdm.archive.calibrations.model import (
    SERVING,
    CalibrationChoice,
    CalibrationFile,
    CalibrationRequest,
    ChoiceRule,
    RejectedCalibration,
    Selection,
)

__all__ = [
    "SERVING",
    "CalibrationChoice",
    "CalibrationFile",
    "CalibrationRequest",
    "ChoiceRule",
    "RejectedCalibration",
    "Selection",
    "assign",
    "assign_all",
    "choose",
    "define_epoch",
    "explain_none",
    "file_known",
]
