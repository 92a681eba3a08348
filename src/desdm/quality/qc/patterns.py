"""What the quality controls look for: patterns, the lines to pass over, and texts to replace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from desdm.errors import WCLError
from desdm.quality.qc.dialect import Translated, translate

__all__ = ["GLOBAL", "Action", "Controls", "Filter", "Ignore", "Level", "Pattern"]

GLOBAL = "global"
"""The execname of what holds for every program."""

MAX_CAPTURED_LINES = 1000


class Level(IntEnum):
    """How bad a message is (the numbers are DESDM's)."""

    ERROR = 1
    WARNING = 2
    INFO = 3

    @property
    def text(self) -> str:
        """One word for people."""
        return self.name.lower()


class Action(StrEnum):
    """What a match does beyond storing the message."""

    NONE = "none"
    FLAG = "flag"
    STOP = "stop"

    @property
    def text(self) -> str:
        """One line for people."""
        return {
            Action.NONE: "the message is kept",
            Action.FLAG: "the message is kept and the run is marked for a look",
            Action.STOP: "the message is kept and the program is ended",
        }[self]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that makes a line a message.

    Parameters
    ----------
    name
        Unique among the patterns of a run; it goes with every message.
    pattern
        Python regular expression, matched anywhere in a line, whatever the case.
    level
        What a match means.
    priority
        Order of trial; of several patterns in a line the least wins, then the first defined.
    execname
        The programs it is for, separated by commas, or ``global``.
    number_of_lines
        Lines to keep from the match on.
    only_matched
        Keep only the part that matched.
    action
        What else a match does.
    file, line
        Where it is defined, for errors.

    Raises
    ------
    WCLError
        The expression is wrong, matches an empty line, or cannot be matched in bounded time.
    """

    name: str
    pattern: str
    level: Level = Level.ERROR
    priority: int = 100
    execname: str = GLOBAL
    number_of_lines: int = 1
    only_matched: bool = False
    action: Action = Action.NONE
    file: str | None = None
    line: int | None = None
    translated: Translated = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            translation = translate(self.pattern)
        except WCLError as err:
            raise self._error(err.message) from err
        if translation.matches_empty:
            raise self._error(f"{self.pattern!r:.80} matches an empty line, hence every line")
        object.__setattr__(self, "translated", translation)
        if self.action is Action.STOP and self.number_of_lines > 1:
            raise self._error("a pattern that stops keeps one line, for it cannot wait for more")
        if not 1 <= self.number_of_lines <= MAX_CAPTURED_LINES:
            raise self._error(f"number_of_lines = {self.number_of_lines} is not 1 to {MAX_CAPTURED_LINES}")

    def _error(self, message: str) -> WCLError:
        """Return an error that names the pattern, its file and line."""
        return WCLError(f"pattern {self.name}: {message}", self.file, self.line)


@dataclass(frozen=True, slots=True)
class Ignore:
    """A regular expression of lines that are never messages, whatever pattern they match.

    Raises
    ------
    WCLError
        The expression is wrong or cannot be matched in bounded time.
    """

    pattern: str
    execname: str = GLOBAL
    name: str = ""
    file: str | None = None
    line: int | None = None
    translated: Translated = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "translated", translate(self.pattern))
        except WCLError as err:
            raise WCLError(f"exclude {self.name}: {err.message}", self.file, self.line) from err


@dataclass(frozen=True, slots=True)
class Filter:
    """A plain text that is replaced in every line before it is matched and stored; the log itself stays.

    Raises
    ------
    WCLError
        The text is empty or holds a line break.
    """

    replace: str
    put: str = ""
    execname: str = GLOBAL
    name: str = ""

    def __post_init__(self) -> None:
        if not self.replace:
            raise WCLError(f"filter {self.name}: there is nothing to replace; give replace_pattern")
        if "\n" in self.replace + self.put:
            raise WCLError(f"filter {self.name}: a filter works on lines and holds no line break")


@dataclass(frozen=True, slots=True)
class Controls:
    """A set of patterns, ignores and filters.

    Parameters
    ----------
    override
        Use this set alone: those of the database do not join it.
    """

    patterns: tuple[Pattern, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    filters: tuple[Filter, ...] = ()
    override: bool = False

    def __post_init__(self) -> None:
        by_name: dict[str, Pattern] = {}
        for one in self.patterns:
            first = by_name.setdefault(one.name, one)
            if first is not one:
                where = f" ({first.file}:{first.line})" if first.file else ""
                raise WCLError(f"pattern {one.name} is defined twice{where}; rename one", one.file, one.line)

    @staticmethod
    def joined(sets: Iterable[Controls]) -> Controls:
        """Join sets in their order; a pattern that stands again just the same counts once.

        Raises
        ------
        WCLError
            Two different patterns have one name.
        """
        patterns: dict[tuple[object, ...], Pattern] = {}
        ignores: dict[tuple[str, str], Ignore] = {}
        filters: dict[tuple[str, str, str], Filter] = {}
        override = False
        for one in sets:
            override = override or one.override
            for p in one.patterns:
                same = (
                    p.name,
                    p.pattern,
                    p.level,
                    p.priority,
                    p.execname,
                    p.number_of_lines,
                    p.only_matched,
                    p.action,
                )
                patterns.setdefault(same, p)
            for i in one.ignores:
                ignores.setdefault((i.pattern, i.execname), i)
            for f in one.filters:
                filters.setdefault((f.replace, f.put, f.execname), f)
        return Controls(
            tuple(patterns.values()), tuple(ignores.values()), tuple(filters.values()), override=override
        )
