"""Detection of live server processes: each locks its own file, and the kernel releases the lock when it dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["alive", "announce", "leave"]


def announce(results: Path, server: str) -> int:
    """Lock the file of ``server`` for the life of this process; return the descriptor, which must stay open.

    POSIX locks belong to the process: a child that outlives a killed server does not extend them.
    """
    folder = results / ".servers"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / server, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def leave(results: Path, server: str) -> None:
    """Remove the file of a server that shuts down in order, so that it does not look like a dead one."""
    # On storage that has become read-only the file stays; its lock is free, which is what `alive` looks at.
    with suppress(OSError):
        (results / ".servers" / server).unlink(missing_ok=True)


def alive(results: Path, server: str, own_name: str) -> bool:
    """Whether a server process is alive.

    Parameters
    ----------
    results
        Directory of results, which has the lock files.
    server
        Name of the server.
    own_name
        Name of this server, whose file must not be opened twice.

    Returns
    -------
    bool
        False if its lock is free or its file does not exist.
    """
    if server == own_name:
        return True
    path = results / ".servers" / server
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)
