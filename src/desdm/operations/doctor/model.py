"""Results of the checks of an installation."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Check", "State"]


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong
    PROBLEM = "problem"


class Check(NamedTuple):
    """One check: its name, its state, and what is wrong and what to do."""

    name: str
    state: State
    text: str
