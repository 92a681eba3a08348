"""A bug report holds what replays a fault elsewhere, and no secret."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import update

from desdm.errors import NotFoundError
from desdm.facility import Facility, initialise
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.operations.notices.model import Rule
from desdm.operations.notices.store import add_rule
from desdm.operations.qa.bundle import Bundle, _holds_secret, make_bundle
from desdm.operations.qa.redact import REMOVED, Redactor, secrets_of_environment, without_path
from desdm.release import problems
from desdm.schema import desfile
from desdm.schema.operationstates import NoticeMode, Severity
from tests.support.toy import CODES, arrive, plan

NOW = datetime(2026, 11, 29, 12, 0)
ROOT = Path(__file__).parents[2]
#: Planted where a report looks: environment, settings, configuration, notice rules, log lines, people, inputs.
SECRETS = (
    'pa ss"w\\ord-1',
    "of-a-url-in-the-environment",
    "B8sQ1fKeyOfTheWebhook",
    "discordtokenwithoutdigits",
    "pw-of-the-mail-server",
    "ann.author@observatory.example.org",
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
    lines += "|ask ann.author@observatory.example.org|of-a-url-in-the-environment was refused"
    lines += "|key B8sQ1fKeyOfTheWebhook|key discordtokenwithoutdigits|smtp pw-of-the-mail-server"
    lines += "|with ghp_abcdefghijklmnop1234|Authorization: Bearer eyJhbGciOi.eyJzdWIiOiI.c2ln"
    settings = {"unitname": "T1", "use_qcf": "true", "lines": lines, "api_token": "tok-in-a-setting"}
    module = Module("count", f"{CODES}.count", inputs=(raw,), outputs=(out,))
    return Pipeline("count", "counts", (Block("one", (module,)),), unit="unitname", settings=settings)


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    initialise(tmp_path / "home")
    settings = tmp_path / "home" / "desdm.toml"
    settings.write_text(
        f'{settings.read_text()}\n[services]\nmail_server = "ops:pw-of-the-mail-server@mail:25"\n'
    )
    made = Facility.open(tmp_path / "home")
    arrive(made, tmp_path / "in", "twelve")
    run = plan(made, broken()).run
    drive(made.config, made.database, made.archive, run, LocalEngine(1, made.config.runs / run), who="test")
    with made.database.write() as conn:
        problems.open_problem(conn, "attempt", run, "it cannot count", who="ann", now=NOW)
        problems.add_note(conn, 1, f"told {SECRETS[5]}, who logs in with {SECRETS[0]}", who="ann", now=NOW)
        for name, target in (
            ("hook", "https://hooks.example.org/services/T1/B8sQ1fKeyOfTheWebhook"),
            ("chat", "discord://1234/discordtokenwithoutdigits"),
        ):
            add_rule(
                conn,
                Rule(0, name, "*", "*", Severity.WATCH, target, NoticeMode.EVERY, None, None, "ann", NOW),
            )
    return made


def report(facility: Facility, out: Path, limit: int = 1000) -> Bundle:
    environment = {
        "LANG": "C.UTF-8", "DESDM_DB_PASSWORD": "s3cr3t-of-the-environment", "HOME": "/home/ann", "MY_SECRET": SECRETS[0],
        "STORE_URL": "s3://key:of-a-url-in-the-environment@store/x",
    }  # fmt: skip
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
    # Nothing of this installation: neither its home nor its database, nor a home of the person.
    env = {"PATH": os.environ["PATH"], "DESDM_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, capture_output=True, text=True, env=env, timeout=120)


def test_a_report_replays_elsewhere_with_the_same_first_message(facility: Facility, tmp_path: Path) -> None:
    made = report(facility, tmp_path / "out")
    assert (made.run, made.jobnum, made.inputs, made.missing) == ("T1_r1p01", 1, ("raw.txt",), ())
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    facility.close()
    shutil.rmtree(tmp_path / "home")
    # Its own folder "run" and one on the way to it are two.
    folder = unpack(made, tmp_path / "else where" / "run")
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


def contents(data: bytes) -> Iterator[bytes]:
    """What bytes hold: themselves, and what is packed in them, to any depth."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield from contents(gzip.decompress(data))
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar.getmembers():
                yield f"{member.name} {member.uname} {member.gname} {member.linkname} {member.pax_headers}".encode()
                packed = tar.extractfile(member)
                yield from contents(packed.read() if packed else b"")


def leaks(made: Bundle, secrets: Iterable[str]) -> list[str]:
    """Secrets that are anywhere in a report: as they are, in JSON, in an address, in base 64."""
    everything = list(contents(made.path.read_bytes()))
    assert len(everything) > 20
    return [
        secret
        for secret in secrets
        for form in (
            secret.encode(), json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(),
            b64encode(secret.encode()).rstrip(b"="),
        )
        if any(form in data for data in everything)
    ]  # fmt: skip


