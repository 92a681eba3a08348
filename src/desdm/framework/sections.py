"""Sections of WCL with their types: nested settings are text or sections, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from desdm.wcl import Tree

__all__ = ["Settings", "Tree", "section", "text_value", "texts_of"]

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
