"""One compiled matcher over all patterns: Hyperscan finds the lines, and PCRE decides what it cannot.

A chunk of lines is scanned at once, for nearly all lines hold nothing. Where something matches the chunk is
halved at a line end until a single line is left, which is then matched by itself. The result of a line therefore
depends on that line alone, whatever chunk it came in.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import hyperscan

from desdm.errors import WCLError
from desdm.quality.qc.dialect import Translated
from desdm.quality.qc.patterns import GLOBAL, Controls, Filter, Ignore, Pattern

__all__ = ["MAX_LINE", "Matcher", "Selection"]

MAX_LINE = 16_384
"""Bytes of a line that are looked at in one piece; a longer one is looked at in pieces that overlap."""

_FLAGS = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH
#: How Hyperscan refuses a pattern that no line can match.
_IMPOSSIBLE = "can never match"
#: Stands in the compiled set for such a pattern: bytes that no log has. It must be exact, since a set that is read back is
#: used with the flags of the patterns themselves.
_NOTHING = Translated(rb"\x00\xff\x00no line\x00\xff\x00", rb"\x00\xff\x00no line\x00\xff\x00", True, False)
_MAGIC = b"desdm-qc-1\n"
#: PCRE takes the byte of a lookahead at the start for one that the match consumes, so that ``(?=a)a*a`` misses ``a``;
#: without its start optimisations (pcrepattern, "Disabling start-up optimizations") it does not.
_NO_START = b"(*NO_START_OPT)"


class Matcher:
    """All patterns of a set, compiled.

    It may be shared by scanners and threads; build it once for a set and pass it on.

    Parameters
    ----------
    controls
        The set.
    compiled
        What ``dump`` gave for the same set earlier; anything else in it is passed over and compiled anew.

    Raises
    ------
    WCLError
        A pattern cannot be compiled; it is named.
    """

    def __init__(self, controls: Controls, compiled: bytes | None = None) -> None:
        self.controls = controls
        # In the order of trial, so that the least number of a line wins.
        self.patterns = sorted(controls.patterns, key=lambda one: one.priority)
        self.ignores = list(controls.ignores)
        self._lock = threading.Lock()
        self._found = [one.translated for one in self.patterns]
        self._passed = [one.translated for one in self.ignores]
        self._exact: dict[Translated, Any] = {}
        self.digest = self._digest()
        #: names of patterns that no line can match, such as ``a\\bb``
        self.idle: list[str] = []
        self._db = self._restored(compiled) or self._compiled(self._found, self.patterns)
        self._ignore_db = self._compiled(self._passed, self.ignores)

    # --- compiling

    def _digest(self) -> bytes:
        """Return the digest of the expressions and hyperscan's version, which a stored database must have."""
        digest = hashlib.sha256(version("hyperscan").encode())
        for one in self._found:
            digest.update(b"%d:%d:%s\n" % (len(one.hyperscan), one.exact, one.hyperscan))
        return digest.digest()

    def dump(self) -> bytes:
        """Give the compiled patterns, for another process that has the same set."""
        return b"" if self._db is None else _MAGIC + self.digest + hyperscan.dumpb(self._db)

    def _restored(self, compiled: bytes | None) -> Any:
        """Load a compiled database; None if it is of other patterns or another version or processor."""
        start = _MAGIC + self.digest
        if compiled is None or not compiled.startswith(start):
            return None
        try:
            db = hyperscan.loadb(compiled[len(start) :], mode=hyperscan.HS_MODE_BLOCK)
            db.scratch = hyperscan.Scratch(db)
        except hyperscan.error:  # of another version or for another processor
            return None
        return db

    def _compiled(self, expressions: list[Translated], named: Sequence[Pattern | Ignore]) -> Any:
        """Compile expressions; an error names the pattern that cannot be compiled."""
        if not expressions:
            return None
        try:
            return _database(expressions)
        except hyperscan.error as whole:
            for at, one in enumerate(named):
                try:
                    _database([expressions[at]])
                except hyperscan.error as err:
                    if _IMPOSSIBLE in str(err):
                        # Python and Perl take such a pattern; it is useless, not wrong.
                        self.idle.append(one.name)
                        expressions[at] = _NOTHING
                        continue
                    message = f"pattern {one.name}: {one.pattern!r:.80} cannot be compiled: {err}"
                    raise WCLError(message, one.file, one.line) from err
            if self.idle:
                return _database(expressions)
            raise WCLError(f"the patterns cannot be compiled together: {whole}") from whole

    def _exactly(self, expression: Translated) -> Any:
        """Return the compiled database for the exact match of one expression, compiled at its first use."""
        db = self._exact.get(expression)
        if db is None:
            db = hyperscan.Database(chimera=True, mode=hyperscan.CH_MODE_NOGROUPS)
            flags = hyperscan.CH_FLAG_CASELESS | hyperscan.CH_FLAG_DOTALL
            try:
                db.compile(expressions=[_NO_START + expression.pcre], ids=[0], elements=1, flags=[flags])
            except hyperscan.error as err:
                raise WCLError(f"{expression.pcre.decode(errors='replace')!r:.80}: {err}") from err
            self._exact[expression] = db
        return db

    # --- matching

    def select(self, execname: str) -> Selection:
        """Choose what holds for a program: the global patterns and its own."""
        return Selection(self, execname)

    def span(self, at: int, line: bytes) -> tuple[int, int] | None:
        """Return the place of the first match of pattern number ``at`` in a line."""
        with self._lock:
            return self._first(self._found[at], line)

    def _first(self, expression: Translated, line: bytes) -> tuple[int, int] | None:
        """Return start and end of the first exact match in a line, or None."""
        spans: list[tuple[int, int]] = []

        def note(_: int, start: int, end: int, *rest: object) -> bool:
            spans.append((start, end))
            return True

        _scan(self._exactly(expression), line, note)
        return spans[0] if spans else None

    def may_match(self, data: memoryview | bytes, wanted: frozenset[int]) -> bool:
        """Tell whether any of some expressions may match in the data."""
        hit = False

        def note(at: int, *rest: object) -> bool:
            nonlocal hit
            hit = hit or at in wanted
            return hit

        with self._lock:
            _scan(self._db, data, note)
        return hit

    def first_pattern(self, line: bytes, wanted: frozenset[int], passed: frozenset[int]) -> int | None:
        """Return the number of the first pattern that matches a line which is not ignored, or None."""
        with self._lock:
            numbers = _numbers(self._db, line)
            for at in sorted(numbers & wanted):
                expression = self._found[at]
                if expression.exact or self._first(expression, line) is not None:
                    return None if self._ignored(line, passed) else at
        return None

    def _ignored(self, line: bytes, passed: frozenset[int]) -> bool:
        """Tell whether an ignore rule matches a line."""
        if not passed:
            return False
        for at in _numbers(self._ignore_db, line) & passed:
            expression = self._passed[at]
            if expression.exact or self._first(expression, line) is not None:
                return True
        return False


