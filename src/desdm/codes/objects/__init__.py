"""The object catalogue of a tile: all bands in one table, ordered on the sky."""

from __future__ import annotations
