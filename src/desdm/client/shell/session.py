"""What a command of the shell may use of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pyarrow as pa

from desdm.client.client import Client
from desdm.client.shell.naming import Names
from desdm.client.shell.settings import Settings

__all__ = ["Leave", "Session"]


class Leave(Exception):
    """The shell is to end: quit, exit."""


class Session(Protocol):
    """One session at one server.

    Attributes
    ----------
    past, last
        What was typed so far; the last query.
    """

    client: Client
    names: Names
    settings: Settings
    interactive: bool
    past: list[str]
    last: str

    def say(self, text: str) -> None:
        """Tell something beside the answer; --quiet leaves it out."""

    def answer(self, text: str) -> None:
        """Write an answer that is no row."""

    def show(self, rows: pa.Table) -> None:
        """Show rows."""

    def confirm(self, question: str) -> bool:
        """Ask for a yes."""

    def attempt(self, text: str) -> bool:
        """Do what was typed; whether it went well."""

    def system(self, text: str) -> None:
        """Run a command of the operating system's shell."""

    def run_file(self, path: Path, target: Path | None = None) -> None:
        """Do the statements of a file."""
