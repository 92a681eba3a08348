"""Astrometry and photometry against a reference: the check of each exposure, and scamp."""

from __future__ import annotations
