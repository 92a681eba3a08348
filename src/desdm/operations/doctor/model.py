"""What a check of an installation found."""

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
    """One check: its name, how it ended, and what was found and what to do."""

    name: str
    state: State
    text: str
