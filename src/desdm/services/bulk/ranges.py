"""Which bytes a ``Range`` header asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

__all__ = ["MOST", "Span", "Unsatisfiable", "parse"]

#: The most ranges that one request may ask for; with more, the header is ignored (RFC 9110, 14.2 allows it).
MOST = 200
#: Twenty digits hold every size there is; longer numbers are no numbers of bytes.
_SPEC = re.compile(r"(\d{0,20})-(\d{0,20})")


class Span(NamedTuple):
    """Bytes from ``start`` up to but not including ``stop``."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """No range asked for lies within the file: status 416."""


def parse(header: str | None, size: int) -> list[Span] | None:
    """The bytes asked for, or None for all of them.

    Ranges come back in the order asked; where some overlap they are joined and come in the file's order, so
    that an answer is never longer than the file and its frames.

    Parameters
    ----------
    header
        Value of ``Range``, or None.
    size
        Bytes of the file.

    Returns
    -------
    list of Span or None
        None when there is no header, its unit is not ``bytes``, it cannot be understood, or it has more than
        `MOST` ranges: the whole file is the right answer then (RFC 9110, 14.2).

    Raises
    ------
    Unsatisfiable
        If every range begins beyond the file's end.
    """
    if header is None:
        return None
    unit, equals, spec = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    parts = [part for part in (piece.strip(" \t") for piece in spec.split(",")) if part]
    if not parts or len(parts) > MOST:
        return None
    spans: list[Span] = []
    for part in parts:
        found = _SPEC.fullmatch(part)
        if found is None or part == "-":
            return None
        first, last = found.groups()
        if first and last and int(last) < int(first):
            return None
        span = Span(max(0, size - int(last)), size) if not first else _from(int(first), last, size)
        if span.start < span.stop:
            spans.append(span)
    if not spans:
        raise Unsatisfiable
    return _joined(spans)


def _from(start: int, last: str, size: int) -> Span:
    return Span(start, min(int(last) + 1, size) if last else size)


def _joined(spans: list[Span]) -> list[Span]:
    ordered = sorted(spans)
    if all(a.stop <= b.start for a, b in pairwise(ordered)):
        return spans
    joined = [ordered[0]]
    for span in ordered[1:]:
        if span.start <= joined[-1].stop:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return joined
