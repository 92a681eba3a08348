"""Sections of WCL with their types: nested settings are text or sections, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from desdm.errors import PlanError, WCLError
from desdm.numbers import finite_number, whole_number
from desdm.wcl import Tree, split_range

__all__ = [
    "Settings",
    "Tree",
    "number_setting",
    "numbers_setting",
    "section",
    "text_value",
    "texts_of",
    "whole_setting",
]

#: Settings that a function reads: a tree of WCL, or a mapping of texts.
Settings: TypeAlias = "Mapping[str, str | Tree]"


def section(settings: Settings, *path: str) -> Tree:
    """Return the section at a path; empty if there is none."""
    node: str | Tree = dict(settings)
    for name in path:
        node = node.get(name, {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}


def text_value(settings: Settings, key: str, default: str = "") -> str:
    """Return the text of a key.

    Parameters
    ----------
    settings
        The section.
    key
        The key.
    default
        Result if the key is missing or a section.
    """
    value = settings.get(key)
    return value if isinstance(value, str) else default


def texts_of(settings: Settings) -> dict[str, str]:
    """Return the values of a section without the sections in it."""
    return {key: value for key, value in settings.items() if isinstance(value, str)}


def whole_setting(settings: Settings, key: str, default: int, least: int = 1) -> int:
    """Return a setting as a whole number.

    Parameters
    ----------
    settings
        The section.
    key
        The key.
    default
        Result if the key is missing or empty.
    least
        Smallest number.

    Raises
    ------
    PlanError
        The value is not a whole number, or less than ``least``; the message names the key.
    """
    text = text_value(settings, key).strip()
    try:
        value = whole_number(text) if text else default
    except ValueError:
        value = least - 1
    if value < least:
        raise PlanError(f"{key}={text}: a whole number of at least {least} is needed")
    return value


def number_setting(settings: Settings, key: str, unit: str, default: float | None = None) -> float:
    """Return a setting as a finite number.

    Parameters
    ----------
    settings
        The section.
    key
        The key.
    unit
        Unit of the number, for the message.
    default
        Result if the key is missing or empty; None: it is needed.

    Raises
    ------
    PlanError
        The value is missing or not a finite number; the message names the key.
    """
    text = text_value(settings, key).strip()
    if not text and default is not None:
        return default
    try:
        return finite_number(text)
    except ValueError as err:
        raise PlanError(f"{key}={text}: a number of {unit} is needed") from err


def numbers_setting(text: str, key: str) -> list[int]:
    """Return the whole numbers of a list with ranges, such as ``1,4:6``; empty for an empty text.

    Raises
    ------
    PlanError
        A part is neither a whole number nor a range; the message names the key.
    """
    try:
        return [whole_number(part) for part in split_range(text)] if text.strip() else []
    except (ValueError, WCLError) as err:
        why = f" ({err})" if isinstance(err, WCLError) else ""
        raise PlanError(f"{key}={text}: numbers or ranges are needed, for instance 1,4:6{why}") from err
