"""How commands show findings on files, marks of suspect ones, and the releases that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from desdm.archive.store import Suspect
    from desdm.release.holders import Holder
    from desdm.survey.findings import Finding

__all__ = ["finding_document", "print_holders", "suspect_document"]


def finding_document(finding: Finding) -> dict[str, str]:
    """Return the JSON document of a finding."""
    return {
        "severity": finding.severity.value,
        "keyword": finding.key,
        "value": finding.value,
        "text": finding.text,
        "assumed": finding.assumed,
    }


def print_holders(holders: Sequence[Holder]) -> None:
    """Print which releases contain products of withdrawn data."""
    for holder in holders:
        click.echo(f"note: {holder.text}", err=True)


def suspect_document(mark: Suspect) -> dict[str, str]:
    """Return the JSON document of the mark of a suspect file."""
    return {
        "cause": mark.cause,
        "who": mark.who,
        "since": f"{mark.since:%Y-%m-%dT%H:%M:%SZ}",
        "reason": mark.reason,
    }
