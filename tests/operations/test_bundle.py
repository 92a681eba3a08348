"""A bug report holds what replays a fault elsewhere, and no secret."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path

import pytest

from desdm.errors import NotFoundError
from desdm.facility import Facility, initialise
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.operations.qa.bundle import Bundle, make_bundle
from desdm.operations.qa.redact import REMOVED, Redactor, secrets_of_environment
from desdm.release import problems
from tests.support.toy import CODES, arrive, plan

NOW = datetime(2026, 11, 29, 12, 0)
ROOT = Path(__file__).parents[2]
SECRETS = (
    "hunter2hunter2",
    "s3cr3t-of-the-environment",
    "ghp_abcdefghijklmnop1234",
    "tok-in-a-setting",
    "eyJhbGciOi.eyJzdWIiOiI.c2ln",
)


def broken() -> Pipeline:
    """One module that cannot read its input, and that writes secrets into its log."""
    raw = FileSet("raw", "misc", query={"filename": "raw.txt"}, whole=True)
    out = FileSet("talk", "misc", filename="${run}_talk.txt")
    lines = "connecting to postgresql://survey:hunter2hunter2@db/des|password = hunter2hunter2"
    lines += "|with ghp_abcdefghijklmnop1234|Authorization: Bearer eyJhbGciOi.eyJzdWIiOiI.c2ln"
    settings = {"unitname": "T1", "use_qcf": "true", "lines": lines, "api_token": "tok-in-a-setting"}
    module = Module("count", f"{CODES}.count", inputs=(raw,), outputs=(out,))
    return Pipeline("count", "counts", (Block("one", (module,)),), unit="unitname", settings=settings)


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    initialise(tmp_path / "home")
    made = Facility.open(tmp_path / "home")
    arrive(made, tmp_path / "in", "twelve")
    run = plan(made, broken()).run
    drive(made.config, made.database, made.archive, run, LocalEngine(1, made.config.runs / run), who="test")
    with made.database.write() as conn:
        problems.open_problem(conn, "attempt", run, "it cannot count", who="ann", now=NOW)
    return made


def report(facility: Facility, out: Path, limit: int = 1000) -> Bundle:
    environment = {"LANG": "C.UTF-8", "DESDM_DB_PASSWORD": "s3cr3t-of-the-environment", "HOME": "/home/ann"}
    with facility.database.read() as conn:
        return make_bundle(
            conn, facility.config, facility.archive, 1, out, now=NOW, limit=limit, environment=environment
        )


def unpack(made: Bundle, folder: Path) -> Path:
    with tarfile.open(made.path) as tar:
        tar.extractall(folder, filter="data")
    return folder / "problem-1"


def replay(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the report's script without network, where the system can cut it off."""
    words = ["sh", str(folder / "replay.sh")]
    cut = ["unshare", "-rn"]
    if shutil.which("unshare") and subprocess.run([*cut, "true"], capture_output=True).returncode == 0:
        words = [*cut, *words]
    env = {
        **os.environ,
        "DESDM_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "DESDM_HOME": "/nonexistent",
    }
    return subprocess.run(words, capture_output=True, text=True, env=env, timeout=120)


def test_a_report_replays_elsewhere_with_the_same_first_message(facility: Facility, tmp_path: Path) -> None:
    made = report(facility, tmp_path / "out")
    assert (made.run, made.jobnum, made.inputs, made.missing) == ("T1_r1p01", 1, ("raw.txt",), ())
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    facility.close()
    shutil.rmtree(tmp_path / "home")
    folder = unpack(made, tmp_path / "elsewhere")
    done = replay(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ValueError: invalid literal for int() with base 10: 'twelve'" in done.stdout
    assert "it is the same" in done.stdout
    (raw,) = (folder / "inputs").rglob("raw.txt")
    raw.write_text("13")
    assert replay(folder).returncode == 1, "another input gives another message"


def test_no_secret_leaves_in_a_report(facility: Facility, tmp_path: Path) -> None:
    folder = unpack(report(facility, tmp_path / "out"), tmp_path / "elsewhere")
    texts = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert {
        "problem.json",
        "wcl/job.wcl",
        "wcl/settings.wcl",
        "log.txt",
        "messages.json",
        "software.json",
        "replay.sh",
    } <= set(texts)
    for name, text in texts.items():
        for secret in (*SECRETS, "/home/ann", str(facility.archive.root)):
            assert secret not in text, name
    assert (
        REMOVED in texts["log.txt"]
        and "connecting to postgresql://survey:[removed]@db/des" in texts["log.txt"]
    )
    assert json.loads(texts["environment.json"])["variables"] == {"LANG": "C.UTF-8"}
    for name in texts:
        if name.endswith(".json"):
            json.loads(texts[name])


def test_large_inputs_are_named_with_their_digests(facility: Facility, tmp_path: Path) -> None:
    made = report(facility, tmp_path / "out", limit=3)
    assert (made.inputs, made.missing) == ((), ("raw.txt",))
    folder = unpack(made, tmp_path / "elsewhere")
    ((path, (size, digest)),) = json.loads((folder / "inputs.digests.json").read_text()).items()
    assert (size, digest) == (6, hashlib.sha256(b"twelve").hexdigest())
    done = replay(folder)
    assert done.returncode == 2 and path in done.stdout
    (folder / "inputs" / path).parent.mkdir(parents=True)
    (folder / "inputs" / path).write_text("twelve")
    assert replay(folder).returncode == 0


def test_the_same_report_has_the_same_bytes(facility: Facility, tmp_path: Path) -> None:
    assert report(facility, tmp_path / "a").sha256 == report(facility, tmp_path / "b").sha256


def test_a_problem_without_a_run_has_a_report_without_replay(facility: Facility, tmp_path: Path) -> None:
    with facility.database.write() as conn:
        number = problems.open_problem(conn, "nite", "20121120", "clouds", who="ann", now=NOW)
    with facility.database.read() as conn:
        made = make_bundle(conn, facility.config, facility.archive, number, tmp_path, now=NOW)
        assert (made.run, made.jobnum) == ("", 0)
        with pytest.raises(NotFoundError, match="no problem 99"):
            make_bundle(conn, facility.config, facility.archive, 99, tmp_path, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=abc", f"password={REMOVED}"), ('{"db_password": "a b"}', f'{{"db_password": "{REMOVED}"}}'),
        ("--token abcdef -v", f"--token {REMOVED} -v"), ("http://u:pw@h/x", f"http://u:{REMOVED}@h/x"),
        ("api-key: 'x y'", f"api-key: '{REMOVED}'"), ("seeing = 0.9", "seeing = 0.9"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", REMOVED),
        ("the value qwerty7 of it", f"the value {REMOVED} of it"), ("keyword OBJECT is lost", "keyword OBJECT is lost"),
    ],
)  # fmt: skip
def test_what_is_removed_from_a_text(text: str, expected: str) -> None:
    secrets = secrets_of_environment({"MY_TOKEN": "qwerty7", "LANG": "seeing", "X_SECRET": "abc"})
    assert Redactor(secrets)(text) == expected
