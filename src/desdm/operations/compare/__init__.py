"""Compare two attempts: settings, inputs, calibrations, software, times, messages, numbers, verdicts, and files."""

from __future__ import annotations

from desdm.operations.compare.model import Comparison
from desdm.operations.compare.planned import InputChanges, compare_planned_inputs
from desdm.operations.compare.runs import compare_runs

__all__ = ["Comparison", "InputChanges", "compare_planned_inputs", "compare_runs"]
