"""Small codes for runs in tests: real files in, real files out, and faults on request."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from desdm.framework.wrapper import Task


def split(task: Task) -> None:
    """One part of the text; may be slow, so that a test can strike while it runs."""
    time.sleep(task.number("nap", 0.0))
    text = task.input("raw").read_text()
    part = int(task.keys["part"])
    task.output("half").write_text(f"{part}:{text}")
    task.metric("length", len(text), "byte", text="characters of the text")


def upper(task: Task) -> None:
    """The part in capitals; a file named ``fault`` beside the run makes it fail, die or hang once."""
    fault = Path(task.text("fault_file", "/nonexistent"))
    if fault.is_file() and fault.read_text().strip() == task.keys.get("part", ""):
        kind = task.text("fault", "raise")
        if kind == "die":
            fault.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "raise":
            raise ValueError("this code has a bug")
        if kind == "silent":
            return
        if kind == "wait":
            time.sleep(60)
    task.output("big").write_text(task.input("half").read_text().upper())


def join(task: Task) -> None:
    """All parts, in order."""
    parts = sorted(task.inputs["big"], key=lambda p: int(p.read_text().partition(":")[0]))
    task.output("whole").write_text("\n".join(p.read_text() for p in parts))


def count(task: Task) -> None:
    """Reads a number from its input; says first what the settings say."""
    for line in task.text("lines", "").split("|"):
        task.write_log(line)
    task.output("talk").write_text(str(int(task.input("raw").read_text())))


def chatter(task: Task) -> None:
    """Says what the settings say into its log."""
    time.sleep(task.number("nap", 0.0))
    for line in task.text("lines").split("|"):
        task.write_log(line)
    task.output("talk").write_text("done\n")


def program(task: Task) -> None:
    """Starts a shell as its program, with the script of its settings."""
    task.run("sh", ["-c", task.text("script").replace("%s", str(task.output("talk")))])


def program_then_say(task: Task) -> None:
    """A program, then a finding, then lines of its own."""
    program(task)
    task.finding(2, "the moon is a finding")
    for line in task.text("lines").split("|"):
        task.write_log(line)


def each(task: Task) -> None:
    """The texts of all inputs, one a line."""
    task.output("big").write_text("\n".join(path.read_text() for path in task.inputs["raw"]))
