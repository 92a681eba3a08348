"""The review queue by keys in a real browser: defects, undo, mask, two people, what changes between sight and click."""

from __future__ import annotations

import requests

from desdm.accounts.clock import now
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.quality.qa import store
from desdm.quality.qa.model import Threshold
from desdm.quality.qa.review import take_review
from desdm.quality.qa.thresholds import LAST_EXPOSURE, set_threshold
from desdm.release.problems import open_problem
from desdm.schema.operationstates import Mark, ReviewState, SubjectKind
from tests.support.desknight import PASSWORD, Desk, desk, desk_browser, enter
from tests.support.pages import Browser, Tab

__all__ = ["desk", "desk_browser"]

SAMPLE = "cause=sample"


def marks(desk: Desk, name: str) -> list[tuple[str, str, str]]:
    with desk.facility.database.read() as conn:
        return [
            (m.verdict.value, m.author, m.reason) for m in store.marks_of(conn, SubjectKind.EXPOSURE, name)
        ]


def subject(tab: Tab) -> str:
    return str(tab.page.inner_text("h1"))


def test_a_defect_is_marked_by_keys_alone_and_undone(desk: Desk, desk_browser: Browser) -> None:
    with desk_browser.tab() as tab:
        enter(tab, "ben")
        page = tab.go(f"/qa/review?{SAMPLE}&band=r")
        page.keyboard.press("j")
        page.wait_for_selector("#bless")
        first = subject(tab)
        page.keyboard.press("d")
        page.keyboard.type("ghost")
        page.keyboard.press("Tab")
        page.keyboard.type("stop")
        page.keyboard.press("Tab")
        # Letters in a field are text: j, k, b, u act nothing.
        page.keyboard.type("jkbu by the bright star")
        page.keyboard.press("Enter")
        page.wait_for_selector("#undo")
        assert first in page.inner_text("form.note") and "defective" in page.inner_text("form.note")
        assert subject(tab) != first
        with desk.facility.database.read() as conn:
            (made,) = store.marks_of(conn, SubjectKind.EXPOSURE, first)
        assert (made.defect_code, made.severity and made.severity.value, made.reason) == (
            "ghost", "stop", "jkbu by the bright star",
        )  # fmt: skip
        page.keyboard.press("u")
        page.wait_for_selector(f"h1:has-text('{first}')")
        assert [m[:2] for m in marks(desk, first)] == [("defective", "ben"), ("withdrawn", "ben")]
        assert page.locator("#bless").count() == 1, "the entry is open again, and taken"
        tab.check()
        # Left undecided: free for others again.
        page.keyboard.press("j")
        page.wait_for_selector(f"h1:not(:has-text('{first}'))")
        page.keyboard.press("k")
        page.wait_for_selector(f"h1:has-text('{first}')")
        tab.check()


def test_the_mask_comes_and_goes_with_its_key(desk_browser: Browser) -> None:
    with desk_browser.tab() as tab:
        enter(tab, "ann")
        page = tab.go(f"/qa/review?{SAMPLE}")
        page.keyboard.press("j")
        page.wait_for_selector("#picture")
        plain = page.evaluate("document.getElementById('picture').src")
        page.keyboard.press("m")
        page.wait_for_selector("body[data-mask='1']")
        page.wait_for_function("() => document.getElementById('picture').complete")
        assert page.evaluate("document.getElementById('picture').naturalWidth") > 200
        assert page.evaluate("document.getElementById('picture').src") != plain
        page.keyboard.press("m")
        page.wait_for_selector("body[data-mask='0']")
        assert page.evaluate("document.getElementById('picture').src") == plain
        assert not page.locator("#help[open]").count()
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        box = page.locator("#help").bounding_box()
        assert box is not None and box["y"] + box["height"] <= page.evaluate("window.innerHeight") + 1, (
            "it is in sight"
        )
        tab.check()


def test_two_people_do_not_get_the_same_entry(desk: Desk, desk_browser: Browser) -> None:
    with desk_browser.tab() as one, desk_browser.tab() as two:
        enter(one, "ann")
        enter(two, "ben")
        for tab in (one, two):
            tab.go(f"/qa/review?{SAMPLE}&band=g").keyboard.press("j")
            tab.page.wait_for_selector("#bless")
        assert subject(one) != subject(two)
        # The address of the other one's entry: who has it, and no form.
        two.page.goto(one.page.url)
        assert "ann looks at it" in two.page.inner_text("main")
        assert not two.page.locator("#bless").count()
        with desk.facility.database.read() as conn:
            taken = store.reviews(conn, states=[ReviewState.TAKEN], taken_by="ann")
        assert taken and all(e.lease_until is not None for e in taken)


