"""Plans in the database: all rows of an attempt, inserted at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, select

from desdm.archive.calibrations import CalibrationChoice
from desdm.archive.store import keep_choices
from desdm.framework.model import Value
from desdm.framework.pipeline import Pipeline
from desdm.framework.plan import Plan, PlannedJob
from desdm.framework.store.common import now
from desdm.processes import process_start
from desdm.quality.qa.flags import Flags
from desdm.quality.qa.selection import Omitted
from desdm.schema import (
    pfw_attempt,
    pfw_attempt_config,
    pfw_attempt_label,
    pfw_attempt_val,
    pfw_block,
    pfw_data_query,
    pfw_job,
    pfw_omitted_input,
    pfw_planned_exposure,
    pfw_wrapper,
    task,
)
from desdm.schema.database import new_ids
from desdm.schema.rows import insert_rows
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, EventKind, JobState, RunClass, WrapperState
from desdm.schema.store import record_event

__all__ = ["FlagsOfPlan", "insert_config", "insert_plan", "plans_of_exposure"]

_JOB_PLANNED, _WRAPPER_PLANNED = JobState.PLANNED.value, WrapperState.PLANNED.value


@dataclass(slots=True)
class _PlanRows:
    """Rows of a plan, with the tree of its tasks."""

    attempt_id: int
    root: int
    ids: Iterator[int]
    tasks: list[dict[str, Value]] = field(default_factory=list)
    blocks: list[dict[str, Value]] = field(default_factory=list)
    jobs: list[dict[str, Value]] = field(default_factory=list)
    wrappers: list[dict[str, Value]] = field(default_factory=list)

    def add_task(self, name: str, table: str, parent: int | None, label: str) -> int:
        """Add a row of `task` and return its number.

        Parameters
        ----------
        name, label
            Name and label; longer ones are cut.
        table
            Table with more about it.
        parent
            Number of the parent task; None: the root.
        """
        number = self.root if parent is None else next(self.ids)
        self.tasks.append(
            {
                "id": number,
                "name": name[:64],
                "info_table": table,
                "parent_task_id": parent,
                "root_task_id": self.root,
                "label": label[:64] or None,
            }
        )
        return number

    def add_block(self, number: int, name: str, modules: str, jobs: int) -> int:
        """Add a block and return the number of its task.

        Parameters
        ----------
        number, name
            Number from 1, and name.
        modules
            Names of its modules, comma separated.
        jobs
            Number of jobs.
        """
        task_id = self.add_task(name, "pfw_block", self.root, name)
        self.blocks.append(
            {
                "task_id": task_id,
                "pfw_attempt_id": self.attempt_id,
                "blknum": number,
                "name": name,
                "modulelist": modules,
                "numexpjobs": jobs,
            }
        )
        return task_id

    def add_job(self, job: PlannedJob, block: int, jobroot: str | None) -> None:
        """Add a job with its wrappers.

        Parameters
        ----------
        job
            The job.
        block
            Number of the block's task.
        jobroot
            Work folder of the job.
        """
        task_id = self.add_task(f"job{job.jobnum:04d}", "pfw_job", block, job.jobkeys)
        self.jobs.append(
            {
                "task_id": task_id,
                "pfw_attempt_id": self.attempt_id,
                "pfw_block_task_id": block,
                "jobnum": job.jobnum,
                "jobkeys": job.jobkeys[:96],
                "expect_num_wrap": len(job.wrappers),
                "state": _JOB_PLANNED,
                "tries": 0,
                "jobroot": jobroot,
            }
        )
        for wrapper in job.wrappers:
            keys = wrapper.wrapkeys
            self.wrappers.append(
                {
                    "task_id": self.add_task(wrapper.module.name, "pfw_wrapper", task_id, keys),
                    "pfw_attempt_id": self.attempt_id,
                    "pfw_job_task_id": task_id,
                    "wrapnum": wrapper.wrapnum,
                    "modname": wrapper.module.name,
                    "name": wrapper.module.wrapper,
                    "wrapkeys": keys[:96],
                    "state": _WRAPPER_PLANNED,
                }
            )


def insert_plan(
    conn: Connection,
    pipeline: Pipeline,
    identity: RunName,
    plan: Plan,
    *,
    values: Mapping[str, str],
    queries: Iterable[tuple[str, str, str, int]],
    labels: Sequence[str],
    operator: str,
    archive_path: str,
    fingerprint: str,
    jobroots: Mapping[int, str],
    calibrations: Iterable[CalibrationChoice] = (),
    run_class: RunClass = RunClass.SURVEY,
    omitted: Iterable[Omitted] = (),
    reason: str = "",
    replaces: int | None = None,
    flags: Flags | None = None,
) -> int:
    """Insert every row of a planned attempt.

    Parameters
    ----------
    conn
        The transaction.
    pipeline, identity, plan
        What is planned, and under which name.
    values
        Settings of the run.
    queries
        Module, input, query and number of files of each query.
    labels
        Labels of the attempt.
    operator
        Who submits it.
    archive_path
        Directory of the run in the archive.
    fingerprint
        Digest of pipeline, codes, settings and inputs.
    jobroots
        Work folders by job number.
    calibrations
        Calibrations that were chosen, with reasons.
    run_class
        Purpose of the attempt.
    omitted
        Inputs that were omitted, with reasons.
    reason
        Why it is submitted; empty: none.
    replaces
        Number of the attempt that it repeats.
    flags
        Verdicts and exclusions that the plan read; None: it read none.

    Returns
    -------
    int
        Number of the attempt.
    """
    jobs = list(plan.jobs)
    nwrap = sum(len(job.wrappers) for job in jobs)
    ids = iter(new_ids(conn, task, 1 + len(plan.blocks) + len(jobs) + nwrap))
    rows = _PlanRows(new_ids(conn, pfw_attempt, 1)[0], next(ids), ids)
    rows.add_task(pipeline.name, "pfw_attempt", None, identity.text)
    for blknum, (block, jobs_of_block) in enumerate(zip(pipeline.blocks, plan.blocks, strict=True), 1):
        number = rows.add_block(
            blknum, block.name, ",".join(m.name for m in block.modules), len(jobs_of_block)
        )
        for job in jobs_of_block:
            rows.add_job(job, number, jobroots.get(job.jobnum))
    attempt: dict[str, Value] = {
        "id": rows.attempt_id,
        "reqnum": identity.reqnum,
        "unitname": identity.unitname,
        "attnum": identity.attnum,
        "task_id": rows.root,
        "state": AttemptState.PLANNED.value,
        "data_state": "NEW",
        "run_class": run_class.value,
        "operator": operator,
        "pipeprod": pipeline.name,
        "pipever": pipeline.version,
        "submittime": now(),
        "numexpblk": len(plan.blocks),
        "numexpjobs": len(jobs),
        "numexpwrap": nwrap,
        "archive_path": archive_path,
        "fingerprint": fingerprint,
        "cancel_requested": False,
        "replaces_id": replaces,
        "exclusions_digest": None if flags is None else flags.digest,
        "submitter_host": socket.gethostname(),
        "submitter_pid": os.getpid(),
        "submitter_start": process_start(os.getpid()),
    }
    keys_of_row: dict[str, Value] = {"pfw_attempt_id": rows.attempt_id}
    insert_rows(conn, task, rows.tasks)
    insert_rows(conn, pfw_attempt, [attempt])
    insert_rows(conn, pfw_block, rows.blocks)
    insert_rows(conn, pfw_job, rows.jobs)
    insert_rows(conn, pfw_wrapper, rows.wrappers)
    insert_rows(conn, pfw_attempt_val, [{**keys_of_row, "key": k, "val": v} for k, v in values.items()])
    insert_rows(conn, pfw_attempt_label, [{**keys_of_row, "label": label} for label in labels])
    query_rows = [
        {**keys_of_row, "modname": m, "dataname": d, "query": q, "nfound": n} for m, d, q, n in queries
    ]
    insert_rows(conn, pfw_data_query, query_rows)
    choice_rows: list[dict[str, Value]] = [
        {
            **keys_of_row,
            "desfile_id": c.file.id,
            "filetype": c.file.filetype,
            "ccdnum": c.file.ccdnum,
            "how": c.rule.value,
            "reason": c.reason,
        }
        for c in calibrations
    ]
    keep_choices(conn, choice_rows)
    omitted_rows: list[dict[str, Value]] = [
        {
            **keys_of_row,
            "desfile_id": o.desfile_id,
            "ccdnum": o.ccdnum,
            "expnum": o.expnum,
            "reason": o.reason,
        }
        for o in omitted
    ]
    insert_rows(conn, pfw_omitted_input, omitted_rows)
    if flags is not None:
        planned = [{**keys_of_row, "expnum": n, "own": n == flags.own} for n in flags.expnums]
        insert_rows(conn, pfw_planned_exposure, planned)
    text = f"{identity.text} planned: {nwrap} wrappers in {len(jobs)} jobs"
    record_event(
        conn, EventKind.ATTEMPT, operator, text, rows.attempt_id, subject=identity.text, reason=reason
    )
    return rows.attempt_id


def insert_config(conn: Connection, attempt_id: int, settings: str, modules: str, software: str) -> None:
    """Insert the configuration of an attempt, each part as JSON.

    Parameters
    ----------
    conn
        The transaction.
    attempt_id
        The attempt.
    settings, modules, software
        Settings of the run and of each module, and the identities of the software.
    """
    conn.execute(
        pfw_attempt_config.insert(),
        {"pfw_attempt_id": attempt_id, "settings": settings, "modules": modules, "software": software},
    )


class FlagsOfPlan(NamedTuple):
    """The exposures whose verdicts and exclusions a plan read, the one that it processes by itself, and the digest."""

    attempt_id: int
    expnums: tuple[int, ...]
    own: int | None
    digest: str


def plans_of_exposure(conn: Connection, expnum: int) -> list[FlagsOfPlan]:
    """Return the plans that read the verdicts and exclusions of an exposure, in the order of their attempts."""
    p, a = pfw_planned_exposure.c, pfw_attempt.c
    mine = select(p.pfw_attempt_id).where(p.expnum == expnum)
    query = (
        select(p.pfw_attempt_id, p.expnum, p.own, a.exclusions_digest)
        .join(pfw_attempt, a.id == p.pfw_attempt_id)
        .where(p.pfw_attempt_id.in_(mine))
        .order_by(p.pfw_attempt_id, p.expnum)
    )
    plans: dict[int, FlagsOfPlan] = {}
    for attempt_id, number, is_own, digest in conn.execute(query):
        before = plans.get(attempt_id, FlagsOfPlan(attempt_id, (), None, digest or ""))
        own = number if is_own else before.own
        plans[attempt_id] = FlagsOfPlan(attempt_id, (*before.expnums, number), own, before.digest)
    return list(plans.values())
