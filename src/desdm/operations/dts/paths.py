"""Paths of delivered files: as text that a database can hold, and what may be opened at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import IO

__all__ = [
    "LONGEST_NAME",
    "NotRegularFile",
    "is_fits_name",
    "name_refusal",
    "open_regular",
    "path_of",
    "path_text",
    "printable",
    "stored_name",
]

#: Characters of a file's name that a delivery holds.
LONGEST_NAME = 160
_BYTE = re.compile(r"\\x([0-9a-f]{2})")
_FITS = re.compile(r"\.fits?(\.\w+)?$", re.IGNORECASE)
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class NotRegularFile(Exception):
    """What lies at a path is not a regular file, and was not opened; the text says why in words."""


def path_text(path: Path | str) -> str:
    r"""Return a path as UTF-8 text: bytes that are not become ``\xff``; `path_of` is its inverse."""
    text = _BYTE.sub(lambda match: rf"\x5cx{match[1]}", str(path))
    return "".join(rf"\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)


def path_of(text: str) -> Path:
    """Return the path of a text of `path_text`."""
    if "\\x" not in text:
        return Path(text)
    return Path(os.fsdecode(_BYTE.sub(_character, text).encode("utf-8", "surrogateescape")))


def _character(match: re.Match[str]) -> str:
    """Return the character of an escaped byte: that of ASCII, or Python's sign for a byte that is not UTF-8."""
    byte = int(match[1], 16)
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)


def printable(text: str) -> str:
    r"""Return a text in one line: control characters, and those that turn the writing, as ``\x1b``, ``\u202e``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def stored_name(path: Path) -> str:
    """Return the name under which a delivery is entered and its file put aside: one that can be written anywhere."""
    name = path_text(path.name)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    ending = _FITS.search(name)
    tail = f"~{digest}{ending[0] if ending else ''}"
    return name.encode()[: LONGEST_NAME - len(tail)].decode(errors="ignore") + tail


def name_refusal(path: Path) -> str:
    """Return why a file cannot be taken under its name; empty: it can."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return f"its name is not UTF-8 text: {path_text(path.name)}; it must be sent under another name"
    if len(path.name.encode()) > LONGEST_NAME:
        return f"its name has more than {LONGEST_NAME} bytes; it must be sent under another name"
    return ""


def is_fits_name(name: str) -> bool:
    """Whether a name is that of a FITS file."""
    return _FITS.search(name) is not None


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file to read it; anything else is not opened, and nothing is waited for.

    Raises
    ------
    NotRegularFile
        It is a symbolic link, a directory, a named pipe, a socket or a device.
    OSError
        It cannot be opened.
    """
    _require_regular(path.lstat().st_mode)
    try:
        # It may have been replaced since.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as err:
        if err.errno == errno.ELOOP:
            _require_regular(stat.S_IFLNK)
        raise
    file = os.fdopen(fd, "rb")
    try:
        _require_regular(os.fstat(fd).st_mode)
    except NotRegularFile:
        file.close()
        raise
    return file


def _require_regular(mode: int) -> None:
    """Raise an error unless a mode is that of a regular file."""
    if stat.S_ISREG(mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "of an unknown kind")
    raise NotRegularFile(f"it is {kind}, which is not opened; only regular files are taken")
