"""Findings of the checks of a release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Check", "correction", "errors", "failed", "note", "passed"]


class Check(NamedTuple):
    """Result of a check: its name, subject, outcome (``ok``, ``note`` or ``error``), and text."""

    check: str
    subject: str
    outcome: str
    text: str


def passed(check: str, subject: str, text: str) -> Check:
    """Return the finding of a check without faults.

    Parameters
    ----------
    check, subject
        Name of the check, and what it checked.
    text
        Figures of the check.

    Returns
    -------
    Check
        Finding with outcome ``ok``.
    """
    return Check(check, subject, "ok", text)


def note(check: str, subject: str, text: str) -> Check:
    """Return a finding that does not block a release.

    Parameters
    ----------
    check, subject
        Name of the check, and what it checked.
    text
        The observation.

    Returns
    -------
    Check
        Finding with outcome ``note``.
    """
    return Check(check, subject, "note", text)


def failed(check: str, subject: str, text: str) -> Check:
    """Return a finding that blocks a release.

    Parameters
    ----------
    check, subject
        Name of the check, and what it checked.
    text
        The fault, and how to correct it.

    Returns
    -------
    Check
        Finding with outcome ``error``.
    """
    return Check(check, subject, "error", text)


def correction(release: str) -> str:
    """Return how to correct a published release, whose files never change."""
    return (
        "a published release stays as it is: make the products again and correct it by a point release: "
        f"desdm release create NAME --erratum-of {release}"
    )


def errors(checks: Sequence[Check]) -> list[Check]:
    """Return the findings that block the release."""
    return [c for c in checks if c.outcome == "error"]
