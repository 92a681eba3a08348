"""What was typed: a statement in ADQL, where its answer goes, or a command with its words."""

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
#: Commands of psql, in our words; ``\\d`` with a table describes it.
_PSQL = {
    "\\q": "quit", "\\d": "find_tables", "\\dt": "find_tables", "\\dn": "find_tables", "\\h": "help", "\\?": "help",
    "\\i": "loadsql", "\\e": "edit", "\\l": "show_db", "\\c": "change_db", "\\conninfo": "show_db", "\\s": "history",
}  # fmt: skip
#: A target at the end of a query: a file of a format that can be written, or a table of one's own.
_TARGET = re.compile(r"(?is)>\s*(mydb\.\w+|\S+\.(?:csv|tab|tsv|fits?|parquet|vot|xml|h5|hdf5))\s*$")
_MYDB = re.compile(r"(?i)mydb\.(\w+)$")
_SELECT = re.compile(r"(?is)\s*(--[^\n]*\n\s*|/\*.*?\*/\s*)*(select\b|with\b|\()")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to do.

    Attributes
    ----------
    command
        ``query``, or the word that was typed first.
    words
        The words after it; of a query: none.
    adql
        Of a query: its text.
    table
        Table of one's own (without ``mydb.``) into which the answer goes, or empty.
    target
        File into which the answer goes, or None: it is shown.
    """

    command: str
    words: tuple[str, ...] = ()
    adql: str = ""
    target: Path | None = None
    table: str = ""


def complete(text: str) -> bool:
    """Whether ``text`` can be done as it stands: a command at its line's end, a statement at its ``;``."""
    if not text.strip():
        return True
    if not _SELECT.match(text) and not _CREATE.match(text):
        return True
    # A semicolon in quotes ends nothing; after it only a target may stand.
    return ";" in _unquoted(text)


def read(text: str) -> Line:
    """Understand what was typed.

    Raises
    ------
    UsageError
        If quotes are not closed, or nothing is said.
    """
    if not text.strip():
        raise UsageError("nothing is typed; help shows what can be")
    if text.lstrip().startswith("@"):
        return Line("@", _with_target(text.strip()[1:]), target=_target_of(text))
    if text.lstrip().startswith("\\"):
        return _psql(text.strip().rstrip(";").strip())
    if text.lstrip().startswith("<"):
        return Line("<")
    if text.lstrip().startswith("!"):
        return Line("!", (text.strip()[1:].strip(),))
    if found := _CREATE.match(text):
        return replace(_query(found[2]), table=found[1])
    if found := _DROP.match(text):
        return Line("drop_table", (found[1],))
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
        raise UsageError("nothing is typed; help shows what can be")
    return Line(words[0].lower(), tuple(words[1:]))


def statements(text: str) -> list[str]:
    """Parts of a file: statements, each with its ``;`` and its target, and commands, each a line."""
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
    """The target that stands at the end of a query, before its ``;`` instead of after it; empty if there is none."""
    found = _TARGET.search(adql)
    return found[1] if found else ""


def _psql(text: str) -> Line:
    """A command of psql, which begins with a backslash."""
    first, _, rest = text.partition(" ")
    words = tuple(rest.split())
    if first == "\\!":
        return Line("!", (rest.strip(),))
    if first in ("\\d", "\\d+") and words:
        return Line("describe_table", words)
    return Line(_PSQL.get(first.rstrip("+"), first), () if first == "\\x" else words)


def _at(text: str, sign: str, start: int) -> int:
    found = text.find(sign, start)
    return len(text) if found < 0 else found


def _query(text: str) -> Line:
    plain = _unquoted(text)
    end = plain.find(";")
    if end < 0:
        return Line("query", adql=text.strip())
    rest = text[end + 1 :].strip().rstrip(";").strip()
    if not rest:
        return Line("query", adql=text[:end].strip())
    if not rest.startswith(">"):
        raise UsageError(f"after the ; only '> file' can stand, not {rest[:40]!r}")
    if own := _MYDB.match(rest[1:].strip()):
        return Line("query", adql=text[:end].strip(), table=own[1])
    return Line("query", adql=text[:end].strip(), target=_file(rest[1:].strip()))


def _with_target(text: str) -> tuple[str, ...]:
    return (text.split(">", 1)[0].strip().rstrip(";").strip(),)


def _target_of(text: str) -> Path | None:
    parts = text.split(">", 1)
    return _file(parts[1].strip().rstrip(";").strip()) if len(parts) == 2 else None


def _file(text: str) -> Path:
    try:
        words = shlex.split(text)
    except ValueError as err:
        raise UsageError(f"the quotes are not closed: {err}") from err
    if len(words) != 1:
        raise UsageError(f"after > one file must stand, not {text[:60]!r}")
    return Path(words[0]).expanduser()


def _unquoted(text: str) -> str:
    # The same text with what stands in quotes and comments blanked, so that signs can be looked for.
    return re.sub(
        r"(?s)'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", lambda found: " " * len(found[0]), text
    )
