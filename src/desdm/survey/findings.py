"""What in a delivered file could not be interpreted, or only by an assumption."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """Python 3.11 has no typing.override."""
        return method


__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How much a finding matters."""

    NOTE = "note"  # odd, and nothing depends on it
    WARNING = "warning"  # something was assumed or left out
    ERROR = "error"  # the file is not used until a person has decided


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person must see.

    Attributes
    ----------
    severity
        How much it matters.
    text
        What is wrong, in words.
    key, value
        Keyword and its value as it stands; empty if it is not about a keyword.
    assumed
        What was assumed instead, or what follows; empty if nothing does.
    """

    severity: Severity
    text: str
    key: str = ""
    value: str = ""
    assumed: str = ""

    @override
    def __str__(self) -> str:
        where = (
            f"{self.key} = {self.value}: " if self.key and self.value else f"{self.key}: " if self.key else ""
        )
        return where + self.text + (f"; {self.assumed}" if self.assumed else "")
