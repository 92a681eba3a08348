"""A warm worker: reads tickets from standard input, runs them, says what happens on standard output."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

from desdm.errors import storage_error
from desdm.framework.job import Ticket, WarmCache, run_job
from desdm.framework.jobwcl import WrapperOrder

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve tickets until standard input ends."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it went away before we could ask to die with it
    # Standard output speaks to the submitter alone: what a code prints goes to the workers' log.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    cache = WarmCache()

    def say(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    for line in sys.stdin:
        fields = json.loads(line)
        ticket = Ticket(**{**fields, "skip": tuple(fields["skip"]), "earlier": tuple(fields["earlier"])})

        def report(state: str, order: WrapperOrder, token: str = ticket.token) -> None:
            say({"event": "wrapper", "token": token, "wrapnum": order.wrapnum, "state": state})

        say({"event": "started", "token": ticket.token})
        try:
            state = run_job(ticket, cache, report)
        except OSError as err:
            # Its receipt or log could not be written: without them the job is lost, and this says why.
            say({"event": "lost", "token": ticket.token, "text": str(storage_error(err, ticket.workdir))})
            continue
        say({"event": "ended", "token": ticket.token, "state": state})


if __name__ == "__main__":
    main()
