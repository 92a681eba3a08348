"""Substitution of ``${}``, ``$opt{}``, ``$HEAD{}`` and ``$FUNC{}``, and one result per combination."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import NamedTuple, Protocol

from desdm.errors import WCLError
from desdm.wcl.ranges import is_multiple, split_range
from desdm.wcl.tree import Tree

__all__ = ["Expanded", "Substitution", "padded"]

MAX_ROUNDS = 100
"""Rounds of replacement after which values are taken to name each other in a circle (DESDM's own rule)."""
MAX_LENGTH = 1_000_000
MAX_RESULTS = 1_000_000

# Innermost references only, so that ${rms_${band}} is resolved inside out.
_REFERENCE = re.compile(r"\$(\w*)\{([^$}]+)\}")
_TOKEN = re.compile("\x00(\\d+):(\\d*)\x00")
_DEPRECATED = re.compile(r"\$RNMLST\{", re.IGNORECASE)
_INTEGER = re.compile(r"\s*[+-]?\d{1,4000}\s*")
_PYTHON_INTEGER = re.compile(r"\s*[+-]?(?=[\d_]{1,4000}\s*\Z)\d+(?:_\d+)*\s*")


class Expanded(NamedTuple):
    """One result of an expansion, with the values of its variables (unpadded)."""

    value: str
    variables: dict[str, str]


class _Hit(Protocol):
    """A value that was looked up."""

    @property
    def value(self) -> str | Tree:
        """The value, or a section."""


def padded(name: str, value: str, width: str, *, compat: bool = False) -> str:
    """Write an integer with at least ``width`` digits, zeros in front.

    In compat whatever Python reads as an integer is one, so that ``1_7`` is 17.

    Parameters
    ----------
    name
        Variable, for the message.
    value
        Text of an integer.
    width
        Text of the number of digits, up to 99.
    compat
        Accept every text that Python reads as an integer.

    Raises
    ------
    WCLError
        The value is not an integer, or the width no number up to 99.
    """
    if not (width.isdecimal() and len(width) <= 2):
        raise WCLError(f"${{{name}:{width}}}: the width must be a number up to 99")
    integer = _PYTHON_INTEGER if compat else _INTEGER
    if integer.fullmatch(value) is None:
        raise WCLError(f"${{{name}:{width}}}: {value[:80]!r} is not an integer, so it cannot be padded")
    return f"{int(value):0{int(width)}d}"


class Substitution:
    """The resolution of one text.

    Parameters
    ----------
    look
        Gives the hit for a name, or None.
    head, func
        Give the text for the inside of ``$HEAD{}`` and ``$FUNC{}``.
    multiple
        Hold back values that say more than one thing, for ``combinations``.
    compat
        Loop each padded form of a variable by itself, as the original does; otherwise one variable has one
        value in a result however often it stands there.
    """

    def __init__(
        self,
        look: Callable[[str], _Hit | None],
        head: Callable[[str], str],
        func: Callable[[str], str],
        *,
        multiple: bool,
        compat: bool,
    ) -> None:
        self.look, self.head, self.func = look, head, func
        self.multiple, self.compat = multiple, compat
        self.variables: dict[str, str] = {}
        self.loops: list[tuple[str, list[str]]] = []
        self._loop_at: dict[tuple[str, str], int] = {}
        self._changed = False
        self.depth = 0

    def run(self, text: str) -> str:
        """Replace until nothing is left to replace; loops stay as tokens.

        Raises
        ------
        WCLError
            A variable has no value, values name each other in a circle, or a function fails.
        """
        if "$" not in text:
            return text
        self.depth += 1
        if self.depth > MAX_ROUNDS:
            raise WCLError(f"values name each other in a circle: {text[:80]}")
        start = text
        for _ in range(MAX_ROUNDS):
            if _DEPRECATED.search(text) is not None:
                raise WCLError(f"$RNMLST{{}} is no longer part of WCL: {text[:80]}")
            self._changed = False
            text = _REFERENCE.sub(self._plain, text)
            if not self._changed:
                text = _REFERENCE.sub(self._function, text)
            if not self._changed:
                self.depth -= 1
                return text
            if len(text) > MAX_LENGTH:
                break
        raise WCLError(f"values name each other in a circle or grow without end: {start[:80]}")

    def _plain(self, match: re.Match[str]) -> str:
        """Return the text of one reference other than ``$FUNC{}``."""
        kind, inside = match[1].lower(), match[2]
        if kind == "head":
            if "\x00" in inside:
                return match[0]
            self._changed = True
            return self.head(inside)
        if kind not in {"", "opt"}:
            return match[0]
        self._changed = True
        name, colon, width = inside.partition(":")
        hit = self.look(name)
        if hit is None:
            if kind == "opt":
                return ""
            raise WCLError(f"no value for ${{{name}}}")
        if isinstance(hit.value, dict):
            raise WCLError(f"${{{name}}} names a section, not a value")
        text = self._value(name.lower(), hit.value, width if colon else None)
        self._changed = True  # a run inside ``_value`` has ended with nothing left to change
        return text

    def _value(self, name: str, value: str, width: str | None) -> str:
        """Return the text for the value of a variable, or its token if it has several values."""
        if "\x00" in value:
            raise WCLError(f"the value of {name} holds a NUL character")
        if is_multiple(value):
            return self._loop(name, value, width) if self.multiple else value
        if width is None:
            self.variables[name] = value
            return value
        value = self.run(value)
        token = _TOKEN.fullmatch(value)
        if token is not None:  # the variable only hands on another one that has several values
            looped, values = self.loops[int(token[1])]
            padded_token = self._token(looped, values, width)
            self.variables[name] = padded_token.partition(":")[0] + ":\x00"
            return padded_token
        if is_multiple(value) and self.multiple:
            return self._loop(name, value, width)
        self.variables[name] = value
        return padded(name, value, width, compat=self.compat)

    def _loop(self, name: str, value: str, width: str | None) -> str:
        """Return the token of a variable with several values."""
        if "$" in value:
            single = self._single()
            single.depth = self.depth
            value = single.run(value)
        return self._token(name, split_range(value), width or "")

    def _single(self) -> Substitution:
        """Return a substitution of the same names that does not loop."""
        return Substitution(self.look, self.head, self.func, multiple=False, compat=self.compat)

    def _token(self, name: str, values: list[str], width: str) -> str:
        """Register a loop and return the token that stands for it in the text."""
        key = (name, width if self.compat else "")
        at = self._loop_at.get(key)
        if at is None:
            at = self._loop_at[key] = len(self.loops)
            self.loops.append((name, values))
        return f"\x00{at}:{width}\x00"

    def _function(self, match: re.Match[str]) -> str:
        """Return the text of one ``$FUNC{}`` whose arguments have no loops."""
        if match[1].lower() != "func" or "\x00" in match[2]:
            return match[0]
        self._changed = True
        return self.func(match[2])

    def combinations(self, text: str, order: Sequence[str]) -> list[Expanded]:
        """Fill the loops of a text that ``run`` gave, one result per combination.

        The variable that stands first varies slowest. In strict each runs in the order of its list, and
        ``order`` may name the variables from slowest to fastest; in compat every variable but the last runs
        from its last value to its first, as the original's stack makes it.
        """
        variables: dict[str, str] = {}
        while len(variables) < len(self.variables):  # variables named by values count too
            variables.update(
                (name, self.run(value))
                for name, value in list(self.variables.items())
                if name not in variables
            )
        used = dict.fromkeys(int(token[1]) for token in _TOKEN.finditer(text))
        for value in variables.values():
            used.update(dict.fromkeys(int(token[1]) for token in _TOKEN.finditer(value)))
        if not used:
            return [Expanded(text, variables)]
        looping = self._ordered(list(used), order)
        lists = [self.loops[at][1] for at in looping]
        if prod(map(len, lists)) > MAX_RESULTS:
            raise WCLError(f"the expansion of {text[:80]!r} gives more than {MAX_RESULTS} results")
        if self.compat and not order:
            lists = [values[::-1] for values in lists[:-1]] + lists[-1:]
        return [
            self._filled(text, variables, dict(zip(looping, chosen, strict=True)))
            for chosen in product(*lists)
        ]

    def _ordered(self, used: list[int], order: Sequence[str]) -> list[int]:
        """Return the numbers of the loops, those named in ``order`` first."""
        names = [self.loops[at][0] for at in used]
        unknown = [name for name in order if name not in names]
        if unknown:
            raise WCLError(f"the order names {', '.join(unknown)}, which has not several values here")
        rank = {name: at for at, name in enumerate(order)}
        return sorted(used, key=lambda at: rank.get(self.loops[at][0], len(rank)))

    def _filled(self, text: str, variables: dict[str, str], chosen: dict[int, str]) -> Expanded:
        """Return the result for one combination of loop values."""

        def fill(match: re.Match[str]) -> str:
            at = int(match[1])
            if not match[2]:
                return chosen[at]
            return padded(self.loops[at][0], chosen[at], match[2], compat=self.compat)

        value = _TOKEN.sub(fill, text)
        if "$" in value:  # a $HEAD{} or $FUNC{} that had to wait for its combination
            value = self._single().run(value)
        mine = {name: _TOKEN.sub(fill, one) for name, one in variables.items()}
        mine.update((self.loops[at][0], one) for at, one in chosen.items())
        return Expanded(value, mine)
