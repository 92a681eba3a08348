"""The command line from day to day: every list at 80 columns and in a pipe, guesses, typing errors, pipes that end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desdm.facility import Facility
from tests.support.release import small_release
from tests.support.terminal import terminal
from tests.support.toy import arrive

DESDM = str(Path(sys.executable).parent / "desdm")
RUN = "A-TILE-WITH-A-LONG-NAME+0123_r1p01"
WHO = "operator.with.a.long.name"
#: Every command that lists something, on an installation that has it.
LISTS = [
    "status", "history", "files", "events", f"show {RUN} --jobs --wrappers --metrics --configuration", "tag",
    "pipeline list", "verdict", "exclude", "problem list", "release list", "release show T1", "account list",
    "account tokens", "account rights", "account denials", "epoch list", "delete --trash",
    f"log {RUN} --messages", "history --cols help",
]  # fmt: skip
TALK = """
pipeline = talk
unitname = A-TILE-WITH-A-LONG-NAME+0123
blocklist = one
<block one>
    modulelist = say
</block>
<module say>
    wrappername = genwrap
    <exec_1>
        execname = echo
        <cmdline>
            _0 = fine weather, and a WARNING: that is quite a long text of many words about the clouds of this night
        </cmdline>
    </exec_1>
</module>
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daily")
    home = small_release(folder / "home", rows=50)
    opened = Facility.open(home)
    arrive(opened, folder, name="a_file_with_a_name_that_is_rather_long_for_a_terminal_of_80_columns.txt")
    opened.close()
    (folder / "talk.wcl").write_text(TALK)
    for command in (
        ("submit", str(folder / "talk.wcl"), "--wait"),
        (
            "tag",
            "A_TAG_WITH_A_LONG_NAME",
            "--attempt",
            RUN,
            "--text",
            "what it stands for, in a good many words " * 3,
        ),
        (
            "exclude",
            "150030",
            "--reason",
            "the telescope moved while the shutter was open, as its log says in detail",
        ),
        (
            "problem",
            "open",
            "release",
            "T1",
            "objects at the edge have wrong ellipticities, seen in every band of it",
        ),
        ("account", "add", "someone.with.a.long.name"),
    ):
        done = run(home, *command)
        assert done.returncode == 0, (command, done.stderr, done.stdout)
    return home


def run(home: Path, *args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DESDM, "--home", str(home), *args],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "USER": WHO, **env},
        timeout=120,
    )


def log_of(home: Path) -> str:
    """Name of the run's log in the archive."""
    found = re.search(r"\S+\.log\b", run(home, "files", "--attempt", RUN, "--filetype", "log").stdout)
    assert found
    return found[0]


@pytest.mark.parametrize("command", LISTS)
def test_a_list_in_a_pipe_has_one_whole_row_a_line(home: Path, command: str) -> None:
    done = run(home, *command.split(), COLUMNS="60")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines
    assert all(line == line.rstrip() for line in lines)
    assert "…" not in done.stdout
    assert not re.search(r"\d\d:\d\d:\d\d\.\d", done.stdout), "a time has microseconds"
    if re.search(r"\d\d:\d\d:\d\d", done.stdout):
        assert "UTC" in done.stdout


@pytest.mark.parametrize("command", LISTS)
def test_a_list_at_80_columns_breaks_no_name(home: Path, command: str) -> None:
    whole = run(home, *command.split()).stdout
    with terminal([DESDM, "--home", str(home), *command.split()], columns=80) as shown:
        text = shown.rest()
    names = set(re.findall(r"[\w.+-]{9,}", whole))
    for line in text.splitlines():
        for word in re.findall(r"[\w.+-]{9,}(?![\w.+…-])", line):
            # A word on the screen is a word of the whole answer, unless an ellipsis says that it was cut.
            assert word in names or word == "left", (word, line)


def test_the_longest_name_stands_whole_on_the_terminal(home: Path) -> None:
    for command, name in (("status", RUN), ("history", RUN), ("tag", "A_TAG_WITH_A_LONG_NAME")):
        with terminal([DESDM, "--home", str(home), command], columns=80) as shown:
            text = shown.rest()
        assert name in text
        assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("stauts", "did you mean status"), ("relaese", "did you mean release"), ("submti", "did you mean submit"),
        ("config", "desdm.toml"), ("rm", "desdm delete"), ("publish", "desdm release publish"),
        ("expoures", "desdm verdict"), ("quit", "desdm --help lists the commands"),
        ("xyzzy", "desdm --help lists the commands"),
    ],
)  # fmt: skip
def test_a_mistyped_command_has_a_hint(home: Path, typed: str, hint: str) -> None:
    done = run(home, typed)
    assert done.returncode == 2
    assert hint in done.stderr


