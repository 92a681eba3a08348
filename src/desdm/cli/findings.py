"""How commands show findings on files, and marks of suspect ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desdm.archive.store import Suspect
    from desdm.survey.findings import Finding

__all__ = ["finding_document", "suspect_document"]


def finding_document(finding: Finding) -> dict[str, str]:
    """A finding as a part of a JSON document."""
    return {
        "severity": finding.severity.value,
        "keyword": finding.key,
        "value": finding.value,
        "text": finding.text,
        "assumed": finding.assumed,
    }


def suspect_document(mark: Suspect) -> dict[str, str]:
    """The mark of a suspect file as a part of a JSON document."""
    return {
        "cause": mark.cause,
        "who": mark.who,
        "since": f"{mark.since:%Y-%m-%dT%H:%M:%SZ}",
        "reason": mark.reason,
    }
