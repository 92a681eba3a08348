"""Register the results of a job: files, parentage, states, execs, messages and QA numbers in one transaction.

Files are moved into the archive first; then one transaction consumes the job's live token and writes every row, so that
a superseded try of a job can register nothing, and no file is registered without the task that wrote it.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.archive.deposit import record_refusals, register, stage
from desdm.archive.model import Deposit
from desdm.archive.mounted import require_mounted
from desdm.errors import StaleToken
from desdm.framework import store
from desdm.framework.model import Attempt, Job, Value, WrapperRow
from desdm.framework.outcome import WrapperOutcome, read_outcome
from desdm.framework.plan import CARRIED
from desdm.quality.qa.contents import CONTENTS
from desdm.schema.database import Database
from desdm.schema.states import EventKind, JobState, WrapperState
from desdm.schema.store import record_event

__all__ = ["register_job"]

_COMPLETED = {WrapperState.DONE, WrapperState.REUSED}  # a wrapper left out is tried again


def register_job(
    database: Database,
    archive: Archive,
    attempt: Attempt,
    job: Job,
    workdir: Path,
    state: JobState,
    comment: str | None = None,
) -> JobState:
    """Register a job's try that came to an end, in whatever way.

    Parameters
    ----------
    job
        With the live token of the try.
    workdir
        Work folder of the try, with its receipt.
    state
        How the engine says that it ended: DONE (the receipt decides between done and failed), LOST or CANCELLED.

    Returns
    -------
    JobState
        The state that was registered.

    Raises
    ------
    StaleToken
        If the token is no more the job's live one; nothing is registered.
    """
    outcome = read_outcome(workdir / "outcome.jsonl")
    if outcome is not None and outcome.token != job.token:
        outcome = None
    with database.read() as conn:
        rows = {w.wrapnum: w for w in store.wrappers_of(conn, attempt.id, job.task_id)}
    outcomes = (
        [] if outcome is None else [w for w in outcome.wrappers if rows[w.wrapnum].state not in _COMPLETED]
    )
    if state is JobState.DONE and (outcome is None or outcome.state is not JobState.DONE):
        state = JobState.FAILED if outcome is not None and outcome.state is JobState.FAILED else JobState.LOST
    deposits = list(_deposits(attempt, rows, outcomes, workdir))
    if state is not JobState.DONE:
        junk = _write_junk_archive(workdir, attempt, job)
        deposits.append(_log_deposit(junk, "junktar", attempt, job.task_id))
    deposits += [_log_deposit(p, "log", attempt, job.task_id) for p in sorted(workdir.glob("*.log"))]
    deposits += [_log_deposit(p, "wcl", attempt, job.task_id) for p in sorted(workdir.glob("*_out.wcl"))]
    require_mounted(database, archive)
    staged, refused = stage(archive, deposits)
    if refused:
        state = JobState.FAILED
        comment = "; ".join(f"{Path(r.path).name}: {r.reason}" for r in refused)
    if comment is None and state is JobState.FAILED:
        comment = next((w.comment for w in outcomes if w.comment), None)
    junktar = next((d.filename for d in deposits if d.filetype == "junktar"), None)
    with database.write() as conn:
        record_refusals(conn, refused, who=attempt.run, attempt_id=attempt.id)
        report = register(conn, archive, staged, who=attempt.run)
        if report.refused:
            state = JobState.FAILED
            comment = "; ".join(f"{Path(r.path).name}: {r.reason}" for r in report.refused)
        if not store.close_job(conn, job.task_id, job.token, state, comment, junktar):
            raise StaleToken(f"job {job.jobnum} of {attempt.run}: another try has it; nothing was registered")
        refused_names = {Path(r.path).name for r in (*refused, *report.refused)}
        _store_contents(conn, archive, attempt, outcomes, refused_names)
        _insert_outcomes(conn, attempt, rows, outcomes, refused_names)
        text = f"job {job.jobnum} {state.value}"
        record_event(
            conn, EventKind.JOB, attempt.run, text, attempt.id, subject=attempt.run, reason=comment or ""
        )
    if state is JobState.DONE:
        shutil.rmtree(workdir, ignore_errors=True)
    return state


def _deposits(
    attempt: Attempt, rows: Mapping[int, WrapperRow], outcomes: Iterable[WrapperOutcome], workdir: Path
) -> Iterable[Deposit]:
    """Yield the deposits of outputs that go into the archive."""
    for wrapper in outcomes:
        for output in wrapper.made:
            if output.save:
                yield Deposit(
                    source=workdir / output.filename,
                    filetype=output.filetype,
                    filename=output.filename,
                    directory=output.directory,
                    metadata={k: v for k, v in output.row.items() if k in CARRIED},
                    parents=output.parents,
                    task_id=rows[wrapper.wrapnum].task_id,
                    pfw_attempt_id=attempt.id,
                    move=True,
                )


def _store_contents(
    conn: Connection,
    archive: Archive,
    attempt: Attempt,
    outcomes: Iterable[WrapperOutcome],
    refused_names: set[str],
) -> None:
    """Verdicts and zero points go into their tables in the same transaction that registers their files."""
    maker = {
        "id": attempt.id,
        "run": attempt.run,
        "unitname": attempt.unitname,
        "pipeline": attempt.pipeline,
    }
    for wrapper in outcomes:
        for output in wrapper.made:
            if output.save and output.filetype in CONTENTS and output.filename not in refused_names:
                CONTENTS[output.filetype](conn, archive.root / output.directory / output.filename, maker)


def _log_deposit(path: Path, filetype: str, attempt: Attempt, task_id: int) -> Deposit:
    """Return the deposit of a log, output WCL or junk archive."""
    return Deposit(
        source=path,
        filetype=filetype,
        filename=path.name,
        directory=f"{attempt.archive_path}/{filetype}",
        metadata={},
        parents=(),
        task_id=task_id,
        pfw_attempt_id=attempt.id,
    )


def _write_junk_archive(workdir: Path, attempt: Attempt, job: Job) -> Path:
    """Pack the work folder of a failed try, for whoever must find the cause."""
    # Everything of a failed try's work folder, for whoever must find out why.
    token = (job.token or "")[:8]
    target = workdir.parent / f"{attempt.run}_J{job.jobnum:04d}_{token}_junk.tar.gz"
    workdir.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz", compresslevel=1) as tar:
        tar.add(workdir, arcname=f"{attempt.run}_J{job.jobnum:04d}")
    return target


def _insert_outcomes(
    conn: Connection,
    attempt: Attempt,
    rows: Mapping[int, WrapperRow],
    outcomes: Sequence[WrapperOutcome],
    refused_names: set[str],
) -> None:
    """Insert what wrappers did: states, times, execs, inputs, messages and metrics."""
    names = {name for wrapper in outcomes for name in wrapper.used}
    ids = store.file_ids(conn, names) if names else {}
    wrappers: list[dict[str, Value]] = []
    tasks: list[dict[str, Value]] = []
    execs: list[dict[str, Value]] = []
    used: list[dict[str, Value]] = []
    messages: list[dict[str, Value]] = []
    metrics: list[dict[str, Value]] = []
    for wrapper in outcomes:
        task_id = rows[wrapper.wrapnum].task_id
        failed = wrapper.state is WrapperState.FAILED or any(
            m.filename in refused_names for m in wrapper.made
        )
        regular = WrapperState.LEFT if wrapper.state is WrapperState.LEFT else WrapperState.DONE
        state = WrapperState.FAILED if failed else regular
        size = sum(m.filesize for m in wrapper.made)
        times: dict[str, Value] = {
            "start_time": _utc_time(wrapper.start_time),
            "end_time": _utc_time(wrapper.end_time),
            "exec_host": wrapper.host,
        }
        wrappers.append({"number": task_id, "state": state.value, "log": wrapper.log, "diskusage": size})
        tasks.append({"number": task_id, "status": int(failed), **times})
        for program in wrapper.execs:
            row: dict[str, Value] = asdict(program)
            row["start_time"], row["end_time"] = _utc_time(program.start_time), _utc_time(program.end_time)
            execs.append(row | {"pfw_wrapper_task_id": task_id, "exec_host": wrapper.host})
        if not failed:  # a wrapper that runs again says then what it used
            used += [
                {"task_id": task_id, "desfile_id": i} for i in {ids[n] for n in wrapper.used if n in ids}
            ]
        keys_of_row: dict[str, Value] = {"task_id": task_id, "pfw_attempt_id": attempt.id}
        messages += [
            keys_of_row
            | {
                "message_time": _utc_time(wrapper.end_time),
                "message_lvl": f.level,
                "pattern": f.pattern[:80],
                "action": f.action,
                "message": f.text[:4000],
                "log_file": wrapper.log,
                "log_line": f.line,
            }
            for f in wrapper.findings
        ]
        unique = {(m.name, m.band): m for m in wrapper.metrics}
        metrics += [
            keys_of_row
            | {
                "name": m.name[:48],
                "band": m.band[:8],
                "wrapkeys": rows[wrapper.wrapnum].wrapkeys,
                "value": m.value,
                "unit": m.unit[:24],
                "text": m.text,
            }
            for m in unique.values()
        ]
    store.insert_outcome(
        conn,
        attempt.id,
        wrappers=wrappers,
        tasks=tasks,
        execs=execs,
        used=used,
        messages=messages,
        metrics=metrics,
    )


def _utc_time(seconds: float) -> datetime:
    """Return a POSIX time as naive UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
