"""Twenty exposures of a simulated night are looked at and marked by keys within a minute, in a real browser."""

from __future__ import annotations

import time

from desdm.quality.qa import store
from desdm.schema.operationstates import SubjectKind
from tests.support.desknight import Desk, desk, desk_browser, enter
from tests.support.pages import Browser

__all__ = ["desk", "desk_browser"]


def test_twenty_exposures_are_reviewed_by_keys_within_a_minute(desk: Desk, desk_browser: Browser) -> None:
    with desk_browser.tab() as tab:
        enter(tab, "ann")
        page = tab.go("/qa/review?cause=sample")
        started, seen = time.monotonic(), []
        page.keyboard.press("j")
        for number in range(20):
            page.wait_for_selector("body[data-keys='ready'] #bless")
            page.wait_for_function("() => document.getElementById('picture')?.complete")
            # The picture itself, not a sign that it is missing.
            assert page.evaluate("document.getElementById('picture').naturalWidth") > 200
            seen.append(page.inner_text("h1"))
            if number == 7:
                page.keyboard.press("d")
                page.keyboard.type("trail")
                page.keyboard.press("Tab")
                page.keyboard.press("Tab")
                page.keyboard.type("a trail over CCD 3")
                page.keyboard.press("Enter")
            else:
                page.keyboard.press("b")
            page.wait_for_function("name => document.querySelector('h1').innerText !== name", arg=seen[-1])
        lasted = time.monotonic() - started
        assert len(set(seen)) == 20
        assert page.inner_text("h1") not in seen, (
            "what was reviewed does not come back; other tests may have put up more"
        )
        tab.check()
        print(f"{len(seen)} exposures in {lasted:.1f} s")
        assert lasted <= 60
    with desk.facility.database.read() as conn:
        verdicts = [store.marks_of(conn, SubjectKind.EXPOSURE, name)[-1].verdict.value for name in seen]
    assert verdicts == ["blessed"] * 7 + ["defective"] + ["blessed"] * 12
