"""Which server processes live: each holds a lock on a file of its own, which the kernel lets go when it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["alive", "announce", "leave"]


def announce(results: Path, server: str) -> int:
    """Say that ``server`` is this process, for as long as it lives; the descriptor that must stay open.

    POSIX locks are the process's own: a child that outlives a killed server does not keep it alive.
    """
    folder = results / ".servers"
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder / server, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return held


def leave(results: Path, server: str) -> None:
    """Remove the file of a server that ends in order, so that nothing is left that looks like one that died."""
    (results / ".servers" / server).unlink(missing_ok=True)


def alive(results: Path, server: str, this: str) -> bool:
    """Whether the process called ``server`` lives; ``this`` is our own name, whose file must not be opened twice."""
    if server == this:
        return True
    path = results / ".servers" / server
    try:
        asked = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(asked, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(asked)
