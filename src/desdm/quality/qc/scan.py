"""Read a log while it is written and give its messages; the answer does not depend on how the bytes arrive."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from desdm.errors import UsageError
from desdm.quality.qc.matcher import MAX_LINE, Matcher
from desdm.quality.qc.patterns import GLOBAL, MAX_CAPTURED_LINES, Action, Level, Pattern

__all__ = ["MAX_TEXT", "Message", "Scanner", "replay"]

MAX_TEXT = 4000
"""Characters of a message that are stored: the width of ``task_message.message``."""

_BLOCK = 32_768
#: What ends a line besides a line feed: carriage return and backspace, after which a terminal writes anew, and the line
#: tabulation and form feed, which go to another line (ECMA-48, 8.3).
_ENDS = (b"\r", b"\b", b"\v", b"\f")
_LINE_ENDS = bytes.maketrans(b"".join(_ENDS), b"\n" * len(_ENDS))
#: Colours and other escape sequences of terminals, by their kind in ECMA-35 and ECMA-48: control sequences (also with
#: the one character CSI), operating system commands, other control strings, sequences with and without intermediate
#: bytes; further the character NEL and the byte order mark, both in UTF-8.
_ESCAPE = re.compile(
    rb"(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*([@-~])"
    rb"|\x1b\][^\x07\x1b\n\r\b]*(?:\x07|\x1b\\)"
    rb"|\x1b[PX^_][^\x1b\n\r\b]*\x1b\\"
    rb"|\x1b[ -/]+[0-~]"
    rb"|\x1b([0-~])"
    rb"|(\xc2\x85)"
    rb"|\xef\xbb\xbf"
)
#: First bytes of what `_ESCAPE` matches: single bytes, which are found thirty times as fast as sequences.
_ESCAPE_MARKS = (b"\x1b", b"\xc2", b"\xef")
#: Final bytes of the control sequences that move the cursor back or to another line, or clear the screen.
_MOVES = frozenset({b"A", b"B", b"D", b"E", b"F", b"G", b"H", b"J", b"`", b"d", b"e", b"f", b"u"})
#: Sequences of two bytes that do: restore the cursor, reset, index, next line, reverse index.
_SHORT_MOVES = frozenset({b"8", b"c", b"D", b"E", b"M"})
#: Final bytes of the control sequences that move the cursor to the right, which leaves a gap.
_GAPS = frozenset({b"C", b"a"})
#: Begins a further piece of a long line, so that no pattern takes it for the beginning of a line.
_GOES_ON = "…".encode()
#: Bytes that pieces share, so that what stands across a cut is matched.
_OVERLAP = 2048
_TIME = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T\s]+(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?")
_TRACEBACK = "Traceback (most recent call last)"
#: Begins the traceback of an exception group (Python 3.11); all its lines are indented, and this one ends it.
_GROUP = re.compile(r"(\s*)\+ Exception Group Traceback")
_GROUP_ENDS = re.compile(r"(\s*)  \+-+")


@dataclass(frozen=True, slots=True)
class Message:
    """Match of a pattern in a log.

    Attributes
    ----------
    level, pattern, action
        Of the pattern that matched, by name.
    line
        Where it begins, from 1, counted from the first byte that the scanner was fed.
    text
        The line or lines, at most ``MAX_TEXT`` characters; bytes that are not UTF-8 become �.
    time
        The time that the line says, as it says it (DESDM's logs say UTC); None if it says none.
    """

    level: Level
    pattern: str
    action: Action
    line: int
    text: str
    time: datetime | None = None


class _Capture:
    """A message whose further lines are still to come."""

    def __init__(self, pattern: Pattern, line: int, first: str) -> None:
        self.pattern, self.line = pattern, line
        self.lines = [first]
        self.size = len(first)
        self.grows = _TRACEBACK in first and "traceback" in pattern.pattern.lower()
        group = _GROUP.match(first)
        self.group = group[1] if group else None
        # DESDM's rule: a line that ends in a colon announces one more.
        announced = pattern.action is not Action.STOP and first.endswith(":")
        self.missing = pattern.number_of_lines - 1 + announced
        self.taken = 1

    @property
    def is_open(self) -> bool:
        """Whether the message may still grow."""
        return self.taken < MAX_CAPTURED_LINES and (self.grows or self.missing > 0)

    def take(self, line: str) -> None:
        """Add a line; a traceback ends with the first line that is not indented, or with the frame of its group."""
        self.taken += 1
        if self.grows:
            ends = _GROUP_ENDS.fullmatch(line) if self.group is not None else None
            if (line and not line[0].isspace()) or (ends and ends[1] == self.group):
                self.grows, self.missing = False, 0
        else:
            self.missing -= 1
        if self.size < MAX_TEXT or not self.is_open:
            self.lines.append(line)
            self.size += len(line) + 1

    def message(self) -> Message:
        """Return the message of the captured lines, cut to the largest length."""
        text = "\n".join(self.lines)
        if len(text) > MAX_TEXT:
            # The last line of a traceback says most: the middle gives way.
            last = self.lines[-1][:500] if len(self.lines) > 1 else ""
            text = text[: MAX_TEXT - len(last) - 2] + "…\n" + last if last else text[: MAX_TEXT - 1] + "…"
        return _message(self.pattern, self.line, text, self.lines[0])


class Scanner:
    """Finds the messages of one program in the bytes of its log.

    Parameters
    ----------
    matcher
        The compiled patterns; may be shared.
    execname
        The program, or several separated by commas; the global patterns hold besides its own.
    """

    def __init__(self, matcher: Matcher, execname: str = GLOBAL) -> None:
        self._patterns = matcher.patterns
        self._matcher = matcher
        self._selection = matcher.select(execname)
        self._tail = bytearray()
        self._line = 0
        #: pattern and line of the last match
        self._last = (-1, 0)
        self._capture: _Capture | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes of the log, cut anywhere, and give the messages that are now complete."""
        messages: list[Message] = []
        if self._tail:
            data = bytes(self._tail) + data
        # A carriage return at the very end may be half of a line end.
        last = len(data) - data.endswith(b"\r")
        ends = (data.rfind(one) for one in (b"\n", b"\b", b"\v", b"\f"))
        end = max(data.rfind(b"\r", 0, last), *ends) + 1
        start = 0
        while start < end:
            stop = end if end - start <= _BLOCK else _cut(data, start, end)
            messages += self._block(data[start:stop])
            start = stop
        rest = data[end:]
        if len(rest) - rest.endswith(b"\r") > MAX_LINE:
            pieces, rest = _pieces(rest)
            for piece in pieces:
                messages += self._block(piece)
        self._tail = bytearray(rest)
        return messages

    def close(self) -> list[Message]:
        """End the log: its last line may lack a line end, and a message may lack lines."""
        messages: list[Message] = []
        if self._tail:
            messages += self._block(bytes(self._tail) + b"\n")
            self._tail.clear()
        if self._capture is not None:
            messages.append(self._capture.message())
            self._capture = None
        return messages

    def _block(self, block: bytes) -> list[Message]:
        """Scan whole lines; what stands after a carriage return or a backspace is a line of its own."""
        if b"\r\n" in block:
            block = block.replace(b"\r\n", b"\n")
        block = _with_short_lines(block)
        if any(mark in block for mark in _ESCAPE_MARKS):
            block = _ESCAPE.sub(_replacement_of, block)
        for text, put in self._selection.filters:
            block = block.replace(text, put)
        # Of the same length, so that lines are counted where the log has them.
        lines = block.translate(_LINE_ENDS) if any(end in block for end in _ENDS) else block
        messages: list[Message] = []
        at, counted, line = 0, 0, self._line + 1
        for start, end, number in self._selection.hits(lines):
            at = self._complete(lines, at, start, messages)
            line += block.count(b"\n", counted, start)
            counted = start
            if self._was_matched(number, line, lines[start:end]):
                continue
            if self._capture is not None and not self._breaks(number):
                self._take(lines[start:end], messages)
            else:
                if self._capture is not None:
                    messages.append(self._capture.message())
                self._open(number, line, lines[start:end], messages)
            at = end + 1
        self._complete(lines, at, len(lines), messages)
        self._line += block.count(b"\n")
        return messages

    def _was_matched(self, number: int, line: int, text: bytes) -> bool:
        """Whether a match in the piece of a long line was matched in the piece before, which it overlaps."""
        before, self._last = self._last, (number, line)
        if before != (number, line) or not text.startswith(_GOES_ON):
            return False
        span = self._matcher.span(number, text)
        return span is not None and span[1] <= len(_GOES_ON) + _OVERLAP

    def _complete(self, block: bytes, at: int, until: int, messages: list[Message]) -> int:
        """Hand lines to the open message until it is complete; give where it stands then."""
        while self._capture is not None and at < until:
            end = block.find(b"\n", at, until)
            self._take(block[at:end], messages)
            at = end + 1
        return at

    def _breaks(self, number: int) -> bool:
        """Tell whether a new match ends the message that is being captured."""
        # What is worse than the open message must not drown in it.
        assert self._capture is not None
        new = self._patterns[number]
        return new.level < self._capture.pattern.level or new.action is Action.STOP

    def _take(self, line: bytes, messages: list[Message]) -> None:
        """Add a line to the message that is being captured; append the message if it is complete."""
        assert self._capture is not None
        self._capture.take(_text(line))
        if not self._capture.is_open:
            messages.append(self._capture.message())
            self._capture = None

    def _open(self, number: int, line: int, raw: bytes, messages: list[Message]) -> None:
        """Start the message of a matched line; append it at once if it is that line's match alone."""
        pattern = self._patterns[number]
        self._capture = None
        if pattern.only_matched:
            span = self._matcher.span(number, raw)
            part = raw if span is None else raw[span[0] : span[1]]
            messages.append(_message(pattern, line, _shortened(_text(part)), _text(raw)))
            return
        if len(raw) > MAX_TEXT:
            # Of a long line that part is stored in which the match stands.
            span = self._matcher.span(number, raw)
            begin = 0 if span is None else max(0, min(span[0] - MAX_TEXT // 2, len(raw) - MAX_TEXT + 4))
            raw = _GOES_ON + raw[begin:].removeprefix(_GOES_ON) if begin else raw
        capture = _Capture(pattern, line, _text(raw))
        if capture.is_open:
            self._capture = capture
        else:
            messages.append(capture.message())


def replay(
    matcher: Matcher, path: str | os.PathLike[str], execname: str = GLOBAL, *, chunk: int = 1 << 20
) -> Iterator[Message]:
    """Give the messages of a log that is already written: the same as a live scanner gave.

    Parameters
    ----------
    matcher
        Compiled patterns.
    path
        Path of the log.
    execname
        Name of the program whose patterns apply.
    chunk
        Bytes to read at once.

    Raises
    ------
    UsageError
        The log cannot be read.
    """
    scanner = Scanner(matcher, execname)
    try:
        with Path(path).open("rb") as log:
            while data := log.read(chunk):
                yield from scanner.feed(data)
    except OSError as err:
        raise UsageError(f"log {os.fspath(path)} cannot be read: {err.strerror or err}") from err
    yield from scanner.close()


def _cut(data: bytes, start: int, end: int) -> int:
    """Where a block of whole lines ends: at a line end of any kind, never within one."""
    limit = start + _BLOCK
    stop = max(data.rfind(b"\n", start, limit), data.rfind(b"\r", start, limit)) + 1
    if not stop:
        ends = (data.find(b"\n", limit, end), data.find(b"\r", limit, end))
        stop = min((one for one in ends if one >= 0), default=end - 1) + 1
    return stop + (data[stop - 1 : stop + 1] == b"\r\n")


def _pieces(line: bytes) -> tuple[list[bytes], bytes]:
    """The pieces of a long line, each ending as a line, and what is left of it."""
    pieces, at, prefix = [], 0, b""
    size = len(line) - line.endswith(b"\r")
    while size - at + len(prefix) > MAX_LINE:
        take = MAX_LINE - len(prefix)
        pieces.append(prefix + line[at : at + take] + b"\r")
        at, prefix = at + take - _OVERLAP, _GOES_ON
    return pieces, prefix + line[at:]


def _with_short_lines(block: bytes) -> bytes:
    """Cut lines longer than ``MAX_LINE`` bytes into pieces that overlap, each a line of its own."""
    at, pieces, start = 0, [], 0
    lines = block
    while len(block) - at > MAX_LINE:
        end = lines.rfind(b"\n", at, at + MAX_LINE + 1)
        if end < 0 and lines is block and any(mark in block for mark in _ENDS):
            lines = block.translate(_LINE_ENDS)
            continue
        if end < 0:
            end = lines.find(b"\n", at)
            end = len(block) if end < 0 else end
            pieces.append(block[start:at])
            long, rest = _pieces(block[at:end])
            pieces += [*long, rest]
            start = end
        at = end + 1
    if not pieces:
        return block
    pieces.append(block[start:])
    return b"".join(pieces)


def _replacement_of(escape: re.Match[bytes]) -> bytes:
    """Return what stands for an escape sequence: a line end, a gap, or nothing."""
    final, short, next_line = escape.groups()
    if final in _MOVES or short in _SHORT_MOVES or next_line:
        return b"\r"
    return b" " if final in _GAPS else b""


def _text(raw: bytes) -> str:
    """Decode bytes of a log, with replacement of what is not UTF-8."""
    # PostgreSQL keeps no NUL in text.
    return raw.decode("utf-8", "replace").replace("\0", "�").rstrip()


def _shortened(text: str) -> str:
    """Shorten a text to the width of the message's column."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _message(pattern: Pattern, line: int, text: str, raw: str) -> Message:
    """Return the message of a matched line."""
    return Message(pattern.level, pattern.name, pattern.action, line, text, _time(raw))


def _time(text: str) -> datetime | None:
    """Return the time stamp in a line, or None."""
    match = _TIME.search(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        return datetime(year, month, day, hour, minute, second, int((match[7] or "0").ljust(6, "0")))
    except ValueError:
        return None
