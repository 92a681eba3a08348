"""Coadds: one image a band of a tile, the detection image, the colour picture, and the depth."""

from __future__ import annotations
