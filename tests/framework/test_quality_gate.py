"""Quality control of logs inside a run: messages are kept with their line, a pattern may flag or stop."""

from __future__ import annotations

import time

import pytest

from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.watch import store as watch
from desdm.quality.qc import Action, Controls, Level, Pattern, save_controls
from desdm.schema.states import AttemptState
from tests.framework.test_drive import run
from tests.support.toy import plan, talk_pipeline


def teach(facility: Facility, *patterns: Pattern) -> None:
    with facility.database.write() as conn:
        save_controls(conn, Controls(patterns, (), ()))


def messages(facility: Facility, name: str) -> list[watch.MessageRow]:
    with facility.database.read() as conn:
        return watch.messages(conn, store.attempt_by_name(conn, name).id)


def test_a_line_that_a_pattern_of_the_database_knows_is_kept_with_its_place_in_the_log(
    facility: Facility,
) -> None:
    teach(facility, Pattern("seeing", r"seeing is \d+ arcsec", Level.WARNING))
    name = plan(facility, talk_pipeline(lines="all well|seeing is 3 arcsec|all well again")).run
    assert run(facility, name) is AttemptState.DONE
    [message] = messages(facility, name)
    assert (message.level, message.text, message.pattern) == (2, "seeing is 3 arcsec", "seeing")
    from desdm.archive import catalog

    with facility.database.read() as conn:
        [log] = catalog.files(conn, attempt=name, filetype="log")
    assert log.filename == message.log
    lines = facility.archive.path(log).read_text().splitlines()
    assert lines[message.line - 1] == "seeing is 3 arcsec"


def test_a_flag_marks_the_run_and_lets_it_go_on(facility: Facility) -> None:
    teach(facility, Pattern("moon", r"moon is up", Level.INFO, action=Action.FLAG))
    name = plan(facility, talk_pipeline(lines="the moon is up")).run
    assert run(facility, name) is AttemptState.FLAGGED


def test_a_stop_ends_the_program_while_it_runs(facility: Facility) -> None:
    teach(facility, Pattern("shutter", r"shutter stuck", Level.ERROR, action=Action.STOP))
    script = "echo the shutter stuck; sleep 30; echo done > %s"
    name = plan(facility, talk_pipeline("program", script=script)).run
    begun = time.monotonic()
    assert run(facility, name) is AttemptState.FAILED
    assert time.monotonic() - begun < 20
    said = [m.text for m in messages(facility, name)]
    assert "the shutter stuck" in said
    assert any("stopped by quality control, shutter" in text for text in said)


def test_a_program_s_own_lines_are_judged_by_its_own_patterns(facility: Facility) -> None:
    teach(facility, Pattern("quiet", "hush", Level.WARNING, execname="sextractor"))
    name = plan(facility, talk_pipeline("program", script="echo hush; echo x > %s")).run
    assert run(facility, name) is AttemptState.DONE
    assert messages(facility, name) == []


@pytest.mark.parametrize("use", ["true", "false"])
def test_quality_control_can_be_turned_off(facility: Facility, use: str) -> None:
    teach(facility, Pattern("seeing", "seeing", Level.WARNING))
    name = plan(facility, talk_pipeline(lines="seeing", use_qcf=use)).run
    assert run(facility, name) is AttemptState.DONE
    assert len(messages(facility, name)) == (use == "true")


def test_lines_after_a_program_keep_their_true_numbers(facility: Facility) -> None:
    teach(facility, Pattern("moon", "moon", Level.WARNING))
    script = "echo one; echo two; echo made > %s"
    name = plan(facility, talk_pipeline("program_then_say", script=script, lines="fine|the moon again")).run
    assert run(facility, name) is AttemptState.DONE
    found = messages(facility, name)
    assert [m.text for m in found] == ["the moon is a finding", "the moon again"]
    log = _log(facility, name)
    assert [log[m.line - 1] for m in found] == ["WARNING: the moon is a finding", "the moon again"]


def _log(facility: Facility, name: str) -> list[str]:
    from desdm.archive import catalog

    with facility.database.read() as conn:
        [log] = catalog.files(conn, attempt=name, filetype="log")
    return facility.archive.path(log).read_text().splitlines()
