"""Local engine: run jobs in parallel on this machine, on worker processes that stay alive between jobs.

A worker is a process that has loaded Python and the codes and waits for job requests on its standard input, so that a
Python code pays no interpreter start. It leads a process group, so that a job can be ended with its programs. It
dies with its submitter (``PR_SET_PDEATHSIG``): no process is left running without a submitter.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from desdm.framework.engines import JobEvent, JobEventKind
from desdm.framework.job import JobRequest
from desdm.schema.states import WrapperState

__all__ = ["LocalEngine"]


class _Worker:
    """A worker process with its pipes; ``token`` is that of the job that it runs, or empty."""

    def __init__(self, logdir: Path) -> None:
        with (logdir / "workers.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "desdm.framework.engines.worker", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.token = ""
        self.buffer = b""

    def send(self, request: JobRequest) -> None:
        """Write a job request to the worker; `BrokenPipeError` if it is gone."""
        assert self.process.stdin is not None
        self.token = request.token
        self.process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
        self.process.stdin.flush()

    def read(self) -> list[dict[str, object]] | None:
        """Return the complete messages of the worker; None if it is gone."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            return None
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        """End the worker and the programs that it runs."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


class LocalEngine:
    """Runs jobs on this machine.

    Parameters
    ----------
    workers
        How many at once; 0: one a processor.
    logdir
        Where workers write what belongs to no job.
    """

    name = "local"

    def __init__(self, workers: int, logdir: Path) -> None:
        self.size = workers or len(os.sched_getaffinity(0))
        self.logdir = logdir
        self.workers: list[_Worker] = []
        self.queue: deque[JobRequest] = deque()
        self.selector = selectors.DefaultSelector()

    def submit(self, request: JobRequest) -> None:
        """Queue a job; a worker takes it as soon as one is free."""
        self.queue.append(request)
        self._assign_jobs()

    def events(self, timeout: float) -> Sequence[JobEvent]:
        """Return the events that workers report; a worker that died is replaced when there is work."""
        events: list[JobEvent] = []
        for key, _ in self.selector.select(timeout):
            worker: _Worker = key.data
            messages = worker.read()
            if messages is None:
                events += self._handle_exit(worker)
                continue
            for message in messages:
                events += self._events_of(worker, message)
        self._assign_jobs()
        return events

    def cancel(self, token: str) -> None:
        """End the job of that token, with its programs."""
        self.queue = deque(t for t in self.queue if t.token != token)
        for worker in [w for w in self.workers if w.token == token]:
            self._remove(worker)

    def close(self) -> None:
        """End every worker and every job."""
        self.queue.clear()
        for worker in list(self.workers):
            self._remove(worker)
        self.selector.close()

    def _assign_jobs(self) -> None:
        """Send queued jobs to idle workers; start workers as far as there are processors."""
        while self.queue:
            idle = next((w for w in self.workers if not w.token), None)
            if idle is None:
                if len(self.workers) >= self.size:
                    return
                idle = self._start()
            request = self.queue.popleft()
            try:
                idle.send(request)
            except BrokenPipeError:
                # It died between two jobs; this job has not begun.
                self._remove(idle)
                self.queue.appendleft(request)

    def _start(self) -> _Worker:
        """Start a worker and listen to its output."""
        worker = _Worker(self.logdir)
        self.workers.append(worker)
        assert worker.process.stdout is not None
        self.selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        return worker

    def _remove(self, worker: _Worker) -> None:
        """End a worker and take it out of the pool."""
        assert worker.process.stdout is not None
        self.selector.unregister(worker.process.stdout)
        self.workers.remove(worker)
        worker.kill()

    def _handle_exit(self, worker: _Worker) -> list[JobEvent]:
        """Remove a worker that died; return the event that its job is lost, if it had one."""
        token = worker.token
        self._remove(worker)
        if not token:
            return []
        status = worker.process.returncode
        text = f"its worker ended with {'signal' if status < 0 else 'status'} {abs(status)}"
        return [JobEvent(token, JobEventKind.LOST, text=text)]

    def _events_of(self, worker: _Worker, message: dict[str, object]) -> list[JobEvent]:
        """Return the event that a worker's message describes."""
        kind, token = JobEventKind(str(message["event"])), str(message["token"])
        if kind in (JobEventKind.ENDED, JobEventKind.LOST):
            worker.token = ""
        number = message.get("wrapnum", 0)
        return [
            JobEvent(
                token,
                kind,
                str(worker.process.pid),
                number if isinstance(number, int) else 0,
                WrapperState(str(message["state"])) if kind is JobEventKind.WRAPPER else None,
                str(message.get("text", "")),
            )
        ]
