"""Short answers of commands: one path in a message, the line of a setting, JSON of account commands, names of objects."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from desdm.cli.main import main
from desdm.client import Client
from desdm.facility import Facility, initialise
from tests.support.release import small_release
from tests.support.toy import arrive, plan, text_pipeline


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = small_release(tmp_path_factory.mktemp("small") / "home", rows=20)
    opened = Facility.open(home)
    arrive(opened, home.parent)
    plan(opened, text_pipeline(), {"run_class": "dev"})
    opened.close()
    return home


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path, *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["desdm", "--home", str(home), *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_a_missing_file_is_named_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(monkeypatch, capsys, home, "ingest", "/nope")
    assert status == 1
    assert "refused: /nope: no such file\n" in out


@pytest.mark.parametrize(
    ("text", "line"), [('[site]\noperator = "x', 2), ("[site]\n\n[[[", 3), ("[site]\noperator", 2)]
)
def test_a_fault_of_the_settings_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, line: int
) -> None:
    initialise(tmp_path / "home")
    (tmp_path / "home" / "desdm.toml").write_text(text)
    status, _, err = call(monkeypatch, capsys, tmp_path / "home", "status")
    assert status == 2
    assert f"at line {line}," in err and "desdm.toml" in err


def test_account_commands_answer_in_json(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (release,) = json.loads(call(monkeypatch, capsys, home, "release", "list", "--json")[1])
    name = release["release"]
    for words, expected in (
        (("add", "jane"), {"login": "jane", "role": "collaborator"}),
        (("role", "jane", "operator"), {"login": "jane", "role": "operator"}),
        (("grant", "jane", name), {"grantee": "jane", "release": name, "table": "*", "granted": True}),
        (("withdraw", "jane", name), {"grantee": "jane", "release": name, "table": "*", "granted": False}),
        (("revoke", "jane"), {"login": "jane", "revoked": 0}),
        (("disable", "jane"), {"login": "jane", "closed": True}),
        (("enable", "jane"), {"login": "jane", "closed": False}),
    ):
        status, out, err = call(monkeypatch, capsys, home, "account", *words, "--json")
        assert status == 0, err
        assert json.loads(out) == expected, words
    made = json.loads(call(monkeypatch, capsys, home, "account", "token", "jane", "--json")[1])
    assert (made["login"], made["token"][:8]) == ("jane", "desdm_t_")


def test_status_shows_the_run_class(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    head, row, *_ = call(monkeypatch, capsys, home, "status")[1].splitlines()
    place = head.split().index("CLASS")
    assert row.split()[place] == "dev"


def test_a_client_names_its_address_and_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESDM_TOKEN", raising=False)
    assert repr(Client("http://127.0.0.1:8080/")) == "Client('http://127.0.0.1:8080')"
    known = repr(Client("http://127.0.0.1:8080", token="desdm_t_secret"))
    assert known == "Client('http://127.0.0.1:8080', with a token)"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("files", "--tag", "NOPE"), 0, "there is no tag NOPE; see: desdm tag"),
        (
            ("submit", "coadd", "--dry-run", "--set", "image_tag=NOPE"),
            2,
            "there is no tag NOPE, see: desdm tag",
        ),
        (("files", "--query", "nite=20121120,filetype=raw"), 2, "give --query once more for filetype"),
    ],
)
def test_a_name_that_selects_nothing_is_told(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    text: str,
) -> None:
    ended, out, err = call(monkeypatch, capsys, home, *words)
    assert (ended, text in out + err) == (status, True), out + err
