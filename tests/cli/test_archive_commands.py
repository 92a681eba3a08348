"""The archive's commands, as an operator types them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(home: Path) -> Run:
    """``desdm`` in a fresh installation."""

    def desdm(*words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        argv = [
            sys.executable,
            "-c",
            "from desdm.cli.main import main; main()",
            "--home",
            home,
            *words,
        ]
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    desdm("init", home)
    return desdm


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(tmp_path / "home")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return runner(tmp_path_factory.mktemp("empty") / "home")


def document(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_ingest_files_lineage_fetch(run: Run, real: Path, tmp_path: Path) -> None:
    stack = real / "decam-cp-stack"
    first = document(run("ingest", stack, "--json"))
    assert (first["registered"], first["present"], first["refused"]) == (44, 0, [])
    again = document(run("ingest", stack, "--json"))
    assert (again["registered"], again["present"]) == (0, 44)
    found = document(run("files", "--filetype", "cp_image", "--band", "r", "--json"))
    assert len(found) == 3
    for row in found:
        assert set(row) == {"filename", "filetype", "band", "path", "sha256", "filesize", "findings"}
        data = Path(row["path"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (row["sha256"], row["filesize"])
        assert data == (stack / row["filename"]).read_bytes()
    name = found[0]["filename"]
    lineage = document(run("lineage", name, "--json"))
    assert [f["filename"] for f in lineage["files"]] == [name]
    assert (lineage["tasks"], lineage["edges"]) == ([], [])
    assert next(iter(document(run("lineage", name, "--prov"))["entity"].values()))["prov:label"] == name
    assert name in run("lineage", name, "--down").stdout
    fetched = document(run("fetch", name, "nobody.fits", "--to", tmp_path / "out", "--json", status=1))
    assert [f["filename"] for f in fetched["fetched"]] == [name]
    assert fetched["refused"][0]["path"] == "nobody.fits"
    assert (tmp_path / "out" / name).read_bytes() == (stack / name).read_bytes()
    asked = document(run("files", "--query", "expnum=720558", "--query", "filetype=cp_%", "--json"))
    assert {row["filename"][18:21] for row in asked} == {"ooi", "ood", "oow"}


def test_a_conflict_is_refused_and_told_and_rename_takes_it(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "1" / "run.log", tmp_path / "2" / "run.log"
    for path, text in ((one, "one"), (two, "two")):
        path.parent.mkdir()
        path.write_text(text)
    (tmp_path / "2" / ".hidden.log").write_text("not seen")
    run("ingest", one)
    refused = document(run("ingest", two, "--json", status=1))["refused"]
    assert refused[0]["path"] == str(two)
    assert hashlib.sha256(b"one").hexdigest() in refused[0]["reason"]
    assert hashlib.sha256(b"two").hexdigest() in refused[0]["reason"]
    taken = document(run("ingest", two.parent, "--rename", "--json"))
    assert (taken["registered"], taken["refused"]) == (1, [])


def test_audit_finds_each_damage(run: Run, tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.log").write_text(name * 100)
    run("ingest", *(tmp_path / f"{n}.log" for n in "abcde"))
    clean = document(run("audit", "--json"))
    assert clean == {"checked": 5, "corrupt": [], "truncated": [], "grown": [], "missing": [], "orphan": []}
    logs = tmp_path / "home" / "archive" / "log"
    (logs / "a.log").write_text("b" + "a" * 99)
    (logs / "b.log").write_text("b")
    (logs / "c.log").write_text("c" * 101)
    (logs / "d.log").unlink()
    (logs / "stray.log").write_text("?")
    found = document(run("audit", "--json", status=1))
    assert found == {
        "checked": 5, "corrupt": ["a.log"], "truncated": ["b.log"], "grown": ["c.log"], "missing": ["d.log"],
        "orphan": ["log/stray.log"],
    }  # fmt: skip
    told = run("audit", status=1).stdout
    assert all(word in told for word in ("corrupt: a.log", "missing: d.log", "orphan: log/stray.log"))


def test_delete_is_dry_without_yes_and_can_be_undone(run: Run, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.log").write_text(name)
    run("ingest", tmp_path / "a.log", tmp_path / "b.log")
    run("tag", "KEEP", "b.log", "--text", "to be kept")
    assert document(run("tag", "--list", "--json")) == [
        {"tag": "KEEP", "description": "to be kept", "files": 1, "attempts": 0}
    ]
    plan = document(run("delete", "a.log", "--json"))
    assert plan == {"files": ["a.log"], "bytes": 1, "blocked": [], "deleted": 0}
    assert len(document(run("files", "--json"))) == 2
    blocked = document(run("delete", "a.log", "b.log", "--yes", "--json", status=1))
    assert blocked["deleted"] == 0
    assert blocked["blocked"][0]["filename"] == "b.log"
    assert document(run("delete", "a.log", "-d", "--reason", "test", "--json"))["deleted"] == 1
    assert [f["filename"] for f in document(run("files", "--json"))] == ["b.log"]
    assert document(run("delete", "--purge", "--json")) == {"purged": []}
    assert [f["filename"] for f in document(run("delete", "--trash", "--json"))] == ["a.log"]
    assert document(run("delete", "--undelete", "a.log", "--json")) == {"undeleted": ["a.log"]}
    assert len(document(run("files", "--json"))) == 2
    run("tag", "KEEP", "b.log", "--remove")
    run("delete", "b.log", "--yes")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("files", "--filetype", "nonsense"), "no file type"),
        (("files", "--attempt", "nonsense"), "<unit>_r<req>p<att>"),
        (("files", "--attempt", "D00000001_r1p01"), "no run"),
        (("files", "--query", "colour=blue"), "colour"),
        (("files", "--query", "colour"), "KEY=VALUE"),
        (("lineage", "nobody.fits"), "nobody.fits"),
        (("delete", "nobody.fits"), "nobody.fits"),
        (("delete",), "name files"),
        (("delete", "--undelete"), "name the files"),
        (("delete", "--undelete", "nobody.fits"), "not in the trash"),
        (("tag", "T", "nobody.fits"), "nobody.fits"),
        (("tag", "T"), "name files"),
        (("tag", "not a tag", "x"), "is not a tag"),
        (("tag", "FIRSTCUT_ACCEPTED_20121120", "--attempt", "D00000001_r1p01"), "desdm verdict EXPNUM --set"),
        (("tag", "FIRSTCUT_ACCEPTED_20121120", "x.fits", "--remove"), "desdm verdict EXPNUM --set"),
        (("ingest",), "PATH"),
    ],
)
def test_wrong_requests_end_with_2_and_say_what_to_mend(
    empty: Run, words: tuple[str, ...], told: str
) -> None:
    done = empty(*words, "--json", status=2)
    assert told in done.stderr
    assert told in json.loads(done.stdout)["error"]["message"]


def test_events_tell_who_did_what_and_why(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(b"a" * 9)
    run("ingest", tmp_path / "a.dat", "--filetype", "misc")
    run("ingest", tmp_path / "absent.dat", "--filetype", "misc", status=1)
    run("problem", "open", "exposure", "150012", "dome lights on")
    run("problem", "close", "1", "taken off the list")
    run("epoch", "add", "Y1E1", "--min", "1", "--max", "9", "--text", "first light")
    run("release", "create", "Y1", "--empty", "--text", "a trial")
    run("release", "discard", "Y1", "--reason", "tried")
    run("account", "add", "alice")
    run("account", "role", "alice", "operator")
    run("account", "token", "alice", "--name", "cron")
    run("account", "revoke", "alice")
    run("account", "disable", "alice", "--reason", "left")
    run("account", "enable", "alice")
    run("delete", "a.dat", "--yes", "--reason", "a trial file")
    found = document(run("events", "--json"))
    assert all(set(e) == {"id", "time", "kind", "who", "subject", "text", "reason", "run"} for e in found)
    assert [(e["kind"], e["subject"], e["reason"]) for e in found if e["kind"] not in ("ingest", "refusal")] == [
        ("problem", "D00150012", "dome lights on"), ("problem", "D00150012", "taken off the list"),
        ("epoch", "Y1E1", "first light"), ("release", "Y1", "a trial"), ("release", "Y1", "tried"),
        *(("account", "alice", {2: "cron", 4: "left"}.get(i, "")) for i in range(6)), ("delete", "a.dat", "a trial file"),
    ]  # fmt: skip
    [refused] = document(run("events", "--kind", "refusal", "--json"))
    assert refused["subject"] == "absent.dat"
    assert refused["reason"]
    assert document(run("events", "--subject", "150012", "--json")) == [
        e for e in found if e["kind"] == "problem"
    ]
    today = found[0]["time"][:10]
    assert document(run("events", "--since", today, "--until", found[-1]["time"][:10], "--json")) == found
    assert document(run("events", "--until", "2000-01-01", "--json")) == []
    assert document(run("events", "--who", found[0]["who"], "--limit", "1", "--json")) == found[-1:]
    assert "dome lights on" in run("events", "--kind", "problem").stdout
    for wrong in ("yesterday", "2026-W48"):
        assert "2026-11-28" in run("events", "--since", wrong, status=2).stderr
    # In the basic format, too, the minute is the minute (ISO 8601-1, 5.4.2).
    midnight = found[0]["time"][:10].replace("-", "") + "T0000"
    assert [
        e for e in document(run("events", "--until", midnight, "--json")) if e["time"][11:16] > "00:00"
    ] == []
    assert "COLUMN=VALUE" in run("history", "--where", "bogus", status=2).stderr
    for limit in ("0", "-3"):
        assert "--limit" in run("history", "--limit", limit, status=2).stderr
    # An event is found by the second, the minute and the hour under which it is listed, and by that of another zone.
    listed = found[-1]["time"][:19]
    basic = listed.replace("-", "").replace(":", "")
    for until in (
        listed, listed[:16], listed[:13], listed.replace("T", " ") + "Z", listed + "+00:00", basic, basic[:13], basic[:11],
        basic[:8],
    ):  # fmt: skip
        assert document(run("events", "--since", listed, "--until", until, "--json"))[-1] == found[-1]
    assert "later than" in run("events", "--since", today, "--until", "2000-01-01", status=2).stderr
    assert "desdm exclude EXPNUM" in run("exclude", "--lift", "--reason", "x", status=2).stderr
    assert "--set" in run("verdict", "150012", "--reason", "x", status=2).stderr
    assert "not in the archive" in run("exclude", "999999", "--reason", "x").stderr
    assert "desdm events" in " ".join(run("history", "--help").stdout.split())
    assert "--reason" in run("mark", "D00000001_r1p01", "JUNK", status=2).stderr
    assert "no run" in run("mark", "D00000001_r1p01", "JUNK", "--reason", "x", status=2).stderr
