"""Child processes that must not outlive the command that started them, however it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["ends_with_parent"]

#: prctl(2): signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


def ends_with_parent() -> Callable[[], None]:
    """Return a ``preexec_fn`` after which the child is terminated when its parent dies, even by SIGKILL (Linux)."""
    import ctypes

    # Loaded before the fork, since little may be done between fork and exec.
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return prepare
