"""Reference stars: one typed record, one reader for each layout of catalogue, and colour terms between systems."""

from __future__ import annotations

from desdm.survey.refstars.read import read_stars, stars_of, table_of
from desdm.survey.refstars.record import Catalog, Passband, RefStars, System

__all__ = ["Catalog", "Passband", "RefStars", "System", "read_stars", "stars_of", "table_of"]
