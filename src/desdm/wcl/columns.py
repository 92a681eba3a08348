"""The ``columns`` of a list: the values of a line, and their formats."""

from __future__ import annotations

import re
from typing import NamedTuple

from desdm.errors import WCLError

__all__ = ["Column", "columns"]

_COLUMN = re.compile(r"\$FMT\{\s*([^,{}]+?)\s*,\s*([^\s,{}]+)\s*\}|([^,\s]+)", re.IGNORECASE)
_FORMAT = re.compile(r"[^%]*%[-+ 0#]*\d{0,3}(?:\.\d{1,2})?([diouxXeEfFgGs])[^%]*")


class Column(NamedTuple):
    """One column: the dotted name of its value, and its %-format if it has one."""

    name: str
    format: str | None

    def text(self, value: object) -> str:
        """Write a value as this column wants it.

        Raises
        ------
        WCLError
            The value does not fit the format.
        """
        if self.format is None:
            return str(value)
        match = _FORMAT.fullmatch(self.format)
        if match is None:
            raise WCLError(f"$FMT{{{self.format},{self.name}}}: not a %-format of one value")
        try:
            fitting: object = value
            if match[1] in "diouxX":
                fitting = int(str(value))
            elif match[1] != "s":
                fitting = float(str(value))
            return self.format % fitting
        except ValueError as err:
            raise WCLError(f"$FMT{{{self.format},{self.name}}}: {value!r} does not fit") from err


def columns(text: str) -> list[Column]:
    """Read ``red.fullname,$FMT{%7.3f,red.fwhm}`` as columns, separated by commas or blanks.

    Raises
    ------
    WCLError
        A ``$FMT{}`` is ill-formed.
    """
    names = []
    for match in _COLUMN.finditer(text):
        if match[3] is None:
            names.append(Column(match[2], match[1]))
        elif match[3].startswith("$"):
            raise WCLError(f"{match[3]} is not a column; write $FMT{{%format,name}}")
        else:
            names.append(Column(match[3], None))
    return names
