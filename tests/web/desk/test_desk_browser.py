"""Pages of operations in a real browser: legible everywhere, few requests, kept up to date, and without JavaScript."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from playwright.sync_api import Page

from desdm.operations.clock import machine_time
from desdm.operations.queue import acts
from desdm.operations.queue.acts import Act, Selection
from desdm.processes import process_start
from desdm.schema.runname import RunName
from desdm.schema.states import EventKind
from desdm.schema.store import record_event
from tests.support.desksite import PASSWORD, DeskSite
from tests.support.pages import Browser, Tab, browser

#: Requests of a load, and its bytes.
_REQUESTS, _BYTES = 3, 150_000
_LABELLED = """() => [...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")]
  .filter((e) => !e.labels?.length && !e.getAttribute("aria-label")).map((e) => e.outerHTML)"""
#: Texts whose contrast with their ground is below 4.5 (WCAG 2.2, 1.4.3), large ones below 3.
_FAINT = """() => {
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = new Set();
  for (const e of document.querySelectorAll("main *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    if (e.closest("svg, details:not([open]), .u-wrap")) continue;
    const style = getComputedStyle(e), ink = light(parts(style.color).slice(0, 3)), under = light(ground(e));
    const ratio = (Math.max(ink, under) + 0.05) / (Math.min(ink, under) + 0.05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < least) bad.add(`${ratio.toFixed(2)} ${e.className} ${e.textContent.trim().slice(0, 30)}`);
  }
  return [...bad]; }"""


@pytest.fixture(scope="module")
def program() -> Iterator[Browser]:
    """The browser itself, of which there can be one at a time."""
    with browser("") as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium(history: DeskSite, program: Browser) -> Browser:
    """A browser on the history of a survey."""
    return Browser(program._chromium, history.url)


@pytest.fixture(scope="module")
def beside_queue(waiting: DeskSite, program: Browser) -> Browser:
    """A browser on a night that waits in its queue."""
    return Browser(program._chromium, waiting.url)


def until(page: Page, expression: str, seconds: float = 20.0) -> None:
    """Wait until an expression is true; the policy of the pages forbids the browser's own way to do so."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(100)


def log_in(tab: Tab, login: str = "kim") -> Page:
    page = tab.go("/login?next=/ops/log")
    page.fill("[name=login]", login)
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/ops/log")
    return page


def paths(history: DeskSite) -> list[str]:
    made = history.made
    assert made is not None
    return [
        "/ops", f"/ops?nite={made.nite}", "/ops/arrival", f"/ops/arrival?nite={made.nite}", "/ops/queue",
        "/ops/queue?state=gave_up", "/ops/runs", f"/ops/run/{made.large}", f"/ops/run/{made.failed}",
        f"/ops/run/{made.large}/compare?with={made.failed}", "/ops/log",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dark", "width"), [(False, 1280), (True, 1280), (False, 400)], ids=["light", "dark", "400px"]
)
def test_every_page_is_legible_and_light_and_complains_of_nothing(
    history: DeskSite, chromium: Browser, dark: bool, width: int
) -> None:
    with chromium.tab(dark=dark, width=width) as tab:
        context = log_in(tab).context
        for path in paths(history):
            page, sizes, seen = context.new_page(), [], []
            page.route("**/*", lambda route: route.continue_())  # takes the cache away: as of a first visit
            page.on("request", lambda r, seen=seen: seen.append(r.url))
            page.on("requestfinished", lambda r, sizes=sizes: sizes.append(r.sizes()["responseBodySize"]))
            page.on("console", lambda m: tab.complaints.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda err: tab.complaints.append(str(err)))
            page.goto(history.url + path, wait_until="load")
            assert len(seen) <= _REQUESTS, (path, seen)
            assert sum(sizes) <= _BYTES, (path, sizes)
            assert page.evaluate(
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            ), path
            assert page.evaluate(_LABELLED) == [], path
            assert page.evaluate(_FAINT) == [], path
            page.close()
        tab.check()


def test_plots_are_drawn_and_tell_the_exposure_under_the_cursor(history: DeskSite, chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = log_in(tab)
        page.goto(f"{history.url}/ops")
        canvases = page.locator(".uplot canvas")
        page.wait_for_selector(".uplot canvas")
        assert canvases.count() == 4
        page.locator(".uplot .u-over").first.scroll_into_view_if_needed()
        box = page.locator(".uplot .u-over").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        text = page.locator(".uplot-place .value").first
        until(page, "document.querySelector('.uplot-place .value').textContent.trim() !== ''")
        assert re.fullmatch(r"\d{6}, [grizY]: [\d.]+ arcsec(, not accepted)?", text.inner_text())
        tab.check()


def test_a_graph_has_a_hundred_nodes_that_lead_to_their_jobs(history: DeskSite, chromium: Browser) -> None:
    assert history.made is not None
    with chromium.tab() as tab:
        page = log_in(tab)
        page.goto(f"{history.url}/ops/run/{history.made.large}")
        nodes = page.locator("svg.jobs a")
        assert nodes.count() == 100
        assert "100 of 140 jobs are drawn" in page.inner_text("#jobs")
        page.locator("#joblist summary").click()
        nodes.last.focus()
        page.keyboard.press("Enter")
        number = page.url.partition("#job-")[2]
        assert page.locator(f"tr#job-{number}").is_visible()
        tab.check()


def test_without_scripts_pages_are_read_and_forms_work(history: DeskSite, chromium: Browser) -> None:
    context = chromium._chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{history.url}/login?next=/ops")
    page.fill("[name=login]", "kim")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/ops")
    assert page.locator("svg.plot").count() == 4 and page.locator("svg.plot").first.is_visible()
    page.goto(f"{history.url}/ops/log")
    page.locator("summary", has_text="Write an entry").click()
    page.fill("textarea[name=text] >> nth=0", "written without scripts")
    page.get_by_role("button", name="Write", exact=True).click()
    assert "written without scripts" in page.inner_text("#entries")
    context.close()


def hold(site: DeskSite, unit: str, *, release: bool = False) -> None:
    """Hold or release a unit, as another person does."""
    act = Act("lee", "seen elsewhere", machine_time())
    with site.facility.database.write() as conn:
        (acts.release if release else acts.hold)(conn, Selection(unit), act)


def test_an_open_page_follows_the_record_and_keeps_what_is_being_typed(
    waiting: DeskSite, beside_queue: Browser
) -> None:
    with beside_queue.tab() as tab:
        page = log_in(tab)
        page.goto(f"{waiting.url}/ops/queue")
        page.wait_for_timeout(2500)  # the stream opens after two seconds
        hold(waiting, "D00150016")
        page.wait_for_selector("#rows tr:has-text('D00150016') .state:has-text('held')", timeout=20_000)
        box = page.locator("#rows tr", has_text="D00150015").locator("input")
        box.check()
        page.fill("#act [name=reason]", "half a sen")
        hold(waiting, "D00150016", release=True)
        until(page, "document.querySelector('#counts .warn') === null")
        assert box.is_checked()
        assert page.input_value("#act [name=reason]") == "half a sen"
        box.uncheck()
        page.locator("h1").click()
        hold(waiting, "D00150016")
        page.wait_for_selector("#rows tr:has-text('D00150016') .state:has-text('held')", timeout=20_000)
        hold(waiting, "D00150016", release=True)
        tab.check()


def test_what_happens_before_the_stream_opens_is_not_lost(waiting: DeskSite, beside_queue: Browser) -> None:
    with beside_queue.tab() as tab:
        page = log_in(tab)
        streams: list[str] = []
        page.on("request", lambda r: streams.append(r.url) if "/ops/stream" in r.url else None)
        page.goto(f"{waiting.url}/ops/queue")
        hold(waiting, "D00150015")
        assert streams == [], "the stream opens two seconds after the page shows"
        page.wait_for_selector("#rows tr:has-text('D00150015') .state:has-text('held')", timeout=20_000)
        # A second tab, which is told by the first: its page is older than what it hears next.
        other = page.context.new_page()
        other.goto(f"{waiting.url}/ops/queue")
        hold(waiting, "D00150015", release=True)
        other.wait_for_selector("#rows tr:has-text('D00150015') .state:has-text('waiting')", timeout=20_000)
        tab.check()


def test_the_page_of_a_refusal_follows_its_run(history: DeskSite, chromium: Browser) -> None:
    assert history.made is not None
    run = history.made.failed
    with chromium.tab() as tab:
        page = log_in(tab)
        page.goto(f"{history.url}/ops/run/{run}")
        page.fill("#acts input[name=reason]", "again")
        page.fill("#acts input[name=changes]", "threshold=4")
        page.get_by_role("button", name="Retry: show the plan").click()
        page.wait_for_url("**/retry**")
        assert "setting=KEY:VALUE" in page.inner_text("main")
        tab.complaints.clear()  # the browser complains of the status of the refusal itself
        assert not page.evaluate("document.querySelector('[data-tick]')")
        name = RunName.parse(run)
        assert name is not None
        with history.facility.database.write() as conn:
            process = (socket.gethostname(), os.getpid(), process_start(os.getpid()))
            conn.exec_driver_sql(
                "UPDATE pfw_attempt SET state = 'running', submitter_host = ?, submitter_pid = ?, submitter_start = ? "
                "WHERE unitname = ? AND reqnum = ? AND attnum = ?",
                (*process, name.unitname, name.reqnum, name.attnum),
            )
            record_event(conn, EventKind.ATTEMPT, "kim", f"{run} runs", subject=run)
        page.wait_for_selector("#head .state:has-text('running')", timeout=20_000)
        until(page, "document.querySelector('#log[data-tick]') !== null")
        assert page.input_value("#acts input[name=changes]") == "threshold=4"
        with history.facility.database.write() as conn:
            conn.exec_driver_sql(
                "UPDATE pfw_attempt SET state = 'failed' WHERE unitname = ? AND reqnum = ? AND attnum = ?",
                (name.unitname, name.reqnum, name.attnum),
            )
        # Nothing is recorded: a sign of life is enough while it runs.
        page.wait_for_selector("#head .state:has-text('failed')", timeout=20_000)
        tab.check()


def test_seven_tabs_share_a_stream_and_none_stalls(waiting: DeskSite, beside_queue: Browser) -> None:
    with beside_queue.tab() as tab:
        streams: list[str] = []
        tab.page.context.on("request", lambda r: streams.append(r.url) if "/ops/stream" in r.url else None)
        first = log_in(tab)
        pages = [first.context.new_page() for _ in range(7)]
        for page in pages:
            page.goto(f"{waiting.url}/ops/queue")
        pages[0].wait_for_timeout(3000)
        assert len(streams) == 1
        hold(waiting, "D00150016")
        for page in pages:
            page.wait_for_selector("#rows tr:has-text('D00150016') .state:has-text('held')", timeout=20_000)
        begin = datetime.now()
        first.goto(f"{waiting.url}/ops/arrival")
        assert (datetime.now() - begin).total_seconds() < 10
        # The tab that has the stream goes: another takes it over.
        pages[0].close()
        pages[1].wait_for_timeout(2000)
        hold(waiting, "D00150016", release=True)
        for page in pages[1:]:
            page.wait_for_selector(
                "#rows tr:has-text('D00150016') .state:has-text('waiting')", timeout=20_000
            )


def test_who_is_logged_out_is_told_so(waiting: DeskSite, beside_queue: Browser) -> None:
    with beside_queue.tab() as tab:
        page = log_in(tab, "pat")
        page.goto(f"{waiting.url}/ops/queue")
        page.wait_for_timeout(2500)
        other = page.context.new_page()
        other.goto(f"{waiting.url}/account")
        other.get_by_role("button", name="Log out").click()
        page.wait_for_selector("#desk-note", timeout=40_000)
        assert "load the page again" in page.inner_text("#desk-note")
