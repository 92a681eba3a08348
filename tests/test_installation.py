"""How an installation is made, found and guarded."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from desdm import config
from desdm.errors import ConfigError, ConflictError
from desdm.facility import Facility, initialise
from tests.support.postgres import Cluster


def test_it_is_found_by_option_environment_and_upward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    initialise(one)
    initialise(two)
    below = one / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.delenv("DESDM_HOME", raising=False)
    monkeypatch.chdir(below)
    assert config.load().home == one
    monkeypatch.setenv("DESDM_HOME", str(two))
    assert config.load().home == two
    assert config.load(one).home == one
    monkeypatch.delenv("DESDM_HOME")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="desdm init"):
        config.load()


def test_it_is_made_once_and_a_failed_making_leaves_none(tmp_path: Path) -> None:
    initialise(tmp_path)
    with pytest.raises(ConflictError, match="--upgrade"):
        initialise(tmp_path)
    initialise(tmp_path, upgrade=True)
    with pytest.raises(ConfigError):
        initialise(tmp_path / "bad", "nosuchengine://x")
    assert not (tmp_path / "bad" / "desdm.toml").exists()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[databas]\n", r"unknown section \[databas\]"),
        ('[archive]\nrot = "x"\n', "unknown key archive.rot"),
        ("[archive]\nroot = 3\n", "archive.root must be text"),
        ("[engine]\nworkers = -1\n", "engine.workers must be a number"),
        ("[engine\n", "desdm.toml"),
    ],
)
def test_a_wrong_setting_is_told_by_its_key(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "desdm.toml").write_text(toml)
    with pytest.raises(ConfigError, match=says):
        config.load(tmp_path)


def test_a_schema_that_is_not_current_shuts_every_door(tmp_path: Path) -> None:
    initialise(tmp_path)
    opened = Facility.open(tmp_path)
    with opened.database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    opened.close()
    with pytest.raises(ConfigError, match="this program needs"):
        Facility.open(tmp_path)


def test_a_password_stands_neither_in_the_url_nor_in_a_file_that_others_read(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESDM_DB_PASSWORD", raising=False)
    name = postgres.database()
    url = f"postgresql+psycopg://desdm@127.0.0.1:{postgres.port}/{name}"
    with pytest.raises(ConfigError, match="no password in the URL"):
        initialise(tmp_path / "a", url.replace("desdm@", f"desdm:{postgres.password}@"))
    monkeypatch.setenv("DESDM_DB_PASSWORD", postgres.password)
    initialise(tmp_path / "b", url)
    monkeypatch.delenv("DESDM_DB_PASSWORD")
    secret = tmp_path / "b" / "secret"
    secret.write_text(postgres.password)
    secret.chmod(0o644)
    toml = tmp_path / "b" / "desdm.toml"
    toml.write_text(toml.read_text().replace("[database]", '[database]\npassword_file = "secret"'))
    with pytest.raises(ConfigError, match="chmod 600"):
        Facility.open(tmp_path / "b")
    secret.chmod(0o600)
    opened = Facility.open(tmp_path / "b")
    assert opened.database.dialect == "postgresql"
    assert postgres.password not in opened.database.describe()
    opened.close()
    postgres.drop(name)
