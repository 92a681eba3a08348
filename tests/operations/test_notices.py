"""Notices: each cause once, few messages to each target, nothing lost while a channel is down."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import insert

from desdm.config import Config, load
from desdm.errors import NotFoundError, TransientError, UsageError
from desdm.facility import initialise
from desdm.operations.notices import outbox, store
from desdm.operations.notices.channels import channel
from desdm.operations.notices.model import Message, Rule
from desdm.release.problems import problems
from desdm.schema import problem, problem_note
from desdm.schema.database import Database
from desdm.schema.operationstates import NoticeMode, NoticeState, Severity
from desdm.schema.states import EventKind
from desdm.schema.store import record_event
from desdm.schema.upgrade import upgrade
from tests.support.smtp import smtp_sink

NOW = datetime(2026, 1, 31, 3, 0)
RULE = Rule(
    0, "mary", "*", "*", Severity.WATCH, "mailto:mary@example.org", NoticeMode.EVERY, None, None, "mary", NOW
)


class Recorder:
    """A channel that keeps what it takes; while ``down`` it refuses."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.tried: list[Message] = []
        self.down = False

    def __call__(self, message: Message) -> None:
        self.tried.append(message)
        if self.down:
            raise TransientError("the mail server does not answer")
        self.messages.append(message)


@pytest.fixture
def ready(database: Database) -> Database:
    upgrade(database)
    return database


def rule(database: Database, **changes: object) -> None:
    with database.write() as conn:
        outbox.add_rule(conn, replace(RULE, **changes), who="mary", reason="on duty")  # type: ignore[arg-type]


def fail(database: Database, count: int = 1, subject: str = "") -> None:
    """So many runs fail, each of another exposure unless a subject is given."""
    with database.write() as conn:
        for n in range(count):
            record_event(conn, EventKind.ATTEMPT, "queue", f"run {n} failed", subject=subject or f"D{n:08d}")


def turn(database: Database, channel: Recorder, now: datetime) -> None:
    """One turn of the notifier."""
    with database.write() as conn:
        outbox.collect(conn, now)
    outbox.deliver(database, channel, now)


def test_five_hundred_failures_in_five_minutes_are_two_messages_that_tell_each_once(ready: Database) -> None:
    rule(ready)
    sent = Recorder()
    for minute in range(11):
        if minute < 5:
            with ready.write() as conn:
                for n in range(100):
                    record_event(
                        conn, EventKind.ATTEMPT, "queue", f"run {minute * 100 + n} failed", subject=f"D{n}"
                    )
        turn(ready, sent, NOW + timedelta(minutes=minute))
    assert [len(m.notices) for m in sent.messages] == [100, 400]
    told = [n for m in sent.messages for n in m.notices]
    assert len(set(told)) == len(told) == 500
    assert "and 200 more" in sent.messages[1].body


def test_while_the_server_is_down_nothing_is_lost_and_afterwards_nothing_comes_twice(ready: Database) -> None:
    rule(ready)
    sent = Recorder()
    sent.down = True
    for minute in range(0, 60, 5):
        fail(ready, 1, f"D{minute:08d}")
        turn(ready, sent, NOW + timedelta(minutes=minute))
    sent.down = False
    for minute in range(60, 140, 5):
        turn(ready, sent, NOW + timedelta(minutes=minute))
    told = [n for m in sent.messages for n in m.notices]
    assert len(set(told)) == len(told) == 12
    # A message that is tried again is the same one.
    first = [m for m in sent.tried if m.notices[0] == sent.tried[0].notices[0]]
    assert len(first) > 1
    assert len({(m.batch, m.body) for m in first}) == 1


def test_a_message_on_its_way_when_the_process_ends_is_sent_again_under_its_name(ready: Database) -> None:
    rule(ready)
    fail(ready)
    names: list[str] = []

    def dies(message: Message) -> None:
        names.append(message.batch)
        raise KeyboardInterrupt

    with ready.write() as conn:
        outbox.collect(conn, NOW)
    with pytest.raises(KeyboardInterrupt):
        outbox.deliver(ready, dies, NOW)
    sent = Recorder()
    outbox.deliver(ready, sent, NOW + outbox.CLAIM)
    assert [m.batch for m in sent.messages] == names


