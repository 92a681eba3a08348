"""Write a tree as WCL that the strict reader reads back unchanged."""

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

#: Control characters, which neither keys nor names may hold.
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_NAME = re.compile(rf"[^\s<>=/#{_CONTROL}]+")
_KEY = re.compile(rf"[^\s<=#{_CONTROL}][^\s=#{_CONTROL}]*")
# Values that match this need `_check_value`; most do not match, which keeps writing fast.
_SUSPECT = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f#]|<<incl|\\\\$")


def dumps(tree: Mapping[str, object], *, sort: bool = False) -> str:
    """Return a tree as WCL text, indented by four spaces per level; values that are None are left out.

    Parameters
    ----------
    tree
        Sections (mappings) and values; numbers and booleans are written by `str`.
    sort
        Sort the keys of each section, but not those inside ``cmdline``, which stay in the order of the program's arguments.

    Raises
    ------
    WCLError
        A name, key or value that WCL cannot hold: an upper-case key outside ``cmdline`` and ``replace``, an
        empty value, a line break, a ``#`` outside quotes.
    """
    lines: list[str] = []
    _append_section(tree, lines, "", (), sort, False, {})
    lines.append("")
    text = "\n".join(lines)
    if not text.isascii():
        if text[0] == "\ufeff":
            raise WCLError("the first word begins with a byte order mark; remove it")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as err:
            raise WCLError(
                f"{text[max(0, err.start - 40) : err.start]!r} is followed by a lone surrogate, which UTF-8 cannot hold; "
                "remove it"
            ) from err
    return text


def _append_section(
    tree: Mapping[str, object],
    lines: list[str],
    indent: str,
    path: tuple[str, ...],
    sort: bool,
    keep_case: bool,
    key_starts: dict[tuple[str, bool], str],
) -> None:
    """Append the lines of a section and of those in it; ``key_starts`` caches the checked texts "key = "."""
    items = sorted(tree.items()) if sort else tree.items()
    for key, value in items:
        if isinstance(value, str):
            text = value
        elif value is None:
            continue
        elif isinstance(value, Mapping):
            _check_name(key, path)
            lines.append(f"{indent}<{key}>")
            _append_section(
                value,
                lines,
                indent + "    ",
                (*path, key),
                sort and key != "cmdline",
                keep_case or key in CASE_KEPT,
                key_starts,
            )
            lines.append(f"{indent}</{key}>")
            continue
        elif isinstance(value, int | float):
            text = str(value)
        else:
            raise WCLError(
                f"{'.'.join((*path, key))} is a {type(value).__name__}; WCL holds only text and sections: write it as "
                "text, for instance joined by commas"
            )
        start = key_starts.get((key, keep_case))
        if start is None:
            start = key_starts[key, keep_case] = _require_key(key, path, keep_case) + " = "
        if not text or text[0].isspace() or text[-1].isspace() or _SUSPECT.search(text) is not None:
            _check_value(key, text, path)
        lines.append(f"{indent}{start}{text}")


def _check_name(name: object, path: tuple[str, ...]) -> None:
    """Raise `WCLError` if a section cannot have this name."""
    where = f" in <{'/'.join(path)}>" if path else ""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name != name.lower():
        raise WCLError(
            f"{name!r}{where} cannot be the name of a section; use one lower-case word without blanks or any of < > = / #"
        )
    # The reader gives the root this name (`desdm.wcl.read`).
    if name == (path[-1] if path else "__topwcl__"):
        raise WCLError(f"section <{name}>{where} has the name of its parent; rename it")
    if len(path) >= MAX_DEPTH:
        raise WCLError(f"sections are nested more than {MAX_DEPTH} levels deep{where}; flatten the tree")


def _require_key(key: object, path: tuple[str, ...], keep_case: bool) -> str:
    """Return a key; raise `WCLError` if WCL cannot hold it."""
    where = f" in <{'/'.join(path)}>" if path else ""
    if not isinstance(key, str) or _KEY.fullmatch(key) is None or "<<incl" in key:
        raise WCLError(
            f"{key!r}{where} cannot be a key; use a word without blanks, '=' or '#' that does not begin with '<'"
        )
    if not keep_case and key != key.lower():
        raise WCLError(
            f"key {key}{where} would be read back as {key.lower()}; write {key.lower()}, or put the key into <cmdline> or "
            "<replace>"
        )
    return key


def _check_value(key: str, text: str, path: tuple[str, ...]) -> None:
    """Raise `WCLError` if WCL cannot hold a value."""
    name = ".".join((*path, key))
    if not text:
        raise WCLError(f"{name} is empty, which WCL cannot hold; leave the key out")
    if text != text.strip():
        raise WCLError(f"{name} = {text[:80]!r} begins or ends with white space; remove it")
    match = _SUSPECT.search(text.replace("#", ""))
    if match is not None:
        raise WCLError(f"{name} = {text[:80]!r}: WCL cannot hold {match[0]!r}; remove it")
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
        Sort as in `dumps`.

    Raises
    ------
    WCLError
        WCL cannot hold the tree.
    DesdmError
        The file cannot be written (`storage_error`).
    """
    text = dumps(tree, sort=sort)
    target = Path(path)
    temporary = target.with_name(f".{target.name[:200]}.{os.urandom(8).hex()}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except OSError as err:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        err.filename = str(target)  # the user knows the target, not the temporary file
        raise storage_error(err) from err
