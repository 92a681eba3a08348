"""Paths that every program can take: without blanks and special characters, and not too long.

source-extractor splits file names at blanks, cfitsio reads ``[`` and ``(``, and all have buffers of some hundred
characters. A work folder or file with another path is passed to them as a symbolic link.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

__all__ = ["LONGEST", "ShortPaths", "is_portable"]

LONGEST = 200
"""Characters of a path that programs take without doubt (the shortest buffer that is known has 256)."""
#: Room for the name of a file in a folder.
_NAME = 80
_PLAIN = re.compile(r"[A-Za-z0-9_./+=:@%~-]+")


def is_portable(path: Path, room: int = 0) -> bool:
    """Whether every program can take a path, and names of ``room`` characters below it."""
    text = str(path)
    return len(text) + room <= LONGEST and _PLAIN.fullmatch(text) is not None


class ShortPaths:
    """A work folder under a path that programs take, with links to files that lie elsewhere under ones they do not.

    Parameters
    ----------
    workdir
        The work folder.

    Attributes
    ----------
    workdir
        The same folder, by the path to use.
    """

    def __init__(self, workdir: Path) -> None:
        self._folder: Path | None = None
        self.workdir = workdir
        if not is_portable(workdir, _NAME):
            self._folder = Path(tempfile.mkdtemp(prefix="desdm-", dir=_temporary()))
            self.workdir = self._folder / "w"
            self.workdir.symlink_to(workdir.resolve(), target_is_directory=True)

    def file(self, path: Path) -> Path:
        """The path by which a program reaches a file: its own, or that of a link of the same name."""
        if is_portable(path) or path.is_relative_to(self.workdir):
            return path
        link = self.workdir / "in" / path.name
        for number in range(2, 1000):
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
                break
            except FileExistsError:
                if link.resolve() == path.resolve():
                    break
                # Another file of this name, from another folder.
                link = self.workdir / "in" / str(number) / path.name
        return link

    def close(self) -> None:
        """Take the links to the work folder away."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _temporary() -> str:
    """A folder for links whose own path is plain."""
    usual = Path(tempfile.gettempdir())
    return str(usual) if is_portable(usual, 2 * _NAME) else "/tmp"  # noqa: S108 (mkdtemp makes a private one there)
