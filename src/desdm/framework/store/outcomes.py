"""Outcomes in the database: states, execs, inputs, messages and QA numbers of wrappers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from desdm.archive.names import split_name
from desdm.framework.store.common import Values
from desdm.schema import (
    desfile,
    opm_used,
    opm_was_generated_by,
    pfw_attempt,
    pfw_exec,
    pfw_wrapper,
    qa_metric,
    task,
    task_message,
)
from desdm.schema.database import new_ids
from desdm.schema.rows import insert_rows

__all__ = ["count_findings", "file_ids", "generated_names", "insert_outcome"]

_SET_WRAPPER = (
    update(pfw_wrapper)
    .where(pfw_wrapper.c.task_id == bindparam("number"))
    .values(state=bindparam("state"), log=bindparam("log"), diskusage=bindparam("diskusage"))
)
_SET_TASK = (
    update(task)
    .where(task.c.id == bindparam("number"))
    .values(
        start_time=bindparam("start_time"),
        end_time=bindparam("end_time"),
        status=bindparam("status"),
        exec_host=bindparam("exec_host"),
    )
)


def insert_outcome(
    conn: Connection,
    attempt_id: int,
    *,
    wrappers: Values,
    tasks: Values,
    execs: Values,
    used: Values,
    messages: Values,
    metrics: Values,
) -> None:
    """Insert what the wrappers of a job did.

    Parameters
    ----------
    conn
        The transaction.
    attempt_id
        The attempt.
    wrappers, tasks
        New values of `pfw_wrapper` and `task`, with the task's number as ``number``.
    execs
        Rows of `pfw_exec` with the times and states of their tasks.
    used
        Rows of `opm_used`.
    messages
        Rows of `task_message`.
    metrics
        Rows of `qa_metric`; they replace those of the same wrappers.
    """
    if wrappers:
        conn.execute(_SET_WRAPPER, wrappers)
        conn.execute(_SET_TASK, tasks)
    if execs:
        numbers = new_ids(conn, task, len(execs))
        roots = conn.execute(select(pfw_attempt.c.task_id).where(pfw_attempt.c.id == attempt_id)).scalar_one()
        shared = [
            {
                "id": number,
                "name": row["name"],
                "info_table": "pfw_exec",
                "root_task_id": roots,
                "parent_task_id": row["pfw_wrapper_task_id"],
                "label": row["version"],
                "start_time": row["start_time"],
                "end_time": row["end_time"],
                "status": row["status"],
                "exec_host": row["exec_host"],
            }
            for number, row in zip(numbers, execs, strict=True)
        ]
        conn.execute(task.insert(), shared)
        task_columns = {"start_time", "end_time", "status", "exec_host"}
        rows = [
            {
                "task_id": number,
                "pfw_attempt_id": attempt_id,
                **{k: v for k, v in row.items() if k not in task_columns},
            }
            for number, row in zip(numbers, execs, strict=True)
        ]
        conn.execute(pfw_exec.insert(), rows)
    insert_rows(conn, opm_used, used)
    insert_rows(conn, task_message, messages)
    if metrics:
        ids = {row["task_id"] for row in metrics}
        conn.execute(qa_metric.delete().where(qa_metric.c.task_id.in_(ids)))
        conn.execute(qa_metric.insert(), metrics)


def count_findings(conn: Connection, attempt_id: int) -> tuple[int, int]:
    """How many messages of level 1 an attempt has, and how many whose pattern asks to flag it."""
    m = task_message.c
    # Messages of a try that failed and was done again stay in the record and do not count against the run.
    last = (pfw_wrapper.c.task_id == m.task_id) & (pfw_wrapper.c.log == m.log_file)
    messages_of_attempt = (
        select(func.count())
        .select_from(task_message)
        .join(pfw_wrapper, last)
        .where(m.pfw_attempt_id == attempt_id)
    )
    errors = conn.execute(messages_of_attempt.where(m.message_lvl == 1)).scalar_one()
    flags = conn.execute(messages_of_attempt.where(m.action == "flag")).scalar_one()
    return errors, flags


def file_ids(conn: Connection, names: Iterable[str]) -> dict[str, int]:
    """Numbers of registered files by full name (with compression suffix)."""
    full_names = sorted(set(names))
    ids: dict[str, int] = {}
    full = desfile.c.filename + desfile.c.compression
    stems = {split_name(name)[0] for name in full_names}
    ordered = sorted(stems | set(full_names))
    for start in range(0, len(ordered), 500):
        query = select(full, desfile.c.id).where(desfile.c.filename.in_(ordered[start : start + 500]))
        ids |= {row[0]: row[1] for row in conn.execute(query)}
    return {name: ids[name] for name in full_names if name in ids}


def generated_names(conn: Connection, task_ids: Sequence[int]) -> dict[int, set[str]]:
    """Return the names of registered files by the task that generated them."""
    names: dict[int, set[str]] = {}
    for start in range(0, len(task_ids), 500):
        query = (
            select(opm_was_generated_by.c.task_id, desfile.c.filename + desfile.c.compression)
            .join(desfile, desfile.c.id == opm_was_generated_by.c.desfile_id)
            .where(opm_was_generated_by.c.task_id.in_(task_ids[start : start + 500]))
        )
        for number, name in conn.execute(query):
            names.setdefault(number, set()).add(name)
    return names
