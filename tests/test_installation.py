"""How an installation is made, found and guarded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from desdm import config
from desdm.errors import ConfigError, ConflictError
from desdm.facility import Facility, initialise
from desdm.operations.doctor.database import check_contents
from desdm.operations.doctor.model import State
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
        ("[engine]\nworkers = nan\n", "engine.workers must be a number"),
        ("[engine]\nworkers = inf\n", "engine.workers must be a number"),
        ("[engine]\nworkers = 1.5\n", "engine.workers must be a number without decimals"),
        ("[engine]\nworkers = true\n", "engine.workers must be a number"),
        ("[engine]\nmax_tries = 1e400\n", "engine.max_tries must be a number"),
        ('[engine]\nhold_memory = "1 GB"\n', "engine.hold_memory must be a number"),
        ("[archive]\ngrace_days = 1e300\n", "archive.grace_days must be a number"),
        ("[archive]\ndelete_bound = [1]\n", "archive.delete_bound must be a number"),
        ('[release]\nblessed_only = "yes"\n', "release.blessed_only must be true or false"),
        ('[archive]\nname = ""\n', "archive.name must be a name"),
        ('[archive]\nroot = " "\n', "archive.root must be a name"),
        ("archive = 3\n", r"archive must be a section"),
        ('[database]\nurl = ":::"\n', "database.url is not the URL"),
        ('[database]\nurl = ""\n', "database.url is not the URL"),
        ('[database]\nurl = "mysql://x/y"\n', "database.url is not the URL"),
        ('[database]\nurl = "postgresql://h:port/x"\n', "database.url is not the URL"),
        ('[services]\nstate = "nonsense"\n', "services.state is not the URL"),
        ('[services]\ndatabase = "nonsense"\n', "services.database is not the URL"),
        ("[services]\nkeep_free_mb = nan\n", "services.keep_free_mb must be a number"),
        ("[services]\nkeep_denials_days = -0.5\n", "services.keep_denials_days must be a number"),
        ('[services]\nmail_to = "a@b\\nBcc: c@d"\n', "services.mail_to must be text without control"),
        ('[site]\noperator = ""\n', "site.operator must be a name"),
        ('[site]\noperator = "me\\u001b[31m"\n', "site.operator must be text without control"),
        ('[site]\noperator = "a\\nb"\n', "site.operator must be text without control"),
        ('[site]\ncampaign = "%s"\n' % ("c" * 33), "site.campaign must be a name of 1 to 32"),
        ("[site]\nproject = 1979-05-27\n", "site.project must be text"),
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


def test_a_schema_of_a_newer_program_is_told_and_left_alone(tmp_path: Path) -> None:
    initialise(tmp_path)
    opened = Facility.open(tmp_path)
    with opened.database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0042'"))
    opened.close()
    before = (tmp_path / "desdm.sqlite").read_bytes()
    with pytest.raises(ConfigError, match=r"at 0042.*older than the database; update the program"):
        Facility.open(tmp_path)
    with pytest.raises(ConfigError, match=r"at 0042.*older than the database; update the program"):
        initialise(tmp_path, upgrade=True)
    assert (tmp_path / "desdm.sqlite").read_bytes() == before


@pytest.mark.parametrize("place", ["archive/raw/D00000001.fits", "releases/DR1/manifest.json"])
def test_no_empty_schema_stands_beside_files_that_a_lost_database_knew(tmp_path: Path, place: str) -> None:
    initialise(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(b"x")
    database = tmp_path / "desdm.sqlite"
    database.write_bytes(b"")
    with pytest.raises(ConfigError, match="restore it from a backup"):
        Facility.open(tmp_path)
    with pytest.raises(ConflictError, match="restore the database from a backup"):
        initialise(tmp_path, upgrade=True)
    with closing(sqlite3.connect(database)) as conn:
        assert conn.execute("SELECT name FROM sqlite_master").fetchall() == []
    (tmp_path / "desdm.toml").unlink()
    with pytest.raises(ConflictError, match="restore the database from a backup"):
        initialise(tmp_path)
    assert not (tmp_path / "desdm.toml").exists() and (tmp_path / place).read_bytes() == b"x"
    initialise(tmp_path, new_database=True)
    opened = Facility.open(tmp_path)
    (found,) = check_contents(opened.database, opened.archive, opened.config.releases)
    opened.close()
    assert found.state is State.PROBLEM and "restore it from a backup" in found.text
    assert ("1 files" if "archive" in place else "DR1") in found.text


def test_a_new_installation_that_lost_its_database_is_made_again(tmp_path: Path) -> None:
    initialise(tmp_path)
    (tmp_path / "desdm.sqlite").write_bytes(b"")
    initialise(tmp_path, upgrade=True)
    Facility.open(tmp_path).close()


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
