"""What every bench shares: the one line of JSON a figure, and the clocks."""

from __future__ import annotations

import atexit
import gc
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def emit(
    bench: str,
    value: float,
    unit: str,
    n: int,
    *,
    peer: float | None = None,
    floor: float | None = None,
    wall: float | None = None,
) -> None:
    """Print one figure as a line of JSON.

    Parameters
    ----------
    bench
        Name of the figure, ``<bench>.<what>``.
    value, unit, n
        The figure, its unit, and how many files, lines or rows it was taken over.
    peer
        The best peer's figure in the same unit, measured in this run where that is possible.
    floor
        What the bare work costs in the same unit, measured in this run.
    wall
        Wall seconds of the same work, where that says more than CPU alone.
    """
    row: dict[str, object] = {"bench": bench, "value": round(value, 6), "unit": unit, "n": n}
    row["peer"] = peer
    row["floor"] = None if floor is None else round(floor, 6)
    if wall is not None:
        row["wall_s"] = round(wall, 4)
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


@dataclass
class Spent:
    """CPU seconds (user and system) and wall seconds of a stretch of work."""

    cpu: float = 0.0
    wall: float = 0.0


@contextmanager
def clock(children: bool = False) -> Iterator[Spent]:
    """Measure CPU and wall seconds of the body; with ``children`` those of ended child processes too."""

    def cpu() -> float:
        total = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)[: 1 + children]:
            usage = resource.getrusage(who)
            total += usage.ru_utime + usage.ru_stime
        return total

    # A collection of what was made before the body would be charged to it.
    gc.collect()
    spent, cpu0, wall0 = Spent(), cpu(), time.perf_counter()
    yield spent
    spent.cpu, spent.wall = cpu() - cpu0, time.perf_counter() - wall0


def workplace() -> Path:
    """A fresh folder that stays until the bench ends.

    A file system that has just lost thousands of files searches long for inodes that it may use again (ext4
    passes over the recently deleted), so that tidying up after one figure would be charged to the next.
    """
    folder = tempfile.mkdtemp(prefix="desdm-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
