"""The author of an act is who acts: not who made the installation, nor a name in its settings."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from sqlalchemy import update

from desdm.cli.main import main
from desdm.config import load, person
from desdm.facility import Facility, initialise
from desdm.schema import pfw_request
from desdm.schema.store import find_events
from tests.archive.test_find import attempt
from tests.operations.test_acceptance import image, judge

VARIABLES = ("USER", "LOGNAME", "SUDO_USER")


@pytest.fixture(autouse=True)
def _without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of the person who runs the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


#: Acts of a second person, one of each kind of event.
ACTS = (
    ("exclude", "1", "--reason", "lamp"),
    ("exclude", "1", "--lift", "--reason", "it was off"),
    ("verdict", "1", "--set", "False", "--reason", "trail"),
    ("verdict", "1", "--lift", "--reason", "masked"),
    ("mark", "D00000001_r1p01", "junk", "--reason", "bad flat"),
    ("tag", "BLESSED", "--attempt", "D00000001_r1p01"),
    ("problem", "open", "exposure", "D00000001", "trail"),
    ("problem", "close", "1", "masked"),
    ("epoch", "add", "Y1", "--min", "1", "--max", "9", "--text", "first"),
    ("account", "add", "jane"),
    ("release", "create", "R1", "--empty"),
    ("release", "discard", "R1"),
)


def test_every_act_is_of_the_person_who_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an earlier version wrote the name of who made the installation into its settings."""
    home = tmp_path / "home"
    monkeypatch.setenv("USER", "alice")
    initialise(home)
    settings = home / "desdm.toml"
    assert "alice" not in settings.read_text()
    settings.write_text(settings.read_text().replace("[site]", '[site]\noperator = "alice"'))
    facility = Facility.open(home)
    with facility.database.write() as conn:
        attempt(conn, 1, unit="D00000001", pipeline="firstcut")
        image(conn, 11, 1, 1, 1)
        judge(conn, 1, "True", 1)
        conn.execute(update(pfw_request).values(campaign=facility.config.campaign))
    monkeypatch.setenv("USER", "bob")
    (tmp_path / "empty.fits").write_bytes(b"")
    (tmp_path / "a.txt").write_text("a")
    (home / "archive" / "mounted").touch()
    for words in (*ACTS, ("ingest", str(tmp_path / "empty.fits"), str(tmp_path / "a.txt"))):
        monkeypatch.setattr("sys.argv", ["desdm", "--home", str(home), *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (None, int(words[0] == "ingest")), words
    with facility.database.read() as conn:
        events = find_events(conn)
    facility.close()
    assert {e.who for e in events} == {"bob"}
    assert {e.kind for e in events} >= {
        "exclude", "verdict", "mark", "tag", "problem", "epoch", "account", "release", "refusal",
    }  # fmt: skip


def test_the_setting_names_who_acts_only_where_the_environment_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialise(tmp_path / "home")
    settings = tmp_path / "home" / "desdm.toml"
    account = pwd.getpwuid(os.geteuid()).pw_name
    assert load(tmp_path / "home").operator == account
    settings.write_text(settings.read_text().replace("[site]", '[site]\noperator = "pipeline"'))
    assert load(tmp_path / "home").operator == "pipeline"
    monkeypatch.setenv("LOGNAME", "carol")
    assert load(tmp_path / "home").operator == "carol"
    monkeypatch.setenv("USER", "bob")
    assert load(tmp_path / "home").operator == "bob"


def test_the_person_behind_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setenv("USER", account)
    assert person() == account
    monkeypatch.setenv("SUDO_USER", "bob")
    assert person() == "bob"
    monkeypatch.setenv("USER", "carol")
    assert person() == "carol"


def test_a_name_is_one_line_that_its_column_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "bob\x1b[31m\nalice" + "x" * 50)
    assert person() == ("bob[31malice" + "x" * 50)[:32]
    monkeypatch.setenv("USER", " \n")
    assert person("pipeline") == "pipeline"
