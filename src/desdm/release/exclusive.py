"""One process at a time builds, publishes or discards a release."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desdm.errors import ConflictError
from desdm.modes import make_private

__all__ = ["exclusive"]


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Lock the release at ``root`` against other processes that build, publish or discard it.

    The kernel releases the lock when the process ends. The file stays: two processes could lock one that is removed
    meanwhile.

    Raises
    ------
    ConflictError
        Another process has the lock.
    """
    make_private(root.parent)
    file = os.open(root.with_name(f".{root.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ConflictError(
                f"another process builds, publishes or discards {root.name}; wait until it has ended, and look: "
                f"desdm release show {root.name}"
            ) from err
        yield
    finally:
        os.close(file)
