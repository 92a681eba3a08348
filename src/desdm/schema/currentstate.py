"""The state of an attempt as it is now, which its row alone does not tell."""

from __future__ import annotations

from desdm.processes import process_exists
from desdm.schema.states import AttemptState

__all__ = ["state_now"]


def state_now(state: AttemptState, host: str | None, pid: int | None, start: int | None) -> AttemptState:
    """Return the state of an attempt: one that is running by its row is interrupted if its submitter is gone.

    Parameters
    ----------
    state
        By its row.
    host, pid, start
        Its submitter's machine, process number and start, as of `desdm.processes.process_exists`.
    """
    gone = state is AttemptState.RUNNING and not process_exists(host, pid, start)
    return AttemptState.INTERRUPTED if gone else state
