"""States of attempts as they are now: whether the process that drives an attempt still exists."""

from __future__ import annotations

import os

from desdm.framework.model import Attempt
from desdm.processes import process_exists
from desdm.schema.currentstate import state_now
from desdm.schema.states import AttemptState

__all__ = ["current_state", "is_in_progress", "submitter_alive"]


def submitter_alive(attempt: Attempt) -> bool:
    """Whether the process that drives the attempt is still there (on this machine)."""
    return attempt.state is AttemptState.RUNNING and _submitter_exists(attempt)


def current_state(attempt: Attempt) -> AttemptState:
    """Return the state of an attempt as it is now: one whose submitter ended without recording it is interrupted."""
    return state_now(attempt.state, attempt.submitter_host, attempt.submitter_pid, attempt.submitter_start)


def is_in_progress(attempt: Attempt) -> bool:
    """Whether another process drives the attempt, or has planned it and is about to."""
    is_this_process = attempt.submitter_pid == os.getpid() and attempt.submitter_host == os.uname().nodename
    return submitter_alive(attempt) or (
        attempt.state is AttemptState.PLANNED and not is_this_process and _submitter_exists(attempt)
    )


def _submitter_exists(attempt: Attempt) -> bool:
    """Return whether the submitter's process exists."""
    return process_exists(attempt.submitter_host, attempt.submitter_pid, attempt.submitter_start)
