"""Brings a database to the current schema with Alembic and fills its tables of definitions."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, select, table, text

from desdm.errors import ConfigError
from desdm.schema.database import Database, translated
from desdm.schema.operationstates import operation_changes
from desdm.schema.runs import ops_data_state_def, ops_state_change
from desdm.schema.service import MOVED, carry_over, prepare
from desdm.schema.states import DataState, changes

__all__ = ["upgrade"]


#: Revisions after which rows of requests leave this database, and the next: jobs and denials; sessions and users' tables.
_LEAVING = (("0006", "0007"), ("0008", "0009"))
#: Table → which of its rows belong to requests; of others all.
_OF_REQUESTS = {"access_token": "kind = 'session'"}


def upgrade(database: Database, service: Database | None = None) -> None:
    """Run every migration that the database lacks; safe to call again.

    Parameters
    ----------
    database
        The operations database.
    service
        The service's own database, created if it does not exist, to which rows of earlier versions are carried over.

    Raises
    ------
    ConfigError
        There are such rows, and no database to carry them over to; or the schema is newer than this program.
    DamagedDatabase
        The schema does not say its revision.
    """
    # Of a revision that is not known here Alembic would say what helps developers only.
    database.schema_version()
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = database.engine
    if service is not None:
        prepare(service)
    for last, without in _LEAVING:
        if _revision(database) >= without:
            continue
        if _revision(database) < last:
            with translated():
                command.upgrade(config, last)
        if service is not None:
            carry_over(database, service)
        elif _rows_left(database):
            raise ConfigError(
                f"{database.describe()} holds jobs, denials, sessions or users' tables; upgrade it with: desdm init --upgrade"
            )
        with translated():
            command.upgrade(config, without)
    with translated():
        command.upgrade(config, "head")
    with database.write() as conn:
        lawful = {tuple(row) for row in conn.execute(select(ops_state_change))}
        new = [row for row in (*changes(), *operation_changes()) if row not in lawful]
        if new:
            conn.execute(
                ops_state_change.insert(), [{"kind": k, "from_state": a, "to_state": b} for k, a, b in new]
            )
        known = set(conn.execute(select(ops_data_state_def.c.state)).scalars())
        states = [{"state": s.value, "description": s.text} for s in DataState if s.value not in known]
        if states:
            conn.execute(ops_data_state_def.insert(), states)


def _revision(database: Database) -> str:
    """Revision of the schema; empty if there is none yet."""
    with database.read() as conn:
        if not inspect(conn).has_table("alembic_version"):
            return ""
        return str(conn.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _rows_left(database: Database) -> bool:
    """Whether the database still holds rows that belong to the service's own."""
    with database.read() as conn:
        present = set(inspect(conn).get_table_names())
        return any(
            conn.execute(
                select(text("1")).select_from(table(name)).where(text(_OF_REQUESTS.get(name, "1 = 1"))).limit(1)
            ).scalar() is not None
            for name in MOVED if name in present
        )  # fmt: skip