def test_of_two_senders_at_one_time_one_sends_a_message(ready: Database) -> None:
    rule(ready)
    fail(ready)
    other = Recorder()
    sent: list[str] = []

    def sends_while_another_looks(message: Message) -> None:
        sent.append(message.batch)
        outbox.deliver(ready, other, NOW)

    with ready.write() as conn:
        outbox.collect(conn, NOW)
    outbox.deliver(ready, sends_while_another_looks, NOW)
    outbox.deliver(ready, other, NOW + timedelta(hours=1))
    assert (len(sent), other.tried) == (1, [])


def test_the_first_of_a_subject_is_told_and_again_only_after_it_was_resolved(ready: Database) -> None:
    rule(ready, mode=NoticeMode.FIRST, kind="problem")
    sent = Recorder()
    with ready.write() as conn:
        number = _problem(conn, "nite", "20260130", Severity.STOP)
        _note(conn, number, None, "confirmed", "guider fails")
        _note(conn, number, "confirmed", "in_work", "rebooted")
    turn(ready, sent, NOW)
    with ready.write() as conn:
        _note(conn, number, "fixed", "closed", "run D00000007_r1p01")
    turn(ready, sent, NOW + timedelta(minutes=6))
    with ready.write() as conn:
        _note(
            conn, _problem(conn, "nite", "20260130", Severity.STOP), None, "confirmed", "guider fails again"
        )
    turn(ready, sent, NOW + timedelta(minutes=12))
    assert [m.subject for m in sent.messages] == [
        "[desdm] 20260130",
        "[desdm] resolved: 20260130",
        "[desdm] 20260130",
    ]
    with ready.read() as conn:
        states = [n.state for n in reversed(store.notices(conn))]
    assert states == [NoticeState.RESOLVED, NoticeState.SUPPRESSED, NoticeState.SENT, NoticeState.SENT]


def test_that_trouble_is_gone_is_not_told_to_who_was_not_told_of_it(ready: Database) -> None:
    with ready.write() as conn:
        number = _problem(conn, "nite", "20260130", Severity.BLOCK)
        _note(conn, number, None, "confirmed", "shutter")
    rule(ready, kind="problem")
    with ready.write() as conn:
        _note(conn, number, "fixed", "closed", "run")
    sent = Recorder()
    turn(ready, sent, NOW)
    assert sent.messages == []


@pytest.mark.parametrize(
    ("severity", "messages"), [(Severity.STOP, 1), (Severity.BLOCK, 1), (Severity.NUISANCE, 0)]
)
def test_a_rule_tells_from_its_severity_on(ready: Database, severity: Severity, messages: int) -> None:
    rule(ready, kind="problem", severity=Severity.DEGRADE)
    with ready.write() as conn:
        _note(conn, _problem(conn, "tile", "DES0102-4914", severity), None, "confirmed", "x")
    sent = Recorder()
    turn(ready, sent, NOW)
    assert len(sent.messages) == messages


def test_quiet_hours_withhold_all_but_what_stops_production(ready: Database) -> None:
    rule(ready, kind="*", quiet_from=time(22), quiet_to=time(6))
    fail(ready)
    with ready.write() as conn:
        _note(conn, _problem(conn, "nite", "20260130", Severity.STOP), None, "confirmed", "disk full")
    sent = Recorder()
    turn(ready, sent, NOW)
    assert [m.severity for m in sent.messages] == [Severity.STOP]
    turn(ready, sent, NOW + timedelta(hours=3))
    assert len(sent.messages) == 2


def test_a_digest_gathers_an_hour(ready: Database) -> None:
    rule(ready, mode=NoticeMode.DIGEST)
    sent = Recorder()
    for minute in range(0, 130, 5):
        fail(ready, 1, f"D{minute:08d}")
        turn(ready, sent, NOW + timedelta(minutes=minute))
    assert [len(m.notices) for m in sent.messages] == [13, 13]


