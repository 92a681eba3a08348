"""Commands of the program as processes of their own: ended in time, killed at a moment, and searched for afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Done", "Victim", "command", "descendants", "end", "left_over", "run"]

ROOT = Path(__file__).parents[2]
DESDM = Path(sys.executable).parent / "desdm"
#: A command that takes longer has hung, seconds.
LIMIT = 240.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: exit status (None: it hung and was killed), what it wrote, and how long it took (s)."""

    status: int | None
    out: str
    err: str
    seconds: float

    @property
    def traceback(self) -> bool:
        """Whether it showed a traceback."""
        return "Traceback (most recent call last)" in self.out + self.err

    @property
    def short(self) -> str:
        """The end of what it wrote."""
        return f"exit {self.status}: {(self.err or self.out).strip()[-600:]}"


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: no installation of the caller's, and the codes of the tests."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("DESDM_")}
    return base | {"PYTHONPATH": str(ROOT)} | dict(more or {})


def command(home: Path, *words: object) -> list[str]:
    """The command line of ``desdm`` for an installation."""
    return [str(DESDM), "--home", str(home), *(str(w) for w in words)]


def start(argv: list[str], more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command in a session of its own."""
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
        env=environment(more), cwd="/",
    )  # fmt: skip


def finish(process: subprocess.Popen[str], limit: float = LIMIT) -> Done:
    """Wait for a command that `start` started; one that hangs is killed with all that it started."""
    begun = time.monotonic()
    try:
        out, err = process.communicate(timeout=limit)
        return Done(process.returncode, out, err, time.monotonic() - begun)
    except subprocess.TimeoutExpired:
        end(process.pid)
        out, err = process.communicate()
        return Done(None, out, err, time.monotonic() - begun)
    except BaseException:
        # It has a session of its own, which an interrupt of ours does not reach.
        end(process.pid)
        raise


def run(argv: list[str], limit: float = LIMIT, more: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end."""
    return finish(start(argv, more), limit)


def _stat(pid: int) -> tuple[int, str] | None:
    """Parent and state of a process; None: it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), fields[0]


def _all() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    children: dict[int, list[int]] = {}
    for one in _all():
        found = _stat(one)
        if found is not None and found[1] != "Z":
            children.setdefault(found[0], []).append(one)
    todo, out = [pid], []
    while todo:
        below = children.get(todo.pop(), [])
        out += below
        todo += below
    return out


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def end(pid: int) -> None:
    """Kill a process and all its descendants."""
    for one in [*descendants(pid), pid]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def left_over(folder: Path, patience: float = 10.0) -> list[str]:
    """Commands of processes that still work in or name a folder after ``patience`` seconds."""
    until = time.monotonic() + patience
    while found := _concerned(folder):
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return found


def _concerned(folder: Path) -> list[str]:
    """Commands of living processes whose command or folder names ``folder``."""
    out = []
    for pid in _all():
        if pid == os.getpid() or (_stat(pid) or (0, "Z"))[1] == "Z":
            continue
        where = ""
        with suppress(OSError):
            where = str(Path(f"/proc/{pid}/cwd").readlink())
        if str(folder) in f"{_words(pid)} {where}/":
            out.append(f"{pid} {_words(pid)[:120]}")
    return out


@dataclass(slots=True)
class Victim:
    """A command that is killed with SIGKILL at a moment: all of its processes, the submitter, one worker or one program."""

    process: subprocess.Popen[str]

    def kill(self, after: float, which: str, moments: random.Random) -> str:
        """Kill it ``after`` seconds; what was killed, empty if it had ended before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(after)
            return ""
        below = descendants(self.process.pid)
        workers = [p for p in below if "engines.worker" in _words(p)]
        programs = [p for p in below if p not in workers]
        if which == "worker" and workers:
            return self._strike([moments.choice(workers)], "worker")
        if which == "child" and programs:
            return self._strike([moments.choice(programs)], "child")
        if which in ("submitter", "worker", "child"):
            return self._strike([self.process.pid], "submitter")
        return self._strike([self.process.pid, *below], "all")

    def _strike(self, pids: list[int], what: str) -> str:
        """Kill the processes."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return what
