"""What the shell says to words that it does not know, in scripts and beside a person; its server is a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from desdm.accounts import people, tokens
from desdm.accounts.model import Action
from desdm.cli.main import desdm
from desdm.client import Client
from desdm.client.shell.session import Leave
from desdm.client.shell.shell import Shell
from desdm.errors import DesdmError
from desdm.facility import Facility
from desdm.schema.states import Role
from tests.support.release import small_release
from tests.support.server import Served, served

ROWS = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str, str]]:
    """A server, a token that may do everything, and one that may only read."""
    home = small_release(tmp_path_factory.mktemp("advice") / "home", rows=ROWS)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        ada = people.add(conn, "ada", Role.COLLABORATOR, who="tester")
        whole, reading = tokens.make(conn, ada), tokens.make(conn, ada, scopes=[Action.READ])
    facility.close()
    with served(home) as url:
        yield url, whole, reading


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESDM_SQL_HOME", str(tmp_path / "settings"))
    for name in ("DESDM_TOKEN", "DESDM_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shell(site: tuple[Served, str, str]) -> Iterator[Shell]:
    with Client(site[0], site[1]) as client:
        yield Shell(client, interactive=False)


def once(site: tuple[Served, str, str], *words: str, typed: str | None = None, token: str = "") -> Result:
    return CliRunner().invoke(
        desdm, ["sql", "--url", site[0], "--token", token or site[1], *words], input=typed
    )


def refusal(shell: Shell, text: str) -> str:
    with pytest.raises(DesdmError) as refused:
        shell.script([text])
    return str(refused.value)


@pytest.mark.parametrize("word", ["exit", "quit", "bye", "\\q", "EXIT;"])
def test_a_script_ends_at_the_word_that_leaves(
    site: tuple[Served, str, str], tmp_path: Path, word: str
) -> None:
    after = "SELECT nothing_that_there_is;"
    script = tmp_path / "q.sql"
    script.write_text(f"SELECT 1 AS n;\n{word}\n{after}\n")
    for done in (
        once(site, typed=f"{word}\n{after}\n"),
        once(site, "-c", "SELECT 1 AS n;", "-c", word, "-c", after),
        once(site, "-l", str(script)),
    ):
        assert (done.exit_code, done.exception) == (0, None), done.output


def test_a_person_leaves_by_the_same_word(shell: Shell) -> None:
    with pytest.raises(Leave):
        shell.attempt("exit")


@pytest.mark.parametrize(
    "word", ["whoami", "help", "version", "config", "config max_rows", "myquota", "mytables"]
)
def test_an_answer_is_written_though_quiet(site: tuple[Served, str, str], word: str) -> None:
    done = once(site, "-q", "-c", word)
    assert done.exit_code == 0 and done.output.strip()


@pytest.mark.parametrize(
    ("psql", "ours"),
    [
        ("\\dt", "find_tables"), ("\\d", "find_tables"), ("\\d objects", "describe_table objects"), ("\\h", "help"),
        ("\\d+ objects;", "describe_table objects"), ("\\conninfo", "show_db"), ("show tables;", "find_tables"),
        ("SHOW COLUMNS FROM objects", "describe_table objects"), ("tables", "find_tables"),
    ],
)  # fmt: skip
def test_words_of_other_shells_do_what_ours_do(
    shell: Shell, capsys: pytest.CaptureFixture[str], psql: str, ours: str
) -> None:
    shell.script([psql])
    theirs = capsys.readouterr().out
    shell.script([ours])
    assert theirs == capsys.readouterr().out
    assert theirs


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("\\foo", r"\foo is neither a command"), ("< q.sql", "@FILE"), ("use T1", "SCHEMA.TABLE"),
        ("commit;", "stored at once"), ("rollback", "stored at once"), ("set timing on", "config NAME VALUE"),
        ("spool x.csv", "; > file.csv"),
        ("selct 1", "SELECT"), ("edit", "person at a terminal"), ("show everything", "find_tables"),
        ("SELECT 1 AS n > out.csv;", "SELECT …; > out.csv"), ("SELECT id FROM T1.objects > mydb.x", "SELECT …; > mydb.x"),
        ("SELECT NVL(ra, 0) FROM T1.objects", "COALESCE(value, otherwise)"),
        ("load_table nothing.csv select", "select"),
    ],
)  # fmt: skip
def test_what_is_not_known_here_has_advice(shell: Shell, tmp_path: Path, typed: str, advice: str) -> None:
    table = tmp_path / "o.csv"
    table.write_text("a\n1\n")
    assert advice in refusal(shell, typed.replace("nothing.csv", str(table)))


def test_a_wrong_word_of_a_statement_is_not_taken_for_another_command(shell: Shell) -> None:
    assert "did you mean SELECT?" in refusal(shell, "selct id from T1.objects;")


def test_own_tables_are_found_like_others(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "bright.csv"
    table.write_text("star,ra,dec\n1,30.0,-5.0\n")
    shell.script([f"load_table {table}"])
    capsys.readouterr()
    for words, expected in (
        ("describe_table bright", "star"),
        ("find_tables bri%", "mydb.bright"),
        ("find_tables", "mydb.bright"),
        ("find_tables_with_column sta%", "mydb.bright"),
        ("find_tables obj%", "T1.objects"),
        ("find_tables T1.obj%", "T1.objects"),
        ("find_tables qqq", "no table is called qqq"),
        ("find_tables_with_column qqq", "no table with a column is called qqq"),
        ("describe_table bright with qq%", "no column of mydb.bright is called qq%"),
    ):
        shell.script([words])
        assert expected in capsys.readouterr().out, words


def test_a_token_without_the_scope_is_told_which_it_lacks(site: tuple[Served, str, str]) -> None:
    with Client(site[0], site[2]) as client:
        said = refusal(Shell(client, interactive=False), "mytables")
    assert "lacks the scope mydb" in said and "log in" not in said
    with Client(site[0]) as client:
        assert "log in" in refusal(Shell(client, interactive=False), "mytables")


@pytest.mark.parametrize("ending", ["csv", "fits", "h5"])
def test_a_file_that_cannot_be_written_is_named_as_asked(shell: Shell, tmp_path: Path, ending: str) -> None:
    said = refusal(shell, f"SELECT id FROM T1.objects; > {tmp_path}/none/out.{ending}")
    assert f"{tmp_path}/none/out.{ending}: No such file" in said
    assert ".part" not in said


def test_a_file_that_is_there_is_replaced_after_asking(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    shell.interactive = True
    monkeypatch.setattr(shell, "confirm", lambda question: False)
    shell.attempt(f"SELECT id FROM T1.objects; > {target}")
    assert target.read_text() == "mine"
    shell.interactive = False
    shell.attempt(f"SELECT id FROM T1.objects; > {target}")
    assert len(target.read_text().splitlines()) == ROWS + 1
    assert f"{target} is replaced" in capsys.readouterr().out
