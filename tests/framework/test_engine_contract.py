"""What every engine must do, whatever batch system it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desdm.framework.engines import Engine, JobEvent
from desdm.framework.engines.local import LocalEngine
from desdm.framework.job import JobRequest
from desdm.framework.outcome import read_outcome

ROOT = Path(__file__).parents[2]
ENGINES: dict[str, Callable[[Path], Engine]] = {"local": lambda folder: LocalEngine(2, folder)}

JOB = """
jobnum = {number}
block = one
attempt = T1_r1p01
unitname = T1
reqnum = 1
attnum = 1
archive_root = {root}
<module say>
    wrappername = tests.support.toycodes.{code}
    <settings>
        lines = hello
        script = {script}
        fault = die
        <exec>
            <sh>
                program = sh
            </sh>
        </exec>
    </settings>
</module>
<wrapper {number}>
    modname = say
    <output>
        <talk>
            filename = talk{number}.txt
            filetype = misc
            directory = talks
        </talk>
    </output>
</wrapper>
"""


@pytest.fixture(params=sorted(ENGINES))
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = ENGINES[request.param](tmp_path)
    yield made
    made.close()


def request(tmp_path: Path, number: int, code: str = "chatter", script: str = "true") -> JobRequest:
    path = tmp_path / f"job{number}.wcl"
    path.write_text(JOB.format(number=number, root=tmp_path, code=code, script=script))
    return JobRequest(str(path), str(tmp_path / f"work{number}"), f"token{number}")


def until(engine: Engine, tokens: set[str], kinds: tuple[str, ...] = ("ended", "lost")) -> list[JobEvent]:
    seen: list[JobEvent] = []
    give_up = time.monotonic() + 60
    while tokens - {e.token for e in seen if e.kind in kinds}:
        assert time.monotonic() < give_up, seen
        seen += engine.events(0.5)
    return seen


def test_every_job_of_a_focal_plane_begins_and_ends_once(engine: Engine, tmp_path: Path) -> None:
    requests = [request(tmp_path, n) for n in range(1, 63)]
    for one in requests:
        engine.submit(one)
    events = until(engine, {t.token for t in requests})
    for one in requests:
        mine = [e.kind for e in events if e.token == one.token]
        assert mine == ["started", "wrapper", "wrapper", "ended"]
        outcome = read_outcome(Path(one.workdir) / "outcome.jsonl")
        assert outcome is not None
        assert (outcome.token, outcome.state) == (one.token, "done")


def test_a_failing_job_ends_with_its_reason_and_harms_no_other(engine: Engine, tmp_path: Path) -> None:
    bad, good = request(tmp_path, 1, "program", "exit 7"), request(tmp_path, 2)
    engine.submit(bad)
    engine.submit(good)
    until(engine, {bad.token, good.token})
    outcome = read_outcome(Path(bad.workdir) / "outcome.jsonl")
    assert outcome is not None
    assert outcome.state == "failed"
    assert "status 7" in outcome.wrappers[0].comment


def test_a_job_whose_worker_dies_is_lost_and_the_next_one_runs(engine: Engine, tmp_path: Path) -> None:
    deadly, good = request(tmp_path, 1, "program", "kill -9 $PPID"), request(tmp_path, 2)
    engine.submit(deadly)
    assert until(engine, {deadly.token})[-1].kind == "lost"
    engine.submit(good)
    assert until(engine, {good.token})[-1].kind == "ended"


def test_a_cancelled_job_ends_with_its_program(engine: Engine, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    slow = request(tmp_path, 1, "program", f"echo $$ > {mark}; sleep 60")
    engine.submit(slow)
    until(engine, {slow.token}, ("started",))
    while not mark.is_file() or not mark.read_text().strip():
        time.sleep(0.02)
    pid = int(mark.read_text())
    engine.cancel(slow.token)
    give_up = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    engine.submit(request(tmp_path, 2))
    assert until(engine, {"token2"})[-1].kind == "ended"


def test_a_torn_receipt_tells_what_was_whole(tmp_path: Path) -> None:
    head = '{"attempt": "T1_r1p01", "jobnum": 1, "token": "abc"}\n'
    done = (
        '{"wrapnum": 1, "modname": "say", "state": "done", "start_time": 1.0, "end_time": 2.0, "host": "h", '
        '"log": "l", "comment": "", "used": [], "made": [], "execs": [], "findings": [], "metrics": []}\n'
    )
    receipt = tmp_path / "outcome.jsonl"
    receipt.write_text(head + done + done[:80])
    outcome = read_outcome(receipt)
    assert outcome is not None
    assert [w.wrapnum for w in outcome.wrappers] == [1]
    assert outcome.state is None
    receipt.write_text(head[:20])
    assert read_outcome(receipt) is None
    assert read_outcome(tmp_path / "none") is None