def test_no_byte_of_a_report_holds_a_planted_secret(facility: Facility, tmp_path: Path) -> None:
    made = report(facility, tmp_path / "out")
    with facility.database.read() as conn:
        everything = "\n".join(
            str(row) for row in conn.exec_driver_sql("SELECT text FROM problem_note").all()
        )
        everything += "\n".join(
            str(row) for row in conn.exec_driver_sql("SELECT target FROM notice_rule").all()
        )
    log = next(facility.archive.root.rglob("*.log")).read_text()
    # They were planted: without the redactor they would be found.
    assert (
        all(secret in log + everything for secret in SECRETS[5:7]) and SECRETS[2] in log and SECRETS[3] in log
    )
    assert leaks(made, (*SECRETS, "/home/ann", str(tmp_path))) == []
    assert json.loads((unpack(made, tmp_path / "x") / "problem.json").read_text())["notes"]


@pytest.mark.parametrize("packed", [False, True])
def test_an_input_that_holds_a_known_secret_is_left_out_and_named(tmp_path: Path, packed: bool) -> None:
    redactor = Redactor(["s3cr3t-of-the-environment"])
    noise = random.Random(1).randbytes((1 << 20) - 10)
    for secret, expected in ((b"s3cr3t-of-the-environment", True), (b"s3cr3t-of-another-day", False)):
        data = noise + secret + noise[:1000]
        path = tmp_path / "input"
        path.write_bytes(gzip.compress(data, 1) if packed else data)
        assert _holds_secret(path, redactor) is expected
    path.write_bytes(b"\x1f\x8b damaged")
    assert not _holds_secret(path, redactor)


def test_a_log_that_is_cut_begins_with_a_whole_line(facility: Facility, tmp_path: Path) -> None:
    """Half a token that is known to nobody must not be left at the cut."""
    log = next(facility.archive.root.rglob("*.log"))
    line = b"password=" + b"q" * 90 + b"\n"
    log.chmod(0o644)
    log.write_bytes(line * 300_000)
    with facility.database.write() as conn:
        conn.execute(
            update(desfile).where(desfile.c.filename == log.name).values(filesize=log.stat().st_size)
        )
    made = report(facility, tmp_path / "out")
    text = (unpack(made, tmp_path / "x") / "log.txt").read_text()
    assert (
        0 < len(text) <= 20_000_000 and "q" not in text and set(text.splitlines()) == {f"password={REMOVED}"}
    )


def test_the_size_of_inputs_is_kept(tmp_path: Path) -> None:
    initialise(tmp_path / "home")
    made = Facility.open(tmp_path / "home")
    draw = random.Random(2)
    for number in range(4):
        text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=400_000))
        arrive(made, tmp_path / "in", text, f"raw{number}.txt")
    raw = FileSet("raw", "misc", query={"filename": "raw%.txt"}, whole=True)
    module = Module(
        "count", f"{CODES}.count", inputs=(raw,), outputs=(FileSet("t", "misc", filename="${run}_t.txt"),)
    )
    pipeline = Pipeline(
        "count", "counts", (Block("one", (module,)),), unit="unitname", settings={"unitname": "T1"}
    )
    run = plan(made, pipeline).run
    drive(made.config, made.database, made.archive, run, LocalEngine(1, made.config.runs / run), who="test")
    with made.database.write() as conn:
        problems.open_problem(conn, "attempt", run, "it cannot count", who="ann", now=NOW)
    one = report(made, tmp_path / "out", limit=1_000_000)
    assert (len(one.inputs), len(one.missing)) == (2, 2)
    assert one.size < 1_000_000
    folder = unpack(one, tmp_path / "x")
    assert sum(p.stat().st_size for p in (folder / "inputs").rglob("*") if p.is_file()) == 800_000
    assert report(made, tmp_path / "none", limit=0).inputs == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/archive/x.fits", "HOME/archive/x.fits"), ("root = /srv", "root = HOME"), ("/srvers/x", "/srvers/x"),
        ("@BUNDLE@/srv/qcf.wcl", "@BUNDLE@/srv/qcf.wcl"), ("/data/srv/x", "/data/srv/x"), ("'/srv': no", "'HOME': no"),
        ("/srv.bak/x", "/srv.bak/x"), ("path:/srv/x,/srv/y", "path:HOME/x,HOME/y"),
    ],
)  # fmt: skip
def test_a_short_path_is_replaced_as_a_path_only(text: str, expected: str) -> None:
    assert without_path(text, "/srv", "HOME") == expected


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
        ("ask ann.b+c@obs.example.org.", f"ask {REMOVED}."), ("numpy@2.1 @tiles.txt a@b", "numpy@2.1 @tiles.txt a@b"),
        ("api-key: 'x y'", f"api-key: '{REMOVED}'"), ("seeing = 0.9", "seeing = 0.9"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", REMOVED),
        ("the value qwerty7 of it", f"the value {REMOVED} of it"), ("keyword OBJECT is lost", "keyword OBJECT is lost"),
    ],
)  # fmt: skip
def test_what_is_removed_from_a_text(text: str, expected: str) -> None:
    secrets = secrets_of_environment({"MY_TOKEN": "qwerty7", "LANG": "seeing", "X_SECRET": "abc"})
    assert Redactor(secrets)(text) == expected
