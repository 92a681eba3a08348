"""The report on a run: one self-contained page with pictures and plots."""

from __future__ import annotations

from desdm.operations.report.page import write_report

__all__ = ["write_report"]
