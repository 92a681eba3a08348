"""The service's own database: made when it is not there, filled from installations of earlier versions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, select, text

import desdm.schema
from desdm.errors import ConfigError
from desdm.schema.database import Database
from desdm.schema.service import access_denial, prepare, service_metadata, uws_job, uws_parameter
from desdm.schema.upgrade import upgrade


@pytest.fixture
def service(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/service.sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An operations database at revision 0006 with a job and a denial."""
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path}/old.sqlite")
    else:
        cluster = request.getfixturevalue("postgres")
        made = Database(cluster.url(cluster.database()))
    config = Config()
    config.set_main_option("script_location", str(Path(desdm.schema.__file__).parent / "migrations"))
    config.attributes["engine"] = made.engine
    command.upgrade(config, "0006")
    with made.write() as conn:
        conn.execute(
            text(
                "INSERT INTO uws_job (id, service, owner, run_id, phase, creation_time, execution_duration, destruction,"
                " tries) VALUES ('a1', 'tap', 'alice', '', 'COMPLETED', :at, 60, :at, 1)"
            ),
            {"at": datetime(2026, 1, 2, 3, 4, 5)},
        )
        conn.execute(
            text(
                "INSERT INTO uws_parameter (job_id, ordinal, name, value) VALUES ('a1', 0, 'QUERY', 'SELECT 1')"
            )
        )
        conn.execute(
            text(
                "INSERT INTO access_denial (at, login, address, action, subject, reason)"
                " VALUES (:at, '', '192.0.2.1', 'GET', '/x', 'no')"
            ),
            {"at": datetime(2026, 1, 2, 3, 4, 5)},
        )
    return made


def test_an_earlier_installation_is_carried_over(earlier: Database, service: Database) -> None:
    with pytest.raises(ConfigError, match="init --upgrade"):
        upgrade(earlier)
    upgrade(earlier, service)
    upgrade(earlier, service)
    earlier.require_current()
    with service.read() as conn:
        assert [(r.id, r.owner, r.phase, r.size) for r in conn.execute(select(uws_job))] == [
            ("a1", "alice", "COMPLETED", 0)
        ]
        assert [r.value for r in conn.execute(select(uws_parameter))] == ["SELECT 1"]
        assert [r.address for r in conn.execute(select(access_denial))] == ["192.0.2.1"]
    with earlier.read() as conn:
        assert not {"uws_job", "uws_parameter", "uws_result", "access_denial"} & set(
            inspect(conn).get_table_names()
        )
    earlier.close()


def test_it_is_made_once_and_closed_to_others(service: Database, tmp_path: Path) -> None:
    prepare(service)
    prepare(service)
    with service.read() as conn:
        assert set(service_metadata.tables) <= set(inspect(conn).get_table_names())
    assert (tmp_path / "service.sqlite").stat().st_mode & 0o777 == 0o600
    with service.write() as conn:
        conn.execute(text("UPDATE service_version SET version = 99"))
    with pytest.raises(ConfigError, match="version 99"):
        prepare(service)
