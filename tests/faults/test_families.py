"""The command that injects families of faults: its lines, exit status and table; it finds a broken program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults import processes
from tests.faults.outcome import FAMILIES, Family, Fault, Outcome
from tests.faults.run import main
from tests.faults.table import BEGIN, END
from tests.faults.testbed import Testbed

#: Keys of the line that outside checks rely on.
CONTRACT = {"family", "tried", "lost", "twice", "hangs", "found", "false"}
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations" / "faults.md"


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, int]]:
    """The lines of standard output, by family."""
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {str(line["family"]): line for line in found}


def test_families_that_hold_are_told_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "faults.md"
    table.write_text(f"# Faults\n\n{BEGIN}\n| traversal | of an earlier run |\n{END}\n\nMore.\n")
    words = ["--only", "kill-ingest,traversal", "--scale", "0.1", "--scratch", str(tmp_path / "s")]
    assert main([*words, "--table", str(table)]) == 0
    found = lines(capsys)
    assert list(found) == ["kill-ingest", "traversal"]
    for line in found.values():
        assert set(line) >= CONTRACT
        assert line["tried"] > 0
        assert [line[f.value] for f in Fault] == [0] * len(Fault)
        assert line["found"] == line["damaged"]
    text = table.read_text()
    assert text.startswith("# Faults\n") and text.endswith("More.\n")
    assert text.count("| traversal |") == text.count("| kill-ingest |") == 1
    assert "of an earlier run" not in text


SABOTAGE = """#!/bin/sh
{desdm} "$@"
status=$?
case " $* " in *" ingest "*) find "$2/archive/misc" -type f | sort | head -n 1 | xargs -r rm -f;; esac
exit $status
"""


def test_a_program_that_loses_a_file_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that removes a file of the archive after each ingest must not pass."""
    broken = tmp_path / "desdm"
    broken.write_text(SABOTAGE.format(desdm=processes.DESDM))
    broken.chmod(0o700)
    monkeypatch.setattr(processes, "DESDM", broken)
    assert main(["--only", "kill-ingest", "--scale", "0.05", "--scratch", str(tmp_path / "s")]) == 1
    assert lines(capsys)["kill-ingest"]["lost"] > 0


def _break(fault: Fault | None) -> Family:
    """A family that breaks one invariant; None: it does not find what was damaged."""

    def inject(testbed: Testbed, outcome: Outcome) -> None:
        outcome.tried += 1
        if fault is None:
            outcome.damage(False, "a file")
        else:
            outcome.broken(fault, "on purpose")

    return Family("broken", "one invariant", inject)


@pytest.mark.parametrize("fault", [*Fault, None])
def test_each_broken_invariant_fails_the_command(
    fault: Fault | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FAMILIES, "broken", _break(fault))
    assert main(["--only", "broken", "--scratch", str(tmp_path / "s")]) == 1
    [line] = lines(capsys).values()
    assert line["damaged" if fault is None else fault.value] == 1


def test_a_family_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(testbed: Testbed, outcome: Outcome) -> None:
        raise OSError("no such thing")

    def hold(testbed: Testbed, outcome: Outcome) -> None:
        outcome.tried += 1

    monkeypatch.setitem(FAMILIES, "fails", Family("fails", "", fail))
    monkeypatch.setitem(FAMILIES, "holds", Family("holds", "", hold))
    assert main(["--only", "fails,holds", "--scratch", str(tmp_path / "s")]) == 1
    found = lines(capsys)
    assert (found["fails"]["wrong"], found["holds"]["wrong"]) == (1, 0)


def test_every_family_has_a_row_in_the_documents() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in FAMILIES if f"\n| {name} |" not in text] == []
