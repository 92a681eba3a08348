"""Declared parameters of the services, and the one parser over them: names, repetition, numbers, times, choices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from desdm.errors import UsageError
from desdm.numbers import finite_number

__all__ = ["NO_PARAMETERS", "Kind", "Parameter", "ParameterSet", "Values", "parse_real", "parse_time"]

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
#: A parsed value.
Value = str | int | float | datetime


class Kind(StrEnum):
    """Kind of the values of a parameter."""

    TEXT = "text"
    WHOLE = "whole number"
    REAL = "number"
    TIME = "time"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a service.

    Attributes
    ----------
    name
        Name as documents and messages spell it; requests may use any case (DALI 1.1, section 2.3).
    kind
        Kind of its values.
    text
        What it is, for documents and for the message of a request that lacks it.
    unit
        Unit of a number.
    many
        Whether it may have several values. Otherwise it may be repeated with the same value only, and a blank value is as
        an absent one.
    required
        Whether a request without it is refused.
    default
        Value of a request without it; empty: none, or as the text says.
    choices
        Accepted texts in any case; empty: any text.
    least, most
        Smallest and largest number.
    exclusive
        Whether ``least`` itself is refused.
    example
        A value that works, for documents and tests.
    """

    name: str
    kind: Kind
    text: str
    unit: str = ""
    many: bool = False
    required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    exclusive: bool = False
    example: str = ""

    def parse(self, text: str) -> Value:
        """Return a value as its kind.

        Raises
        ------
        UsageError
            The text is not of the kind, out of bounds, or none of the choices.
        """
        match self.kind:
            case Kind.WHOLE:
                return _parse_whole(self.name, text)
            case Kind.REAL:
                value = parse_real(self.name, text, self.least, self.most, self.unit)
                if self.exclusive and value == self.least:
                    unit = f" ({self.unit})" if self.unit else ""
                    raise UsageError(
                        f"{self.name}={text[:40]}: a number above {self.least:g} is wanted{unit}"
                    )
                return value
            case Kind.TIME:
                return parse_time(self.name, text)
            case Kind.FLAG:
                flag = _FLAGS.get(text.strip().lower())
                if flag is None:
                    raise UsageError(f"{self.name}={text[:20]}: 1 or 0 is wanted")
                return flag
            case Kind.TEXT:
                return self._choice(text) if self.choices else text

    def _choice(self, text: str) -> str:
        """Return a choice in its own spelling."""
        wanted = text.strip().lower()
        for choice in self.choices:
            if choice.lower() == wanted:
                return choice
        *others, last = self.choices
        names = f"{', '.join(others)} or {last}" if others else last
        raise UsageError(f"{self.name}={text[:40]}: {names} is wanted")


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """The parameters of an endpoint, and their parser.

    Attributes
    ----------
    parameters
        The parameters, in the order of documents; the first fault in this order is reported.
    strict
        Whether other parameters are refused. Services of the IVOA ignore them (DALI 1.1, section 2.3).
    """

    parameters: tuple[Parameter, ...] = ()
    strict: bool = False
    by_key: Mapping[str, Parameter] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Frozen: it follows from the parameters.
        object.__setattr__(self, "by_key", {p.name.upper(): p for p in self.parameters})

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __add__(self, other: ParameterSet) -> ParameterSet:
        return ParameterSet(self.parameters + other.parameters, self.strict or other.strict)

    def without(self, *names: str) -> ParameterSet:
        """Return the set without some parameters."""
        return ParameterSet(tuple(p for p in self.parameters if p.name not in names), self.strict)

    def read(self, pairs: Iterable[tuple[str, str]]) -> Values:
        """Parse the parameters of a request.

        Parameters
        ----------
        pairs
            (name in capitals, value) in the order of the request.

        Returns
        -------
        Values
            The values.

        Raises
        ------
        UsageError
            A parameter is unknown (strict sets), missing, repeated with another value, or not of its kind. The message
            names it.
        """
        texts: dict[str, list[str]] = {}
        for key, value in pairs:
            if key in self.by_key:
                texts.setdefault(key, []).append(value)
            elif self.strict:
                known = ", ".join(p.name for p in self.parameters)
                raise UsageError(f"unknown parameter {key[:40]}; known: {known}")
        parsed: dict[str, Value] = {}
        for key, parameter in self.by_key.items():
            present = [text for text in texts.get(key, ()) if text.strip()]
            if not present:
                if parameter.required:
                    raise UsageError(f"{parameter.name} is missing: {parameter.text}")
                continue
            if not parameter.many and len(set(present)) > 1:
                raise UsageError(f"{parameter.name} has {len(set(present))} different values; give it once")
            for text in present:
                parsed[key] = parameter.parse(text)
        return Values(self, texts, parsed)


