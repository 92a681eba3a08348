"""Footprint of a tile: how much of each HEALPix cell is good, how deep, and by how many exposures."""

from __future__ import annotations
