"""How commands show findings on files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desdm.survey.findings import Finding

__all__ = ["finding_document"]


def finding_document(finding: Finding) -> dict[str, str]:
    """A finding as a part of a JSON document."""
    return {
        "severity": finding.severity.value,
        "keyword": finding.key,
        "value": finding.value,
        "text": finding.text,
        "assumed": finding.assumed,
    }
