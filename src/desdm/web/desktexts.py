"""Texts of the pages of the desk: times, numbers, and the look of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from markupsafe import Markup

from desdm.numbers import counted
from desdm.operations.report.svg import number_text

__all__ = ["DESK_FILTERS"]

#: Look → states of it. A state is always a word; what nobody means to process is grey.
_LOOKS: Mapping[str, tuple[str, ...]] = {
    "good": (
        "done",
        "ingested",
        "accepted",
        "True",
        "reused",
        "fixed",
        "closed",
        "ACTIVE",
        "blessed",
        "sent",
    ),
    "busy": ("running", "submitted", "queued", "delivered", "checked", "in_work", "taken"),
    "warn": (
        "flagged",
        "held",
        "late",
        "Unknown",
        "unknown",
        "degrade",
        "lost",
        "interrupted",
        "new",
        "warning",
        "left",
    ),
    "bad": (
        "failed",
        "gave_up",
        "quarantined",
        "missing",
        "rejected",
        "False",
        "stop",
        "block",
        "JUNK",
        "defective",
        "error",
    ),
    "off": ("dismissed", "cancelled", "duplicate", "nuisance", "watch", "PRUNED", "withdrawn", "expired"),
}
_LOOK_OF = {state: look for look, states in _LOOKS.items() for state in states}
_WORDS = {
    "gave_up": "gave up",
    "in_work": "in work",
    "True": "accepted",
    "False": "rejected",
    "Unknown": "unknown",
}


def _state(value: object, text: str = "") -> Markup:
    """Return a state as a word with its look; ``text``: other words for it."""
    word = str(value)
    look = _LOOK_OF.get(word, "plain")
    return Markup('<span class="state {}">{}</span>').format(look, text or _WORDS.get(word, word))


def _word(value: object) -> str:
    """Return a state as a word of English."""
    return _WORDS.get(str(value), str(value))


def _at(time: datetime | None, digits: str = "minutes") -> str | Markup:
    """Return a time in UTC with its date; a dash without one."""
    if time is None:
        return "–"
    text = f"{time:%Y-%m-%d %H:%M:%S}" if digits == "seconds" else f"{time:%Y-%m-%d %H:%M}"
    return Markup('<time datetime="{}">{}</time>').format(f"{time:%Y-%m-%dT%H:%M:%SZ}", text)


def _num(value: float | None, digits: int = 3) -> str:
    """Return a number with significant digits; a dash without one."""
    return "–" if value is None else number_text(float(f"{value:.{digits}g}"))


def _lasted(seconds: float | None) -> str:
    """Return a duration in words; a dash without one."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _night(nite: str) -> str:
    """Return a night as 2012-11-20, or as it is if it is no date."""
    return f"{nite[:4]}-{nite[4:6]}-{nite[6:]}" if len(nite) == 8 and nite.isdecimal() else nite


DESK_FILTERS: Mapping[str, Callable[..., object]] = {
    "counted": counted,
    "state": _state,
    "word": _word,
    "at": _at,
    "num": _num,
    "lasted": _lasted,
    "night": _night,
}
