"""The embedded engine: jobs in parallel on this machine, on warm workers.

A worker is a process that has Python and the codes loaded and waits for tickets on its standard input, so that a
Python code pays no interpreter start. It leads a process group, so that a job can be ended with its programs. It
dies with its submitter (``PR_SET_PDEATHSIG``): nothing runs on that nobody watches.
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

from desdm.framework.engines import JobEvent
from desdm.framework.job import Ticket

__all__ = ["LocalEngine"]


class _Worker:
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
        self.rest = b""

    def give(self, ticket: Ticket) -> None:
        assert self.process.stdin is not None
        self.token = ticket.token
        self.process.stdin.write(json.dumps(asdict(ticket)).encode() + b"\n")
        self.process.stdin.flush()

    def read(self) -> list[dict[str, object]] | None:
        """Messages that have come; None: the worker is gone."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
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
        self.queue: deque[Ticket] = deque()
        self.selector = selectors.DefaultSelector()

    def submit(self, ticket: Ticket) -> None:
        """Queue a job; a worker takes it as soon as one is free."""
        self.queue.append(ticket)
        self._feed()

    def events(self, timeout: float) -> Sequence[JobEvent]:
        """What the workers said; a worker that died is replaced when there is work."""
        found: list[JobEvent] = []
        for key, _ in self.selector.select(timeout):
            worker: _Worker = key.data
            messages = worker.read()
            if messages is None:
                found += self._gone(worker)
                continue
            for message in messages:
                found += self._event(worker, message)
        self._feed()
        return found

    def cancel(self, token: str) -> None:
        """End the job of that token, with its programs."""
        self.queue = deque(t for t in self.queue if t.token != token)
        for worker in [w for w in self.workers if w.token == token]:
            self._forget(worker)

    def close(self) -> None:
        """End every worker and every job."""
        self.queue.clear()
        for worker in list(self.workers):
            self._forget(worker)
        self.selector.close()

    def _feed(self) -> None:
        while self.queue:
            idle = next((w for w in self.workers if not w.token), None)
            if idle is None:
                if len(self.workers) >= self.size:
                    return
                idle = self._start()
            ticket = self.queue.popleft()
            try:
                idle.give(ticket)
            except BrokenPipeError:
                # It died between two jobs; this job has not begun.
                self._forget(idle)
                self.queue.appendleft(ticket)

    def _start(self) -> _Worker:
        worker = _Worker(self.logdir)
        self.workers.append(worker)
        assert worker.process.stdout is not None
        self.selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        return worker

    def _forget(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        self.selector.unregister(worker.process.stdout)
        self.workers.remove(worker)
        worker.kill()

    def _gone(self, worker: _Worker) -> list[JobEvent]:
        token = worker.token
        self._forget(worker)
        if not token:
            return []
        how = worker.process.returncode
        text = f"its worker ended with {'signal' if how < 0 else 'status'} {abs(how)}"
        return [JobEvent(token, "lost", text=text)]

    def _event(self, worker: _Worker, message: dict[str, object]) -> list[JobEvent]:
        kind, token = str(message["event"]), str(message["token"])
        if kind in ("ended", "lost"):
            worker.token = ""
        number = message.get("wrapnum", 0)
        return [
            JobEvent(
                token,
                kind,
                str(worker.process.pid),
                number if isinstance(number, int) else 0,
                str(message.get("state", "")),
                str(message.get("text", "")),
            )
        ]