def test_a_channel_that_stays_dead_is_given_up_and_that_is_on_record(ready: Database) -> None:
    rule(ready)
    fail(ready)
    sent = Recorder()
    sent.down = True
    now = NOW
    for _ in range(len(outbox.PAUSES) + 2):
        turn(ready, sent, now)
        now += timedelta(hours=5)
    with ready.read() as conn:
        (failed,) = store.notices(conn, state=NoticeState.FAILED)
        (told,) = problems(conn)
    assert (told.subject_kind, told.subject) == ("notice", "mailto:mary@example.org")
    assert failed.last_error == "the mail server does not answer"
    assert len([m for m in sent.tried if m.notices == (failed.id,)]) == len(outbox.PAUSES) + 1


def test_what_happened_before_the_first_rule_is_not_told_and_a_cause_is_told_once_by_each_rule(
    ready: Database,
) -> None:
    fail(ready, 3)
    rule(ready)
    rule(ready, name="john", target="mailto:john@example.org")
    fail(ready, 2, "D00000099")
    sent = Recorder()
    for _ in range(3):
        turn(ready, sent, NOW)
    told = sorted((m.target.partition("@")[0], len(m.notices)) for m in sent.messages)
    assert told == [("mailto:john", 2), ("mailto:mary", 2)]


