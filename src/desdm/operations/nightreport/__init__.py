"""The report on a night: what arrived, was processed and accepted, times, calibrations, problems, numbers."""

from __future__ import annotations

from desdm.operations.nightreport.cadence import Cadences
from desdm.operations.nightreport.gather import gather_night
from desdm.operations.nightreport.model import NightReport
from desdm.operations.nightreport.page import render_night, write_night_report

__all__ = ["Cadences", "NightReport", "gather_night", "render_night", "write_night_report"]
