"""Brings a database to the current schema with Alembic and fills its tables of definitions."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import select

from desdm.schema.database import Database, translated
from desdm.schema.runs import ops_data_state_def, ops_state_change
from desdm.schema.states import DataState, changes

__all__ = ["upgrade"]


def upgrade(database: Database) -> None:
    """Run every migration that the database lacks; safe to call again."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = database.engine
    with translated():
        command.upgrade(config, "head")
    with database.write() as conn:
        lawful = {tuple(row) for row in conn.execute(select(ops_state_change))}
        new = [row for row in changes() if row not in lawful]
        if new:
            conn.execute(
                ops_state_change.insert(), [{"kind": k, "from_state": a, "to_state": b} for k, a, b in new]
            )
        known = set(conn.execute(select(ops_data_state_def.c.state)).scalars())
        states = [{"state": s.value, "description": s.text} for s in DataState if s.value not in known]
        if states:
            conn.execute(ops_data_state_def.insert(), states)
