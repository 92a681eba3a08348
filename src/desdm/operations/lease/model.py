"""The record of a lease, and the name of the process that has it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from desdm.processes import process_exists, process_start

__all__ = ["Lease", "holder_exists", "holder_name"]

#: Most characters of a machine's name in the name of a holder.
_HOST = 60


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease.

    Attributes
    ----------
    name
        What is leased.
    holder
        Process that has it: machine, number, start.
    token
        Token that only the holder knows; another process that takes the lease draws another one.
    since, until
        When it began, and when it ends unless it is renewed, UTC.
    """

    name: str
    holder: str
    token: str
    since: datetime
    until: datetime


def holder_name() -> str:
    """Return the name of this process as a holder of leases."""
    pid = os.getpid()
    return f"{os.uname().nodename[:_HOST]} {pid} {process_start(pid)}"


def holder_exists(holder: str) -> bool:
    """Return whether the process of that name exists; of another machine, or of an unknown form, it is assumed to."""
    host, _, rest = holder.partition(" ")
    pid, _, start = rest.partition(" ")
    if not (pid.isdecimal() and start.isdecimal()) or host != os.uname().nodename[:_HOST]:
        return True
    return process_exists(os.uname().nodename, int(pid), int(start))
