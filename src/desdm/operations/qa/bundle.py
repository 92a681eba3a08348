"""Bug reports: all that is needed to see a fault again elsewhere, in one file, without secrets."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from desdm import wcl
from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.catalog import attempt_number
from desdm.archive.model import FileRecord, Scope
from desdm.archive.store import attempt_names
from desdm.config import Config, password
from desdm.errors import NotFoundError
from desdm.framework.jobwcl import JobSpec, read_job
from desdm.framework.software import system_software
from desdm.framework.watch import store as watch
from desdm.operations.notices.store import rules
from desdm.operations.qa.redact import (
    Redactor,
    secrets_of_address,
    secrets_of_channel,
    secrets_of_environment,
    without_path,
)
from desdm.operations.qa.replay import FOLDER, Expectation, plain_message
from desdm.operations.qa.store import FaultyJob, faulty_job
from desdm.quality.qa.subjects import find_subject
from desdm.release.problems import ProblemFile, problem_file

__all__ = ["ENVIRONMENT", "LIMIT", "Bundle", "make_bundle"]

#: Variables of the environment that go into a report; all others stay.
ENVIRONMENT = (
    "LANG",
    "LC_ALL",
    "LC_NUMERIC",
    "TZ",
    "PYTHONHASHSEED",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "MALLOC_ARENA_MAX",
)
#: Bytes of inputs that go into a report, unless another number is asked for.
LIMIT = 500_000_000
#: Bytes of a log, from its end.
_LOG = 20_000_000
#: First bytes of a file that gzip made; bytes of a file that are searched at once.
_GZIP, _PIECE = b"\x1f\x8b", 1 << 20

_REPLAY = """#!/bin/sh
# Runs job {jobnum} of {run} again from this folder, without database or network.
# Exit status 0: its first message is the same as in the run. DESDM_PYTHON: a Python that has desdm.
set -eu
cd "$(dirname "$0")"
exec "${{DESDM_PYTHON:-python3}}" -m desdm.operations.qa.replay "$PWD"
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bug report that was written.

    Attributes
    ----------
    run, jobnum
        Run and job that it can replay; empty and 0: none.
    inputs, missing
        Inputs of the job that are in it, and those that were too large or hold a secret.
    """

    path: Path
    sha256: str
    size: int
    run: str
    jobnum: int
    inputs: tuple[str, ...]
    missing: tuple[str, ...]


def make_bundle(
    conn: Connection,
    config: Config,
    archive: Archive,
    number: int,
    out: Path,
    *,
    now: datetime,
    limit: int = LIMIT,
    environment: Mapping[str, str] = os.environ,
) -> Bundle:
    """Write the bug report of a problem as one compressed archive.

    It holds the problem with history and evidence; of the run in which it was seen the settings and the job as WCL, the
    job's inputs with digests, log, messages, versions and digests of the software; and ``replay.sh``.

    Parameters
    ----------
    conn
        Connection to the database.
    config, archive
        The installation.
    number
        Number of the problem.
    out
        Folder for the report.
    now
        Time, UTC.
    limit
        Bytes of inputs that it may hold; larger ones, and those that hold a known secret, are named with their digests.
    environment
        The environment, of which only `ENVIRONMENT` goes in.

    Raises
    ------
    NotFoundError
        There is no such problem, or the folder of its job is not there any more.
    """
    file = problem_file(conn, number)
    redactor = Redactor([*secrets_of_environment(environment), *_secrets_of_installation(conn, config)])
    texts = {"problem.json": _json(asdict(file))}
    texts["environment.json"] = _json(_environment(environment, now))
    attempt_id = _attempt(conn, file, Scope(config.project, config.campaign))
    run, jobnum = "", 0
    binaries: list[FileRecord] = []
    missing: list[FileRecord] = []
    if attempt_id is not None:
        run = attempt_names(conn, [attempt_id])[attempt_id][0]
        texts |= _run_texts(conn, attempt_id)
        job = faulty_job(conn, attempt_id)
        if job is not None and job.jobroot:
            jobnum = job.jobnum
            spec, job_texts = _job_texts(job, archive)
            binaries, missing, digests = _inputs(conn, spec, archive, limit, redactor)
            texts |= job_texts | {"inputs.digests.json": _json(digests)}
            texts["log.txt"] = _log(conn, archive, job)
            expected: Expectation = {
                "run": run,
                "jobnum": jobnum,
                "message": plain_message(job.message, _folders(job, archive, config), redactor),
                "software": system_software().digest,
                "missing": [record.relpath for record in missing],
            }
            texts["expected.json"] = _json(expected)
            texts["replay.sh"] = _REPLAY.format(jobnum=jobnum, run=run)
    folders = [(str(archive.root), "ARCHIVE"), (str(config.runs), "RUNS"), (str(config.home), "HOME")]
    folders += [(environment["HOME"], "HOME")] if environment.get("HOME") else []
    texts = {name: redactor(_without_folders(text, folders)) for name, text in texts.items() if text}
    texts["README.txt"] = redactor(_readme(file, run, jobnum, len(missing)))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"problem-{number}.tar.gz"
    _write(path, f"problem-{number}", texts, [(r.relpath, archive.path(r)) for r in binaries])
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Bundle(
        path,
        digest,
        path.stat().st_size,
        run,
        jobnum,
        tuple(record.name for record in binaries),
        tuple(record.name for record in missing),
    )


def _secrets_of_installation(conn: Connection, config: Config) -> list[str]:
    """Return the secrets that an installation knows: passwords, and the keys in addresses of servers and channels."""
    addresses = [config.database_url, config.services_database, config.mail_server]
    found = [secret for address in addresses for secret in secrets_of_address(address)]
    found += [secret for rule in rules(conn, ended=True) for secret in secrets_of_channel(rule.target)]
    return [password(config) or "", *found]


def _without_folders(text: str, folders: Sequence[tuple[str, str]]) -> str:
    """Return a text with words in the place of folders of this machine, the deepest first."""
    for folder, word in sorted(folders, key=lambda item: -len(item[0])):
        text = without_path(text, folder, word)
    return text


def _attempt(conn: Connection, file: ProblemFile, scope: Scope) -> int | None:
    """Return the attempt in which a problem was seen: its own, the one of its subject, or the first run in its evidence."""
    problem = file.problem
    if problem.pfw_attempt_id is not None:
        return problem.pfw_attempt_id
    if problem.subject_kind in ("attempt", "exposure", "ccd", "tile", "file"):
        try:
            subject = find_subject(conn, problem.subject, scope)
        except NotFoundError:
            subject = None
        if subject is not None and subject.attempt_id is not None:
            return subject.attempt_id
    run = next((e.ref for e in file.evidence if e.kind == "run"), None)
    return attempt_number(conn, run) if run else None


def _run_texts(conn: Connection, attempt_id: int) -> dict[str, str]:
    """Return settings, messages and software of a run."""
    configuration = watch.configuration(conn, attempt_id)
    return {
        "wcl/settings.wcl": wcl.dumps(configuration.settings) if configuration.settings else "",
        "wcl/modules.wcl": wcl.dumps({"module": configuration.modules}) if configuration.modules else "",
        "messages.json": _json([m._asdict() for m in watch.messages(conn, attempt_id, limit=5000)]),
        "numbers.json": _json(watch.metrics(conn, attempt_id)),
        "software.json": _json([*configuration.software, *watch.software(conn, attempt_id)]),
    }


def _job_texts(job: FaultyJob, archive: Archive) -> tuple[JobSpec, dict[str, str]]:
    """Return a job, and its WCL with the bundle in the place of the archive."""
    path = Path(job.jobroot) / "job.wcl"
    if not path.is_file():
        raise NotFoundError(
            f"{path} is not there any more: the folder of the run was removed; without it the job cannot be replayed"
        )
    patterns = Path(job.jobroot).parent / "qcf.wcl"
    text = without_path(path.read_text("utf-8"), str(patterns), f"{FOLDER}/run/qcf.wcl")
    text = without_path(text, str(archive.root), f"{FOLDER}/inputs")
    return read_job(path), {
        "wcl/job.wcl": text,
        "wcl/qcf.wcl": patterns.read_text("utf-8") if patterns.is_file() else "",
    }


def _inputs(
    conn: Connection, spec: JobSpec, archive: Archive, limit: int, redactor: Redactor
) -> tuple[list[FileRecord], list[FileRecord], dict[str, tuple[int, str]]]:
    """Return the inputs of a job that fit into a size, the others, and size and digest of each by its path.

    An input that holds a known secret is left out: its bytes cannot be changed.
    """
    own = {file.filename for wrapper in spec.wrappers for file in wrapper.outputs.values()}
    names = {path.rpartition("/")[2] for w in spec.wrappers for paths in w.inputs.values() for path in paths}
    records = [r for name in sorted(names - own) if (r := catalog.by_name(conn, name)) is not None]
    here: list[FileRecord] = []
    missing: list[FileRecord] = []
    left = limit
    for record in sorted(records, key=lambda r: (r.filesize, r.name)):
        path = archive.path(record)
        fits = record.filesize <= left and path.is_file() and not _holds_secret(path, redactor)
        (here if fits else missing).append(record)
        left -= record.filesize if fits else 0
    return here, missing, {r.relpath: (r.filesize, r.sha256) for r in records}


def _holds_secret(path: Path, redactor: Redactor) -> bool:
    """Tell whether a file, or what is compressed in it, holds a known secret."""
    if not redactor.longest:
        return False
    with path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        if _stream_holds_secret(raw, redactor):
            return True
    if not packed:
        return False
    try:
        with gzip.open(path, "rb") as plain:
            return _stream_holds_secret(plain, redactor)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        # A damaged file may be what the report is about; its bytes were searched as they are.
        return False


def _stream_holds_secret(stream: BinaryIO | gzip.GzipFile, redactor: Redactor) -> bool:
    """Tell whether what a stream gives holds a known secret, also across two pieces."""
    before = b""
    while piece := stream.read(_PIECE):
        if redactor.found_in(before + piece):
            return True
        before = (before + piece)[-redactor.longest :]
    return False


def _log(conn: Connection, archive: Archive, job: FaultyJob) -> str:
    """Return the end of the log of a job; empty without one."""
    record = catalog.by_name(conn, job.log) if job.log else None
    if record is None or not archive.path(record).is_file():
        return ""
    with archive.path(record).open("rb") as stream:
        stream.seek(max(0, record.filesize - _LOG))
        text = stream.read(_LOG).decode("utf-8", "replace")
    # A line that is cut may hold the end of a secret, which nothing would know as such.
    return text.partition("\n")[2] if record.filesize > _LOG else text


def _folders(job: FaultyJob, archive: Archive, config: Config) -> dict[str, str]:
    """Return the folders that messages name, with what stands for each."""
    tries = [path for path in Path(job.jobroot).glob("try*") if path.is_dir()]
    folders = {str(path): "WORK" for path in tries} | {f"{job.jobroot}/try{n}": "WORK" for n in range(1, 10)}
    return folders | {str(archive.root): "ARCHIVE", str(config.runs): "RUNS"}


def _environment(environment: Mapping[str, str], now: datetime) -> dict[str, str | dict[str, str]]:
    """Return what of machine, environment and packages may matter."""
    packages = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    software = system_software()
    return {
        "made": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": str(os.cpu_count()),
        "desdm": software.version,
        "desdm_digest": software.digest,
        "variables": {name: environment[name] for name in ENVIRONMENT if name in environment},
        "packages": dict(sorted(packages.items())),
    }


def _readme(file: ProblemFile, run: str, jobnum: int, missing: int) -> str:
    """Return what stands in a bundle, for who opens it."""
    lines = [f"Problem {file.problem.id}: {file.problem.title}", ""]
    if not jobnum:
        return "\n".join(
            [*lines, "No run is known in which it was seen, so that nothing can be replayed.", ""]
        )
    lines += [f"Seen in run {run}, job {jobnum}.", ""]
    lines += [
        "Run ./replay.sh to see it again: it needs a Python with desdm, and neither database nor network."
    ]
    if missing:
        lines += [
            f"{missing} inputs were too large, or hold a secret: inputs.digests.json has the path and digest of each."
        ]
    return "\n".join(
        [*lines, "Secrets were removed from all texts; input files are as they are in the archive.", ""]
    )


def _write(path: Path, folder: str, texts: Mapping[str, str], files: list[tuple[str, Path]]) -> None:
    """Write a compressed archive; the same content makes the same bytes, without names of people of this machine."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, text in sorted(texts.items()):
            data = text.encode()
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size, info.mode = len(data), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(info, io.BytesIO(data))
        for relpath, source in files:
            info = tarfile.TarInfo(f"{folder}/inputs/{relpath}")
            info.size, info.mode = source.stat().st_size, 0o644
            with source.open("rb") as content:
                tar.addfile(info, content)


def _json(document: object) -> str:
    """Return a document as JSON that people can read."""
    return json.dumps(document, indent=1, default=str, ensure_ascii=False) + "\n"
