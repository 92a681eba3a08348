"""Names a process for good: its number with its start time."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["process_exists", "process_start"]


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
