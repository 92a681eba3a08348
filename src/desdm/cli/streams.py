"""Standard output and error: a reader that goes away ends no command, and signs that an encoding lacks have a fallback."""

from __future__ import annotations

import codecs
import errno
import io
import os
import stat
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """Python 3.11 has no typing.override, and importing its stand-in costs what --help may not."""
        return method


__all__ = ["finish_output", "prepare_streams"]

#: Signs of the texts that are no ASCII, for terminals and files that cannot hold them.
_ASCII = {
    "…": "...",
    "←": "<-",
    "→": "->",
    "–": "-",
    "—": "-",
    "×": "x",
    "²": "2",
    "°": "deg",
    "′": "'",
    "″": '"',
    "σ": "sigma",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "µ": "u",
    "μ": "u",
    "·": ".",
    "├": "|",
    "└": "`",
    "│": "|",
    "─": "-",
    "•": "*",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "Δ": "d",
    "√": "sqrt",
    "−": "-",
}


def prepare_streams() -> None:
    """Make standard output and error safe to write to, whatever reads them; call it before anything is written."""
    codecs.register_error("desdm.legible", _legible)
    _open_closed()
    sys.stdout, sys.stderr = _wrapped(sys.stdout), _wrapped(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="desdm.legible")


class _Output(io.FileIO):
    """A standard stream that discards what is written after its reader went away, as ``head`` does.

    A command that acts must finish its work and end with its own status, whether or not its progress is read.
    """

    @override
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as err:
            if not self._reader_gone(err):
                raise
        _discard(self.fileno())
        return memoryview(data).nbytes

    def _reader_gone(self, err: OSError) -> bool:
        """Tell whether the reader of the pipe ended, or the terminal was closed."""
        if err.errno == errno.EIO:
            return stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
        return err.errno == errno.EPIPE


def finish_output() -> None:
    """Write what is left; what cannot be written (a full disk) is discarded, so that the interpreter ends quietly."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream.fileno())


def _discard(number: int) -> None:
    """Redirect a stream to nowhere by its number: programs that we start write to that too."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def _wrapped(stream: TextIO) -> TextIO:
    """Return a stream over `_Output`; a stream that is not the process's own is returned unchanged."""
    binary = getattr(stream, "buffer", None)
    raw = getattr(binary, "raw", binary)
    if (
        not isinstance(stream, io.TextIOWrapper)
        or not isinstance(raw, io.FileIO)
        or raw.fileno() not in (1, 2)
    ):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(raw.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_closed() -> None:
    """Open standard streams that were closed (``2>&-``): the next file to be opened would get their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _legible(error: UnicodeError) -> tuple[str, int]:
    """Replace signs that the encoding of a stream lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # A byte of a file name that is no UTF-8 (a lone surrogate) and any other sign become a question mark.
    return "".join(_ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
