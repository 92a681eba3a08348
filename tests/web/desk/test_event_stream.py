"""The stream of events: a change is told, streams are bounded, end with the session, and hold no shutdown up."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from desdm.schema.states import EventKind
from desdm.schema.store import record_event
from tests.support.desksite import DeskSite, Visitor
from tests.support.server import served


@contextmanager
def stream(visitor: Visitor, **headers: str) -> Iterator[requests.Response]:
    """An open stream."""
    answer = visitor.session.get(
        f"{visitor.url}/ops/stream", headers={k.replace("_", "-"): v for k, v in headers.items()}, stream=True, timeout=30
    )  # fmt: skip
    try:
        yield answer
    finally:
        answer.close()


def messages(answer: requests.Response) -> Iterator[dict[str, str]]:
    """The messages of a stream: its fields by name."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif fields:
            yield fields
            fields = {}


def happen(site: DeskSite) -> None:
    with site.facility.database.write() as conn:
        record_event(conn, EventKind.QUEUE, "tester", "something", subject="queue")


def next_of(told: Iterator[dict[str, str]], kind: str) -> dict[str, str]:
    return next(message for message in told if message.get("event") == kind)


def test_a_change_is_told_with_the_number_of_its_event_and_again_after_a_gap(waiting: DeskSite) -> None:
    kim = waiting.visitor("kim")
    with stream(kim) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        told = messages(answer)
        assert next(told) == {"retry": "3000"}
        begin = time.monotonic()
        happen(waiting)
        change = next_of(told, "change")
        assert time.monotonic() - begin < 5
        # A sign of life has no number: a client that comes back names the last change.
        assert "id" not in next_of(told, "tick")
    happen(waiting)
    with stream(kim, Last_Event_ID=change["id"]) as answer:
        told = messages(answer)
        next(told)
        assert int(next(told)["id"]) == int(change["id"]) + 1
    newest = str(int(change["id"]) + 1)
    with stream(kim, Last_Event_ID=newest) as answer:
        told = messages(answer)
        next(told)
        assert next(told)["event"] == "tick"


def test_a_page_is_told_what_happened_since_it_was_rendered(waiting: DeskSite) -> None:
    kim = waiting.visitor("kim")

    def first(query: str, **headers: str) -> dict[str, str]:
        with kim.session.get(
            f"{kim.url}/ops/stream{query}", headers=headers, stream=True, timeout=30
        ) as answer:
            told = messages(answer)
            assert next(told) == {"retry": "3000"}
            return next(told)

    for path in ("/ops", "/ops/arrival", "/ops/queue", "/ops/runs", "/ops/log"):
        found = re.search(r'<meta name="desk-newest" content="(\d+)">', kim.get(path).text)
        assert found, path
        number = found[1]
    assert first(f"?after={number}") == {"event": "tick", "data": number}
    happen(waiting)
    newest = str(int(number) + 1)
    assert first(f"?after={number}") == {"id": newest, "event": "change", "data": newest}
    # What the client has heard since counts.
    assert first(f"?after={number}", **{"Last-Event-ID": newest})["event"] == "tick"
    assert kim.get("/ops/stream?after=x").status_code == 400


def test_a_person_has_five_streams_and_a_closed_one_gives_its_place_up(waiting: DeskSite) -> None:
    kim, lee = waiting.visitor("kim"), waiting.visitor("lee")
    end = time.monotonic() + 20
    opened = []
    try:
        while len(opened) < 5 and time.monotonic() < end:
            manager = stream(kim)
            answer = manager.__enter__()
            if answer.status_code == 200:
                opened.append(manager)
            else:  # places of streams of the test before are still being given up
                time.sleep(0.5)
        assert len(opened) == 5
        with stream(kim) as answer:
            assert answer.status_code == 429 and "5 streams of events" in answer.text
            assert int(answer.headers["retry-after"]) > 0
        with stream(lee) as answer:
            assert answer.status_code == 200
    finally:
        for manager in opened:
            manager.__exit__(None, None, None)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with stream(kim) as answer:
            if answer.status_code == 200:
                break
        time.sleep(0.5)
    assert answer.status_code == 200


def test_a_stream_ends_with_its_session(waiting: DeskSite) -> None:
    pat = waiting.visitor("pat")
    other = Visitor(waiting.url, "")
    other.session.cookies.update(pat.session.cookies)
    with stream(pat) as answer:
        assert answer.status_code == 200
        other.post("/logout", csrf=other.csrf)
        told = messages(answer)
        assert next_of(told, "end")
        with pytest.raises(StopIteration):
            next(told)


def test_others_get_no_stream(waiting: DeskSite) -> None:
    for login, status in (("colla", 403), ("mem", 403)):
        with stream(waiting.visitor(login)) as answer:
            assert answer.status_code == status
    assert requests.get(f"{waiting.url}/ops/stream", timeout=30).status_code == 401


def test_an_open_stream_does_not_hold_the_shutdown_up(waiting: DeskSite) -> None:
    with served(waiting.home) as url:
        kim = Visitor(str(url), "kim")
        with stream(kim) as answer:
            told = messages(answer)
            next(told)
            begin = time.monotonic()
            url.process.send_signal(signal.SIGTERM)
            assert url.process.wait(20) == 0
            assert time.monotonic() - begin < 4
            assert all(message["event"] in ("tick", "change") for message in told)
