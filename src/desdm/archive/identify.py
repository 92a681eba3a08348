"""Says what a file is: its type, from name and content, and its row of metadata, ready for the database."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Float, Integer, String

from desdm.archive.content import Content
from desdm.archive.filetypes import BY_NAME, FILETYPES, FileType
from desdm.errors import FileTypeError
from desdm.schema import METADATA_TABLES
from desdm.survey.findings import Finding, Severity

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = ["directory_of", "metadata_of", "recognise", "typed"]


def recognise(content: Content) -> FileType:
    """The type of a file, from its name and its content.

    Raises
    ------
    FileTypeError
        If no type fits; the text says which were tried and what each lacked.
    """
    tried = []
    for kind in FILETYPES:
        if kind.auto_detected and kind.match(content.stem):
            complaint = kind.complaint(content)
            if not complaint:
                return kind
            tried.append((kind.name, complaint))
    complaints = {complaint for _, complaint in tried}
    if len(complaints) == 1:
        names = ", ".join(name for name, _ in tried)
        raise FileTypeError(f"{content.name}: {complaints.pop()} (tried {names})")
    if tried:
        words = ", ".join(f"{name} ({complaint})" for name, complaint in tried)
        raise FileTypeError(f"{content.name} is of no known type; tried {words}")
    raise FileTypeError(
        f"{content.name} is of no known type: its name fits none of {len(FILETYPES)} types; "
        "give --filetype, or --filetype misc for any bytes"
    )


def typed(content: Content, name: str) -> FileType:
    """The file type of that name, if the file is of it.

    Raises
    ------
    FileTypeError
        If there is no such type, or the content breaks its rules.
    """
    kind = BY_NAME.get(name)
    if kind is None:
        raise FileTypeError(f"no file type {name!r}; known: {', '.join(sorted(BY_NAME))}")
    complaint = kind.complaint(content)
    if complaint:
        raise FileTypeError(f"{content.name} is no {name}: {complaint}")
    return kind


def metadata_of(kind: FileType, content: Content, overrides: Mapping[str, object]) -> dict[str, object]:
    """Return the row of metadata; overrides replace what headers and name say.

    Values are fitted to the columns; over-long text from a header is cut, as DESDM did.

    Parameters
    ----------
    kind
        File type, whose table has the columns.
    content
        Name, bytes and headers of the file; receives findings.
    overrides
        Values by column that replace those of headers and name.

    Raises
    ------
    FileTypeError
        If ``overrides`` names no column of the type's table, or a value of it does not fit.
    """
    types = _types(kind.table)
    row: dict[str, object] = {}
    for key, value in kind.metadata(content).items():
        column = types.get(key)
        if column is not None:
            row[key] = _fitted(value, column)
            if content.delivered and isinstance(value, str):
                _note_cut(content, key, value, column)
    for key, wanted in overrides.items():
        column = types.get(key)
        if column is None or key == "desfile_id":
            known = ", ".join(name for name in types if name != "desfile_id")
            raise FileTypeError(f"{content.name}: no metadata column {key!r} for {kind.name}; known: {known}")
        fitted = _fitted(wanted, column)
        if fitted is None and wanted not in (None, ""):
            raise FileTypeError(f"{content.name}: {key} = {wanted!r} does not fit its column ({column})")
        row[key] = fitted
    return {k: v for k, v in row.items() if v is not None}


@cache
def _types(table: str) -> dict[str, TypeEngine[Any]]:
    """Return the types of the columns of a table of metadata, by column."""
    return {column.name: column.type for column in METADATA_TABLES[table].c}


def _note_cut(content: Content, key: str, value: str, kind: object) -> None:
    """Note a text that is longer than its column."""
    if isinstance(kind, String) and kind.length and len(value) > kind.length:
        text = f"it has {len(value)} characters, its column {kind.length}"
        assumed = "the archive's record has its beginning"
        content.findings.append(Finding(Severity.WARNING, text, key.upper()[:8], repr(value), assumed))


def _fitted(value: object, kind: object) -> object:
    """Return a value as a column can store it: text without control characters and cut, numbers in range, else None."""
    if value is None:
        return None
    if isinstance(kind, String):
        text = str(value)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else "?" for c in text)
        return text[: kind.length] or None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        if isinstance(kind, Integer):
            number = int(value) if not isinstance(value, float) or value == int(value) else None
            limit = 2**63 if isinstance(kind, BigInteger) else 2**31
            return number if number is not None and -limit <= number < limit else None
        if isinstance(kind, Float):
            real = float(value)
            return real if math.isfinite(real) else None
    except (ValueError, OverflowError):
        return None
    return None


class _PathParts:
    """Return the values of a row for a path, ``none`` for those that it has not."""

    def __init__(self, row: Mapping[str, object]) -> None:
        self._row = row

    def __getitem__(self, key: str) -> str:
        text = str(self._row.get(key, "none"))
        return "".join(c if c.isalnum() or c in "+-_." else "_" for c in text).lstrip(".-")


def directory_of(kind: FileType, row: Mapping[str, object]) -> str:
    """The type's own directory for a file with that metadata."""
    return (kind.directory or kind.name).format_map(_PathParts(row))
