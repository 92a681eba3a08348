"""The shell as a person meets it: in a terminal, at a real server, also at one that dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from desdm.client import Client, TruncatedWarning
from tests.support.release import objects, small_release
from tests.support.server import Served, served
from tests.support.terminal import Terminal, terminal

DESDM = str(Path(sys.executable).parent / "desdm")
#: 8e9 pairs of pairs: longer than any test.
#: Nothing in it can be answered but by going through sixteen million million combinations.
ENDLESS = (
    "SELECT COUNT(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c, T1.objects AS d "
    "WHERE SIN(a.ra * b.dec + c.ra * d.dec) > 0.5;"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("shell") / "home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[Served]:
    with served(home) as at:
        yield at


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("DESDM_")}
    return {**plain, "DESDM_SQL_HOME": str(tmp_path / "settings")}


@pytest.fixture
def shell(url: Served, env: dict[str, str]) -> Iterator[Terminal]:
    with terminal([DESDM, "sql", "--url", url], env) as made:
        made.expect("desdm>")
        yield made


def once(
    url: str, env: dict[str, str], *words: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [DESDM, "sql", *(["--url", url] if url else []), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, input=typed, timeout=120)


def test_a_session(shell: Terminal, tmp_path: Path, env: dict[str, str]) -> None:
    truth = objects()
    shell.type("SELECT COUNT(*) AS n\nFROM T1.objects\nWHERE flag > 3;\n")
    shell.expect(rf"\s{int((truth['flag'].to_numpy() > 3).sum())}\s.*1 row, ")
    # What is wrong is said, and the shell goes on.
    shell.type("SELECT nothing FROM T1.objects;\n")
    shell.expect("error: line 1, column 8: ")
    shell.type("SELECT 1; SELECT 2;\n")
    shell.expect("error: after the ;")
    shell.type("desribe_table x\n")
    shell.expect("is neither a command")
    shell.type("describe_table objects with %mag%\n")
    shell.expect("mag_g.*AB magnitude, band g")
    # More rows than are shown is said with what to do.
    shell.type("config max_rows 5\n")
    shell.expect("max_rows +5")
    shell.type("SELECT id FROM T1.objects;\n")
    shell.expect("5 rows.*there are more: end with '; > file.csv'")
    target = tmp_path / "out.fits"
    shell.type(f"SELECT id, ra, name FROM T1.objects; > {target}\n")
    shell.expect("is written")
    assert sorted(Table.read(target)["id"]) == sorted(truth["id"].to_pylist())
    shell.type("history 2\n")
    shell.expect("8  SELECT id, ra, name FROM T1.objects")
    shell.expect("desdm>")
    time.sleep(0.3)
    shell.type("\x04")
    assert shell.ended() == 0
    # Settings and history are there the next time.
    assert (
        "5"
        in once(str(shell.process.args[4]), env, "-c", "config").stdout.split("max_rows")[1].splitlines()[0]
    )
    assert "SELECT nothing" in (tmp_path / "settings" / "sql_history").read_text()


def test_names_are_completed_by_tab(shell: Terminal) -> None:
    time.sleep(0.7)  # names come in the background
    for part in ("find_tables_w", "\t", " dec\n"):
        shell.type(part)
        time.sleep(0.4)  # as people type; what fits comes in the background too
    shell.expect(r"T1\.objects +dec")
    for part in ("SELECT COUNT(*) AS many FROM T1.obj", "\t", ";\n"):
        shell.type(part)
        time.sleep(0.4)
    shell.expect("2000")


def test_ctrl_c_ends_a_query_and_not_the_shell(shell: Terminal) -> None:
    shell.type(ENDLESS + "\n")
    time.sleep(1)
    shell.type("\x03")
    shell.expect("interrupted")
    shell.type("SELECT COUNT(*) AS many FROM T1.objects;\n")
    shell.expect("2000")


def test_a_server_killed_in_mid_query_does_not_end_the_shell(home: Path, env: dict[str, str]) -> None:
    with served(home) as first, terminal([DESDM, "sql", "--url", first], env) as shell:
        shell.expect("desdm>")
        shell.type(ENDLESS + "\n")
        time.sleep(1)
        first.process.kill()
        first.process.wait()
        shell.expect("error: .*(does not answer|broke off)")
        shell.type("SELECT COUNT(*) AS many FROM T1.objects;\n")
        shell.expect("error: .*does not answer")
        shell.type("find_tables\n")
        shell.expect("error: .*does not answer")
        with served(home, port=first.port):
            shell.type("SELECT COUNT(*) AS many FROM T1.objects;\n")
            shell.expect("2000")
        shell.type("quit\n")
        assert shell.ended() == 0


def test_scripts_get_rows_files_and_exit_statuses(url: Served, env: dict[str, str], tmp_path: Path) -> None:
    truth = objects()
    script = tmp_path / "do.sql"
    script.write_text(
        f"-- two answers; one file\nSELECT id, mag_r FROM T1.objects WHERE mag_r IS NULL; > {tmp_path}/n.parquet\n"
        f"find_tables %none%\nSELECT id FROM T1.objects\nWHERE name = 'DES J000004 O''Neill'; > {tmp_path}/b.csv\n"
    )
    done = once(url, env, "-q", "-l", str(script))
    assert (done.returncode, done.stderr) == (0, "")
    rows = pq.read_table(tmp_path / "n.parquet")
    assert rows.num_rows == truth["mag_r"].null_count
    assert rows.schema.field("mag_r").metadata[b"unit"] == b"mag"
    assert (tmp_path / "b.csv").read_text().split() == ["id", str(truth["id"][4].as_py())]
    piped = once(url, env, "-q", typed="SELECT TOP 1 flag AS answer FROM T1.objects;\nwhoami\n")
    assert piped.returncode == 0 and "answer" in piped.stdout
    wrong = once(
        url,
        env,
        "-c",
        "SELECT nothing FROM T1.objects;",
        "-c",
        f"SELECT 1 AS a FROM T1.objects; > {tmp_path}/c.csv",
    )
    assert wrong.returncode == 2 and "nothing" in wrong.stderr and not (tmp_path / "c.csv").exists()
    nobody = once("http://127.0.0.1:9", env, "-c", "find_tables")
    assert nobody.returncode == 3 and "does not answer" in nobody.stderr
    for words in (("-c", "SELECT 1; > x.docx"), ("-l", str(tmp_path / "none.sql")), ("-c", "drop_table")):
        assert once(url, env, *words).returncode == 2


@pytest.fixture(scope="module")
def token(home: Path) -> str:
    """A token of a collaborator."""
    account = [DESDM, "--home", str(home), "account"]
    subprocess.run([*account, "add", "vera"], check=True, capture_output=True)
    made = subprocess.run([*account, "token", "vera"], check=True, capture_output=True, text=True)
    return made.stdout.split()[-1]


def test_tables_of_ones_own_are_made_joined_extended_and_dropped(
    url: Served, token: str, env: dict[str, str], tmp_path: Path
) -> None:
    first, more = tmp_path / "mine.csv", tmp_path / "more.fits"
    first.write_text("number,ra,dec\n1,30.0,-5.0\n2,31.0,-5.5\n")
    Table({"number": [3], "ra": [200.0], "dec": [10.0]}).write(more)
    with terminal([DESDM, "sql", "--url", url], {**env, "DESDM_TOKEN": token}) as shell:
        shell.expect("desdm>")
        for typed, seen in (
            ("whoami", "vera, role collaborator"),
            ("mytables", "no tables of your own yet"),
            (f"load_table {first}", "mydb.mine is made: 2 rows"),
            (f"load_table {first}", "error: .*mine"),
            (f"append_table {more} mine", "rows were added to mydb.mine: 3 rows"),
            ("mytables", r"mine +3"),
            ("describe_table mydb.mine", "number"),
            ("SELECT SUM(number) AS total FROM mydb.mine;", r"\s6\s"),
            ("myquota", "bytes are used"),
        ):
            shell.type(typed + "\n")
            shell.expect(seen)
            shell.expect("desdm>")
        shell.type("drop_table mine\n")
        shell.expect("drop mydb.mine and all its rows")
        shell.type("y\n")
        shell.expect("mydb.mine is dropped")
    nobody = once(url, env, "-lt", str(first), "-tn", "mine")
    assert nobody.returncode == 2 and "error" in nobody.stderr
    assert once(url, {**env, "DESDM_TOKEN": token}, "-q", "-lt", str(first), "-tn", "again").returncode == 0
    with Client(url, token) as client:
        assert [t["name"] for t in client.mydb.tables()] == ["again"]
        client.mydb.drop("again")
        assert client.mydb.tables() == []


def test_without_an_address_the_installation_is_served_while_the_shell_runs(
    home: Path, env: dict[str, str]
) -> None:
    done = subprocess.run(
        [DESDM, "--home", str(home), "sql", "-q", "-c", "SELECT COUNT(*) AS n FROM T1.objects;"],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, ["n", "2000"])


def test_python_gets_the_same_rows_as_table_frame_arrow_and_job(url: Served) -> None:
    truth = objects()
    with Client(url) as client:
        _same_rows(client, truth)


def _same_rows(client: Client, truth: pa.Table) -> None:
    adql = "SELECT id, ra, dec, mag_g, mag_r, nexp, good, name FROM T1.objects ORDER BY id"
    rows = client.query(adql, "arrow")
    for name in rows.column_names:
        found, wanted = rows[name].to_pylist(), truth[name].to_pylist()
        # The service knows no NaN: it is no value.
        assert found == [None if value != value else value for value in wanted], name
    table = client.query(adql)
    assert str(table["ra"].unit) == "deg" and table["mag_r"].mask.sum() == truth["mag_r"].null_count
    assert client.query(adql, "dataframe")["name"].tolist()[:4] == truth["name"].to_pylist()[:4]
    assert client.query(adql, "arrow", async_=True).equals(rows)
    with pytest.warns(TruncatedWarning, match="cut at 10 rows"):
        assert client.query(adql, "arrow", maxrec=10).num_rows == 10
    mine = Table({"number": [7, 8], "ra": [30.0, 31.0], "dec": [-5.0, -5.5]})
    joined = client.query(
        "SELECT m.number, COUNT(*) AS n FROM T1.objects AS o JOIN TAP_UPLOAD.mine AS m ON"
        " 1 = CONTAINS(POINT(o.ra, o.dec), CIRCLE(m.ra, m.dec, 0.3)) GROUP BY m.number ORDER BY m.number",
        "arrow", uploads={"mine": mine},
    )  # fmt: skip
    ra, dec = np.radians(truth["ra"].to_numpy()), np.radians(truth["dec"].to_numpy())
    counts = []
    for place in mine:
        a, d = np.radians(place["ra"]), np.radians(place["dec"])
        cosine = np.sin(d) * np.sin(dec) + np.cos(d) * np.cos(dec) * np.cos(ra - a)
        counts.append(int((cosine >= np.cos(np.radians(0.3))).sum()))
    assert joined.to_pydict() == {"number": [7, 8], "n": counts}
    assert "T1.objects" in client.tables()["table_name"].to_pylist()


def test_an_answer_is_kept_in_a_table_of_ones_own(url: Served, token: str, env: dict[str, str]) -> None:
    env = {**env, "DESDM_TOKEN": token}
    done = once(
        url, env, "-c", "SELECT id, ra FROM T1.objects WHERE dec < 0; > mydb.kept",
        "-c", "CREATE TABLE mydb.more AS SELECT id FROM mydb.kept;",
        "-c", "SELECT COUNT(*) AS n FROM mydb.more;", "-c", "DROP TABLE kept", "-c", "drop_table more",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kept = sum(value < 0 for value in objects()["dec"].to_pylist())
    assert kept > 3
    assert f"mydb.kept is made: {kept:,} rows" in done.stdout
    assert f"mydb.more is made: {kept:,} rows" in done.stdout
    with Client(url, token) as client:
        assert client.mydb.tables() == []


def test_a_wide_answer_is_cut_on_a_terminal_and_whole_in_a_pipe(url: Served, env: dict[str, str]) -> None:
    query = "SELECT TOP 1 a.*, b.* FROM T1.objects AS a JOIN T1.objects AS b ON a.id = b.id"
    command = [DESDM, "sql", "--url", url, "-c", query]
    with terminal(command, env, columns=80) as shown:
        lines = shown.rest().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any("columns left out" in line and "\\x" in line for line in lines)
    whole = once(url, env, "-q", "-c", query).stdout.splitlines()
    assert len(whole) == 2
    turned = once(url, env, "-q", "-c", "\\x", "-c", query).stdout.splitlines()
    assert turned[0] == "-- row 1"
    # The release adds a column to those of its table: hpix29.
    assert len(turned) == 1 + 2 * (len(objects().column_names) + 1)


@pytest.mark.parametrize(
    "word", ["set_password", "change_db", "prefetch", "add_comment", "execproc", "user_api", "import"]
)
def test_words_of_easyaccess_without_counterpart_say_what_to_do(
    url: Served, env: dict[str, str], word: str
) -> None:
    done = once(url, env, "-c", word)
    assert done.returncode == 2
    assert f"there is no {word} here: " in done.stderr
