"""Registered sizes and digests of a job's inputs, written into the run's folder so that a node can verify what it reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.names import split_name
from desdm.archive.verify import Expected
from desdm.framework.jobwcl import read_job
from desdm.framework.plan import PlannedJob
from desdm.schema.database import Database

__all__ = ["write_digests", "write_inputs"]

_INPUTS = "inputs.json"
#: Names in one query of the database.
_CHUNK = 5000


def write_inputs(folder: Path, jobs: Iterable[PlannedJob]) -> None:
    """Write the paths of each job's inputs, relative to the archive's root, into the run's folder: one file for all."""
    tree: dict[str, list[str]] = {}
    for job in jobs:
        files = {id(f): f for w in job.wrappers for each in w.inputs.values() for f in each}
        tree[f"J{job.jobnum:04d}"] = sorted({f"{f.directory}/{f.filename}" for f in files.values()})
    (folder / _INPUTS).write_text(json.dumps(tree), "utf-8")


def write_digests(database: Database, archive: Archive, jobroots: Sequence[Path], name: str) -> None:
    """Write into the run's folder what the inputs of jobs are registered as now; what they make is not there yet.

    Parameters
    ----------
    database, archive
        Where files are registered.
    jobroots
        Folders of the jobs, all of one run.
    name
        Name of the file to write.
    """
    if not jobroots:
        return
    paths = _inputs(jobroots)
    names_left = iter(sorted({path.rpartition("/")[2] for path in paths}))
    expected: dict[str, Expected] = {}
    with database.read() as conn:
        while names := list(islice(names_left, _CHUNK)):
            records = store.by_names(conn, archive.name, [split_name(name)[0] for name in names])
            expected |= {
                entry.record.relpath: Expected(entry.record.filesize, entry.record.sha256)
                for entry in records.values()
                if entry.state is not None
            }
    registered = {path: expected[path] for path in sorted(paths) if path in expected}
    (jobroots[0].parent / name).write_text(json.dumps(registered), "utf-8")


def _inputs(jobroots: Sequence[Path]) -> set[str]:
    """Paths of the inputs of these jobs."""
    path = jobroots[0].parent / _INPUTS
    if path.is_file():
        tree: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
        return {path for root in jobroots for path in tree.get(root.name, ())}
    # A run that an earlier version planned.
    specs = [read_job(root / "job.wcl") for root in jobroots]
    return {path for spec in specs for w in spec.wrappers for each in w.inputs.values() for path in each}
