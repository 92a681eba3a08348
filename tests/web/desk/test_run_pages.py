"""Pages of runs and nights on a real processed night: what they say is what the commands say; retry, cancel, logs."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from pathlib import Path

import pytest

from desdm.framework.store import attempt_by_name
from desdm.operations.desk.products import night_products
from desdm.operations.desk.runlogs import live_logs, log_tail
from desdm.operations.desk.store import RunFilter, run_numbers
from desdm.operations.queue.store import find_rows
from desdm.operations.report.svg import number_text
from desdm.schema.states import AttemptState
from tests.support.desksite import DeskSite, Visitor
from tests.support.queuenight import NITE, desdm
from tests.support.wait import until

FIRST = "D00150014_r2p01"


@pytest.fixture(scope="module")
def kim(processed: DeskSite) -> Visitor:
    """An operator."""
    return processed.visitor("kim")


def test_the_night_is_told_as_its_report_tells_it(processed: DeskSite, kim: Visitor) -> None:
    report = desdm(processed.home, "night", "report", NITE)
    page = kim.text("/ops")
    assert "Night 2012-11-20" in page
    assert f"{report['arrived']['exposures']} science exposures" in page
    for verdict, word in (("True", "accepted"), ("False", "rejected"), ("Unknown", "no verdict yet")):
        assert f"{report['verdicts'][verdict]} {word}" in page
    for one in report["exposures"]:
        assert str(one["expnum"]) in page
        if one["t_eff"] is not None:
            assert number_text(float(format(one["t_eff"], ".3g"))) in page
    assert "3 done" in page and "1 dismissed" in page
    assert kim.get("/ops").text.count('<svg class="plot"') == 4


def test_a_night_without_data_and_a_word_that_is_no_night(processed: DeskSite, kim: Visitor) -> None:
    assert "Nothing of this night has arrived" in kim.text("/ops?nite=20130101")
    assert kim.get("/ops?nite=yesterday").status_code == 400
    assert kim.get("/ops?nite=20121131").status_code == 400
    assert kim.get("/ops/night/20130101").status_code == 404


def test_the_report_stands_alone_with_a_policy_of_its_own(processed: DeskSite, kim: Visitor) -> None:
    answer = kim.get(f"/ops/night/{NITE}")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and "sha256-" in policy and "default-src 'none'" in policy
    assert "desdm-policy" not in answer.headers
    assert f"<h1>Night {NITE}</h1>" in answer.text


def test_the_product_view_is_the_state_of_each_unit(processed: DeskSite, kim: Visitor) -> None:
    rows = desdm(processed.home, "queue")["rows"]
    runs = {r["attempt"]: r["state"] for r in desdm(processed.home, "status", "--all")}
    expected: dict[str, dict[str, int]] = {}
    for row in rows:
        state = runs.get(row["attempt"], row["state"]) if row["state"] == "done" else row["state"]
        of = expected.setdefault(row["pipeline"], {})
        of[state] = of.get(state, 0) + 1
    with processed.facility.database.read() as conn:
        [night] = night_products(conn, [NITE], processed.facility.config.campaign)
    assert night.pipelines == expected
    assert all(run in kim.text("/ops/runs") for run in runs)


def test_jobs_that_are_done_are_shown_on_demand(kim: Visitor) -> None:
    assert "job 1 done" not in kim.text("/ops/log")
    assert "job 1 done" in kim.text("/ops/log?jobs=all&subject=" + FIRST)
    assert "job 1 done" in kim.text("/ops/log?kind=job&subject=" + FIRST)


def test_filters_of_runs_find_what_they_name(processed: DeskSite, kim: Visitor) -> None:
    assert FIRST in kim.text("/ops/runs?unit=D00150014") and "D00150015" not in kim.text(
        "/ops/runs?unit=D00150014"
    )
    assert "D00150014" not in kim.text("/ops/runs?pipeline=precal")
    assert FIRST in kim.text(f"/ops/runs?nite={NITE}&pipeline=firstcut&campaign=MAIN")
    assert "No run fits" in kim.text("/ops/runs?campaign=NONE") and "No run fits" in kim.text(
        "/ops/runs?state=failed"
    )
    assert kim.get("/ops/runs?state=nosuch").status_code == 400
    with processed.facility.database.read() as conn:
        everything = run_numbers(conn, RunFilter(), 100)
        paged, before = [], None
        while page := run_numbers(conn, RunFilter(before=before), 2):
            paged += page
            before = page[-1]
    assert paged == everything and len(everything) >= 4


def test_the_page_of_a_run_says_what_the_command_says(processed: DeskSite, kim: Visitor) -> None:
    shown = desdm(processed.home, "show", FIRST, "--jobs", "--metrics")
    page, raw = kim.text(f"/ops/run/{FIRST}"), kim.get(f"/ops/run/{FIRST}").text
    assert shown["state"] in page and shown["operator"] in page
    for job in shown["jobs"]:
        assert f'href="#job-{job["jobnum"]}"' in raw and f'id="job-{job["jobnum"]}"' in raw
    for row in shown["files"]:
        assert f"made {row['filetype']} {row['files']}" in page
    for name in {m["name"] for m in shown["metrics"]}:
        text = next(m["text"] or m["name"] for m in shown["metrics"] if m["name"] == name)
        assert " ".join(text.split()) in page, name
    assert kim.get("/ops/run/D00150099_r2p01").status_code == 404
    assert kim.get("/ops/run/nonsense").status_code == 404


def test_archived_logs_are_sent_as_text_and_no_other_file(processed: DeskSite, kim: Visitor) -> None:
    logs = {Path(one["path"]).name: Path(one["path"]) for one in desdm(processed.home, "log", FIRST)}
    name, path = next(iter(logs.items()))
    answer = kim.get(f"/ops/run/{FIRST}/log/{name}")
    assert answer.headers["content-type"].startswith("text/plain") and answer.content == path.read_bytes()
    for other in ("desdm.toml", "..%2F..%2F..%2Fdesdm.toml", "%2Fetc%2Fpasswd", f"{name}x"):
        assert kim.get(f"/ops/run/{FIRST}/log/{other}").status_code == 404, other


def test_live_logs_are_a_runs_own_files_and_their_tail_has_no_codes(tmp_path: Path) -> None:
    folder = tmp_path / "R" / "J0001" / "try1"
    folder.mkdir(parents=True)
    log = folder / "R_detrend.log"
    log.write_bytes(b"first\n" * 5000 + b"<b>last</b> \x1b[31mred\x1b[0m \xff\n")
    (folder / "secret.log").symlink_to("/etc/passwd")
    (folder / "other.fits").touch()
    os.utime(log, (1_400_000_000, 1_400_000_000))
    [one] = live_logs(tmp_path, "R")
    assert (one.name, one.size, one.changed.year) == ("R_detrend.log", log.stat().st_size, 2014)
    tail = log_tail(log, 3)
    assert tail.lines == ("first", "first", "<b>last</b> red \ufffd") and not tail.whole
    (folder / "short.log").write_text("only\n")
    assert log_tail(folder / "short.log").lines == ("only",) and log_tail(folder / "short.log").whole
    assert live_logs(tmp_path, "none") == []


def test_a_retry_shows_the_plan_of_the_command_and_writes_nothing(processed: DeskSite, kim: Visitor) -> None:
    change = "setting=skycompress.threshold:4"
    plan = desdm(processed.home, "retry", FIRST, "--reason", "faint", "--with", change, "--dry-run")
    before = desdm(processed.home, "status", "--all")
    answer = kim.post(f"/ops/run/{FIRST}/retry", act="plan", reason="faint <b>", changes=change, who="boss")
    assert answer.status_code == 200
    text = re.sub(r"<[^>]*>", " ", answer.text)
    assert plan["jobs"] == 1
    assert plan["attempt"] in text and f": 1 job, {plan['wrappers']} wrappers" in text
    assert "skycompress.threshold" in text and 'value="faint &lt;b&gt;"' in answer.text
    assert desdm(processed.home, "status", "--all") == before
    for fields, status, words in (
        ({"reason": ""}, 400, "say why"),
        ({"reason": "x", "changes": "threshold=4"}, 400, "setting=KEY:VALUE"),
        ({"reason": "x", "only_failed": "1"}, 409, "nothing of it failed"),
        (
            {"reason": "x", "changes": "setting=jira_id:$FUNC{subprocess.check_output,/usr/bin/id}"},
            400,
            "letters",
        ),
        ({"reason": "x", "changes": "setting=jira_id:/etc/passwd"}, 400, "letters"),
        ({"reason": "x", "changes": "software=scamp:/tmp/x"}, 400, "command line only"),
        ({"reason": "x", "changes": "setting=scamp.exec.scamp.program:x"}, 400, "command line only"),
    ):
        refused = kim.post(f"/ops/run/{FIRST}/retry", act="start", **fields)
        assert refused.status_code == status and words in refused.text, refused.text[:200]
    assert desdm(processed.home, "status", "--all") == before
    assert processed.visitor("pat").post(f"/ops/run/{FIRST}/retry", act="plan", reason="x").status_code == 403


def test_who_operates_changes_no_verdict_but_in_a_trial(processed: DeskSite, kim: Visitor) -> None:
    changes = (
        "setting=assess.t_eff_least.r:0.01",
        "setting=ASSESS.cloud_most:99",
        "setting=use_qcf:false",
        "setting=qcf.excludes.x.pattern:disk",
        "setting=inputs.run_class:any",
        "setting=campaign:OTHER",
        "setting=project:ACT",
    )
    lee, path = processed.visitor("lee"), f"/ops/run/{FIRST}/retry"
    for change in changes:
        for act in ("plan", "start"):
            refused = kim.post(path, act=act, reason="x", changes=change)
            assert refused.status_code == 400 and "for the offices" in refused.text, change
    for visitor, change in (
        (kim, "setting=assess.cloud_most:9 setting=run_class:study"),
        (lee, "setting=assess.cloud_most:9"),
        (kim, "setting=skycompress.threshold:4"),
    ):
        shown = visitor.post(path, act="plan", reason="x", changes=change)
        assert shown.status_code == 200 and "Plan of the retry" in shown.text, change
    # A trial of another threshold is no way to a production run of it.
    trial = desdm(
        processed.home, "retry", FIRST, "--reason", "x", "--with", "setting=run_class:study",
        "--with", "setting=assess.cloud_most:9",
    )  # fmt: skip
    for visitor in (kim, lee):
        refused = visitor.post(
            f"/ops/run/{trial['attempt']}/retry", act="plan", reason="x", changes="setting=run_class:survey"
        )
        assert refused.status_code == 400 and "command line only" in refused.text
    with processed.facility.database.read() as conn:
        [row] = find_rows(conn, unit="D00150014")
    assert row.run == FIRST, "a trial is no production"


def test_a_retry_that_is_started_replaces_the_run_and_is_compared(processed: DeskSite, kim: Visitor) -> None:
    change = "setting=skycompress.threshold:4"
    done = kim.post(f"/ops/run/{FIRST}/retry", act="start", reason="faint", changes=change)
    assert done.status_code == 303, done.text
    new = done.headers["location"].removeprefix("/ops/run/")
    assert re.fullmatch(r"D00150014_r2p\d+", new) and new != FIRST
    state, end = AttemptState.PLANNED, time.monotonic() + 150
    live = ""
    while time.monotonic() < end and state in (AttemptState.PLANNED, AttemptState.RUNNING):
        with processed.facility.database.read() as conn:
            state = attempt_by_name(conn, new).state
        if state is AttemptState.RUNNING and not live:
            page = kim.get(f"/ops/run/{new}").text
            live = page if '<pre class="live"' in page else ""
        time.sleep(0.3)
    assert state in (AttemptState.DONE, AttemptState.FLAGGED)
    assert "The last lines of" in live and "as they are written" in live and "data-tick" in live
    with processed.facility.database.read() as conn:
        attempt = attempt_by_name(conn, new)
    assert attempt.operator == "kim"
    assert f"It repeats {FIRST}" in kim.text(f"/ops/run/{new}")
    assert f"It is repeated by {new}" in kim.text(f"/ops/run/{FIRST}")
    page = kim.text(f"/ops/run/{FIRST}/compare?with={new}")
    document = desdm(processed.home, "compare", FIRST, new)
    assert [d["key"] for d in document["settings"]] == ["skycompress.threshold"]
    assert "skycompress.threshold" in page
    for one in document["metrics"][:20]:
        assert one["name"] in page
    missing = kim.get(f"/ops/run/{FIRST}/compare?with=D00150099_r9p01")
    assert missing.status_code == 404 and "D00150099" in missing.text


def test_a_run_is_cancelled_with_a_reason(processed: DeskSite, kim: Visitor) -> None:
    run = (
        kim.post("/ops/run/D00150015_r2p01/retry", act="start", reason="again")
        .headers["location"]
        .split("/")[-1]
    )
    assert kim.post(f"/ops/run/{run}/cancel", reason=" ").status_code == 400
    assert processed.visitor("pat").post(f"/ops/run/{run}/cancel", reason="x").status_code == 403
    done = kim.post(f"/ops/run/{run}/cancel", reason="the wrong one")
    assert done.status_code == 303, done.text[:400]
    end = time.monotonic() + 30
    while "cancelled" not in kim.text(f"/ops/run/{run}") and time.monotonic() < end:
        time.sleep(0.5)
    time.sleep(5)  # a driver that began meanwhile does not go on with it
    assert f"{run} cancelled" in kim.text(f"/ops/run/{run}") and "the wrong one" in kim.text(
        "/ops/log?kind=attempt"
    )
    refused = kim.post(f"/ops/run/{run}/cancel", reason="again")
    assert refused.status_code == 400 and "is cancelled already" in refused.text


def seen_of(text: str) -> str:
    """The digest in the form of a plan."""
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', text)
    assert found, text[:300]
    return found[1]


def test_a_form_that_was_refused_or_only_looked_may_be_sent_again(processed: DeskSite, kim: Visitor) -> None:
    path, token = f"/ops/run/{FIRST}/retry", kim.csrf
    for fields, status, words in (
        ({"act": "start", "reason": ""}, 400, "say why"),
        ({"act": "start", "reason": "x", "only_failed": "1"}, 409, "nothing of it failed"),
        ({"act": "plan", "reason": "x"}, 200, "Plan of the retry"),
        ({"act": "start", "reason": "x", "seen": "0" * 64}, 409, "the plan has changed"),
    ):
        for _ in range(2):
            answer = kim.post(path, csrf=token, **fields)
            assert answer.status_code == status and words in answer.text, answer.text[:300]
            assert "sent already" not in answer.text


def test_only_the_plan_that_was_shown_is_started(processed: DeskSite, kim: Visitor) -> None:
    run = "D00150015_r2p01"
    path = f"/ops/run/{run}/retry"

    def plan() -> str:
        shown = kim.post(path, act="plan", reason="look")
        assert shown.status_code == 200
        return shown.text

    def refused(seen: str) -> str:
        answer = kim.post(path, act="start", reason="look", seen=seen)
        assert answer.status_code == 409 and "the plan has changed" in answer.text, answer.text[:300]
        assert seen_of(answer.text) == seen_of(plan()) != seen
        return answer.text

    before = desdm(processed.home, "status", "--all")
    first = plan()
    assert "is excluded" not in first and seen_of(plan()) == seen_of(first)
    desdm(processed.home, "exclude", "150015", "--reason", "satellite <trail>")
    assert "exposure 150015 is excluded (satellite &lt;trail&gt;" in refused(seen_of(first))
    desdm(processed.home, "exclude", "150015", "--lift", "--reason", "none there")
    desdm(processed.home, "exclude", "150015", "--ccd", "2", "--reason", "glow")
    assert "CCD 2 of exposure 150015 is excluded (glow" in refused(seen_of(first))
    desdm(processed.home, "exclude", "150015", "--lift", "--reason", "none there")
    assert seen_of(plan()) == seen_of(first)
    assert desdm(processed.home, "status", "--all") == before
    # Newer calibrations, which the rules prefer.
    desdm(processed.home, "retry", "20121120_r1p01", "--reason", "again")
    now = refused(seen_of(first))
    assert "20121120_r1p02" in now
    token = kim.csrf
    started = kim.post(path, csrf=token, act="start", reason="look", seen=seen_of(now))
    assert started.status_code == 303, started.text[:300]
    again = kim.post(path, csrf=token, act="start", reason="look", seen=seen_of(now))
    assert again.status_code == 409 and "sent already" in again.text
    new = started.headers["location"].rpartition("/")[2]
    kim.post(f"/ops/run/{new}/cancel", reason="the test ends")
    assert until(lambda: "cancelled" in kim.text(f"/ops/run/{new}"), 60)


def test_a_start_while_the_database_is_locked_is_done_when_it_is_sent_again(
    processed: DeskSite, kim: Visitor
) -> None:
    path, token = f"/ops/run/{FIRST}/retry", kim.csrf
    with sqlite3.connect(processed.home / "desdm.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        busy = kim.post(path, csrf=token, act="start", reason="busy")
        other.execute("ROLLBACK")
    assert busy.status_code == 503, busy.text[:300]
    done = kim.post(path, csrf=token, act="start", reason="busy")
    assert done.status_code == 303, done.text[:300]
    new = done.headers["location"].rpartition("/")[2]
    kim.post(f"/ops/run/{new}/cancel", reason="the test ends")
    assert until(lambda: "cancelled" in kim.text(f"/ops/run/{new}"), 60)
