"""A file-name or path pattern, compiled once and filled many thousand times."""

from __future__ import annotations

import re
from collections.abc import Mapping

from desdm.errors import WCLError

__all__ = ["Template"]

_REFERENCE = re.compile(r"\$(opt)?\{([^${}:]+)(?::(\d{1,2}))?\}", re.IGNORECASE)


class Template:
    """A text with plain ``${v}``, ``${v:N}`` and ``$opt{v}``, ready to be filled.

    Values are put in as they are: nothing in them is replaced. What nests or calls (``${a_${b}}``,
    ``$HEAD{}``) needs a ``Resolver``.

    Attributes
    ----------
    text
        The pattern as written.
    names
        The variables in the order in which they first stand, lower-cased, the optional ones too.
    optional
        Those that may be missing everywhere they stand.

    Raises
    ------
    WCLError
        The text holds more than plain references.
    """

    __slots__ = ("_checked", "_fields", "_format", "names", "optional", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        form: list[str] = []
        fields: list[tuple[str, str, bool]] = []
        at = 0
        for match in _REFERENCE.finditer(text):
            form += [_literal(text[at : match.start()], text), "%s"]
            fields.append((match[2].strip().lower(), match[3] or "", match[1] is not None))
            at = match.end()
        form.append(_literal(text[at:], text))
        self._format, self._fields = "".join(form), tuple(fields)
        self._checked = any(width or opt for _, width, opt in fields)
        self.names = tuple(dict.fromkeys(name for name, _, _ in fields))
        needed = {name for name, _, opt in fields if not opt}
        self.optional = tuple(name for name in self.names if name not in needed)

    def fill(self, values: Mapping[str, object]) -> str:
        """Put the values in.

        Raises
        ------
        WCLError
            A value is missing, or no integer where it is to be padded.
        """
        try:
            if not self._checked:
                return self._format % tuple([values[name] for name, _, _ in self._fields])
            return self._format % tuple(
                [
                    ("" if (value := values.get(name)) is None else _padded(value, width))
                    if opt
                    else _padded(values[name], width)
                    for name, width, opt in self._fields
                ]
            )
        except KeyError as err:
            raise WCLError(f"no value for ${{{err.args[0]}}} in {self.text}") from None
        except ValueError as err:
            raise WCLError(f"{self.text}: a padded value is not an integer ({err})") from None


def _padded(value: object, width: str) -> object:
    """Return an integer with at least ``width`` digits, any value unchanged without a width."""
    if not width:
        return value
    number = value if isinstance(value, int) else int(str(value))
    return f"{number:0{width}d}"


def _literal(piece: str, text: str) -> str:
    """Return text between references for a ``%`` format; raise if it holds another kind of reference."""
    if "${" in piece or re.search(r"\$\w+\{", piece):
        raise WCLError(
            f"{text}: only ${{name}}, ${{name:N}} and $opt{{name}} can be compiled; use a Resolver"
        )
    return piece.replace("%", "%%")
