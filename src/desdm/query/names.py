"""Distinct names for the columns of an answer."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["distinct_names"]


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return the names with a number behind those that repeat, whatever their case.

    The first column of a name keeps it, and no number makes a name that a query gives to another column: of ``ra, ra,
    ra_2`` the second becomes ``ra_3``.
    """
    written = {name.lower() for name in names}
    used: set[str] = set()
    distinct = []
    for name in names:
        unique, number = name, 1
        while unique.lower() in used or (number > 1 and unique.lower() in written):
            number += 1
            unique = f"{name}_{number}"
        used.add(unique.lower())
        distinct.append(unique)
    return distinct
