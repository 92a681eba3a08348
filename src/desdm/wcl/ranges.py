"""Values that say more than one thing: lists, ranges and truths."""

from __future__ import annotations

import re

from desdm.errors import WCLError

__all__ = ["is_multiple", "split_range", "truth"]

_RANGE = re.compile(r"(\d+):(\d+)")
_LONGEST = 1_000_000


def is_multiple(value: str) -> bool:
    """Tell whether an expansion takes ``value`` for a list: it begins with ``(`` or holds a comma."""
    return value.startswith("(") or "," in value


def split_range(text: str) -> list[str]:
    """Split a list and open its ranges: ``(1,4:6,8)`` gives 1, 4, 5, 6, 8.

    Parentheses are optional. Any ``N:M`` of digits opens, also where a time was meant (DESDM's own rule).

    Raises
    ------
    WCLError
        A range runs backwards or holds more than a million values.
    """
    items: list[str] = []
    for item in text.replace("(", "").replace(")", "").split(","):
        item = item.strip()
        match = _RANGE.fullmatch(item)
        if match is None:
            items.append(item)
            continue
        if max(len(match[1]), len(match[2])) > 18:
            raise WCLError(f"the range {item[:60]} is too large")
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise WCLError(f"the range {item} runs backwards; write {last}:{first}")
        if last - first >= _LONGEST:
            raise WCLError(f"the range {item} holds more than {_LONGEST} values")
        items.extend(map(str, range(first, last + 1)))
    return items


def truth(text: str) -> bool:
    """Read y/yes/true or a number other than 0 as True, n/no/false or 0 as False, whatever the case.

    Raises
    ------
    WCLError
        The text is neither.
    """
    word = text.strip().lower()
    if word in {"y", "yes", "true"}:
        return True
    if word in {"n", "no", "false"}:
        return False
    if re.fullmatch(r"[+-]?\d{1,18}", word):
        return int(word) != 0
    raise WCLError(f"{text[:60]!r} is neither true nor false; write true or false")
