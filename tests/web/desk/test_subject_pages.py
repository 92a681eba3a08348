"""Pages of exposures and CCDs, the problem list, dispatches and the survey table, as people of the offices use them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from astropy.io import fits
from PIL import Image
from playwright.sync_api import Page, Response
from sqlalchemy import insert, select

from desdm.accounts.clock import now
from desdm.operations.qa.subjectfacts import read_subject
from desdm.operations.surveytable.plan import import_fields
from desdm.quality.qa import store
from desdm.quality.qa.exclusions import exclusions
from desdm.release import problems
from desdm.schema import pfw_attempt, task_message
from desdm.schema.operationstates import SubjectKind
from tests.support.desknight import PASSWORD, Desk, desk, desk_browser, enter
from tests.support.pages import Browser

__all__ = ["desk", "desk_browser"]

EXPOSURE = "D00150035"
EXPNUM = 150035


@pytest.fixture
def ann(desk: Desk) -> Iterator[requests.Session]:
    """A session of Ann, of quality assessment, without a browser and so without scripts."""
    session = requests.Session()
    fields = {"login": "ann", "password": PASSWORD, "next": "/"}
    assert session.post(f"{desk.url}/login", data=fields, timeout=60).status_code == 200
    yield session


def desdm(desk: Desk, *words: str) -> dict[str, object]:
    """The JSON document of a command, as an independent look at what a page did."""
    command = [
        sys.executable,
        "-m",
        "desdm.cli.main",
        "--home",
        str(desk.facility.config.home),
        *words,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_an_exposure_is_marked_excluded_and_lifted_on_its_page(desk: Desk, desk_browser: Browser) -> None:
    with desk_browser.tab() as tab:
        enter(tab, "ann")
        page = tab.go(f"/qa/exposure/{EXPNUM}")
        for part in (
            "Verdicts",
            "CCDs",
            "Messages",
            "Marks",
            "Exclusions",
            "Problems",
            "Working groups",
            "Runs",
        ):
            assert page.locator(f"h2:has-text('{part}')").count() == 1, part
        assert page.locator("#ccds tbody tr").count() == 4
        # The map of another number, without a script.
        page.select_option("select[name=metric]", "sky")
        page.click("#ccds form button")
        page.wait_for_url("**metric=sky*")
        assert page.locator("figure.plane rect").count() == 4
        # A defect has a reason of its own, which is not the one offered for a blessing, and must be written.
        page.click("#defective summary")
        assert page.input_value("#defective input[name=reason]") == ""
        page.click("#defective button")
        assert page.evaluate("document.activeElement === document.querySelector('#defective [name=reason]')")
        assert page.url.endswith("metric=sky#ccds"), "nothing was sent"
        page.fill("#blessed input[name=reason]", "looked at: good")
        page.click("#blessed button:has-text('Bless')")
        page.wait_for_url("**#marks")
        assert "blessed by ann" in page.inner_text(".lead")
        known = desdm(desk, "mark", EXPOSURE)
        assert (known["verdict"], known["run"]) == ("blessed", f"{EXPOSURE}_r2p01")
        # A CCD is excluded by the form of the exposure's page, and lifted on its own.
        page.select_option("form[action='/qa/exclude'] select[name=ccdnum]", "3")
        page.fill("form[action='/qa/exclude'] input[name=reason]", "dead <amplifier>")
        page.click("form[action='/qa/exclude'] button:has-text('Exclude')")
        page.wait_for_url("**#exclusions")
        with desk.facility.database.read() as conn:
            (one,) = exclusions(conn, [EXPNUM])
        assert (one.ccdnum, one.reason, one.analyst) == (3, "dead <amplifier>", "ann")
        page.goto(f"{desk.url}/qa/ccd/{EXPOSURE}_c03")
        assert "dead <amplifier>" in page.inner_text("#exclusions")
        page.click("#exclusions summary:has-text('Lift')")
        page.fill("#exclusions tbody input[name=reason]", "it was CCD 4")
        page.click("#exclusions tbody button")
        page.wait_for_function("() => document.body.innerText.includes('it was CCD 4')")
        with desk.facility.database.read() as conn:
            assert exclusions(conn, [EXPNUM]) == []
        # The mark is withdrawn with the form that names it.
        page.goto(f"{desk.url}/qa/exposure/{EXPNUM}")
        page.click("#withdrawn summary")
        page.fill("#withdrawn input[name=reason]", "of another exposure")
        page.click("#withdrawn button:has-text('Withdraw mark')")
        page.wait_for_url("**#marks")
        assert desdm(desk, "mark", EXPOSURE)["verdict"] == "withdrawn"
        tab.check()


def test_a_mark_without_a_reason_or_without_what_was_seen_is_refused(
    desk: Desk, ann: requests.Session
) -> None:
    page = ann.get(f"{desk.url}/qa/exposure/150036", timeout=60).text
    csrf = page.partition('name="csrf" content="')[2].partition('"')[0]
    seen = page.partition('name="seen" value="')[2].partition('"')[0]
    common = {"csrf": csrf, "subject": "D00150036", "verdict": "blessed"}
    for more, words in (
        ({"reason": " ", "seen": seen}, "reason"),
        ({"reason": "good"}, "does not carry what you saw"),
        ({"reason": "good", "seen": "0" * 64}, "has changed since you saw it"),
        ({"reason": "good", "seen": seen, "verdict": "perfect"}, "blessed or defective"),
        ({"reason": "bad", "seen": seen, "verdict": "defective", "severity": "awful"}, "severity is one of"),
    ):
        answer = ann.post(f"{desk.url}/qa/mark", data={**common, **more}, timeout=60)
        assert answer.status_code in (400, 409) and words in answer.text, (more, answer.text[-500:])
        assert "<h1>D00150036</h1>" in answer.text, "the page is shown again"
    with desk.facility.database.read() as conn:
        assert store.marks_of(conn, SubjectKind.EXPOSURE, "D00150036") == []
    # The author is the session's, whatever the form says.
    answer = ann.post(
        f"{desk.url}/qa/mark", data={**common, "reason": "good", "seen": seen, "who": "ben", "author": "ben"}, timeout=60
    )  # fmt: skip
    assert answer.status_code == 200
    with desk.facility.database.read() as conn:
        (mark,) = store.marks_of(conn, SubjectKind.EXPOSURE, "D00150036")
    assert mark.author == "ann" and mark.office is not None and mark.office.value == "qa"


def test_a_picture_is_small_and_made_from_the_image(desk: Desk, ann: requests.Session) -> None:
    plain = ann.get(f"{desk.url}/qa/picture/D00150021", timeout=60)
    mask = ann.get(f"{desk.url}/qa/picture/D00150021?mask=1", timeout=60)
    large = ann.get(f"{desk.url}/qa/picture/D00150021_c02?large=1", timeout=60)
    shapes = []
    for answer in (plain, mask, large):
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/webp"
        shapes.append(Image.open(io.BytesIO(answer.content)).size)
    assert max(len(plain.content), len(mask.content)) <= 60_000
    assert shapes[0] == shapes[1], "the mask lies exactly on the picture"
    # A CCD of 512 x 1024 pixels is shown pixel by pixel, or enlarged by a whole number.
    assert shapes[2][0] % 512 == 0 and shapes[2][1] % 1024 == 0
    assert plain.content != mask.content
    folder = desk.facility.config.home / "cache" / "pictures"
    assert {p.suffix for p in folder.iterdir()} == {".webp", ".json"}
    for absent in ("D00999999", "D00150021_c99"):
        assert ann.get(f"{desk.url}/qa/picture/{absent}", timeout=60).status_code == 404


def test_messages_below_a_warning_are_told_of(desk: Desk, ann: requests.Session) -> None:
    with desk.facility.database.write() as conn:
        facts = read_subject(conn, "D00150028", desk.facility.production)
        number = facts.subject.attempt_id
        row = {
            "pfw_attempt_id": number, "message_time": now(), "message_lvl": 3, "pattern": "swarp_warning",
            "message": "> WARNING: x", "action": "none", "log_file": "a.log", "log_line": 1,
        }  # fmt: skip
        task_id = conn.execute(select(pfw_attempt.c.task_id).where(pfw_attempt.c.id == number)).scalar_one()
        conn.execute(insert(task_message), {**row, "task_id": task_id})
    page = ann.get(f"{desk.url}/qa/exposure/150028", timeout=60).text
    section = page.partition('<section id="messages">')[2].partition("</section>")[0]
    assert "of lower level: " in section and "1 swarp_warning" in section, section


def test_a_problem_goes_through_its_states_by_the_forms_that_are_lawful(
    desk: Desk, desk_browser: Browser
) -> None:
    with desk_browser.tab() as tab:
        enter(tab, "otto")
        page = tab.go("/qa/report?kind=ccd&subject=150037_c2")
        page.fill("textarea[name=text]", "<img src=x onerror=alert(1)> a ring\nabout the bright star")
        page.check("input[name=severity][value=block]")
        page.click("button:has-text('Report')")
        page.wait_for_url("**/qa/problem/*")
        number = int(page.url.rsplit("/", 1)[1])
        assert "<img src=x onerror=alert(1)> a ring" in page.inner_text("main")
        assert page.locator("main img").count() == 0
        # An operator adds notes and evidence; the states are changed by who judges.
        assert forms(page) == {"note", "evidence"}
        tab.check()
    with desk_browser.tab() as tab:
        enter(tab, "ann")
        page = tab.go(f"/qa/problem/{number}")
        assert forms(page) == {"take", "fix", "reject", "close", "severity", "note", "evidence"}
        send(page, "take", reason="")
        assert "in work" in page.inner_text("dl.facts") and "ann" in page.inner_text("dl.facts")
        assert forms(page) == {"reopen", "fix", "close", "severity", "note", "evidence"}
        send(page, "fix", reason="flat made again")
        # Closed as fixed it needs a run or test as evidence, whether the form says so or its state; a file is none.
        page.locator("form:has(input[value=evidence]) details").evaluate("d => d.open = true")
        page.select_option("form:has(input[value=evidence]) select[name=kind]", "page")
        page.fill("form:has(input[value=evidence]) input[name=ref]", "https://example.org/ring")
        page.click("form:has(input[value=evidence]) button")
        page.wait_for_selector("text=https://example.org/ring")
        for code in ("fixed", ""):
            page.locator("form:has(input[value=close]) details").evaluate("d => d.open = true")
            page.select_option("form:has(input[value=close]) select[name=code]", code)
            send(page, "close", reason="gone")
            assert "closed when a test or run shows" in page.inner_text(".note.bad")
        tab.complaints.clear()
        page.fill("form:has(input[value=close]) input[name=proof]", "D00150037_r2p01")
        send(page, "close", reason="gone")
        assert forms(page) == {"reopen", "note", "evidence"}
        tab.check()
    with desk.facility.database.read() as conn:
        file = problems.problem_file(conn, number)
    assert (file.problem.subject_kind, file.problem.subject) == ("ccd", "D00150037_c02")
    assert [n.to_state.value for n in file.notes if n.to_state] == ["confirmed", "in_work", "fixed", "closed"]
    assert [e.kind for e in file.evidence] == ["page", "run"]


def forms(page: Page) -> set[str]:
    """The acts of the forms of a problem."""
    return {str(one.get_attribute("value")) for one in page.locator("aside input[name=act]").all()}


def send(page: Page, act: str, *, reason: str) -> None:
    """Fill the reason of a form, and send it."""
    form = page.locator(f"form:has(input[name=act][value={act}])")
    form.locator("details").evaluate("d => d.open = true")
    form.locator("input[name=reason]").fill(reason)
    with page.expect_navigation():
        form.locator("button").click()


def test_the_bug_report_comes_as_the_command_makes_it(
    desk: Desk, ann: requests.Session, tmp_path: Path
) -> None:
    with desk.facility.database.write() as conn:
        number = problems.open_problem(conn, "exposure", "D00150022", "odd sky", who="otto")
    page = ann.get(f"{desk.url}/qa/problem/{number}", timeout=60).text
    csrf = page.partition('name="csrf" content="')[2].partition('"')[0]
    answer = ann.post(f"{desk.url}/qa/problem/{number}/bundle", data={"csrf": csrf}, timeout=120)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"problem.json", "README.txt", "environment.json"} <= names
    with desk.facility.database.read() as conn:
        (evidence,) = problems.problem_file(conn, number).evidence
    assert (evidence.kind, evidence.ref, evidence.who) == ("bundle", f"problem-{number}.tar.gz", "ann")
    made = desdm(desk, "problem", "bundle", str(number), "--out", str(tmp_path))
    with tarfile.open(str(made["path"])) as tar:
        assert {name.partition("/")[2] for name in tar.getnames()} == names


def test_data_are_sent_to_a_group_whose_member_answers(desk: Desk, desk_browser: Browser) -> None:
    with desk_browser.tab() as tab:
        enter(tab, "ann")
        page = tab.go("/qa/dispatch?subject=D00150023")
        page.fill("form[action='/qa/dispatch'][method=post] input[name=group]", "weak-lensing")
        page.fill("input[name=question]", "is the PSF good for shear?")
        page.fill("input[name=criteria]", "residuals below 1e-3")
        page.click("button:has-text('Send')")
        page.wait_for_url("**/qa/dispatch/*")
        number = page.url.rsplit("/", 1)[1]
        tab.check()
    with desk_browser.tab() as tab:
        enter(tab, "wim")
        page = tab.go("/qa/dispatch")
        assert page.locator("tbody tr").count() == 1 and "shear" in page.inner_text("tbody")
        page.click("tbody a")
        page.click("dl.facts a")
        page.wait_for_url("**/qa/exposure/D00150023")
        page.wait_for_function("() => document.getElementById('picture')?.naturalWidth > 200")
        assert not page.locator("form[method=post]").count(), "a member marks nothing"
        page.goto(f"{desk.url}/qa/dispatch/{number}")
        page.click("button:has-text('Accept')")
        page.wait_for_selector("dl.facts:has-text('accepted')")
        page.check("input[value=partly]")
        page.fill("textarea[name=text]", "CCD 2 has a ring")
        page.click("button.main:has-text('Answer')")
        page.wait_for_selector("dl.facts:has-text('answered')")
        tab.check()
        # Answered: the data are no longer theirs to see.
        assert page.goto(f"{desk.url}/qa/exposure/D00150023").status == 404  # type: ignore[union-attr]
    with desk_browser.tab() as tab:
        enter(tab, "sue")
        page = tab.go("/qa/dispatch?all=1")
        assert "Nothing was sent" in page.inner_text("main")
        tab.check()
    known = desdm(desk, "mark", "D00150023")
    assert "weak-lensing, is the PSF good for shear?: partly, CCD 2 has a ring (wim)" in str(known["parts"])


def test_the_survey_table_follows_the_record_and_comes_as_files(
    desk: Desk, ann: requests.Session, desk_browser: Browser, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.csv"
    fields = [
        f"{i}-{t},{t},{b},{22 + i},{-8 + t},90,0.5,{i},Y1" for i in range(30) for t in (1, 2) for b in "gr"
    ]
    fields += [f"{b},2,{b},30,-5,90,4,0,Y1" for b in "gr"] + ["SN-X3,1,r,36.45,-4.6,200,3,0,Y1"]
    plan.write_text("hex,tiling,band,ra,dec,exptime,t_eff_goal,priority,season\n" + "\n".join(fields) + "\n")
    with desk.facility.database.write() as conn:
        import_fields(conn, plan, who="pia", reason="plan of a year")
    expected = {
        (f["hex"], str(f["tiling"]), f["band"]): (len(f["exposures"]), f["t_eff"], f["done"])
        for f in desdm(desk, "survey")["fields"]  # type: ignore[attr-defined]
    }
    text = ann.get(f"{desk.url}/survey/table.csv", timeout=60).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {
        (r["hex"], r["tiling"], r["band"]): (int(r["accepted"]), float(r["t_eff"]), r["done"] == "True")
        for r in rows
    } == expected
    with fits.open(io.BytesIO(ann.get(f"{desk.url}/survey/table.fits?band=r", timeout=60).content)) as hdus:
        assert len(hdus[1].data) == sum(band == "r" for _, _, band in expected)
    with fits.open(io.BytesIO(ann.get(f"{desk.url}/survey/coverage.moc.fits", timeout=60).content)) as hdus:
        assert hdus[1].header["MOCVERS"] == "2.0"
    with desk_browser.tab() as tab:
        enter(tab, "otto")
        page = tab.go("/survey?band=r")
        assert page.locator("svg.sky path.done").count() == 1
        before = accepted_of(page)
        # A page of 100 fields, and the next from the last field on.
        page = tab.go("/survey")
        first = page.locator("table tbody").nth(1).locator("tr").count()
        page.click("a[rel=next]")
        page.wait_for_url("**after=*")
        assert (first, page.locator("table tbody").nth(1).locator("tr").count()) == (100, 23)
        desdm(desk, "exclude", "150039", "--reason", "clouds after all")
        page = tab.go("/survey?band=r")
        after = accepted_of(page)
        assert int(after) == int(before) - 1, "an exclusion counts at once"
        tab.check()


def accepted_of(page: Page) -> str:
    """Exposures that count for the field ``r``."""
    row = page.locator("table tbody").nth(1).locator("tr", has=page.locator("td:first-child:text-is('r')"))
    return row.locator("td:nth-child(7)").inner_text()


PAGES = (
    "/qa/review",
    "/qa/review/5",
    f"/qa/exposure/{EXPNUM}",
    f"/qa/ccd/{EXPOSURE}_c01",
    f"/qa/run/{EXPOSURE}_r2p01",
    "/qa/problems",
    "/qa/report",
    "/qa/dispatch",
    "/survey",
)


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 400)])
def test_pages_are_small_labelled_and_quiet_in_each_look(
    desk: Desk, desk_browser: Browser, dark: bool, width: int
) -> None:
    with desk_browser.tab(dark=dark, width=width) as tab:
        enter(tab, "ann")
        loaded: list[Response] = []
        tab.page.on("response", lambda response: loaded.append(response))  # noqa: PLW0108 - playwright sets an attribute on it
        for path in PAGES:
            loaded.clear()
            page = tab.go(path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            # The picture is a part of the page once it is drawn.
            own = [a for a in loaded if "/qa/picture/" not in a.url and not a.url.startswith("data:")]
            assert len(own) <= 3, [a.url for a in own]
            assert sum(int(a.headers.get("content-length", "0")) for a in own) <= 150_000, path
            unlabelled = page.evaluate(
                "[...document.querySelectorAll('main input:not([type=hidden]), main select, main textarea')]"
                ".filter(e => !e.labels?.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)"
            )
            assert unlabelled == [], path
        tab.check()
