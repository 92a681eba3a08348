"""Announcements: real mail over SMTP, an entry of the feed, and nothing half-done when the server refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from desdm.errors import ConfigError, ConflictError, TransientError
from desdm.facility import Facility
from desdm.release import store
from desdm.release.announce import announce
from desdm.release.create import create_empty
from desdm.release.model import Announcement
from tests.support.release import small_release
from tests.support.smtp import smtp_sink


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("announced") / "home")


@pytest.fixture
def facility(home: Path) -> Facility:
    return Facility.open(home)


def entries(facility: Facility) -> list[Announcement]:
    with facility.database.read() as conn:
        return store.announcements(conn)


def test_it_goes_out_as_mail_and_stands_in_the_feed(facility: Facility) -> None:
    with smtp_sink() as sink:
        config = replace(
            facility.config,
            mail_server=sink.address,
            mail_from="desdm@survey.example",
            mail_to="all@survey.example, x@y.example",
        )
        subject, to = announce(facility.database, config, "t1", who="me", text="Grüße.\n.A line with a dot.")
    (letter,) = sink.letters
    assert letter.sender == "desdm@survey.example"
    assert list(letter.to) == to == ["all@survey.example", "x@y.example"]
    assert letter.mail["Subject"] == subject == "Release T1 is published: Release T1"
    body = letter.mail.get_content().replace("\r\n", "\n")
    assert body.startswith("Grüße.\n.A line with a dot.\n")
    assert "T1.objects: 2000 rows. Synthetic objects, one a row" in body
    newest = entries(facility)[0]
    assert (newest.subject, newest.mailed_to) == (subject, "\n".join(to))
    assert newest.body == body


def test_without_a_mail_server_the_feed_alone_has_it(facility: Facility) -> None:
    before = len(entries(facility))
    assert announce(facility.database, facility.config, "T1", who="me")[1] == []
    assert len(entries(facility)) == before + 1


def test_what_the_server_does_not_take_is_not_announced(facility: Facility) -> None:
    before = entries(facility)
    with smtp_sink() as sink:
        sink.refuses.add("nobody@survey.example")
        config = replace(
            facility.config,
            mail_server=sink.address,
            mail_from="d@survey.example",
            mail_to="nobody@survey.example",
        )
        with pytest.raises(TransientError, match=r"did not take the mail"):
            announce(facility.database, config, "T1", who="me")
    with pytest.raises(TransientError, match=r"did not take the mail"):
        announce(facility.database, config, "T1", who="me")  # the server is gone
    assert entries(facility) == before
    for wrong in ({"mail_from": ""}, {"mail_server": "nowhere"}):
        with pytest.raises(ConfigError, match=r"services\.mail_"):
            announce(facility.database, replace(config, **wrong), "T1", who="me")  # type: ignore[arg-type]


def test_a_draft_is_not_announced(facility: Facility) -> None:
    create_empty(facility.database, facility.config.releases / "T9", "T9", who="me")
    with pytest.raises(ConflictError, match="T9 is a draft; publish it first"):
        announce(facility.database, facility.config, "T9", who="me")