def test_what_changed_between_sight_and_click_refuses_the_mark(desk: Desk, desk_browser: Browser) -> None:
    scope = desk.facility.production
    with desk_browser.tab() as tab:
        enter(tab, "ann")
        page = tab.go(f"/qa/review?{SAMPLE}&band=r")
        page.keyboard.press("j")
        page.wait_for_selector("#bless")
        name = subject(tab)
        with desk.facility.database.write() as conn:
            number = open_problem(conn, "exposure", name, "a <b>satellite</b> trail", who="otto")
        page.keyboard.press("b")
        page.wait_for_selector(".note.bad")
        text = page.inner_text(".note.bad")
        assert "has changed since you saw it" in text and "a <b>satellite</b> trail" in text
        assert marks(desk, name) == []
        assert f"problem {number}" in page.inner_text(".right"), "the new state is shown"
        # Blessing it now carries the new state, and the problem forbids it.
        page.keyboard.press("b")
        page.wait_for_selector(".note.bad:has-text('cannot be blessed while a problem')")
        assert len([c for c in tab.complaints if "409" in c]) == len(tab.complaints) == 2
        tab.complaints.clear()
        # Another person is faster.
        page.reload()
        with desk.facility.database.write() as conn:
            mark_subject(conn, name, MarkOrder(Mark.DEFECTIVE, "trail"), who="ben", scope=scope, now=now())
        page.keyboard.press("d")
        page.keyboard.type("trail")
        page.fill("#defective input[name=reason]", "a trail over all")
        page.keyboard.press("Enter")
        page.wait_for_selector(".note.bad:has-text('now defective by ben')")
        assert [m[1] for m in marks(desk, name)] == ["ben"]


def test_nothing_bad_is_blessed_by_a_key_without_words_of_the_person(
    desk: Desk, desk_browser: Browser
) -> None:
    bounds = ("fwhm_asec", "*", 0, None, 0.01, None, 0.02, "", 0, LAST_EXPOSURE)
    with desk.facility.database.write() as conn:
        set_threshold(conn, Threshold(0, *bounds, "ann", now(), None, "better than space"))
    with desk_browser.tab() as tab:
        enter(tab, "ben")
        page = tab.go(f"/qa/review?{SAMPLE}&band=r")
        page.keyboard.press("j")
        page.wait_for_selector("#bless")
        name = subject(tab)
        before = marks(desk, name)
        assert "beyond the thresholds, 1 of them bad" in page.inner_text("#why")
        page.keyboard.press("b")
        assert page.evaluate("document.activeElement === document.querySelector('#blessed [name=reason]')")
        assert (subject(tab), marks(desk, name)) == (name, before)
        page.keyboard.type("seeing is better than the threshold says")
        page.keyboard.press("Enter")
        page.wait_for_selector("#undo")
        assert marks(desk, name)[-1] == ("blessed", "ben", "seeing is better than the threshold says")
        tab.check()


def session(desk: Desk, login: str) -> requests.Session:
    made = requests.Session()
    fields = {"login": login, "password": PASSWORD, "next": "/"}
    assert made.post(f"{desk.url}/login", data=fields, timeout=60).status_code == 200
    return made


def test_an_entry_of_another_person_is_not_marked_by_a_direct_request(desk: Desk) -> None:
    with desk.facility.database.write() as conn:
        entry = store.reviews(conn)[-1]
        take_review(conn, entry.id, who="ben", now=now())
        before = store.marks_of(conn, entry.subject_kind, entry.subject)
    ann = session(desk, "ann")
    page = ann.get(f"{desk.url}/qa/{entry.subject_kind.value}/{entry.subject}", timeout=60).text
    fields = {
        "csrf": page.partition('name="csrf" content="')[2].partition('"')[0],
        "seen": page.partition('name="seen" value="')[2].partition('"')[0],
        "verdict": "blessed",
        "reason": "good",
    }
    answer = ann.post(f"{desk.url}/qa/review/{entry.id}/mark", data=fields, timeout=60)
    assert answer.status_code == 409 and f"ben looks at entry {entry.id}, until" in answer.text
    with desk.facility.database.write() as conn:
        assert store.marks_of(conn, entry.subject_kind, entry.subject) == before
        store.give_back(conn, entry.id, "ben")


def test_who_does_not_judge_has_no_buttons_that_are_refused(desk: Desk) -> None:
    otto = session(desk, "otto").get(f"{desk.url}/qa/review/1", timeout=60)
    assert otto.status_code == 200 and "/qa/review/step" not in otto.text
    assert "/qa/review/step" in session(desk, "ann").get(f"{desk.url}/qa/review/1", timeout=60).text
