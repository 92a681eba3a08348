"""Interface of the shell for its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pyarrow as pa

from desdm.client.client import Client
from desdm.client.shell.completion import Names
from desdm.client.shell.settings import Settings

__all__ = ["Leave", "Session"]


class Leave(Exception):
    """End of the shell: quit, exit."""


class Session(Protocol):
    """One session at one server.

    Attributes
    ----------
    past, last
        Earlier input; the last query.
    """

    client: Client
    names: Names
    settings: Settings
    interactive: bool
    past: list[str]
    last: str

    def say(self, text: str) -> None:
        """Print a message beside the answer; --quiet omits it."""

    def answer(self, text: str) -> None:
        """Print an answer that is not a table."""

    def show(self, rows: pa.Table) -> None:
        """Print rows."""

    def confirm(self, question: str) -> bool:
        """Ask for confirmation."""

    def attempt(self, text: str) -> bool:
        """Run input; return whether it succeeded."""

    def system(self, text: str) -> None:
        """Run a command of the operating system's shell."""

    def run_file(self, path: Path, target: Path | None = None) -> None:
        """Run the statements of a file."""