def test_an_acknowledged_subject_is_not_told_again(ready: Database) -> None:
    rule(ready, mode=NoticeMode.FIRST)
    fail(ready, 1, "D00000001")
    sent = Recorder()
    turn(ready, sent, NOW)
    with ready.write() as conn:
        (number,) = sent.messages[0].notices
        outbox.acknowledge(conn, number, who="mary")
        with pytest.raises(NotFoundError, match="it is acked"):
            outbox.acknowledge(conn, number, who="mary")
    fail(ready, 1, "D00000001")
    turn(ready, sent, NOW + timedelta(hours=1))
    assert len(sent.messages) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "mary"}, "no target"),
        ({"target": "mailto:"}, "no target"),
        ({"target": "mailto:a@x\nBcc: b@y"}, "control characters"),
        ({"target": "https://hooks.example.org/\x1b[2J"}, "control characters"),
        ({"target": "mailto:a\u202eb@example.org"}, "control characters"),
        ({"target": "mailto:mary"}, "not an address of mail"),
        ({"target": "mailto:a@x.org,b@y.org"}, "not an address of mail"),
        ({"target": "mailto:a@x.org?subject=x"}, "not an address of mail"),
        ({"target": "https:///path"}, "name of a host"),
        ({"target": "https://host:notaport/"}, "name of a host"),
        ({"target": "ftp://x"}, "ftp: targets"),
        ({"target": "file:///etc/passwd"}, "file: targets"),
        ({"quiet_from": time(22)}, "a begin and an end"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(
    ready: Database, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        rule(ready, **changes)


def test_a_secret_in_the_address_of_a_channel_is_not_on_record(ready: Database) -> None:
    rule(ready, target="https://user:pa55@hooks.example.org/services/T0K3N")
    with ready.read() as conn:
        texts = " ".join(conn.exec_driver_sql("SELECT text FROM event").scalars())
    assert "hooks.example.org" in texts
    assert "T0K3N" not in texts
    assert "pa55" not in texts


@pytest.fixture
def config(tmp_path: Path) -> Config:
    initialise(tmp_path / "home")
    return load(tmp_path / "home")


def test_mail_goes_by_a_real_server_with_the_name_of_the_message(config: Config) -> None:
    message = Message(
        "0123abcd", "mailto:mary@example.org", "[desdm] D1\nBcc: x", "run failed\n", Severity.STOP, (1,), 0
    )
    with smtp_sink() as sink:
        send = channel(replace(config, mail_server=sink.address, mail_from="desdm@example.org"))
        send(message)
        sink.refuses.add("mary@example.org")
        with pytest.raises(TransientError):
            send(message)
    (letter,) = sink.letters
    assert (letter.to, letter.mail["Message-ID"]) == (("mary@example.org",), "<0123abcd@example.org>")
    assert letter.mail["Subject"] == "[desdm] D1"
    assert letter.mail["Bcc"] is None


@pytest.mark.parametrize("fault", ["busy", "later", "full", "hangs", "drops"])
def test_of_five_hundred_failures_nothing_is_lost_while_the_mail_server_is_in_trouble_for_an_hour(
    ready: Database, config: Config, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Two people, a real server and a clock that moves: all comes after the hour, under one name each, in few mails."""
    monkeypatch.setattr("desdm.operations.notices.channels._PATIENCE", 0.3)
    people = ("mary@example.org", "john@example.org")
    for person in people:
        rule(ready, name=person, target=f"mailto:{person}")
    with ready.write() as conn:
        for n in range(500):
            record_event(conn, EventKind.ATTEMPT, "queue", f"run {n:03d} failed", subject=f"D{n:08d}")
    with smtp_sink() as sink:
        send = channel(replace(config, mail_server=sink.address, mail_from="desdm@example.org"))
        sink.fault = fault
        now = NOW
        while now < NOW + timedelta(hours=3):
            if now >= NOW + timedelta(hours=1):
                sink.fault = ""
            with ready.write() as conn:
                outbox.collect(conn, now)
            outbox.deliver(ready, send, now)
            now += timedelta(minutes=5)
    names = {person: [m.mail["Message-ID"] for m in sink.letters if m.to == (person,)] for person in people}
    for person, of in names.items():
        # A server that took a mail and was cut off gets it again under its name: readers' programs show it once.
        assert len(set(of)) <= 3 and (len(of) == len(set(of)) or fault == "drops"), (person, of)
    with ready.read() as conn:
        everything = store.notices(conn)
    assert {n.state for n in everything} == {NoticeState.SENT} and len(everything) == 1000
    assert len({(n.rule_id, n.subject) for n in everything}) == 1000
    assert {n.batch for n in everything} == {
        m.partition("@")[0].strip("<") for of in names.values() for m in of
    }


def test_a_server_that_took_the_mail_and_parts_badly_does_not_get_it_again(
    ready: Database, config: Config
) -> None:
    rule(ready)
    fail(ready)
    with smtp_sink() as sink:
        sink.fault = "parts"
        send = channel(replace(config, mail_server=sink.address, mail_from="desdm@example.org"))
        for minute in (0, 10, 20):
            with ready.write() as conn:
                outbox.collect(conn, NOW + timedelta(minutes=minute))
            outbox.deliver(ready, send, NOW + timedelta(minutes=minute))
    assert len(sink.letters) == 1
    with ready.read() as conn:
        assert [n.state for n in store.notices(conn)] == [NoticeState.SENT]


@contextmanager
def webhook(status: int) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A webhook on loopback: its address, and the documents that it got."""
    documents: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            documents.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", documents
    finally:
        server.shutdown()
        server.server_close()


def test_a_webhook_gets_one_document_and_its_refusal_is_told(config: Config) -> None:
    with webhook(204) as (url, documents):
        channel(config)(Message("0123abcd", url, "[desdm] D1", "run failed\n", Severity.BLOCK, (1,), 0))
    assert documents == [
        {"id": "0123abcd", "subject": "[desdm] D1", "severity": "block", "text": "run failed\n"}
    ]
    with webhook(500) as (url, _), pytest.raises(TransientError, match="500"):
        channel(config)(Message("a", url, "s", "b", Severity.BLOCK, (1,), 0))
    with pytest.raises(TransientError, match="does not answer"):
        channel(config)(Message("a", url, "s", "b", Severity.BLOCK, (1,), 0))


def _problem(conn: object, kind: str, subject: str, severity: Severity) -> int:
    """Enter a problem."""
    values = {
        "subject_kind": kind, "subject": subject, "text": "x", "title": "x", "blocks": True, "opened_by": "jane",
        "opened_at": NOW, "severity": severity,
    }  # fmt: skip
    return int(conn.execute(insert(problem).values(values)).inserted_primary_key[0])  # type: ignore[attr-defined]


def _note(conn: object, number: int, before: str | None, after: str, text: str) -> None:
    """Add a note on a problem."""
    values = {
        "problem_id": number,
        "noted_at": NOW,
        "who": "jane",
        "from_state": before,
        "to_state": after,
        "text": text,
    }
    conn.execute(insert(problem_note).values(values))  # type: ignore[attr-defined]
