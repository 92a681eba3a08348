"""Parser of input: an ADQL statement with the target of its answer, or a command with its words."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from desdm.errors import UsageError

__all__ = ["Line", "complete", "read", "statements", "target_within"]

#: ``CREATE TABLE [mydb.]t AS SELECT …`` and ``DROP TABLE [mydb.]t``, as other databases have them.
_CREATE = re.compile(r"(?is)\s*create\s+table\s+(?:mydb\.)?(\w+)\s+as\s+(.*)")
_DROP = re.compile(r"(?is)\s*drop\s+table\s+(?:if\s+exists\s+)?(?:mydb\.)?(\w+)\s*;?\s*$")
#: ``EXPLAIN PLAN FOR SELECT …`` of another database.
_PLAN = re.compile(r"(?is)^\s*plan\s+for\b")
#: Commands of psql, and their names here; ``\\d`` with a table describes it.
_PSQL = {
    "\\q": "quit",
    "\\d": "find_tables",
    "\\dt": "find_tables",
    "\\dn": "find_tables",
    "\\h": "help",
    "\\?": "help",
    "\\i": "loadsql",
    "\\e": "edit",
    "\\l": "show_db",
    "\\c": "change_db",
    "\\conninfo": "show_db",
    "\\s": "history",
}
#: A target at the end of a query: a file of a format that can be written, or a table of one's own.
_TARGET = re.compile(r"(?is)>\s*(mydb\.\w+|\S+\.(?:csv|tab|tsv|fits?|parquet|vot|xml|h5|hdf5))\s*$")
_MYDB = re.compile(r"(?i)mydb\.(\w+)$")
_SELECT = re.compile(r"(?is)\s*(--[^\n]*\n\s*|/\*.*?\*/\s*)*(select\b|with\b|\()")


@dataclass(frozen=True, slots=True)
class Line:
    """A parsed statement or command.

    Attributes
    ----------
    command
        ``query``, or the first word of the input.
    words
        Further words; none for a query.
    adql
        Of a query: its text.
    table
        The user's table (without ``mydb.``) that receives the answer, or empty.
    target
        File that receives the answer; None: the terminal.
    """

    command: str
    words: tuple[str, ...] = ()
    adql: str = ""
    target: Path | None = None
    table: str = ""


def complete(text: str) -> bool:
    """Tell whether input is complete: a command at the end of its line, a statement at its ``;``."""
    if not text.strip():
        return True
    if not _SELECT.match(text) and not _CREATE.match(text):
        return True
    # A semicolon in quotes ends nothing; after it only a target may stand.
    return ";" in _unquoted(text)


def read(text: str) -> Line:
    """Parse input.

    Raises
    ------
    UsageError
        If quotes are not closed, or the text is empty.
    """
    if not text.strip():
        raise UsageError("nothing is typed; help lists the commands")
    if text.strip() == "@":
        raise UsageError("@FILE: name the file whose statements are to be done")
    if text.lstrip().startswith("@"):
        return Line("@", _with_target(text.strip()[1:]), target=_target_of(text))
    if text.lstrip().startswith("\\"):
        return _psql(text.strip().rstrip(";").strip())
    if text.lstrip().startswith("<"):
        return Line("<")
    if text.lstrip().startswith("!"):
        return Line("!", (text.strip()[1:].strip(),))
    if match := _CREATE.match(text):
        return replace(_query(match[2]), table=match[1])
    if match := _DROP.match(text):
        return Line("drop_table", (match[1],))
    if _SELECT.match(text):
        return _query(text)
    first, _, rest = text.strip().rstrip(";").partition(" ")
    if first.lower() in ("explain", "explain_query"):
        rest = _PLAN.sub("", rest).strip()
        return Line(first.lower(), (rest,) if rest else ())
    try:
        words = shlex.split(text.strip().rstrip(";"))
    except ValueError as err:
        raise UsageError(f"the quotes are not closed: {err}") from err
    if not words:
        raise UsageError("nothing is typed; help lists the commands")
    return Line(words[0].lower(), tuple(words[1:]))


def statements(text: str) -> list[str]:
    """Split a file into statements, each with its ``;`` and target, and commands, each a line."""
    parts, start = [], 0
    plain = _unquoted(text)
    while start < len(text):
        if not plain[start].strip():  # blanks, and comments that were blanked
            start += 1
            continue
        line = _at(plain, "\n", start)
        if not _SELECT.match(plain, start) and not _CREATE.match(plain, start):
            parts.append(text[start:line].strip())
            start = line
            continue
        end = _at(plain, ";", start)
        target = re.match(r"\s*>\s*(?:'[^'\n]*'|\"[^\"\n]*\"|\S+)", text[end + 1 : _at(plain, "\n", end)])
        stop = end + 1 + (target.end() if target else 0)
        parts.append(text[start:stop].strip())
        start = stop
    return [part for part in parts if part.strip("; ")]


def target_within(adql: str) -> str:
    """Return the target at the end of a query, before its ``;`` instead of after it; empty if there is none."""
    match = _TARGET.search(adql)
    return match[1] if match else ""


def _psql(text: str) -> Line:
    """Parse a command of psql, which begins with a backslash."""
    first, _, rest = text.partition(" ")
    words = tuple(rest.split())
    if first == "\\!":
        return Line("!", (rest.strip(),))
    if first in ("\\d", "\\d+") and words:
        return Line("describe_table", words)
    return Line(_PSQL.get(first.rstrip("+"), first), () if first == "\\x" else words)


def _at(text: str, sign: str, start: int) -> int:
    """Return the position of a sign, or the end of the text."""
    position = text.find(sign, start)
    return len(text) if position < 0 else position


def _query(text: str) -> Line:
    """Parse a query with its target."""
    plain = _unquoted(text)
    end = plain.find(";")
    if end < 0:
        return Line("query", adql=text.strip())
    rest = text[end + 1 :].strip().rstrip(";").strip()
    if not rest:
        return Line("query", adql=text[:end].strip())
    if not rest.startswith(">"):
        raise UsageError(f"after the ; only '> file' can stand, not {rest[:40]!r}")
    if table_match := _MYDB.match(rest[1:].strip()):
        return Line("query", adql=text[:end].strip(), table=table_match[1])
    return Line("query", adql=text[:end].strip(), target=_file(rest[1:].strip()))


def _with_target(text: str) -> tuple[str, ...]:
    """Return the file of ``@FILE > TARGET``."""
    return (text.split(">", 1)[0].strip().rstrip(";").strip(),)


def _target_of(text: str) -> Path | None:
    """Return the target of ``@FILE > TARGET``."""
    parts = text.split(">", 1)
    return _file(parts[1].strip().rstrip(";").strip()) if len(parts) == 2 else None


def _file(text: str) -> Path:
    """Parse the name of one file."""
    try:
        words = shlex.split(text)
    except ValueError as err:
        raise UsageError(f"the quotes are not closed: {err}") from err
    if len(words) != 1:
        raise UsageError(f"after > one file must stand, not {text[:60]!r}")
    return Path(words[0]).expanduser()


def _unquoted(text: str) -> str:
    """Blank quoted text and comments, so that signs can be searched."""
    return re.sub(
        r"(?s)'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", lambda match: " " * len(match[0]), text
    )
