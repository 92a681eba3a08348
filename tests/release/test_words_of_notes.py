"""Numbers and verdicts in the notes of a release read as sentences."""

from __future__ import annotations

import pytest

from desdm.release.notes import _counted, _judged
from desdm.schema.states import Verdict


@pytest.mark.parametrize(
    ("words", "text"),
    [("(assess)", "True (assess)"), ("badT (assess)", "True: badT (assess)"), ("", "True")],
)
def test_a_verdict_without_reason_has_no_colon(words: str, text: str) -> None:
    assert _judged(Verdict.ACCEPTED, words) == text


def test_one_is_singular() -> None:
    assert [_counted(n, "tile") for n in (0, 1, 2)] == ["0 tiles", "1 tile", "2 tiles"]
