"""Worker process: read job requests from standard input, run them, report events on standard output."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping

from desdm.errors import storage_error
from desdm.framework.job import JobRequest, WorkerCache, run_job
from desdm.framework.jobwcl import WrapperSpec
from desdm.schema.states import WrapperState

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
#: Seconds without a job after which a worker returns the files in memory of its last job.
_IDLE = 1.0


def main() -> None:
    """Serve job requests until standard input ends."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it went away before we could ask to die with it
    # Standard output speaks to the submitter alone: what a code prints goes to the workers' log.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    cache = WorkerCache()

    def send(message: Mapping[str, str | int]) -> None:
        """Write an event as one line of JSON."""
        channel.write(json.dumps(message) + "\n")

    for line in _requests(cache.spares.close):
        fields = json.loads(line)
        request = JobRequest(**{**fields, "skip": tuple(fields["skip"]), "earlier": tuple(fields["earlier"])})

        def report(state: WrapperState, wrapper: WrapperSpec, token: str = request.token) -> None:
            """Report the state of a wrapper; ``token`` is bound to the job of this turn."""
            send({"event": "wrapper", "token": token, "wrapnum": wrapper.wrapnum, "state": state})

        send({"event": "started", "token": request.token})
        try:
            state = run_job(request, cache, report)
        except OSError as err:
            # Its receipt or log could not be written: without them the job is lost, and this says why.
            send({"event": "lost", "token": request.token, "text": str(storage_error(err, request.workdir))})
            continue
        send({"event": "ended", "token": request.token, "state": state})


def _requests(idle: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines of standard input; ``idle`` is called when none has come for some time."""
    number = sys.stdin.fileno()
    waiting, rest, idled = select.poll(), b"", True
    waiting.register(number, select.POLLIN)
    while True:
        if not waiting.poll(None if idled else 1000 * _IDLE):
            idle()
            idled = True
            continue
        read = os.read(number, 1 << 16)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            yield line
            idled = False


if __name__ == "__main__":
    main()
