"""Registered sizes and digests of a job's inputs, written beside its WCL so that a node can verify what it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.names import split_name
from desdm.archive.verify import Expected
from desdm.framework.jobwcl import read_job
from desdm.framework.plan import PlannedJob
from desdm.schema.database import Database

__all__ = ["DIGESTS", "keep_digests", "read_digests", "write_inputs"]

DIGESTS = "digests.json"
"""Name of the file beside a job's WCL."""
_INPUTS = "inputs.json"
#: Names asked of the database at once.
_CHUNK = 5000


def write_inputs(jobroot: Path, job: PlannedJob) -> None:
    """Write the paths of a job's inputs, relative to the archive's root, into its folder."""
    paths = {
        f"{f.directory}/{f.filename}" for w in job.wrappers for files in w.inputs.values() for f in files
    }
    (jobroot / _INPUTS).write_text(json.dumps(sorted(paths)), "utf-8")


def keep_digests(database: Database, archive: Archive, jobroots: Sequence[Path]) -> None:
    """Write into each job's folder what its inputs are registered as now; those that it makes itself are not there yet."""
    inputs = {root: _inputs(root) for root in jobroots}
    wanted = iter(sorted({path.rpartition("/")[2] for paths in inputs.values() for path in paths}))
    known: dict[str, Expected] = {}
    with database.read() as conn:
        while names := list(islice(wanted, _CHUNK)):
            found = store.by_names(conn, archive.name, [split_name(name)[0] for name in names])
            known |= {
                there.record.relpath: Expected(there.record.filesize, there.record.sha256)
                for there in found.values()
                if there.state is not None
            }
    for root, paths in inputs.items():
        registered = {path: known[path] for path in paths if path in known}
        (root / DIGESTS).write_text(json.dumps(registered), "utf-8")


def _inputs(jobroot: Path) -> list[str]:
    path = jobroot / _INPUTS
    if path.is_file():
        paths: list[str] = json.loads(path.read_text("utf-8"))
        return paths
    # A run that an earlier version planned.
    order = read_job(jobroot / "job.wcl")
    return sorted({path for w in order.wrappers for paths in w.inputs.values() for path in paths})


def read_digests(path: Path) -> Mapping[str, Expected]:
    """The registered size and digest of each input, by its path relative to the archive's root."""
    tree: dict[str, tuple[int, str]] = json.loads(path.read_text("utf-8"))
    return {relpath: Expected(*values) for relpath, values in tree.items()}