def test_an_empty_folder_is_not_the_current_one(home: Path) -> None:
    for words in (("init", ""), ("--home", "", "status")):
        done = run(home, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is empty" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_help_of_a_group_cuts_no_text(home: Path) -> None:
    for group in ("run", "release", "account", "wcl"):
        assert "..." not in run(home, group, "--help").stdout.partition("Commands:")[2]


def test_an_error_of_choices_is_one_line(home: Path) -> None:
    done = run(home, "completion")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "bash, fish, zsh" in done.stderr


def test_text_beyond_the_locale_is_refused_in_one_line(home: Path) -> None:
    bare = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = run(home, "sql", "-q", "-c", "SELECT 'ü' AS a", **bare)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "set LC_ALL=C.UTF-8" in done.stderr


def test_a_script_says_what_it_did_not_run(home: Path) -> None:
    done = run(home, "sql", "-q", stdin="SELECT nothing;\nSELECT 1 AS a;\n")
    assert done.returncode == 2
    assert "not run: 1 after it" in done.stderr and "no column nothing" in done.stderr


@pytest.mark.parametrize(
    ("guess", "meant"),
    [
        ("ls", "files"), ("list", "files"), ("runs", "status"), ("jobs", "status"), ("users", "account list"),
        ("releases", "release list"), ("problems", "problem list"), ("pipelines", "pipeline list"),
        ("version", "--version"),
        ("-V", "--version"), ("help", "--help"), ("help release create", "release create --help"), ("tags", "tag"),
    ],
)  # fmt: skip
def test_a_guess_does_what_it_means(home: Path, guess: str, meant: str) -> None:
    ours, theirs = run(home, *guess.split()), run(home, *meant.split())
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.returncode == 0


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", None), ("fish", None)])
def test_the_completion_script_is_one_of_its_shell(home: Path, shell: str, check: list[str] | None) -> None:
    done = run(home, "completion", shell)
    assert done.returncode == 0
    assert (
        f"_DESDM_COMPLETE={shell}_complete" in done.stdout.replace(" ", "=")
        or "_DESDM_COMPLETE" in done.stdout
    )
    if check:
        assert subprocess.run(check, input=done.stdout, text=True).returncode == 0


def test_completion_offers_commands(home: Path) -> None:
    done = run(home, _DESDM_COMPLETE="bash_complete", COMP_WORDS="desdm rel", COMP_CWORD="1")
    assert "release" in done.stdout


@pytest.mark.parametrize(
    "command", ["files", f"lineage {RUN}_J0001.log", f"show {RUN}", f"log {RUN}", "--help", "events"]
)
def test_a_reader_that_goes_away_is_no_error(home: Path, command: str) -> None:
    name = log_of(home)
    words = [name if word.endswith(".log") else word for word in command.split()]
    read, write = os.pipe()
    os.close(read)  # as if `head` had ended before the first byte
    process = subprocess.Popen(
        [DESDM, "--home", str(home), *words], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 141), said
    assert "Traceback" not in said
    assert "Exception" not in said


@pytest.mark.parametrize("lost", ["out", "err", "both", "closed"])
def test_a_command_that_acts_ends_its_work_without_a_reader(home: Path, tmp_path: Path, lost: str) -> None:
    (tmp_path / f"raw_{lost}.txt").write_text(f"of {lost}")
    talk = tmp_path / "talk.wcl"
    talk.write_text(TALK.replace("A-TILE-WITH-A-LONG-NAME", f"T{lost}").replace("0123", "0001"))
    # Truth: the status of the same kind of command whose reader stays.
    for words, status in (
        (("ingest", str(tmp_path / f"raw_{lost}.txt"), str(tmp_path / "nope")), 1),
        (("submit", str(talk), "--wait"), 0),
        (("account", "add", f"jane.{lost}"), 0),
        (("stauts",), 2),
    ):
        assert without_reader(home, lost, *words) == status, words
    assert f"raw_{lost}.txt" in run(home, "files").stdout
    assert " done " in run(home, "show", f"T{lost}+0001_r1p01").stdout.splitlines()[0]
    assert f"jane.{lost}" in run(home, "account", "list").stdout


def without_reader(home: Path, lost: str, *words: str) -> int:
    """Status of a command whose output, errors or both nobody reads, or whose streams are closed."""
    if lost == "closed":
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", DESDM, "--home", str(home), *words]
        return subprocess.run(command, timeout=60).returncode
    read, write = os.pipe()
    os.close(read)
    out, err = {
        "out": (write, subprocess.DEVNULL), "err": (subprocess.DEVNULL, write), "both": (write, write)
    }[lost]  # fmt: skip
    try:
        return subprocess.run(
            [DESDM, "--home", str(home), *words], stdout=out, stderr=err, timeout=60
        ).returncode
    finally:
        os.close(write)


def test_a_full_disk_behind_the_output_is_told_once(home: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([DESDM, "--home", str(home), "status"], stdout=full, stderr=-1, text=True)
    # errors.StorageFull: transient.
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_signs_that_a_terminal_lacks_have_a_fallback(home: Path, encoding: str) -> None:
    name = log_of(home)
    for command in (
        ["lineage", name],
        ["status"],
        ["--help"],
        ["verdict", "--help"],
        ["pipeline", "show", "coadd"],
    ):
        done = subprocess.run(
            [DESDM, "--home", str(home), *command],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


def test_empty_lists_say_so(tmp_path: Path) -> None:
    assert run(tmp_path, "init", str(tmp_path / "new")).returncode == 0
    for command in ("status", "history", "files", "verdict", "exclude", "problem list", "release list", "account list",
                    "tag", "delete --trash", "account tokens", "account rights", "account denials"):  # fmt: skip
        done = run(tmp_path / "new", *command.split())
        assert done.returncode == 0
        assert done.stdout.startswith("no") or "empty" in done.stdout, (command, done.stdout)


def test_a_wrong_state_names_those_that_there_are(home: Path) -> None:
    said = run(home, "status", "--state", "bogus")
    assert said.returncode == 2
    assert "state=bogus: the values are planned, running, done, flagged" in said.stderr


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGHUP])
def test_the_server_of_a_shell_ends_with_it(home: Path, end: signal.Signals) -> None:
    with terminal([DESDM, "--home", str(home), "sql"]) as shell:
        shell.expect("desdm>", 60)
        children = Path(f"/proc/{shell.process.pid}/task/{shell.process.pid}/children").read_text().split()
        assert children
        shell.process.send_signal(end)
        shell.process.wait(20)
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in children):
            return
        time.sleep(0.1)
    pytest.fail("the server outlives its shell")
