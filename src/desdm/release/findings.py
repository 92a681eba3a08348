"""What a check of a release found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Check", "correction", "errors", "failed", "note", "passed"]


class Check(NamedTuple):
    """One check: what was checked, of what, how it ended (``ok``, ``note`` or ``error``), and the numbers."""

    check: str
    subject: str
    outcome: str
    text: str


def passed(check: str, subject: str, text: str) -> Check:
    """It is as it should be."""
    return Check(check, subject, "ok", text)


def note(check: str, subject: str, text: str) -> Check:
    """Worth knowing, and no reason to hold a release back."""
    return Check(check, subject, "note", text)


def failed(check: str, subject: str, text: str) -> Check:
    """It holds the release back."""
    return Check(check, subject, "error", text)


def correction(release: str) -> str:
    """What can be done about a fault of a published release, whose files never change."""
    return (
        "a published release stays as it is: make the products again and correct it by a point release: "
        f"desdm release create NAME --erratum-of {release}"
    )


def errors(checks: Sequence[Check]) -> list[Check]:
    """Those that hold the release back."""
    return [c for c in checks if c.outcome == "error"]
