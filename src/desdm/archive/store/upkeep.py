"""The SQL of upkeep: audits, tags, deletions and their trash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, select, update

from desdm.archive.model import FileRecord
from desdm.archive.store.common import among, now, packed, records
from desdm.processes import process_exists
from desdm.schema import (
    CopyState,
    DataState,
    desfile,
    file_archive_info,
    file_tag,
    file_trash,
    opm_used,
    ops_proctag_def,
    pfw_attempt,
    pfw_wrapper,
    proctag,
)
from desdm.schema.states import AttemptState

__all__ = [
    "add_tags",
    "attempts_tagged",
    "copies_after",
    "define_tag",
    "deletions_of",
    "drop_copies",
    "in_use",
    "prune_attempts",
    "put_in_trash",
    "remove_tags",
    "restore_from_trash",
    "restore_pruned",
    "tags_like",
    "tags_of",
    "tags_of_attempts",
    "tags_with_counts",
    "trashed",
]


def copies_after(conn: Connection, archive: str, after: int, count: int) -> list[tuple[FileRecord, str]]:
    """The next ``count`` copies of an archive, by number of the file, with their state; trash is left out.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Name of the archive.
    after
        Number of a file; those with larger numbers follow.
    count
        Largest number of copies to return.
    """
    statement = (
        records(file_archive_info.c.archive_name == bindparam("archive"))
        .where(
            desfile.c.id > bindparam("after"),
            file_archive_info.c.state.is_not(None),
            file_archive_info.c.state != CopyState.TRASH.value,
        )
        .order_by(desfile.c.id)
        .limit(bindparam("count"))
    )
    rows = conn.execute(statement, {"archive": archive, "after": after, "count": count})
    return [(FileRecord._make(row[:11]), row[11]) for row in rows]


# -- tags


def define_tag(conn: Connection, tag: str, description: str) -> None:
    """Make the tag known; a new description replaces an old one, an empty one does not.

    Parameters
    ----------
    conn
        Connection to the database.
    tag
        Name of the tag.
    description
        What the tag is for; empty: unchanged.
    """
    old = conn.execute(select(ops_proctag_def.c.description).where(ops_proctag_def.c.tag == tag)).scalar()
    if old is None:
        conn.execute(insert(ops_proctag_def).values(tag=tag, description=description))
    elif description and description != old:
        conn.execute(
            update(ops_proctag_def).where(ops_proctag_def.c.tag == tag).values(description=description)
        )


def add_tags(
    conn: Connection, tag: str, files: Sequence[int], attempts: Sequence[int], who: str = "", reason: str = ""
) -> int:
    """Tag files and attempts; return how many were not tagged so before.

    Parameters
    ----------
    tag
        A known tag.
    files, attempts
        Numbers.
    who, reason
        Kept with each new tag.
    """
    author = {"who": who[:32] or None, "since": now(), "reason": reason or None}
    added = 0
    for table, column, ids in (
        (file_tag, file_tag.c.desfile_id, files),
        (proctag, proctag.c.pfw_attempt_id, attempts),
    ):
        if not ids:
            continue
        old = set(
            conn.execute(
                select(column).where(table.c.tag == tag, among(conn, column)), {"among": packed(conn, ids)}
            ).scalars()
        )
        rows = [{"tag": tag, column.name: i, **author} for i in dict.fromkeys(ids) if i not in old]
        if rows:
            conn.execute(insert(table), rows)
        added += len(rows)
    return added


def attempts_tagged(conn: Connection, tag: str) -> set[int]:
    """Return the numbers of the attempts with a tag."""
    return set(conn.execute(select(proctag.c.pfw_attempt_id).where(proctag.c.tag == tag)).scalars())


def tags_like(conn: Connection, prefix: str) -> list[str]:
    """Return the tags whose name begins with ``prefix``."""
    query = select(ops_proctag_def.c.tag).where(ops_proctag_def.c.tag.startswith(prefix, autoescape=True))
    return list(conn.execute(query.order_by(ops_proctag_def.c.tag)).scalars())


def remove_tags(conn: Connection, tag: str, files: Sequence[int], attempts: Sequence[int]) -> int:
    """Take a tag off files and attempts; how many had it.

    Parameters
    ----------
    conn
        Connection to the database.
    tag
        Name of the tag.
    files
        Numbers of the files.
    attempts
        Numbers of the attempts.
    """
    removed = 0
    for table, column, ids in (
        (file_tag, file_tag.c.desfile_id, files),
        (proctag, proctag.c.pfw_attempt_id, attempts),
    ):
        if ids:
            gone = conn.execute(
                delete(table).where(table.c.tag == tag, among(conn, column)), {"among": packed(conn, ids)}
            )
            removed += gone.rowcount
    return removed


def tags_with_counts(conn: Connection) -> list[tuple[str, str, int, int]]:
    """(tag, description, files, attempts) of every tag."""
    files = select(func.count()).where(file_tag.c.tag == ops_proctag_def.c.tag).scalar_subquery()
    attempts = select(func.count()).where(proctag.c.tag == ops_proctag_def.c.tag).scalar_subquery()
    rows = conn.execute(
        select(ops_proctag_def.c.tag, ops_proctag_def.c.description, files, attempts).order_by(
            ops_proctag_def.c.tag
        )
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def tags_of_attempts(conn: Connection, attempts: Sequence[int]) -> dict[int, list[str]]:
    """Return the tags that attempts themselves carry, by number of the attempt."""
    query = (
        select(proctag.c.pfw_attempt_id, proctag.c.tag)
        .where(among(conn, proctag.c.pfw_attempt_id))
        .order_by(proctag.c.pfw_attempt_id, proctag.c.tag)
    )
    tags: dict[int, list[str]] = {}
    for number, name in conn.execute(query, {"among": packed(conn, attempts)}):
        tags.setdefault(number, []).append(name)
    return tags


def tags_of(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    """For each of these files that is tagged, itself or by its attempt, one of its tags."""
    if not ids:
        return {}
    parameters = {"among": packed(conn, ids)}
    tags: dict[int, str] = {}
    own = select(file_tag.c.desfile_id, file_tag.c.tag).where(among(conn, file_tag.c.desfile_id))
    by_attempt = (
        select(desfile.c.id, proctag.c.tag)
        .select_from(desfile.join(proctag, proctag.c.pfw_attempt_id == desfile.c.pfw_attempt_id))
        .where(among(conn, desfile.c.id))
    )
    for statement in (own, by_attempt):
        for row in conn.execute(statement, parameters):
            tags.setdefault(row[0], row[1])
    return tags


def in_use(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    """For each of these files that an attempt in progress produced or uses, the name of that attempt.

    One that is running by its row, but whose submitter is gone, is not in progress.
    """
    if not ids:
        return {}
    parameters = {"among": packed(conn, ids)}
    under_way = pfw_attempt.c.state.in_([AttemptState.PLANNED, AttemptState.RUNNING])
    a = pfw_attempt.c
    name = [a.unitname, a.reqnum, a.attnum, a.state, a.submitter_host, a.submitter_pid, a.submitter_start]
    outputs = (
        select(desfile.c.id, *name)
        .select_from(desfile.join(pfw_attempt, pfw_attempt.c.id == desfile.c.pfw_attempt_id))
        .where(among(conn, desfile.c.id), under_way)
    )
    uses = (
        select(opm_used.c.desfile_id, *name)
        .select_from(
            opm_used.join(pfw_wrapper, pfw_wrapper.c.task_id == opm_used.c.task_id).join(
                pfw_attempt, pfw_attempt.c.id == pfw_wrapper.c.pfw_attempt_id
            )
        )
        .where(among(conn, opm_used.c.desfile_id), under_way)
    )
    runs: dict[int, str] = {}
    for statement in (outputs, uses):
        for row in conn.execute(statement, parameters):
            if row[4] == AttemptState.PLANNED or process_exists(*row[5:8]):
                runs.setdefault(row[0], f"{row[1]}_r{row[2]}p{row[3]:02d}")
    return runs


# -- trash


def put_in_trash(conn: Connection, archive: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Mark copies as trash and note who, when, why, and until when they can be recovered.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Name of the archive.
    rows
        Rows of the table of the trash, one for each file.
    """
    ids = [row["desfile_id"] for row in rows]
    conn.execute(
        update(file_archive_info)
        .where(file_archive_info.c.archive_name == archive, among(conn, file_archive_info.c.desfile_id))
        .values(state=CopyState.TRASH.value),
        {"among": packed(conn, ids)},
    )
    conn.execute(insert(file_trash), list(rows))


