"""Checks of an installation: what is wrong with it, and what to do."""

from __future__ import annotations

from desdm.operations.doctor.model import Check, State
from desdm.operations.doctor.run import examine

__all__ = ["Check", "State", "examine"]
