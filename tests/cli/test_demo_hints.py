"""The commands that `desdm demo` prints at its end are those that the user can call."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from desdm.cli.demo import program_name


def test_the_program_is_named_as_it_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "venv" / "bin" / "desdm"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program_name() == "venv/bin/desdm"
    monkeypatch.setenv("PATH", str(program.parent))
    assert program_name() == "desdm"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python/desdm/cli/main.py", "demo"])
    assert program_name() == "desdm"