NO_PARAMETERS = ParameterSet()


@dataclass(frozen=True, slots=True)
class Values:
    """Parsed parameters of one request.

    Each method takes the name in capitals, of a parameter that is declared with the kind that the method returns.
    """

    declared: ParameterSet
    _texts: Mapping[str, Sequence[str]]
    _parsed: Mapping[str, Value]

    def _declared(self, key: str, kind: Kind) -> Parameter:
        """Return the declaration of a parameter, which must have the kind."""
        parameter = self.declared.by_key[key]
        assert parameter.kind is kind, f"{key} is declared as {parameter.kind}"
        return parameter

    def has(self, key: str) -> bool:
        """Whether the request has the parameter, with a value that is not blank."""
        assert key in self.declared.by_key, key
        return key in self._parsed

    def text(self, key: str) -> str:
        """Return a text, or a choice in its own spelling; the default for an absent parameter."""
        parameter = self._declared(key, Kind.TEXT)
        value = self._parsed.get(key)
        return value if isinstance(value, str) else parameter.default

    def texts(self, key: str) -> list[str]:
        """Return all values of a text as the request has them, blank ones too; choices in their own spelling."""
        parameter = self._declared(key, Kind.TEXT)
        given = self._texts.get(key, ())
        return [str(parameter.parse(text)) for text in given if not parameter.choices or text.strip()]

    def whole(self, key: str) -> int | None:
        """Return a whole number that is not negative; None for an absent parameter."""
        self._declared(key, Kind.WHOLE)
        value = self._parsed.get(key)
        return value if isinstance(value, int) else None

    def real(self, key: str) -> float | None:
        """Return a finite number; the default for an absent parameter, None without one."""
        parameter = self._declared(key, Kind.REAL)
        value = self._parsed.get(key)
        if isinstance(value, float):
            return value
        return float(parameter.default) if parameter.default else None

    def required_real(self, key: str) -> float:
        """Return a number that is required or has a default."""
        value = self.real(key)
        assert value is not None, f"{key} is declared neither as required nor with a default"
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a flag; the default for an absent parameter."""
        self._declared(key, Kind.FLAG)
        value = self._parsed.get(key)
        return value if isinstance(value, bool) else default

    def time(self, key: str) -> datetime | None:
        """Return a time in UTC, without zone; None for an absent parameter."""
        self._declared(key, Kind.TIME)
        value = self._parsed.get(key)
        return value if isinstance(value, datetime) else None


def parse_real(
    name: str, text: str, least: float = -math.inf, most: float = math.inf, unit: str = ""
) -> float:
    """Parse a finite number within bounds.

    Parameters
    ----------
    name
        Parameter name, for the error message.
    text
        Value as the client sent it.
    least, most
        Smallest and largest accepted value.
    unit
        Unit, for the error message.

    Returns
    -------
    float
        The number.

    Raises
    ------
    UsageError
        The text is not a number, not finite (nan, inf, 1e400), or out of bounds.
    """
    try:
        value = finite_number(text)
    except ValueError as err:
        wanted = f"a number is wanted (finite{f', {unit}' if unit else ''})"
        raise UsageError(f"{name}={text[:40]}: {wanted}") from err
    if not least <= value <= most:
        bounds = f"from {least:g} to {most:g}"
        if not (math.isfinite(least) and math.isfinite(most)):
            bounds = f"of at least {least:g}" if math.isfinite(least) else f"of at most {most:g}"
        raise UsageError(f"{name}={text[:40]}: a number {bounds} is wanted{f' ({unit})' if unit else ''}")
    return value


def parse_time(name: str, text: str) -> datetime:
    """Parse an ISO 8601 time; return it in UTC, without zone.

    Raises
    ------
    UsageError
        The text is not an ISO 8601 time, or its year is not between 1900 and 9000.
    """
    try:
        when = datetime.fromisoformat(text.strip())
        when = when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    except (ValueError, OverflowError) as err:
        raise UsageError(f"{name}={text[:40]}: a time like 2026-01-31T12:00:00Z is wanted") from err
    if not 1900 <= when.year <= 9000:
        raise UsageError(f"{name}={text[:40]}: a year between 1900 and 9000 is wanted")
    return when


def _parse_whole(name: str, text: str) -> int:
    """Parse a whole number that is not negative."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit():
        raise UsageError(f"{name}={text[:40]}: a whole number that is not negative is wanted")
    if len(digits) > 18:
        raise UsageError(f"{name}={text[:40]}: a whole number of at most 18 digits is wanted")
    return int(digits)