def restore_from_trash(conn: Connection, archive: str, ids: Sequence[int], state: CopyState) -> None:
    """Copies are no longer trash.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Name of the archive.
    ids
        Numbers of the files.
    state
        State of the copies from now on.
    """
    parameters = {"among": packed(conn, ids)}
    conn.execute(
        update(file_archive_info)
        .where(file_archive_info.c.archive_name == archive, among(conn, file_archive_info.c.desfile_id))
        .values(state=state.value),
        parameters,
    )
    conn.execute(
        delete(file_trash).where(file_trash.c.archive_name == archive, among(conn, file_trash.c.desfile_id)),
        parameters,
    )


def prune_attempts(conn: Connection, attempts: Sequence[int]) -> list[tuple[int, str, str]]:
    """Mark PRUNED those of the attempts of whose files no copy with bytes is left outside the trash.

    A copy that an audit missed has none: a file that is known as missing counts as deleted once the others are.

    Returns
    -------
    list of (number, run, data state before)
    """
    if not attempts:
        return []
    mine, among_these = pfw_attempt.c, {"among": packed(conn, attempts)}
    # Locked before copies are counted: of two deletions at once, the second sees what the first has deleted.
    conn.execute(select(mine.id).where(among(conn, mine.id)).with_for_update(), among_these)
    copy = exists(
        select(desfile.c.id)
        .join(file_archive_info, file_archive_info.c.desfile_id == desfile.c.id)
        .where(
            desfile.c.pfw_attempt_id == mine.id,
            file_archive_info.c.state.not_in((CopyState.TRASH.value, CopyState.MISSING.value)),
        )
    )
    query = select(mine.id, mine.unitname, mine.reqnum, mine.attnum, mine.data_state).where(
        among(conn, mine.id), mine.data_state != DataState.PRUNED.value, ~copy
    )
    parents = [
        (row[0], f"{row[1]}_r{row[2]}p{row[3]:02d}", row[4]) for row in conn.execute(query, among_these)
    ]
    if parents:
        conn.execute(
            update(pfw_attempt)
            .where(among(conn, mine.id))
            .values(pruned_from=mine.data_state, data_state=DataState.PRUNED.value),
            {"among": packed(conn, [number for number, _, _ in parents])},
        )
    return parents


