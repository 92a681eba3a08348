"""Numbers and verdicts in the notes of a release read as sentences."""

from __future__ import annotations

from datetime import datetime

import pytest

from desdm.release.documents import data
from desdm.release.model import Release, ReleaseColumn, ReleaseTable
from desdm.release.notes import _counted, _judged, _reviewed
from desdm.release.source import TableSource
from desdm.schema.states import ReleaseState, Verdict


@pytest.mark.parametrize(
    ("words", "text"),
    [("(assess)", "True (assess)"), ("badT (assess)", "True: badT (assess)"), ("", "True")],
)
def test_a_verdict_without_reason_has_no_colon(words: str, text: str) -> None:
    assert _judged(Verdict.ACCEPTED, words) == text


def test_one_is_singular() -> None:
    assert [_counted(n, "tile") for n in (0, 1, 2)] == ["0 tiles", "1 tile", "2 tiles"]


def test_the_notes_say_which_runs_a_person_has_reviewed() -> None:
    assert _reviewed(1, ["A_r1p01"]) == "No person has reviewed the data of this run."
    assert _reviewed(2, ["A_r1p01", "B_r1p01"]) == "No person has reviewed the data of any of these runs."
    assert _reviewed(2, []) == "A person has blessed the data of each of these runs."
    assert _reviewed(3, ["B_r1p01"]) == (
        "A person has blessed the data of 2 of these 3 runs; nobody has reviewed B_r1p01."
    )


def test_the_data_documentation_reads_as_sentences() -> None:
    """A text of a table ends with one full stop; lists are listed; integers are whole."""
    columns = (ReleaseColumn("n", "long", minimum=3.0, maximum=123456789.0),)
    table = ReleaseTable(
        "R1", "sky", "footprint", "Cells with good pixels", 238, None, None, None, "tables/sky", columns
    )
    release = Release(
        "R1", ReleaseState.DRAFT, "", "", "", None, False, "ada", datetime(2026, 1, 1), None, None, None, None
    )
    text = data(release, [table], {"sky": TableSource({"sources": ["a.fits", "b.fits"]})}).markdown()
    assert "Cells with good pixels. 238 rows." in text
    assert "- sources: a.fits, b.fits" in text
    assert "123456789" in text


def test_identifiers_of_64_bits_are_told_exactly() -> None:
    # 2**53 + 1 is no 64-bit float.
    columns = (ReleaseColumn("id", "long", minimum=3, maximum=9007199254740993),)
    table = ReleaseTable("R1", "sky", "objects", "Objects", 2, None, None, None, "tables/sky", columns)
    release = Release(
        "R1", ReleaseState.DRAFT, "", "", "", None, False, "ada", datetime(2026, 1, 1), None, None, None, None
    )
    assert "| 3 | 9007199254740993 |" in data(release, [table], {"sky": TableSource({})}).markdown()
