"""Records of decisions: each says status, date and alternatives, and stands in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "adr"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))

_HEAD = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\n"
    r"- Status: (?P<status>proposed|accepted|superseded by \[\d+\]\(\d{4}-[\w-]+\.md\))\n"
    r"- Date: (?P<date>\d{4}-\d\d-\d\d)\n\n## Decision\n"
)


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_a_record_is_whole_and_indexed(path: Path) -> None:
    text = path.read_text("utf-8")
    head = _HEAD.match(text)
    assert head, "title, status, date and decision as docs/adr/index.md says"
    assert int(head["number"]) == int(path.name[:4])
    assert re.search(r"^## Alternatives\n\n- \S", text, re.MULTILINE)
    row = f"| [{head['number']}]({path.name}) | {head['title']} | {head['status']} | {head['date']} |"
    assert row in (FOLDER / "index.md").read_text("utf-8").splitlines()


def test_numbers_have_no_gap() -> None:
    assert [int(p.name[:4]) for p in RECORDS] == list(range(1, len(RECORDS) + 1))
