"""An operator's session: submit, status, show, log, history, pipeline, and what errors look like."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from desdm.archive import store
from desdm.facility import Facility, initialise
from tests.support.toy import arrive

ROOT = Path(__file__).parents[2]
Session = Callable[..., subprocess.CompletedProcess[str]]

TALK = """
pipeline = talk
text = says a few words
unitname = T1
blocklist = one
words = fine weather
<block one>
    modulelist = say
</block>
<module say>
    wrappername = tests.support.toycodes.chatter
    lines = ${words}|WARNING: clouds ahead
    <file>
        <talk>
            filetype = misc
            filename = ${run}_talk.txt
        </talk>
    </file>
</module>
"""


@pytest.fixture
def desdm(tmp_path: Path) -> Session:
    """Runs the command in an installation."""
    home = tmp_path / "home"
    initialise(home)
    opened = Facility.open(home)
    arrive(opened, tmp_path)
    opened.close()
    (tmp_path / "talk.wcl").write_text(TALK.replace("${words}|", "fine weather|"))

    def session(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "desdm.cli.main", *args],
            capture_output=True,
            text=True,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    return session


def test_an_operator_follows_a_run_from_submission_to_history(desdm: Session) -> None:
    submitted = desdm("submit", "../talk.wcl", "--wait", "--label", "night", "--json")
    assert submitted.returncode == 0, submitted.stderr
    document = json.loads(submitted.stdout)
    assert (document["attempt"], document["state"]) == ("T1_r1p01", "done")

    status = desdm("status")
    assert "T1_r1p01" in status.stdout
    assert "done" in status.stdout
    shown = json.loads(desdm("show", "T1_r1p01", "--json").stdout)
    assert [b["name"] for b in shown["blocks"]] == ["one"]
    assert shown["wrappers"][0]["state"] == "done"
    assert "say" in desdm("show", "T1_r1p01", "--wrappers").stdout
    log = desdm("log", "T1_r1p01").stdout
    assert "fine weather" in log
    history = desdm("history", "--cols", "run,state,wrappers_done", "--csv").stdout
    assert list(csv.DictReader(io.StringIO(history))) == [
        {"run": "T1_r1p01", "state": "done", "wrappers_done": "1"}
    ]


def test_a_run_without_wait_goes_on_by_itself(desdm: Session) -> None:
    submitted = desdm("submit", "../talk.wcl", "--json")
    assert submitted.returncode == 0, submitted.stderr
    state = ""
    for _ in range(200):
        state = json.loads(desdm("status", "--json").stdout)[0]["state"]
        if state == "done":
            break
        time.sleep(0.1)
    assert state == "done"


def test_what_a_submit_wcl_asks_for_in_vain_is_said(desdm: Session, tmp_path: Path) -> None:
    update = "            compress_files = true\n        </talk>"
    (tmp_path / "more.wcl").write_text((tmp_path / "talk.wcl").read_text().replace("        </talk>", update))
    done = desdm("submit", "../more.wcl", "--dry-run", "--compat")
    assert done.returncode == 0, done.stderr
    assert "note: module.say.file.talk.compress_files is not acted upon: a file is kept as" in done.stderr


def test_notes_of_a_submission_go_to_standard_error(desdm: Session, tmp_path: Path) -> None:
    (tmp_path / "talk.wcl").write_text(TAKE.replace("${words}|", "fine weather|"))
    facility = Facility.open(tmp_path / "home")
    with facility.database.write() as conn:
        (file,) = store.list_files(conn, {"filename": "raw.txt"}, None)
        store.add_suspects(conn, [(file.id, file.id)], "audit", "its bytes have changed")
    facility.close()
    dry = desdm("submit", "../talk.wcl", "--dry-run")
    assert "note: inputs that are suspect: 1, for raw.txt: its bytes have changed" in dry.stderr
    assert "note:" not in dry.stdout
    assert "T1_r1p01 would have 1 job with" in dry.stdout


def test_a_dry_run_writes_nothing(desdm: Session) -> None:
    dry = desdm("submit", "../talk.wcl", "--dry-run")
    assert "would have 1 job with 1 wrapper on" in dry.stdout
    assert json.loads(desdm("status", "--json").stdout) == []


TAKE = TALK.replace(
    "    <file>\n",
    "    <file>\n        <raw>\n            filetype = misc\n            query_fields = filename\n"
    "            filename = raw.txt\n        </raw>\n",
)


def test_a_dry_run_tells_every_key_also_of_work_that_is_done(desdm: Session, tmp_path: Path) -> None:
    """What the plan takes does not depend on whether the work was done before; a key without a value is null."""
    (tmp_path / "talk.wcl").write_text(TAKE.replace("${words}|", "fine weather|"))
    words = ("submit", "../talk.wcl", "--dry-run", "--json")
    first = json.loads(desdm(*words).stdout)
    assert first["inputs"] == [{"filename": "raw.txt", "expnum": None, "ccdnum": None}]
    assert (first["attempt"], first["state"], first["reused"], first["omitted"]) == (
        "T1_r1p01",
        "planned",
        False,
        [],
    )
    assert desdm("submit", "../talk.wcl", "--wait").returncode == 0
    again = json.loads(desdm(*words).stdout)
    assert again == first | {"state": "done", "reused": True}
    assert "has already done this work: state done, 1 inputs" in desdm(*words[:-1]).stdout
    new = json.loads(desdm(*words, "--again").stdout)
    assert new == first | {"attempt": "T1_r1p02"}


def test_submit_resume_and_cancel_keep_who_and_why(desdm: Session, tmp_path: Path) -> None:
    path = tmp_path / "talk.wcl"
    failing = path.read_text().replace("toycodes.chatter", "toycodes.program")
    path.write_text(failing.replace("    lines = ", "    script = exit 1\n    lines = "))
    assert desdm("submit", "../talk.wcl", "--wait", "--reason", "asked for by the SN group").returncode == 4
    assert desdm("resume", "T1_r1p01", "--reason", "disk was full").returncode == 4
    assert desdm("cancel", "T1_r1p01", "--reason", "given up").returncode == 0
    assert desdm("resume", "T1_r1p01").returncode == 4
    found = json.loads(desdm("events", "--kind", "attempt", "--subject", "T1_r1p01", "--json").stdout)
    told = [(e["text"].split(":")[0], e["reason"]) for e in found]
    assert [t for t in told if " failed" not in t[0]] == [
        ("T1_r1p01 planned", "asked for by the SN group"),
        ("T1_r1p01 started", "asked for by the SN group"),
        ("T1_r1p01 resumed", "disk was full"),
        ("T1_r1p01 cancel requested", "given up"),
        ("T1_r1p01 cancelled", "given up"),
        ("T1_r1p01 resumed", ""),
    ]
    assert len({e["who"] for e in found}) == 1 and found[0]["who"]
    assert "disk was full" in desdm("events", "--kind", "attempt").stdout


def test_a_pipeline_can_be_read_by_people_and_written_as_wcl(desdm: Session, tmp_path: Path) -> None:
    listed = json.loads(desdm("pipeline", "list", "--json").stdout)
    assert "coadd" in [p["pipeline"] for p in listed]
    shown = desdm("pipeline", "show", "coadd").stdout
    assert "PSF of the image" in shown
    (tmp_path / "coadd.wcl").write_text(desdm("pipeline", "show", "coadd", "--wcl").stdout)
    checked = desdm("wcl", "check", "../coadd.wcl")
    assert checked.returncode == 0, checked.stdout
    again = desdm("pipeline", "show", "../coadd.wcl", "--wcl").stdout
    assert again == (tmp_path / "coadd.wcl").read_text()


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("show", "T1_r9p01"), 2, "no run T1_r9p01"),
        (("show", "nonsense"), 2, "'nonsense' is not a run"),
        (("submit", "nosuch"), 2, "no pipeline nosuch; known: precal"),
        (("submit", "coadd"), 2, "no image (red_immask, cp_image) is in the archive"),
        (("submit", "coadd", "--set", "oops"), 2, "is not of the form KEY=VALUE"),
        (("history", "--cols", "age"), 2, "no such column: age"),
        (("resume", "T1_r1p01"), 2, "no run T1_r1p01"),
        (("frobnicate",), 2, "there is no command"),
    ],
)
def test_an_error_says_what_to_mend_and_ends_with_its_kind(
    desdm: Session, args: tuple[str, ...], status: int, says: str
) -> None:
    plain = desdm(*args)
    assert plain.returncode == status
    assert says in plain.stderr
    assert "Traceback" not in plain.stderr
    if args != ("frobnicate",):
        scripted = desdm(*args, "--json")
        assert scripted.returncode == status
        assert says in json.loads(scripted.stdout)["error"]["message"]


def test_a_reader_that_goes_away_is_no_error(desdm: Session, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m desdm.cli.main history --cols help | head -1"],
        capture_output=True,
        text=True,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr


def test_a_run_whose_submitter_was_killed_is_interrupted_for_every_reader(
    desdm: Session, tmp_path: Path
) -> None:
    """SIGKILL leaves ``running`` in the row; no reader may say that the run goes on."""
    home = tmp_path / "home"
    (tmp_path / "talk.wcl").write_text(
        TALK.replace("${words}|", "fine weather|").replace("    lines", "    nap = 5\n    lines")
    )
    words = [sys.executable, "-m", "desdm.cli.main", "submit", "../talk.wcl", "--wait"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=home, env=environment, stdout=subprocess.DEVNULL) as submitter:
        while "running" not in desdm("status").stdout:
            assert submitter.poll() is None
        submitter.kill()
    [listed] = json.loads(desdm("status", "--json").stdout)
    shown = json.loads(desdm("show", "T1_r1p01", "--json").stdout)
    [past] = json.loads(desdm("history", "--json").stdout)
    assert [listed["state"], shown["state"], past["state"]] == ["interrupted"] * 3
    assert listed["comment"] == "its submitter is no longer running; next: desdm resume T1_r1p01"
    assert (
        "interrupted (its submitter is no longer running; resume goes on)" in desdm("show", "T1_r1p01").stdout
    )
    assert json.loads(desdm("status", "--state", "running", "--json").stdout) == []
    assert len(json.loads(desdm("status", "--state", "interrupted", "--json").stdout)) == 1
    desdm("report", "T1_r1p01", "--out", "page.html")
    page = (home / "page.html").read_text()
    assert "<title>T1_r1p01 – interrupted</title>" in page
    assert "is running" not in page
    # Neither a mark nor a deletion waits for it.
    assert desdm("mark", "T1_r1p01", "junk", "--reason", "killed").returncode == 0
    assert "under way" not in desdm("delete", "--attempt", "T1_r1p01").stdout
