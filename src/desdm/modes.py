"""Modes of what an installation makes: its owner alone, whatever the umask; and which paths stand open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["OpenPath", "close_umask", "make_private", "open_paths", "touch_private"]


class OpenPath(NamedTuple):
    """A path that group or others may read or write, and the command that closes it."""

    path: Path
    mode: int

    @property
    def text(self) -> str:
        """What stands open and what to do."""
        wanted = "700" if self.path.is_dir() else "600"
        return f"{self.path} has mode {self.mode:o}: group or others can reach it; run: chmod {wanted} {self.path}"


def close_umask() -> None:
    """Give what this process and its children make from now on to its owner alone."""
    os.umask(0o077)


def make_private(folder: Path) -> None:
    """Make a directory, and those above it that lack, with mode 0700; one that is there is left as it is."""
    missing = []
    here = folder
    while not here.exists() and here != here.parent:
        missing.append(here)
        here = here.parent
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        each.chmod(0o700)


def touch_private(path: Path) -> None:
    """Make an empty file with mode 0600, whatever the umask takes away or leaves."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def open_paths(paths: Iterable[Path], allowed: int = 0) -> list[OpenPath]:
    """Those of the paths that stand and that group or others may reach.

    Parameters
    ----------
    paths
        Directories and files.
    allowed
        Bits of the mode that may be set all the same, such as ``stat.S_IRGRP | stat.S_IXGRP``.
    """
    found = []
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & (stat.S_IRWXG | stat.S_IRWXO) & ~allowed:
            found.append(OpenPath(path, mode))
    return found
