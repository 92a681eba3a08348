"""Check of the service's own database: jobs, denials and the use of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url

from desdm import config as settings
from desdm.config import Config
from desdm.errors import DesdmError
from desdm.operations.doctor.model import Check, State
from desdm.schema.database import Database

__all__ = ["check_service_state"]

_NAME = "service database"
_DO = "stop the servers, and restore it from a backup or move it away (jobs and denials are lost)"


def check_service_state(config: Config) -> Iterator[Check]:
    """Whether the service's database is whole and has its tables; one that is not made yet is well."""
    url = _url(config)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        yield Check(_NAME, State.OK, "it is made when it is first used")
        return
    try:
        database = Database(url, patience=3.0)
        try:
            found = database.integrity() or _lacking(database)
        finally:
            database.close()
    except DesdmError as err:
        yield Check(_NAME, State.PROBLEM, f"{url.render_as_string()}: {err}; {_DO}")
        return
    if found:
        yield Check(_NAME, State.PROBLEM, f"{url.render_as_string()} is damaged: {found}; {_DO}")
    else:
        yield Check(_NAME, State.OK, f"{url.render_as_string()} answers and is whole")


def _url(config: Config) -> URL:
    """The URL of the settings, with its password."""
    url = make_url(config.services_state)
    secret = settings.password(config)
    return url.set(password=secret) if secret is not None and url.get_backend_name() != "sqlite" else url


def _lacking(database: Database) -> str:
    """What is wrong with the tables; empty: nothing."""
    with database.read() as conn:
        return "" if inspect(conn).has_table("service_version") else "its tables are gone"
