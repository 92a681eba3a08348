"""Write a tree as WCL, such that the strict reader gives the same tree back."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from desdm.errors import WCLError, storage_error
from desdm.wcl.lines import cut_comment
from desdm.wcl.tree import CASE_KEPT, MAX_DEPTH

__all__ = ["dumps", "write"]

_BAD = r"\x00-\x1f\x7f-\x9f"
_NAME = re.compile(rf"[^\s<>=/#{_BAD}]+")
_KEY = re.compile(rf"[^\s<=#{_BAD}][^\s=#{_BAD}]*")
# What makes a value worth a closer look; most hold none of it.
_SUSPECT = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f#]|<<incl|\\\\$")


def dumps(tree: Mapping[str, object], *, sort: bool = False) -> str:
    """Write a tree as text: four blanks a level, values that are None left out.

    Parameters
    ----------
    tree
        Sections (mappings) and values; numbers and truths are written as their text.
    sort
        Sort the keys of each section, but never those inside ``cmdline``, whose order is that of the program.

    Raises
    ------
    WCLError
        A name, key or value that WCL cannot hold: an upper-case key outside ``cmdline`` and ``replace``, an
        empty value, a line break, a ``#`` outside quotes.
    """
    lines: list[str] = []
    _section(tree, lines, "", (), sort, False, {})
    lines.append("")
    text = "\n".join(lines)
    if not text.isascii():
        if text[0] == "\ufeff":
            raise WCLError("the first word begins with a byte order mark; take it away")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as err:
            raise WCLError(
                f"{text[max(0, err.start - 40) : err.start]!r} goes on with a lone surrogate"
            ) from err
    return text


def _section(
    tree: Mapping[str, object],
    lines: list[str],
    indent: str,
    path: tuple[str, ...],
    sort: bool,
    case_kept: bool,
    known: dict[tuple[str, bool], str],
) -> None:
    """Append the lines of a section and of those in it."""
    items = sorted(tree.items()) if sort else tree.items()
    for key, value in items:
        if isinstance(value, str):
            text = value
        elif value is None:
            continue
        elif isinstance(value, Mapping):
            _check_name(key, path)
            lines.append(f"{indent}<{key}>")
            _section(
                value,
                lines,
                indent + "    ",
                (*path, key),
                sort and key != "cmdline",
                case_kept or key in CASE_KEPT,
                known,
            )
            lines.append(f"{indent}</{key}>")
            continue
        elif isinstance(value, int | float):
            text = str(value)
        else:
            raise WCLError(
                f"{'.'.join((*path, key))} is a {type(value).__name__}; WCL holds text and sections"
            )
        start = known.get((key, case_kept))
        if start is None:
            start = known[key, case_kept] = _checked_key(key, path, case_kept) + " = "
        if not text or text[0].isspace() or text[-1].isspace() or _SUSPECT.search(text) is not None:
            _check_value(key, text, path)
        lines.append(f"{indent}{start}{text}")


def _check_name(name: object, path: tuple[str, ...]) -> None:
    """Raise if a section cannot have this name."""
    where = f" in <{'/'.join(path)}>" if path else ""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name != name.lower():
        raise WCLError(f"{name!r}{where} cannot be the name of a section; use lower-case words")
    if name == (path[-1] if path else "__topwcl__"):
        raise WCLError(f"section <{name}>{where} has the name of its parent; rename it")
    if len(path) >= MAX_DEPTH:
        raise WCLError(f"sections stand more than {MAX_DEPTH} deep; flatten the tree")


def _checked_key(key: object, path: tuple[str, ...], case_kept: bool) -> str:
    """Return a key; raise if WCL cannot hold it."""
    where = f" in <{'/'.join(path)}>" if path else ""
    if not isinstance(key, str) or _KEY.fullmatch(key) is None or "<<incl" in key:
        raise WCLError(f"{key!r}{where} cannot be a key; use a word without blanks, '=' and '#'")
    if not case_kept and key != key.lower():
        raise WCLError(f"key {key}{where} would lose its case; write {key.lower()} or put it in <cmdline>")
    return key


def _check_value(key: str, text: str, path: tuple[str, ...]) -> None:
    """Raise if WCL cannot hold a value."""
    name = ".".join((*path, key))
    if not text or text != text.strip():
        raise WCLError(f"{name} = {text!r}: a value is not empty and has no blanks at its ends; leave it out")
    match = _SUSPECT.search(text.replace("#", ""))
    if match is not None:
        raise WCLError(f"{name} = {text[:80]!r}: WCL cannot hold {match[0]!r} there")
    if "#" in text and cut_comment(f"{key} = {text}", compat=False) != (f"{key} = {text}", None):
        raise WCLError(f"{name} = {text[:80]!r}: a '#' begins a comment; put quotes around the value")


def write(path: str | os.PathLike[str], tree: Mapping[str, object], *, sort: bool = False) -> None:
    """Write a tree to a file, completely or not at all.

    Parameters
    ----------
    path
        File, which is replaced.
    tree
        Sections and values, in the order in which they are written.
    sort
        Sort keys and sections by name.

    Raises
    ------
    WCLError
        WCL cannot hold the tree.
    DesdmError
        The file cannot be written (`storage_error`).
    """
    text = dumps(tree, sort=sort)
    target = Path(path)
    aside = target.with_name(f".{target.name[:200]}.{os.urandom(8).hex()}")
    try:
        with aside.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(target)
    except OSError as err:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        err.filename = str(target)  # people know the file, not the one beside it
        raise storage_error(err) from err
