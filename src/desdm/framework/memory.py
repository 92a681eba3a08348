"""Peak memory of processes, as the kernel tells it."""

from __future__ import annotations

import os
import resource
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["PeakMemory", "forget_peak", "own_peak"]

#: Seconds between two looks at a program: at its start, and at most. What it grows by after the last look is not seen.
_FIRST, _MOST = 0.002, 0.02
#: Bytes of ``/proc/PID/status`` that hold the line of its peak.
_STATUS_BYTES = 4096


def own_peak() -> int:
    """Largest resident memory of this process since its start or `forget_peak`, kbyte.

    It is ``VmHWM`` of proc(5): ``ru_maxrss`` of getrusage(2) begins at the peak of the process that started this one.
    """
    try:
        with Path("/proc/self/status").open("rb", buffering=0) as status:
            return _high_water(status.read(_STATUS_BYTES))
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _high_water(status: bytes) -> int:
    """Return the peak that the text of ``/proc/PID/status`` tells, kbyte; `IndexError` if it tells none."""
    return int(status.partition(b"VmHWM:")[2].split(maxsplit=1)[0])


def forget_peak() -> None:
    """Reset the memory peak of this process (``clear_refs`` of proc(5)), so that each job of a worker has its own."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


class PeakMemory:
    """Largest resident memory of one program that this process starts.

    ``ru_maxrss`` of a child begins at the peak of the process that started it: until its ``exec`` it had that memory
    (getrusage(2) does not say so). Where the child's figure is not above that, it says nothing of the program, and the
    largest ``VmHWM`` (proc(5)) that was read while it ran is taken, of it or of a program that it started; of a program
    that ends within milliseconds, before its memory could be seen, the pages that it asked for.

    To be made when the program has started (its ``exec`` is done): another thread may have raised the starter's own peak
    until then, and the child inherits that too.
    """

    def __init__(self) -> None:
        # Both: the kernel counts pages for each processor apart, and only getrusage(2) sums them as exec does.
        self._inherited = max(own_peak(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        self._seen, self._looks = 0, 0
        self._next, self._pause = 0.0, _FIRST

    def ready(self, pid: int, descriptor: int) -> Iterator[None]:
        """Yield whenever there is something to read on ``descriptor``; meanwhile look at the process now and then."""
        try:
            # Opened once: a look is then one system call.
            status = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            status = -1
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        try:
            while True:
                if status >= 0 and time.monotonic() >= self._next:
                    self._look(pid, status)
                if poll.poll(1000 * self._pause):
                    yield
        finally:
            if status >= 0:
                os.close(status)

    def _look(self, pid: int, status: int) -> None:
        """Read the high-water marks of the process and of those that it started; one that has ended has none."""
        with suppress(OSError, ValueError, IndexError):
            self._seen = max(self._seen, _high_water(os.pread(status, _STATUS_BYTES, 0)))
            self._looks += 1
        for child in _children(pid):
            with suppress(OSError, ValueError, IndexError):
                self._seen = max(self._seen, _high_water(Path(f"/proc/{child}/status").read_bytes()))
        self._next = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _MOST)

    def of(self, usage: resource.struct_rusage) -> int:
        """The program's peak in kbyte, from the resource usage of `os.wait4`."""
        if usage.ru_maxrss > self._inherited:
            return usage.ru_maxrss
        # The first look, just after its exec, finds an empty process.
        return (
            self._seen
            if self._looks > 1
            else max(self._seen, usage.ru_minflt * resource.getpagesize() // 1024)
        )


def _children(pid: int) -> Iterator[int]:
    """Yield the processes that a process started, and those that they started."""
    try:
        numbers = Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()
    except OSError:  # it has ended, or the kernel does not list them
        return
    for number in map(int, numbers):
        yield number
        yield from _children(number)
