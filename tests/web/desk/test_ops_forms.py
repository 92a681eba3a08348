"""Forms of operations: what the commands do, by the person of the session, with a reason, or the page again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests

from desdm.facility import Facility
from desdm.operations.dts.store import find_delivery
from desdm.operations.logbook.model import LogFilter
from desdm.operations.logbook.store import find_entries
from desdm.operations.queue import store
from desdm.operations.queue.model import QueueRow
from desdm.schema.operationstates import DeliveryState, QueueState
from desdm.schema.store import find_events
from tests.support.deliveries import raw_frame, receiver
from tests.support.desksite import DeskSite, Visitor, desk_site
from tests.support.queuenight import NITE
from tests.support.server import served

HOSTILE = "<script>alert(1)</script><b>bold</b> \x1b[2J [link](javascript:alert(1))"


@pytest.fixture(scope="module")
def kim(waiting: DeskSite) -> Visitor:
    """An operator."""
    return waiting.visitor("kim")


def row_of(site: DeskSite, unit: str) -> QueueRow:
    with site.facility.database.read() as conn:
        [row] = store.find_rows(conn, unit=unit)
    return row


def newest_event(site: DeskSite, subject: str) -> tuple[str, str, str]:
    with site.facility.database.read() as conn:
        event = max(find_events(conn, subject=subject), key=lambda e: e.id)
    return event.who, event.text, event.reason or ""


def test_acts_on_rows_are_those_of_the_command_with_the_author_of_the_session(
    waiting: DeskSite, kim: Visitor
) -> None:
    row = row_of(waiting, "D00150014")
    # Whatever a form says of its author is no field of it.
    form = {"row": str(row.id), "reason": "the dome was closed", "who": "boss", "author": "boss"}
    done = kim.post("/ops/queue?state=waiting", act="hold", **form)
    assert (done.status_code, done.headers["location"]) == (303, "/ops/queue?state=waiting")
    assert row_of(waiting, "D00150014").state is QueueState.HELD
    who, text, reason = newest_event(waiting, "D00150014")
    assert (who, reason) == ("kim", "the dome was closed")
    assert "held, was waiting" in text
    assert "held by kim: the dome was closed" in kim.text("/ops/queue")
    kim.post("/ops/queue", act="release", **form)
    assert row_of(waiting, "D00150014").state is QueueState.WAITING
    kim.post("/ops/queue", act="priority", rank="3", **form)
    assert row_of(waiting, "D00150014").rank == 3
    kim.post("/ops/queue", act="dismiss", **form)
    assert row_of(waiting, "D00150014").state is QueueState.DISMISSED
    kim.post("/ops/queue", act="release", **form)


def test_several_rows_and_a_whole_night_are_changed_at_once_or_not_at_all(
    waiting: DeskSite, kim: Visitor
) -> None:
    rows = [str(row_of(waiting, f"D001500{n}").id) for n in (14, 15)]
    kim.post("/ops/queue", act="hold", row=rows, reason="look at both")
    assert {row_of(waiting, f"D001500{n}").state for n in (14, 15)} == {QueueState.HELD}
    # The second of these waits, the first does not: nothing is changed.
    mixed = [str(row_of(waiting, "D00150016").id), rows[0]]
    refused = kim.post("/ops/queue", act="hold", row=mixed, reason="again")
    assert refused.status_code == 409 and "D00150014 is held" in refused.text
    assert row_of(waiting, "D00150016").state is QueueState.WAITING
    kim.post(f"/ops/queue?nite={NITE}", act="release", whole="1", reason="seen")
    assert {row_of(waiting, f"D001500{n}").state for n in (14, 15)} == {QueueState.WAITING}


def test_a_refused_form_comes_back_with_the_message_and_what_was_typed(
    waiting: DeskSite, kim: Visitor
) -> None:
    row = row_of(waiting, "D00150015")
    for fields, status, text in (
        ({"act": "hold", "reason": " "}, 400, "say why"),
        ({"act": "priority", "reason": "first", "rank": "x"}, 400, "rank: a whole number is wanted, not x"),
        ({"act": "explode", "reason": "why not"}, 400, "hold, release, priority or dismiss is wanted"),
    ):
        answer = kim.post("/ops/queue", row=str(row.id), **fields)
        assert answer.status_code == status and text in answer.text
        assert 'role="alert"' in answer.text and f'value="{row.id}" form="act"' in answer.text
        assert f'value="{fields["reason"]}"' in answer.text or not fields["reason"].strip()
    assert "choose at least one row" in kim.post("/ops/queue", act="hold", reason="x").text
    assert row_of(waiting, "D00150015") == row


def test_forms_are_refused_without_their_token_and_to_those_without_the_office(waiting: DeskSite) -> None:
    row = row_of(waiting, "D00150015")
    data = {"act": "hold", "row": str(row.id), "reason": "x"}
    kim = waiting.visitor("kim")
    assert kim.session.post(f"{waiting.url}/ops/queue", data, timeout=60).status_code == 403
    elsewhere = {"Origin": "http://example.org"}
    answer = kim.session.post(
        f"{waiting.url}/ops/queue", {**data, "csrf": kim.csrf}, headers=elsewhere, timeout=60
    )
    assert answer.status_code == 403
    for login in ("colla", "pat", "mem"):
        assert waiting.visitor(login).post("/ops/queue", **data).status_code == 403
    by_token = {"Authorization": f"Bearer {waiting.token['kim']}"}
    answer = requests.post(f"{waiting.url}/ops/queue", data, headers=by_token, timeout=60)
    assert answer.status_code == 401
    assert row_of(waiting, "D00150015") == row


def test_policies_are_for_the_production_scientist(waiting: DeskSite, kim: Visitor) -> None:
    form = {
        "act": "add", "pipeline": "firstcut", "programme": "supernova", "band": "i", "from": "2012-11-01", "to": "",
        "rank": "7", "deadline": "6", "tries": "2", "statement": "meeting of 12 November",
    }  # fmt: skip
    assert kim.post("/ops/queue/policy", **form).status_code == 403
    assert "Enter a policy" not in kim.text("/ops/queue")
    lee = waiting.visitor("lee")
    refused = lee.post("/ops/queue/policy", **{**form, "statement": " "})
    assert refused.status_code == 400 and "say who agreed what" in refused.text
    assert 'value="supernova"' in refused.text
    assert lee.post("/ops/queue/policy", **form).status_code == 303
    with waiting.facility.database.read() as conn:
        [policy] = store.policies(conn)
    assert (policy.programme, policy.band, policy.nite_from, policy.nite_to) == (
        "supernova",
        "i",
        "20121101",
        "99999999",
    )
    assert (policy.rank, policy.deadline_h, policy.max_tries, policy.who) == (7, 6.0, 2, "lee")
    assert "meeting of 12 November" in kim.text("/ops/queue")
    lee.post("/ops/queue/policy", act="end", number=str(policy.id), reason="the season is over")
    with waiting.facility.database.read() as conn:
        assert store.policies(conn) == []


@pytest.fixture
def quarantined(waiting: DeskSite, tmp_path: Path) -> Iterator[int]:
    """A delivery whose md5 is not what was announced."""
    number = next(_NUMBERS)
    path = raw_frame(tmp_path, number)
    facility = waiting.facility
    desk = receiver(facility.database, facility.archive, waiting.home, datetime(2012, 11, 21, 9))
    [delivery] = desk.accept([(path, "0" * 32)], "ctio")
    assert delivery.state is DeliveryState.QUARANTINED
    yield delivery.id


_NUMBERS = iter(range(150101, 150120))


def test_a_quarantined_delivery_is_listed_with_its_code_and_released_or_dismissed(
    waiting: DeskSite, kim: Visitor, quarantined: int
) -> None:
    page = kim.text("/ops/arrival")
    assert "checksum" in page and "1 delivery waits for a decision" in page
    assert "Release: judge again" not in waiting.visitor("pat").text("/ops/arrival")
    refused = kim.post("/ops/arrival", act="release", row=str(quarantined), reason="")
    assert refused.status_code == 400 and "say why" in refused.text
    assert "choose at least one delivery" in kim.post("/ops/arrival", act="release", reason="x").text
    done = kim.post("/ops/arrival", act="release", row=str(quarantined), reason="announced wrongly")
    assert done.status_code == 303
    with waiting.facility.database.read() as conn:
        delivery = find_delivery(conn, quarantined)
    assert delivery is not None and delivery.state is DeliveryState.DELIVERED
    who, text, reason = newest_event(
        waiting, f"D{delivery.expnum:08d}" if delivery.expnum else delivery.filename
    )
    assert (who, reason) == ("kim", "announced wrongly") and "judged again" in text
    again = kim.post("/ops/arrival", act="dismiss", row=str(quarantined), reason="x")
    assert again.status_code == 409 and "only one that is quarantined can be decided on" in again.text


def test_a_dismissed_delivery_is_no_longer_to_be_decided(
    waiting: DeskSite, kim: Visitor, quarantined: int
) -> None:
    kim.post("/ops/arrival", act="dismiss", row=str(quarantined), reason="sent by mistake")
    assert f'value="{quarantined}" form="act"' not in kim.get("/ops/arrival").text
    assert "dismissed" in kim.text(f"/ops/arrival?nite={NITE}&state=dismissed")


def test_entries_of_the_logbook_are_written_searched_and_corrected(waiting: DeskSite, kim: Visitor) -> None:
    form = {
        "text": f"Clouds from 3 h on {HOSTILE}", "category": "weather", "nite": NITE, "subjects": "D00150014 D00150015_c03",
        "lost": "1.5", "loss": "weather", "who": "boss",
    }  # fmt: skip
    assert kim.post("/ops/log?words=clouds", **form).headers["location"] == "/ops/log?words=clouds"
    with waiting.facility.database.read() as conn:
        [entry] = find_entries(conn, LogFilter(entries_only=True))
    assert entry.who == "kim" and entry.details is not None and entry.details.time_lost == 1.5
    assert {s.name for s in entry.subjects} == {"D00150014", "D00150015_c03"}
    for query in (
        "words=clouds+FROM", f"nite={NITE}", "subject=D00150015_c03", "kind=entry", "who=kim", "category=weather",
    ):  # fmt: skip
        assert "Clouds from 3 h on" in kim.text(f"/ops/log?{query}"), query
    for query in (
        "words=sun",
        "nite=20121121",
        "subject=D00150016",
        "kind=tag",
        "who=boss",
        "category=system",
    ):
        assert "Clouds from 3 h on" not in kim.text(f"/ops/log?{query}"), query
    raw = kim.get("/ops/log").text
    assert "<script>alert" not in raw and "&lt;script&gt;alert(1)&lt;/script&gt;" in raw
    assert "<b>bold" not in raw and 'href="javascript' not in raw
    assert "1.5 h lost: weather" in kim.text("/ops/log")
    wrong = kim.post("/ops/log", text="x", lost="40")
    assert wrong.status_code == 400 and "40 hours cannot be lost of a night" in wrong.text
    assert kim.post("/ops/log", text="x", nite="yesterday").status_code == 400
    kim.post("/ops/log", corrects=str(entry.id), keep="1", text="Clouds from 4 h on")
    with waiting.facility.database.read() as conn:
        first, second = find_entries(conn, LogFilter(entries_only=True))
    assert (first.text, first.details and first.details.corrects) == ("Clouds from 4 h on", entry.id)
    assert first.details and first.details.time_lost == 1.5 and second.corrected_by == first.id
    refused = kim.post("/ops/log", corrects=str(entry.id), keep="1", text="again")
    assert refused.status_code == 400 and f"was corrected by entry {first.id}" in refused.text
    assert waiting.visitor("pat").post("/ops/log", text="x").status_code == 403


def test_the_feed_of_the_logbook_is_atom_also_by_token(waiting: DeskSite, kim: Visitor) -> None:
    kim.post("/ops/log", text=f"feed {HOSTILE}")
    headers = {"Authorization": f"Bearer {waiting.token['kim']}"}
    answer = requests.get(f"{waiting.url}/ops/log/feed.xml", headers=headers, timeout=60)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/atom+xml")
    root = ElementTree.fromstring(answer.content)
    atom = "{http://www.w3.org/2005/Atom}"
    entries = root.findall(f"{atom}entry")
    assert root.findtext(f"{atom}updated") == entries[0].findtext(f"{atom}updated")
    assert "<script>alert(1)</script>" in (entries[0].findtext(f"{atom}content") or "")
    assert len({e.findtext(f"{atom}id") for e in entries}) == len(entries)
    for login in ("colla", "mem"):
        headers = {"Authorization": f"Bearer {waiting.token[login]}"}
        assert requests.get(f"{waiting.url}/ops/log/feed.xml", headers=headers, timeout=60).status_code == 403
    assert requests.get(f"{waiting.url}/ops/log/feed.xml", timeout=60).status_code == 401


@pytest.mark.parametrize("number", ["--5", "9" * 30, "٣", "1e3", "nan", ""])
def test_a_field_that_is_no_number_is_refused_with_its_words(
    waiting: DeskSite, kim: Visitor, number: str
) -> None:
    row = row_of(waiting, "D00150014")
    answer = kim.post("/ops/queue", act="priority", rank=number, row=str(row.id), reason="first")
    assert answer.status_code == 400
    assert "rank: a whole number is wanted" in answer.text
    assert kim.post("/ops/log", text="x", corrects=number or "--1").status_code == 400


def test_an_address_with_a_zero_byte_names_nothing(waiting: DeskSite, kim: Visitor) -> None:
    assert kim.get("/ops/run/%00").status_code == 404


def test_a_form_that_is_sent_again_to_a_new_server_is_done_once(raw_night: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(raw_night, home)
    with desk_site(home):
        pass  # the people are there
    with served(home) as url:
        kim = Visitor(str(url), "kim")
        form = {"csrf": kim.csrf, "kind": "note", "text": "the dome is open"}
        refused = {"csrf": kim.csrf, "kind": "note", "text": " "}
        assert kim.post("/ops/log", **form).status_code == 303
        assert kim.post("/ops/log", **refused).status_code == 400
        url.process.kill()
        url.process.wait()
    with served(home, port=url.port):
        second = kim.post("/ops/log", **form)
        assert second.status_code == 409 and "sent already" in second.text
        assert kim.post("/ops/log", **refused).status_code == 400, "what was refused may be sent again"
    facility = Facility.open(home)
    with facility.database.read() as conn:
        entries = [e for e in find_entries(conn, LogFilter()) if e.text == "the dome is open"]
    facility.close()
    assert len(entries) == 1


def test_a_form_that_is_sent_twice_is_done_once(waiting: DeskSite, kim: Visitor) -> None:
    form = {"csrf": kim.csrf, "kind": "note", "text": "the dome is closed"}
    first = kim.post("/ops/log", **form)
    second = kim.post("/ops/log", **form)
    assert first.status_code == 303 and second.status_code == 409, second.text[:200]
    assert "sent already" in second.text
    with waiting.facility.database.read() as conn:
        entries = [e for e in find_entries(conn, LogFilter()) if e.text == "the dome is closed"]
    assert len(entries) == 1
    # The same words from another page are another entry.
    assert kim.post("/ops/log", **{**form, "csrf": kim.csrf}).status_code == 303


@pytest.mark.parametrize("text", ["nul\0byte", "bell\x07", "turned \u202eround"])
def test_characters_that_are_no_text_are_refused(waiting: DeskSite, kim: Visitor, text: str) -> None:
    answer = kim.post("/ops/log", kind="note", text=text)
    assert answer.status_code == 400 and "no text; leave it out" in answer.text


def test_all_rows_of_a_page_can_be_chosen(waiting: DeskSite, kim: Visitor) -> None:
    row = row_of(waiting, "D00150014")
    answer = kim.post("/ops/queue", act="priority", rank="3", reason="all", row=[str(row.id)] * 100)
    assert answer.status_code == 303, answer.text[:300]
