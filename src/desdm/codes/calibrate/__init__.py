"""Calibrations from calibration frames: biases, flats, defects, linearity, crosstalk and star flats."""

from __future__ import annotations
