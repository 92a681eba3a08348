"""The record of what an attempt was told: settings whole, own software, and the WCL of every job, archived."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.archive.deposit import register, stage
from desdm.archive.model import Deposit
from desdm.errors import PlanError
from desdm.framework import store
from desdm.framework.plan import Identity
from desdm.framework.software import Software, framework, of_folder

__all__ = ["Record", "keep_record"]


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be kept of an attempt.

    Attributes
    ----------
    run
        Its settings, with their sections.
    configs
        Settings of each module as they hold for it.
    codes
        Folders of the codes that it runs, with their digests.
    jobs
        WCL of each job, by its number.
    """

    run: Mapping[str, Any]
    configs: Mapping[str, Any]
    codes: Mapping[Path, str]
    jobs: Mapping[int, str]


def keep_record(
    conn: Connection,
    archive: Archive,
    identity: Identity,
    attempt_id: int,
    run_dir: str,
    folder: Path,
    record: Record,
) -> None:
    """Keep an attempt's record in the transaction that writes its plan.

    Parameters
    ----------
    conn
        The transaction.
    archive
        Where the jobs' WCL goes, as one compressed file.
    identity, attempt_id
        The attempt.
    run_dir
        Its directory in the archive.
    folder
        Its work folder.
    record
        What to keep.

    Raises
    ------
    PlanError
        The archive refuses the file.
    """
    software = [framework(), *(_software(code) for code in record.codes)]
    store.keep_config(
        conn,
        attempt_id,
        json.dumps(record.run, default=str),
        json.dumps(record.configs, default=str),
        json.dumps([asdict(one) for one in software]),
    )
    name = f"{identity.run}_jobs.wcl.gz"
    source = folder / name
    text = "".join(f"<job_{number:04d}>\n{one}</job_{number:04d}>\n" for number, one in record.jobs.items())
    # Without the time, so that the same jobs make the same bytes.
    source.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))
    deposit = Deposit(
        source=source,
        filetype="wcl",
        filename=name,
        directory=f"{run_dir}/wcl",
        pfw_attempt_id=attempt_id,
        move=True,
    )
    staged, refused = stage(archive, [deposit])
    refused = [*refused, *register(conn, archive, staged, who=identity.run).refused]
    if refused:
        raise PlanError(f"{name} cannot be archived: {refused[0].reason}")


def _software(folder: Path) -> Software:
    """The identity of a code by its folder."""
    own = framework()
    parts = folder.parts
    name = ".".join(parts[parts.index("desdm") :]) if "desdm" in parts else folder.name
    return of_folder(name, folder, own.version.partition("+")[0])
