"""The figures of style: what is counted, and that an enforced bound fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SOURCE = '''"""A module; what it found is not in its name."""

from collections.abc import Mapping
from typing import Any

# fmt: off
found_rows = "kept"  # a longer name does not count, the text does
found: Mapping[str, object] = {}
# fmt: on


def public(one: int, two: int, three: int) -> Any:
    """Return nothing.

    Parameters
    ----------
    one, two, three
        Numbers.
    """


def other(one: int, two: dict[str, Any], three: int) -> None:
    """Return nothing."""


class Table:
    """A table."""

    def few(self, one: int, two: int) -> None:
        """`self` is no argument of the caller's."""

    def _private(self) -> None:
        """Explain."""

    def _silent(self) -> None: ...
'''


def figures(folder: Path) -> dict[str, float]:
    """Figures of a folder by measure."""
    command = [sys.executable, str(ROOT / "scripts" / "style_figures.py"), "--json", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return {f["measure"]: f["value"] for f in json.loads(done.stdout)["figures"]}


def test_each_measure_counts_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(SOURCE + "\n" * (100 - SOURCE.count("\n")))
    assert figures(tmp_path) == {
        "participles": 30,  # the docstring's, the text's and the name's "found" and "kept" in 100 lines
        "participles-names": 10,
        "any": 30,  # the import, a return type, an argument
        "maps": 20,
        "undocumented": 1,
        "private-docstrings": 50,
        "parameters": 50,
        "state-strings": 0,
        "fmt-skip": 1,
    }


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ('job.state == "dnoe"', 1),
        ('row["state"] != "done"', 1),
        ('state in ("done", "failed")', 2),
        ('attempt.state.value == "done"', 1),
        ('table.c.data_state.in_(["NEW"])', 1),
        ('Row(state="done")', 1),
        ("job.state is JobState.DONE", 0),
        ('statement == "SELECT"', 0),
        ('name == "done"', 0),
        ('state == ""', 0),
    ],
)
def test_a_text_in_the_place_of_a_state_is_counted(tmp_path: Path, line: str, number: int) -> None:
    (tmp_path / "module.py").write_text(line + "\n")
    assert figures(tmp_path)["state-strings"] == number


def test_a_text_in_a_case_of_a_state_is_counted(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text('match job.state:\n    case "done" | "failed":\n        pass\n')
    assert figures(tmp_path)["state-strings"] == 2


def test_an_alias_of_an_untyped_map_counts_where_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    (tmp_path / "sky" / "records.py").write_text(
        "Record = dict[str, object]\n"
        "Other: TypeAlias = Mapping[str, Any]\n\n\ndef one(a: Record, b: Other) -> Record: ...\n"
    )
    (tmp_path / "users.py").write_text(
        "from desdm.sky.records import Record as Entry\nfrom desdm.other import Other\n\n"
        "a: Entry = {}\n\n\ndef two(\n    a: Entry,\n    b: Other,\n) -> Entry: ...\n" + "\n" * 85
    )
    # Two definitions, the line of one(), and three lines of Entry; Other is that of another module.
    assert figures(tmp_path)["maps"] == 60


def test_functions_and_classes_need_a_docstring(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "class Shelf:\n    def __init__(self) -> None: ...\n\n    @override\n    def close(self) -> None: ...\n\n\n"
        "def _told(found):\n    def inner(): ...\n\n\ndef told(): ...\n"
    )
    assert figures(tmp_path)["undocumented"] == 3


def test_wcl_has_no_types_by_nature(tmp_path: Path) -> None:
    (tmp_path / "wcl").mkdir()
    (tmp_path / "wcl" / "module.py").write_text(SOURCE)
    counted = figures(tmp_path)
    assert counted["any"] == counted["maps"] == 0
    assert counted["participles"] > 0


def test_an_enforced_bound_fails_and_another_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import style_figures

    (tmp_path / "module.py").write_text("# fmt: skip\n" * 41)
    monkeypatch.setattr(sys, "argv", ["style_figures.py", str(tmp_path)])
    loose = tuple(m._replace(enforced=False) for m in style_figures.MEASURES)
    monkeypatch.setattr(style_figures, "MEASURES", loose)
    assert style_figures.main() == 0
    assert "at most 40   above" in capsys.readouterr().out
    monkeypatch.setattr(style_figures, "MEASURES", tuple(m._replace(enforced=True) for m in loose))
    assert style_figures.main() == 1
