"""Wrapper of ``fpack``: a Rice-compressed copy of a 3-plane image."""

from __future__ import annotations

from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task

__all__ = ["fpack"]


def fpack(task: Task) -> None:
    """Compress ``image`` to ``packed`` (the same file type, name with .fz)."""
    out = task.output("packed")
    out.unlink(missing_ok=True)
    flags = task.text("fpack_flags", "-q 4").split()
    task.run("fpack", [*flags, "-O", out, task.input("image")])
    if not out.is_file():
        raise ProgramFailed(f"{task.name}: fpack made no {out.name}")
    task.metric(
        "compression", task.input("image").stat().st_size / out.stat().st_size, text="size before over after"
    )
