"""Names a process for good: its number with its start time."""

from __future__ import annotations

import os
from pathlib import Path

from desdm.framework.model import Attempt
from desdm.schema.states import AttemptState

__all__ = ["current_state", "is_in_progress", "process_exists", "process_start", "submitter_alive"]


def process_start(pid: int) -> int:
    """Start time of a process in clock ticks since boot (``/proc/PID/stat``, field 22); 0: it is gone.

    Numbers of processes are used again; number and start time together are not.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def submitter_alive(attempt: Attempt) -> bool:
    """Whether the process that drives the attempt is still there (on this machine)."""
    return attempt.state is AttemptState.RUNNING and _submitter_exists(attempt)


def current_state(attempt: Attempt) -> AttemptState:
    """Return the state of an attempt as it is now: one whose submitter went away without a word is interrupted."""
    if attempt.state is AttemptState.RUNNING and not _submitter_exists(attempt):
        return AttemptState.INTERRUPTED
    return attempt.state


def is_in_progress(attempt: Attempt) -> bool:
    """Whether another process drives the attempt, or has planned it and is about to."""
    is_this_process = attempt.submitter_pid == os.getpid() and attempt.submitter_host == os.uname().nodename
    return submitter_alive(attempt) or (
        attempt.state is AttemptState.PLANNED and not is_this_process and _submitter_exists(attempt)
    )


def _submitter_exists(attempt: Attempt) -> bool:
    """Return whether the submitter's process exists."""
    return process_exists(attempt.submitter_host, attempt.submitter_pid, attempt.submitter_start)


def process_exists(host: str | None, pid: int | None, start: int | None) -> bool:
    """Return whether a process exists; on another machine it is assumed to.

    Parameters
    ----------
    host
        Name of its machine.
    pid, start
        Its number, and its start time as of `process_start`.
    """
    if pid is None:
        return False
    if host != os.uname().nodename:
        return True  # processes of another machine are not visible
    return process_start(pid) == start
