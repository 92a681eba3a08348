"""This process as the submitter of an attempt, so that the attempt is in progress."""

from __future__ import annotations

import os

from sqlalchemy import Connection, update

from desdm.processes import process_start
from desdm.schema import pfw_attempt

__all__ = ["submit_from_here"]


def submit_from_here(conn: Connection, number: int) -> None:
    """Record this process as the submitter of the attempt of that number."""
    pid = os.getpid()
    here = {
        "submitter_host": os.uname().nodename,
        "submitter_pid": pid,
        "submitter_start": process_start(pid),
    }
    conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == number).values(here))
