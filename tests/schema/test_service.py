"""The service's own database: made when it is not there, filled from installations of earlier versions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import DateTime, TextClause, bindparam, inspect, select, text

import desdm.schema
from desdm.accounts import sessions, tokens
from desdm.errors import AccessDenied, ConfigError
from desdm.schema.database import Database
from desdm.schema.service import access_denial, prepare, service_metadata, uws_job, uws_parameter
from desdm.schema.upgrade import upgrade
from desdm.services.mydb import store as mydb


@pytest.fixture
def service(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/service.sqlite")


def _timed(statement: str) -> TextClause:
    """SQL with its times declared: Python's sqlite3 has no adapter of its own for them from 3.12 on."""
    names = [name for name in ("at", "later", "ended") if f":{name}" in statement]
    return text(statement).bindparams(*(bindparam(name, type_=DateTime()) for name in names))


def _at(revision: str, request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Database:
    """An empty operations database at an earlier revision."""
    if kind == "sqlite":
        made = Database(f"sqlite:///{tmp_path}/old.sqlite")
    else:
        cluster = request.getfixturevalue("postgres")
        made = Database(cluster.url(cluster.database()))
    config = Config()
    config.set_main_option("script_location", str(Path(desdm.schema.__file__).parent / "migrations"))
    config.attributes["engine"] = made.engine
    command.upgrade(config, revision)
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An operations database at revision 0006 with a job and a denial."""
    made = _at("0006", request, tmp_path, request.param)
    with made.write() as conn:
        conn.execute(
            _timed(
                "INSERT INTO uws_job (id, service, owner, run_id, phase, creation_time, execution_duration, destruction,"
                " tries) VALUES ('a1', 'tap', 'alice', '', 'COMPLETED', :at, 60, :at, 1)"
            ),
            {"at": datetime(2026, 1, 2, 3, 4, 5)},
        )
        conn.execute(
            _timed(
                "INSERT INTO uws_parameter (job_id, ordinal, name, value) VALUES ('a1', 0, 'QUERY', 'SELECT 1')"
            )
        )
        conn.execute(
            _timed(
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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sessions_and_tables_of_0008_are_carried_over(
    request: pytest.FixtureRequest, tmp_path: Path, service: Database, kind: str
) -> None:
    old = _at("0008", request, tmp_path, kind)
    prepare(service)
    with service.write() as conn:  # as the program of 0008 left it: without the tables of versions 2 and 3
        for name in ("browser_session", "mydb_table", "release_fault", "sent_form"):
            conn.execute(text(f"DROP TABLE {name}"))
        conn.execute(text("UPDATE service_version SET version = 1"))
    at, later = datetime(2026, 1, 2, 3, 4, 5), datetime(2099, 1, 1)
    with old.write() as conn:
        conn.execute(
            _timed(
                "INSERT INTO person (id, login, name, email, role, created_by, created_at)"
                " VALUES (1, 'alice', '', '', 'collaborator', 'boss', :at)"
            ),
            {"at": at},
        )
        for number, kind_of, ended in ((1, "session", None), (2, "session", at), (3, "api", None)):
            conn.execute(
                _timed(
                    "INSERT INTO access_token"
                    " (id, person_id, kind, name, digest, scopes, created_at, expires_at, revoked_at)"
                    " VALUES (:n, 1, :kind, '', :digest, 'mydb read', :at, :later, :ended)"
                ),
                {
                    "n": number, "kind": kind_of, "digest": tokens.digest(f"secret {number}"), "at": at, "later": later,
                    "ended": ended,
                },
            )  # fmt: skip
        conn.execute(
            _timed(
                "INSERT INTO mydb_table (owner, table_name, row_count, bytes, columns, text, created_at)"
                " VALUES ('alice', 'mine', 7, 99, '[]', 'stars', :at)"
            ),
            {"at": at},
        )
    with pytest.raises(ConfigError, match="init --upgrade"):
        upgrade(old)
    upgrade(old, service)
    upgrade(old, service)
    old.require_current()
    assert sessions.authenticate(old, service, "secret 1").login == "alice"
    with pytest.raises(AccessDenied, match="ended"):
        sessions.authenticate(old, service, "secret 2")
    with old.read() as conn:
        assert tokens.authenticate(conn, "secret 3")[0].login == "alice"
        with pytest.raises(AccessDenied, match="not known"):
            tokens.authenticate(conn, "secret 1")
        assert "mydb_table" not in inspect(conn).get_table_names()
    with service.read() as conn:
        assert [(t.name, t.row_count, t.size, t.text) for t in mydb.tables(conn, "alice")] == [
            ("mine", 7, 99, "stars")
        ]
    old.close()


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
