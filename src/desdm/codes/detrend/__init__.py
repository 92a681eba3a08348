"""Detrending: a raw CCD becomes an image in electrons, with mask and weight; then its sky goes."""

from __future__ import annotations
