"""The configuration of an attempt in the archive: all settings, own software, and the WCL of every job."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.archive.deposit import register, stage
from desdm.archive.model import Deposit
from desdm.errors import PlanError
from desdm.framework import store
from desdm.framework.sections import Settings
from desdm.framework.software import Software, folder_software, system_software
from desdm.schema.runname import RunName

__all__ = ["ConfigRecord", "archive_record"]


@dataclass(frozen=True, slots=True)
class ConfigRecord:
    """Configuration of an attempt, to be archived.

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

    run: Settings
    configs: Settings
    codes: Mapping[Path, str]
    jobs: Mapping[int, str]


def archive_record(
    conn: Connection,
    archive: Archive,
    identity: RunName,
    attempt_id: int,
    run_dir: str,
    folder: Path,
    record: ConfigRecord,
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
        What to archive.

    Raises
    ------
    PlanError
        The archive refuses the file.
    """
    software = [system_software(), *(_code_software(code) for code in record.codes)]
    store.insert_config(
        conn,
        attempt_id,
        json.dumps(record.run, default=str),
        json.dumps(record.configs, default=str),
        json.dumps([asdict(program) for program in software]),
    )
    name = f"{identity.text}_jobs.wcl.gz"
    source = folder / name
    text = "".join(
        f"<job_{number:04d}>\n{program}</job_{number:04d}>\n" for number, program in record.jobs.items()
    )
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
    refused = [*refused, *register(conn, archive, staged, who=identity.text).refused]
    if refused:
        raise PlanError(f"{name} cannot be archived: {refused[0].reason}")


def _code_software(folder: Path) -> Software:
    """The identity of a code by its folder."""
    system = system_software()
    parts = folder.parts
    name = ".".join(parts[parts.index("desdm") :]) if "desdm" in parts else folder.name
    return folder_software(name, folder, system.version.partition("+")[0])
