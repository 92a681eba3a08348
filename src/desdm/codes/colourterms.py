"""The colour terms that a module's settings hold; without any, those of ``codes/photocal/config.wcl``, the one table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import desdm.wcl
from desdm.survey.refstars.colour import ColourTerm, colour_terms

__all__ = ["terms_of"]

_TABLE = Path(__file__).parent / "photocal" / "config.wcl"


@cache
def _table() -> tuple[ColourTerm, ...]:
    """The table beside the code of zero points."""
    tree: dict[str, Any] = dict(desdm.wcl.read(str(_TABLE)).tree)
    return colour_terms(tree["zeropoint"]["colour_terms"], _TABLE.name)


def terms_of(settings: Mapping[str, Any], name: str) -> tuple[ColourTerm, ...]:
    """Colour terms for a module.

    Parameters
    ----------
    settings
        Its settings; the section ``colour_terms`` of them counts, even if it is empty.
    name
        The module's, for messages.

    Raises
    ------
    UsageError
        A term cannot be understood.
    """
    section = settings.get("colour_terms")
    return _table() if section is None else colour_terms(section, name)
