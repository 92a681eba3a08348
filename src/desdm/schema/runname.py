"""The name of a run: ``<unit>_r<request>p<attempt>``."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["RunName"]

# At most nine digits, so that every number fits the database's integers.
_PATTERN = re.compile(r"(.+)_r([0-9]{1,9})p([0-9]{1,9})", re.DOTALL)


class RunName(NamedTuple):
    """Unit, request and attempt, which together name a run.

    Attributes
    ----------
    unitname
        What is processed: an exposure (``D00431608``), a tile, a night.
    reqnum
        Number of the request.
    attnum
        Number of the attempt at this unit, from 1.
    """

    unitname: str
    reqnum: int
    attnum: int

    @property
    def text(self) -> str:
        """The name as DESDM writes it: ``D00431608_r5p01``."""
        return f"{self.unitname}_r{self.reqnum}p{self.attnum:02d}"

    @classmethod
    def parse(cls, text: str) -> RunName | None:
        """Return the parts of a run's name; None if the text is not such a name."""
        match = _PATTERN.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2]), int(match[3]))
