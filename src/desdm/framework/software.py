"""Which software ran: digests of the system's own code, and the commit where it lies in a git work tree."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import desdm

__all__ = ["Software", "file_digest", "folder_digest", "folder_software", "system_software"]

_SECONDS = 10
#: By path, change time and size: a file is read once in a process, and again when it changes.
_FILES: dict[str, tuple[int, int, str]] = {}


@dataclass(frozen=True, slots=True)
class Software:
    """One piece of own software.

    Attributes
    ----------
    name
        ``desdm`` for the whole system, or the package of a code.
    version
        The release, with the first digits of the digest, and the commit where it lies in a git work tree:
        ``0.1.0+3f2a91c0d4e7.g1a2b3c4d``, with ``.dirty`` when files differ from the commit.
    digest
        sha-256 over names and bytes of its source and settings files.
    """

    name: str
    version: str
    digest: str


def file_digest(path: Path) -> str:
    """The sha-256 of a file, read again only when its time or size has changed."""
    stat = path.stat()
    entry = _FILES.get(str(path))
    if entry is None or entry[:2] != (stat.st_mtime_ns, stat.st_size):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        entry = _FILES[str(path)] = (stat.st_mtime_ns, stat.st_size, digest)
    return entry[2]


def folder_digest(folder: Path) -> str:
    """The sha-256 over names and bytes of a folder's files; what compilers leave there is not the code."""
    sha = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts and path.suffix not in (".pyc", ".nbi", ".nbc") and path.is_file():
            sha.update(path.relative_to(folder).as_posix().encode() + b"\0" + file_digest(path).encode())
    return sha.hexdigest()


def system_software() -> Software:
    """The whole system: whatever of it an algorithm calls is part of its identity."""
    return _folder_software(Path(desdm.__file__).parent)


@lru_cache(maxsize=1)
def _folder_software(folder: Path) -> Software:
    """Return the identity of the whole system, computed once in a process."""
    return folder_software("desdm", folder, desdm.__version__)


def folder_software(name: str, folder: Path, version: str) -> Software:
    """The identity of the code in a folder.

    Parameters
    ----------
    name
        Its package.
    folder
        Where its files are.
    version
        Its release.
    """
    digest = folder_digest(folder)
    commit = _commit(str(folder))
    return Software(name, f"{version}+{digest[:12]}" + (f".{commit}" if commit else ""), digest)


def _commit(folder: str) -> str:
    """``g1a2b3c4d`` or ``g1a2b3c4d.dirty`` of a folder in a git work tree that holds its files; else empty."""
    path = Path(folder).resolve()
    root = next((parent for parent in (path, *path.parents) if (parent / ".git").exists()), None)
    tree = None if root is None else _work_tree(str(root))
    if root is None or tree is None:
        return ""
    inside = path.relative_to(root).as_posix() + "/" if path != root else ""
    # A folder that merely stands inside somebody's work tree, as a virtual environment does, is not of its commit.
    if not any(name.startswith(inside) for name in tree.tracked):
        return ""
    return f"g{tree.commit}" + (".dirty" if any(name.startswith(inside) for name in tree.changed) else "")


@dataclass(frozen=True, slots=True)
class _WorkTree:
    """A git work tree: its commit, the files that it holds, and those that differ from the commit."""

    commit: str
    tracked: frozenset[str]
    changed: tuple[str, ...]


@lru_cache(maxsize=8)
def _work_tree(root: str) -> _WorkTree | None:
    """Ask git once in a process; None where it cannot answer."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*args: str) -> str | None:
        try:
            done = subprocess.run(
                [git, "-C", root, *args],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    commit, tracked = ask("rev-parse", "--short=8", "HEAD"), ask("ls-files", "-z")
    changed = ask("--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all")
    if commit is None or tracked is None or changed is None:
        return None
    names = (entry[3:] for entry in changed.split("\0"))
    return _WorkTree(commit.strip(), frozenset(tracked.split("\0")), tuple(name for name in names if name))
