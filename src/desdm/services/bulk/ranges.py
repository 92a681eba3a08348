"""Parser of the ``Range`` header (RFC 9110, section 14)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

__all__ = ["MOST", "Span", "Unsatisfiable", "parse"]

#: The most ranges that one request may ask for; with more, the header is ignored (RFC 9110, 14.2 allows it).
MOST = 200
#: Twenty digits are enough for any size; longer numbers are invalid.
_SPEC = re.compile(r"(\d{0,20})-(\d{0,20})")


class Span(NamedTuple):
    """Bytes from ``start`` up to but not including ``stop``."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """No requested range lies within the file: status 416."""


def parse(header: str | None, size: int) -> list[Span] | None:
    """Return the requested bytes, or None for all of them.

    Ranges are in the order of the request; overlapping ranges are merged, in the order of the file, so that a response
    is never longer than the file and its part headers.

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
        match = _SPEC.fullmatch(part)
        if match is None or part == "-":
            return None
        first, last = match.groups()
        if first and last and int(last) < int(first):
            return None
        span = Span(max(0, size - int(last)), size) if not first else _open_span(int(first), last, size)
        if span.start < span.stop:
            spans.append(span)
    if not spans:
        raise Unsatisfiable
    return _join(spans)


def _open_span(start: int, last: str, size: int) -> Span:
    """Return the span from a start to an optional last byte, within the file."""
    return Span(start, min(int(last) + 1, size) if last else size)


def _join(spans: list[Span]) -> list[Span]:
    """Merge overlapping spans; without any, return them unchanged."""
    ordered = sorted(spans)
    if all(a.stop <= b.start for a, b in pairwise(ordered)):
        return spans
    merged = [ordered[0]]
    for span in ordered[1:]:
        if span.start <= merged[-1].stop:
            merged[-1] = Span(merged[-1].start, max(merged[-1].stop, span.stop))
        else:
            merged.append(span)
    return merged
