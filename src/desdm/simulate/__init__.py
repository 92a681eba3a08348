"""Simulated data of known truth: a patch of sky, observed by a small camera."""

from __future__ import annotations