def restore_pruned(conn: Connection, attempts: Sequence[int]) -> list[tuple[int, str, str]]:
    """Give those of the attempts that are PRUNED the data state that they had before.

    Returns
    -------
    list of (number, run, data state after)
    """
    if not attempts:
        return []
    mine, among_these = pfw_attempt.c, {"among": packed(conn, attempts)}
    before = func.coalesce(mine.pruned_from, DataState.NEW.value)
    wanted = (among(conn, mine.id), mine.data_state == DataState.PRUNED.value)
    query = select(mine.id, mine.unitname, mine.reqnum, mine.attnum, before).where(*wanted).with_for_update()
    parents = [
        (row[0], f"{row[1]}_r{row[2]}p{row[3]:02d}", row[4]) for row in conn.execute(query, among_these)
    ]
    if parents:
        conn.execute(
            update(pfw_attempt).where(*wanted).values(data_state=before, pruned_from=None), among_these
        )
    return parents


def trashed(conn: Connection, archive: str) -> list[tuple[FileRecord, datetime]]:
    """Copies in the trash, with the end of their grace time."""
    statement = (
        records(file_archive_info.c.archive_name == archive)
        .add_columns(file_trash.c.purge_after)
        .join(
            file_trash,
            and_(
                file_trash.c.desfile_id == desfile.c.id,
                file_trash.c.archive_name == file_archive_info.c.archive_name,
            ),
        )
        .where(file_archive_info.c.state == CopyState.TRASH.value)
        .order_by(desfile.c.filename, desfile.c.compression)
    )
    return [(FileRecord._make(row[:11]), row[12]) for row in conn.execute(statement)]


def deletions_of(conn: Connection, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Who deleted files that are in the trash, and why, by number of the file."""
    if not ids:
        return {}
    rows = conn.execute(
        select(file_trash.c.desfile_id, file_trash.c.deleted_by, file_trash.c.reason)
        .where(among(conn, file_trash.c.desfile_id))
        .order_by(file_trash.c.deleted_at),
        {"among": packed(conn, ids)},
    )
    return {number: (who or "", reason or "") for number, who, reason in rows}


def drop_copies(conn: Connection, archive: str, ids: Sequence[int]) -> None:
    """Forget copies in the trash for good; the files' identity and provenance stay.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Name of the archive.
    ids
        Numbers of the files.
    """
    parameters = {"among": packed(conn, ids)}
    conn.execute(
        delete(file_trash).where(file_trash.c.archive_name == archive, among(conn, file_trash.c.desfile_id)),
        parameters,
    )
    conn.execute(
        delete(file_archive_info).where(
            file_archive_info.c.archive_name == archive, among(conn, file_archive_info.c.desfile_id)
        ),
        parameters,
    )
