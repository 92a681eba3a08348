"""The database itself: migrations equal the tables, and it refuses what must not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import ForeignKeyConstraint, Table, insert, inspect, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError

from desdm.errors import ConfigError, UsageError
from desdm.schema import metadata, ops_state_change, pfw_attempt, pfw_block, pfw_job, task
from desdm.schema.database import Database, new_ids
from desdm.schema.operationstates import (
    DELIVERY_CHANGES,
    DISPATCH_CHANGES,
    NOTICE_CHANGES,
    PROBLEM_CHANGES,
    QUEUE_CHANGES,
    REVIEW_CHANGES,
)
from desdm.schema.states import ATTEMPT_CHANGES, JOB_CHANGES, AttemptState, EventKind, JobState
from desdm.schema.store import find_events, record_event
from desdm.schema.upgrade import upgrade
from tests.archive.test_find import attempt, put

KINDS_OF_STATES = (
    ATTEMPT_CHANGES,
    JOB_CHANGES,
    DELIVERY_CHANGES,
    QUEUE_CHANGES,
    REVIEW_CHANGES,
    PROBLEM_CHANGES,
    DISPATCH_CHANGES,
    NOTICE_CHANGES,
)


def test_migrations_make_the_tables_as_they_are_declared(database: Database) -> None:
    with database.read() as conn:
        context = MigrationContext.configure(
            conn, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        known = inspect(conn)
        for table in metadata.sorted_tables:
            names = {c["name"] for c in known.get_check_constraints(table.name)}
            assert names >= {str(c.name) for c in table.constraints if str(c.name).startswith("ck_")}, (
                table.name
            )
            keys = {tuple(k["constrained_columns"]) for k in known.get_foreign_keys(table.name)}
            assert keys == {tuple(k.column_keys) for k in table.foreign_key_constraints}, table.name


def test_an_upgrade_may_be_repeated(database: Database) -> None:
    upgrade(database)
    database.require_current()
    with database.read() as conn:
        rows = {tuple(r) for r in conn.execute(select(ops_state_change))}
    lawful = sum(len(targets) for kind in KINDS_OF_STATES for targets in kind.values())
    assert len(rows) == lawful


def test_a_database_of_another_version_is_refused(database: Database) -> None:
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(ConfigError, match="upgrade"):
        database.require_current()


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda t: t.name)
def test_no_row_may_name_what_is_not_there(database: Database, table: Table) -> None:
    """Test 18 of the twenty: every foreign key of every table is kept by the database."""
    for key in (c for c in table.constraints if isinstance(c, ForeignKeyConstraint)):
        with pytest.raises(IntegrityError), database.write() as conn:
            # Only what this key needs: NOT NULL of the others would hide it, so all other columns are filled.
            row = {c.name: _some(c) for c in table.c}
            row |= {name: 123456 for name in key.column_keys if isinstance(row[name], int)}
            for column in table.c:
                if column.nullable and column.name not in key.column_keys:
                    row[column.name] = None
            conn.execute(insert(table), row)


def _some(column: Any) -> object:
    kinds = {int: 987654, str: "ok", float: 1.0, bool: False}
    kind = column.type.python_type
    if column.name == "state":
        return "planned" if column.table.name.startswith("pfw") else "ok"
    if column.name == "data_state":
        return "NEW"
    if column.name == "run_class":
        return "survey"
    if kind in kinds:
        return kinds[kind]
    from desdm.archive.store import now

    return now()


def _job(conn: Any, number: int, state: str) -> None:
    conn.execute(insert(task), [{"id": number * 10 + i, "name": "x", "info_table": "x"} for i in (1, 2)])
    conn.execute(insert(pfw_block), {
        "task_id": number * 10 + 1, "pfw_attempt_id": 1, "blknum": number, "name": "b", "modulelist": "m", "numexpjobs": 1,
    })  # fmt: skip
    conn.execute(insert(pfw_job), {
        "task_id": number * 10 + 2, "pfw_attempt_id": 1, "pfw_block_task_id": number * 10 + 1, "jobnum": number,
        "jobkeys": "", "expect_num_wrap": 1, "state": state, "tries": 0,
    })  # fmt: skip


def test_every_change_of_an_attempt_s_state_is_lawful_or_refused(database: Database) -> None:
    number = 0
    for before in AttemptState:
        for after in AttemptState:
            number += 1
            with database.write() as conn:
                attempt(conn, number, att=number, state=before.value)
            change = update(pfw_attempt).where(pfw_attempt.c.id == number).values(state=after.value)
            if before is after or after in ATTEMPT_CHANGES[before]:
                with database.write() as conn:
                    conn.execute(change)
            else:
                with pytest.raises(DatabaseError, match="unlawful change"), database.write() as conn:
                    conn.execute(change)


def test_every_change_of_a_job_s_state_is_lawful_or_refused(database: Database) -> None:
    number = 0
    with database.write() as conn:
        attempt(conn, 1)
    for before in JobState:
        for after in JobState:
            number += 1
            with database.write() as conn:
                _job(conn, number, before.value)
            change = update(pfw_job).where(pfw_job.c.jobnum == number).values(state=after.value)
            if before is after or after in JOB_CHANGES[before]:
                with database.write() as conn:
                    conn.execute(change)
            else:
                with pytest.raises(DatabaseError, match="unlawful change"), database.write() as conn:
                    conn.execute(change)


@pytest.mark.parametrize(
    "more",
    [{"state": "happy"}, {"data_state": "SHINY"}, {"state": None}, {"attnum": 1, "id": 2, "task_id": 1}],
)
def test_states_are_a_closed_set_and_attempts_are_unique(database: Database, more: dict[str, Any]) -> None:
    with database.write() as conn:
        attempt(conn, 1)
    with pytest.raises(IntegrityError), database.write() as conn:
        attempt(conn, 2, **({"att": 2} | more))


@pytest.mark.parametrize("state", ["happy", None])
def test_a_copy_s_state_is_one_of_four_and_names_are_unique(database: Database, state: str | None) -> None:
    with pytest.raises(IntegrityError), database.write() as conn:
        put(conn, 1, "a.fits", state=state)
    with database.write() as conn:
        put(conn, 1, "a.fits")
        put(conn, 2, "a.fits", compression=".fz")
    with pytest.raises(IntegrityError), database.write() as conn:
        put(conn, 3, "a.fits")


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    row = {"name": "run", "info_table": "pfw_attempt"}
    with database.read() as conn:
        before = conn.execute(select(task.c.id)).all()
        with database.write() as other:
            other.execute(insert(task), {"id": 1, **row})
        assert conn.execute(select(task.c.id)).all() == before == []
    with database.read() as conn:
        assert conn.execute(select(task.c.id)).scalars().all() == [1]


def test_new_numbers_are_fresh(database: Database) -> None:
    with database.write() as conn:
        first = list(new_ids(conn, task, 3))
        conn.execute(insert(task), [{"id": i, "name": "x", "info_table": "x"} for i in first])
        second = list(new_ids(conn, task, 2))
    assert len({*first, *second}) == 5
    with database.write() as conn:
        assert list(new_ids(conn, task, 0)) == []


def test_an_installation_with_rows_is_upgraded_and_keeps_them(tmp_path: Path) -> None:
    """SQLite cannot change a CHECK but in the schema's own text: rows, references and the other checks must survive it."""
    import sqlite3

    from alembic import command
    from alembic.config import Config

    import desdm.schema.upgrade

    old = Database(f"sqlite:///{tmp_path}/old.sqlite")
    config = Config()
    config.set_main_option("script_location", str(Path(desdm.schema.upgrade.__file__).parent / "migrations"))
    config.attributes["engine"] = old.engine
    command.upgrade(config, "0001")
    rows = """
        INSERT INTO ops_data_state_def VALUES ('NEW', 'x');
        INSERT INTO pfw_request (reqnum, project, campaign, pipeline) VALUES (1, 'OPS', 'M', 'p');
        INSERT INTO pfw_unit VALUES (1, 'U');
        INSERT INTO task (id, name, info_table) VALUES (1, 'p', 'pfw_attempt'), (2, 'm', 'pfw_wrapper');
    """
    with sqlite3.connect(tmp_path / "old.sqlite") as conn:
        conn.executescript(rows)
        names = [r[1] for r in conn.execute("PRAGMA table_info(pfw_wrapper)")]
        values = {"task_id": 2, "pfw_attempt_id": 1, "pfw_job_task_id": 1, "wrapnum": 1, "state": "done"}
        marks = ", ".join("?" for _ in names)
        conn.execute(f"INSERT INTO pfw_wrapper VALUES ({marks})", [values.get(n, "x") for n in names])
    conn.close()
    upgrade(old)
    old.close()
    with sqlite3.connect(tmp_path / "old.sqlite") as conn:
        assert conn.execute("SELECT state FROM pfw_wrapper").fetchall() == [("done",)]
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        conn.execute("UPDATE pfw_wrapper SET state = 'left'")
        with pytest.raises(sqlite3.IntegrityError, match="ck_pfw_wrapper_state"):
            conn.execute("UPDATE pfw_wrapper SET state = 'nonsense'")
    conn.close()


@pytest.mark.parametrize("text", ["bad\udcff\udcfe.fits", "a\0b"])
def test_what_no_database_can_hold_is_escaped_in_events_and_refused_in_questions(
    database: Database, text: str
) -> None:
    """A byte of a file name that is not UTF-8 is a lone surrogate in Python; PostgreSQL's text holds no NUL."""
    with database.write() as conn:
        record_event(conn, EventKind.REFUSAL, "me", f"{text}: refused", subject=text, reason=text)
    with database.read() as conn:
        [found] = find_events(conn)
    escaped = "bad\\udcff\\udcfe.fits" if "bad" in text else "a\\x00b"
    assert (found.subject, found.text, found.reason) == (escaped, f"{escaped}: refused", escaped)
    if "bad" in text or database.dialect == "postgresql":
        with pytest.raises(UsageError, match=r"UTF-8|NUL"), database.read() as conn:
            find_events(conn, subject=text)