class Selection:
    """The part of a matcher that holds for one program.

    Attributes
    ----------
    matcher
        The whole.
    filters
        Byte texts to replace, in order.
    """

    def __init__(self, matcher: Matcher, execname: str) -> None:
        self.matcher = matcher
        names = {GLOBAL, *(word.strip() for word in execname.split(","))}

        def holds(one: Pattern | Ignore | Filter) -> bool:
            return not names.isdisjoint(word.strip() for word in one.execname.split(","))

        self._wanted = frozenset(at for at, one in enumerate(matcher.patterns) if holds(one))
        self._passed = frozenset(at for at, one in enumerate(matcher.ignores) if holds(one))
        self.filters = [
            (one.replace.encode(), one.put.encode()) for one in matcher.controls.filters if holds(one)
        ]

    def match(self, line: bytes) -> int | None:
        """Give the number of the pattern that a line matches, or None."""
        return self.matcher.first_pattern(line, self._wanted, self._passed) if self._wanted else None

    def hits(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        """Give start, end and pattern number of every line of ``data`` that matches, in order.

        Parameters
        ----------
        data
            Whole lines, each with its ``\\n``.
        """
        if not self._wanted:
            return
        view = memoryview(data)
        todo = [(0, len(data))]
        while todo:
            start, end = todo.pop()
            if not self.matcher.may_match(view[start:end], self._wanted):
                continue
            half = data.find(b"\n", (start + end) // 2, end) + 1
            if half in {0, end}:
                half = data.rfind(b"\n", start, (start + end) // 2) + 1
            if half in {0, start}:
                stop = end - 1 if data[end - 1 : end] == b"\n" else end
                at = self.match(data[start:stop])
                if at is not None:
                    yield start, stop, at
                continue
            todo += [(half, end), (start, half)]


def _database(expressions: list[Translated]) -> Any:
    """Compile expressions into a hyperscan database."""
    db = hyperscan.loadb(_compiled_form(tuple(expressions)), mode=hyperscan.HS_MODE_BLOCK)
    db.scratch = hyperscan.Scratch(db)
    return db


# The runs of a night have the same patterns; compiling them takes longer than all else that their plans do with them.
@lru_cache(maxsize=16)
def _compiled_form(expressions: tuple[Translated, ...]) -> bytes:
    """Compile expressions; return the database in the form that a process can load."""
    db = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = [
        _FLAGS
        | (0 if one.exact else hyperscan.HS_FLAG_PREFILTER)
        | (hyperscan.HS_FLAG_ALLOWEMPTY if one.matches_empty or not one.exact else 0)
        for one in expressions
    ]
    db.compile(
        expressions=[one.hyperscan for one in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=flags,
    )
    return bytes(hyperscan.dumpb(db))


def _scan(db: Any, data: memoryview | bytes, note: Callable[..., bool]) -> None:
    """Scan bytes and call `note` for each match, until it returns True."""
    try:
        db.scan(data, match_event_handler=note)
    except hyperscan.ScanTerminated:
        return  # ``note`` has stopped the scan


def _numbers(db: Any, line: bytes) -> set[int]:
    """Return the numbers of all expressions that match in a line."""
    numbers: set[int] = set()

    def note(at: int, *rest: object) -> bool:
        numbers.add(at)
        return False

    _scan(db, line, note)
    return numbers
