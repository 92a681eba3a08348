"""What production costs: planning, a wrapper in a warm worker, a wrapper that starts a program, the command itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from common import clock, emit, workplace
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.facility import Facility, initialise
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.pipeline import Block, Exec, FileSet, Module, Pipeline
from desdm.framework.submit import submit
from desdm.framework.wrapper import Task

#: Rubin's pipe_base, ctrl_mpexec and ctrl_bps 30 with SQLite, measured on a machine of this kind.
PEER = {"plan": 500.0, "inprocess": 105.0, "program": 2000.0, "help": 2.2, "help_mb": 164.0}


def touch(task: Task) -> None:
    """The smallest code: one small file."""
    task.output("out").write_bytes(b"x" * 1100)


@contextmanager
def installation() -> Iterator[Facility]:
    """A fresh installation with one file."""
    folder = workplace()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    initialise(folder / "home")
    facility = Facility.open(folder / "home")
    raw = folder / "raw.txt"
    raw.write_text("raw")
    deposit(facility.database, facility.archive, [Deposit(raw, "misc")], who="bench")
    yield facility
    facility.close()


def pipeline(n: int, wrapper: str, execs: tuple[Exec, ...] = ()) -> Pipeline:
    """One module, ``n`` wrappers in jobs of a focal plane each."""
    module = Module(
        "one",
        wrapper,
        loop=("expnum", "ccdnum"),
        inputs=(FileSet("raw", "misc", query={"filename": "raw.txt"}, whole=True),),
        outputs=(FileSet("out", "misc", filename="${run}_D${expnum:8}_c${ccdnum:2}.txt"),),
        execs=execs,
    )
    settings = {"expnum": f"1:{max(n // 50, 1)}", "ccdnum": f"1:{min(n, 50)}", "unitname": "N1"}
    block = Block("one", (module,), divide_jobs_by=("expnum",))
    return Pipeline("bench", "", (block,), unit="unitname", settings=settings)


def planning(n: int) -> None:
    """Submission of ``n`` wrappers: plan, job files and rows, committed."""
    with installation() as facility:
        value = pipeline(n, "framework.touch")
        warm = pipeline(50, "framework.touch")
        submit(facility.config, facility.database, facility.archive, warm, {}, who="bench")
        with clock() as spent:
            made = submit(facility.config, facility.database, facility.archive, value, {}, who="bench")
    emit(
        "framework.plan",
        made.wrappers / spent.cpu,
        "wrappers/CPU s",
        made.wrappers,
        peer=PEER["plan"],
        wall=spent.wall,
    )


def _run(facility: Facility, value: Pipeline) -> tuple[float, float]:
    made = submit(facility.config, facility.database, facility.archive, value, {}, who="bench")
    with clock(children=True) as spent:
        engine = LocalEngine(1, facility.config.runs / made.run)
        state = drive(facility.config, facility.database, facility.archive, made.run, engine, who="bench")
    assert state.value == "done", state
    return spent.cpu, spent.wall


def running(
    n: int, wrapper: str, name: str, execs: tuple[Exec, ...] = (), floor: float | None = None
) -> None:
    """CPU milliseconds a wrapper, worker and registration included, start-up of the worker taken off."""
    with installation() as facility:
        start, _ = _run(facility, pipeline(1, wrapper, execs))
        cpu, wall = _run(facility, pipeline(n, wrapper, execs))
    value = (cpu - start) / n * 1e3
    emit(f"framework.{name}", value, "CPU ms/wrapper", n, peer=PEER[name], floor=floor, wall=wall)


def bare(n: int) -> float:
    """CPU milliseconds of the bare program."""
    with tempfile.TemporaryDirectory() as folder, clock(children=True) as spent:
        source = Path(folder) / "raw.txt"
        source.write_text("raw")
        for i in range(n):
            subprocess.run(["cp", str(source), f"{folder}/{i}"], check=True)
    return spent.cpu / n * 1e3


#: Runs a command and says its CPU seconds and resident memory; small itself, for a child's maximum begins with
#: what its parent held when it forked.
_MEASURE = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def command(n: int) -> None:
    """``desdm --help``, and ``desdm status`` with ``n`` attempts in the database."""
    program = str(Path(sys.executable).parent / "desdm")
    with installation() as facility:
        _fill(facility, n)
        home = str(facility.config.home)
        for name, args in (("help", ["--help"]), ("status", ["--home", home, "status"])):
            cpus, rss = [], 0.0
            wall = time.perf_counter()
            for _ in range(5):
                launcher = [sys.executable, "-S", "-c", _MEASURE, program, *args]
                said = subprocess.run(launcher, capture_output=True, text=True, check=True).stdout.split()
                assert said[0] == "0", said
                cpus.append(float(said[1]))
                rss = max(rss, float(said[2]))
            wall = (time.perf_counter() - wall) / 5
            emit(f"framework.{name}", sorted(cpus)[2], "CPU s", n, peer=PEER.get(name), wall=wall)
            emit(f"framework.{name}_memory", rss / 1024, "MB", n, peer=PEER.get(f"{name}_mb"))


def _fill(facility: Facility, n: int) -> None:
    # Attempts as a survey has them: rows of run, block, job and wrapper, in the states that runs end in.
    from desdm.schema import pfw_attempt, pfw_block, pfw_job, pfw_request, pfw_unit, pfw_wrapper, task

    now = datetime.now(UTC).replace(tzinfo=None)
    tasks, units, attempts, blocks, jobs, wrappers = [], [], [], [], [], []
    for i in range(1, n + 1):
        root = 4 * i
        for k, table in enumerate(("pfw_attempt", "pfw_block", "pfw_job", "pfw_wrapper")):
            tasks.append(
                {"id": root + k, "name": "t", "info_table": table, "parent_task_id": root if k else None}
            )
        units.append({"reqnum": 900, "unitname": f"D{i:08d}"})
        attempts.append(
            {
                "id": i + 10, "reqnum": 900, "unitname": f"D{i:08d}", "attnum": 1, "task_id": root, "state": "done",
                "data_state": "ACTIVE", "operator": "ops", "pipeprod": "firstcut", "pipever": "1", "submittime": now,
                "endtime": now, "numexpblk": 1, "numexpjobs": 1, "numexpwrap": 1, "archive_path": "x",
                "fingerprint": f"{i:064x}", "cancel_requested": False,
            }
        )  # fmt: skip
        mine = {"pfw_attempt_id": i + 10}
        blocks.append(
            mine | {"task_id": root + 1, "blknum": 1, "name": "se", "modulelist": "a", "numexpjobs": 1}
        )
        jobs.append(
            mine
            | {"task_id": root + 2, "pfw_block_task_id": root + 1, "jobnum": 1, "jobkeys": "", "expect_num_wrap": 1,
               "state": "done", "tries": 1}
        )  # fmt: skip
        wrappers.append(
            mine
            | {"task_id": root + 3, "pfw_job_task_id": root + 2, "wrapnum": 1, "modname": "a", "name": "a",
               "wrapkeys": "", "state": "done"}
        )  # fmt: skip
    request = {"reqnum": 900, "project": "OPS", "campaign": "Y6", "pipeline": "firstcut"}
    rows = (tasks, [request], units, attempts, blocks, jobs, wrappers)
    tables = (task, pfw_request, pfw_unit, pfw_attempt, pfw_block, pfw_job, pfw_wrapper)
    with facility.database.write() as conn:
        for table, many in zip(tables, rows, strict=True):
            conn.execute(table.insert(), many)


def main() -> None:
    """Every figure, at one size and at ten times it."""
    planning(10_000)
    planning(100_000)
    running(1_000, "framework.touch", "inprocess")
    running(10_000, "framework.touch", "inprocess")
    copy = Exec("cp", {"_01_from": "${file.raw.fullname}", "_02_to": "${file.out.fullname}"})
    floor = bare(200)
    running(200, "genwrap", "program", (copy,), floor)
    running(2_000, "genwrap", "program", (copy,), floor)
    command(10_000)
    command(100_000)


if __name__ == "__main__":
    main()
