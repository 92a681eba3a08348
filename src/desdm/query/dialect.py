"""Dialect of an engine's SQL, for the translator of ADQL."""

from __future__ import annotations

from typing import Literal

from desdm.query.engines.model import Engine

__all__ = ["dialect_of"]


def dialect_of(engine: Engine) -> Literal["duckdb", "postgresql"]:
    """Return the dialect of an engine."""
    return "postgresql" if engine.dialect == "postgresql" else "duckdb"
