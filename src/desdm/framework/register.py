"""Registers what a job made: files, parentage, states, execs, messages and QA numbers in one transaction.

Bytes go into the archive first; then one transaction takes the job's live token and writes every row, so that a
late twin of a job can register nothing, and no file is ever known without the task that made it.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from desdm.archive.archive import Archive
from desdm.archive.deposit import record_refusals, register, stage
from desdm.archive.model import Deposit
from desdm.archive.mounted import require_mounted
from desdm.errors import StaleToken
from desdm.framework import store
from desdm.framework.model import Attempt, Job, WrapperRow
from desdm.framework.outcome import WrapperOutcome, read_outcome
from desdm.framework.plan import CARRIED
from desdm.quality.qa.contents import CONTENTS
from desdm.schema.database import Database
from desdm.schema.states import EventKind, JobState, WrapperState
from desdm.schema.store import record_event

__all__ = ["register_job"]

_ENDED = {WrapperState.DONE.value, WrapperState.REUSED.value}  # a wrapper left out is tried again


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
    fresh = [] if outcome is None else [w for w in outcome.wrappers if rows[w.wrapnum].state not in _ENDED]
    if state is JobState.DONE and (outcome is None or outcome.state != "done"):
        state = JobState.FAILED if outcome is not None and outcome.state == "failed" else JobState.LOST
    deposits = list(_deposits(attempt, rows, fresh, workdir))
    if state is not JobState.DONE:
        junk = _junk(workdir, attempt, job)
        deposits.append(_record_file(junk, "junktar", attempt, job.task_id))
    deposits += [_record_file(p, "log", attempt, job.task_id) for p in sorted(workdir.glob("*.log"))]
    deposits += [_record_file(p, "wcl", attempt, job.task_id) for p in sorted(workdir.glob("*_out.wcl"))]
    require_mounted(database, archive)
    staged, refused = stage(archive, deposits)
    if refused:
        state = JobState.FAILED
        comment = "; ".join(f"{Path(r.path).name}: {r.reason}" for r in refused)
    if comment is None and state is JobState.FAILED:
        comment = next((w.comment for w in fresh if w.comment), None)
    junktar = next((d.filename for d in deposits if d.filetype == "junktar"), None)
    with database.write() as conn:
        record_refusals(conn, refused, who=attempt.run, attempt_id=attempt.id)
        report = register(conn, archive, staged, who=attempt.run)
        if report.refused:
            state = JobState.FAILED
            comment = "; ".join(f"{Path(r.path).name}: {r.reason}" for r in report.refused)
        if not store.close_job(conn, job.task_id, job.token, state, comment, junktar):
            raise StaleToken(f"job {job.jobnum} of {attempt.run}: another try has it; nothing was registered")
        bad = {Path(r.path).name for r in (*refused, *report.refused)}
        _contents(conn, archive, attempt, fresh, bad)
        _keep(conn, attempt, rows, fresh, bad)
        text = f"job {job.jobnum} {state.value}"
        record_event(
            conn, EventKind.JOB, attempt.run, text, attempt.id, subject=attempt.run, reason=comment or ""
        )
    if state is JobState.DONE:
        shutil.rmtree(workdir, ignore_errors=True)
    return state


def _deposits(
    attempt: Attempt, rows: Mapping[int, WrapperRow], fresh: Iterable[WrapperOutcome], workdir: Path
) -> Iterable[Deposit]:
    for wrapper in fresh:
        for made in wrapper.made:
            if made.save:
                yield Deposit(
                    source=workdir / made.filename,
                    filetype=made.filetype,
                    filename=made.filename,
                    directory=made.directory,
                    metadata={k: v for k, v in made.row.items() if k in CARRIED},
                    parents=made.parents,
                    task_id=rows[wrapper.wrapnum].task_id,
                    pfw_attempt_id=attempt.id,
                    move=True,
                )


def _contents(
    conn: Any, archive: Archive, attempt: Attempt, fresh: Iterable[WrapperOutcome], bad: set[str]
) -> None:
    """Verdicts and zero points go into their tables in the same transaction that registers their files."""
    maker = {
        "id": attempt.id, "run": attempt.run, "unitname": attempt.unitname, "pipeline": attempt.pipeline,
    }  # fmt: skip
    for wrapper in fresh:
        for made in wrapper.made:
            if made.save and made.filetype in CONTENTS and made.filename not in bad:
                CONTENTS[made.filetype](conn, archive.root / made.directory / made.filename, maker)


def _record_file(path: Path, filetype: str, attempt: Attempt, task_id: int) -> Deposit:
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


def _junk(workdir: Path, attempt: Attempt, job: Job) -> Path:
    # Everything of a failed try's work folder, for whoever must find out why.
    token = (job.token or "")[:8]
    target = workdir.parent / f"{attempt.run}_J{job.jobnum:04d}_{token}_junk.tar.gz"
    workdir.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz", compresslevel=1) as tar:
        tar.add(workdir, arcname=f"{attempt.run}_J{job.jobnum:04d}")
    return target


def _keep(
    conn: Any,
    attempt: Attempt,
    rows: Mapping[int, WrapperRow],
    fresh: Sequence[WrapperOutcome],
    bad: set[str],
) -> None:
    names = {name for w in fresh for name in w.used}
    ids = store.file_ids(conn, names) if names else {}
    wrappers, tasks, execs, used, messages, metrics = [], [], [], [], [], []
    for w in fresh:
        number = rows[w.wrapnum].task_id
        failed = w.state == "failed" or any(m.filename in bad for m in w.made)
        left = WrapperState.LEFT if w.state == "left" else WrapperState.DONE
        state = WrapperState.FAILED if failed else left
        size = sum(m.filesize for m in w.made)
        times = {"start_time": _time(w.start_time), "end_time": _time(w.end_time), "exec_host": w.host}
        wrappers.append({"number": number, "state": state.value, "log": w.log, "diskusage": size})
        tasks.append({"number": number, "status": int(failed), **times})
        for one in w.execs:
            row = asdict(one)
            row["start_time"], row["end_time"] = _time(one.start_time), _time(one.end_time)
            execs.append(row | {"pfw_wrapper_task_id": number, "exec_host": w.host})
        if not failed:  # a wrapper that runs again says then what it used
            used += [{"task_id": number, "desfile_id": i} for i in {ids[n] for n in w.used if n in ids}]
        mine = {"task_id": number, "pfw_attempt_id": attempt.id}
        messages += [
            mine
            | {
                "message_time": _time(w.end_time), "message_lvl": f.level, "pattern": f.pattern[:80],
                "action": f.action, "message": f.text[:4000], "log_file": w.log, "log_line": f.line,
            }
            for f in w.findings
        ]  # fmt: skip
        unique = {(m.name, m.band): m for m in w.metrics}
        metrics += [
            mine
            | {
                "name": m.name[:48], "band": m.band[:8], "wrapkeys": rows[w.wrapnum].wrapkeys,
                "value": m.value, "unit": m.unit[:24], "text": m.text,
            }
            for m in unique.values()
        ]  # fmt: skip
    store.keep_outcome(
        conn, attempt.id, wrappers=wrappers, tasks=tasks, execs=execs, used=used, messages=messages,
        metrics=metrics,
    )  # fmt: skip


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
