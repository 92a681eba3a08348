"""Identity of the software that ran: the digest of its code, and its git commit if it is in a work tree."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import desdm

__all__ = ["Software", "cached_file_digest", "folder_digest", "folder_software", "system_software"]

#: Seconds after which a git command is given up.
_GIT_TIMEOUT = 10
#: Path → modification time (ns), size and sha-256: a file is read again only when it changes.
_DIGESTS: dict[str, tuple[int, int, str]] = {}


@dataclass(frozen=True, slots=True)
class Software:
    """Identity of one part of desdm: name, version and digest.

    Attributes
    ----------
    name
        ``desdm`` for the whole system, or the package of a code.
    version
        The release, with the first digits of the digest, and the commit if git tracks the files:
        ``0.1.0+3f2a91c0d4e7.g1a2b3c4d``, with ``.dirty`` when files were changed, moved or added since the commit.
    digest
        sha-256 over names and contents of its source and settings files.
    """

    name: str
    version: str
    digest: str


def cached_file_digest(path: Path) -> str:
    """Return the sha-256 of a file, cached until its modification time or size changes."""
    stat = path.stat()
    entry = _DIGESTS.get(str(path))
    if entry is None or entry[:2] != (stat.st_mtime_ns, stat.st_size):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        entry = _DIGESTS[str(path)] = (stat.st_mtime_ns, stat.st_size, digest)
    return entry[2]


def folder_digest(folder: Path) -> str:
    """Return the sha-256 over names and contents of a folder's files, except compiled caches."""
    sha = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts and path.suffix not in (".pyc", ".nbi", ".nbc") and path.is_file():
            sha.update(
                path.relative_to(folder).as_posix().encode() + b"\0" + cached_file_digest(path).encode()
            )
    return sha.hexdigest()


def system_software() -> Software:
    """Return the identity of the whole ``desdm`` package: any part of it may affect an algorithm's result."""
    return _cached_system_software(Path(desdm.__file__).parent)


@lru_cache(maxsize=1)
def _cached_system_software(folder: Path) -> Software:
    """Return the identity of the whole system, computed once in a process."""
    return folder_software("desdm", folder, desdm.__version__)


def folder_software(name: str, folder: Path, version: str) -> Software:
    """Return the identity of the code in a folder.

    Parameters
    ----------
    name
        Package of the code.
    folder
        Folder of its files.
    version
        Release of the package.
    """
    digest = folder_digest(folder)
    commit = _commit_suffix(folder)
    return Software(name, f"{version}+{digest[:12]}" + (f".{commit}" if commit else ""), digest)


def _commit_suffix(folder: Path) -> str:
    """Return ``g1a2b3c4d`` or ``g1a2b3c4d.dirty`` for a folder whose files git tracks; else an empty string."""
    path = folder.resolve()
    root = next((parent for parent in (path, *path.parents) if (parent / ".git").exists()), None)
    tree = None if root is None else _read_work_tree(root)
    if root is None or tree is None:
        return ""
    inside = path.relative_to(root).as_posix() + "/" if path != root else ""
    # A folder inside a work tree whose files git does not track (a virtual environment) has no commit.
    if not any(name.startswith(inside) for name in tree.tracked):
        return ""
    return f"g{tree.commit}" + (".dirty" if any(name.startswith(inside) for name in tree.changed) else "")


@dataclass(frozen=True, slots=True)
class _WorkTree:
    """A git work tree: its commit, the tracked files, and the changed, moved or untracked ones."""

    commit: str
    tracked: frozenset[str]
    changed: tuple[str, ...]


@lru_cache(maxsize=8)
def _read_work_tree(root: Path) -> _WorkTree | None:
    """Read commit, tracked and changed files from git, once per process; None if git is missing or fails."""
    git = shutil.which("git")
    if git is None:
        return None

    def run_git(*args: str) -> str | None:
        """Return the output of a git command; None if it fails."""
        try:
            done = subprocess.run(
                [git, "-C", str(root), *args],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_GIT_TIMEOUT,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    commit, tracked = run_git("rev-parse", "--short=8", "HEAD"), run_git("ls-files", "-z")
    # A rename would be one entry with two names, and only the new one of them in the form that is read below.
    changed = run_git(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames"
    )
    if commit is None or tracked is None or changed is None:
        return None
    names = (entry[3:] for entry in changed.split("\0"))
    return _WorkTree(commit.strip(), frozenset(tracked.split("\0")), tuple(name for name in names if name))
