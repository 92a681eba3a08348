"""Which names and directories the archive accepts, and how a name is split from its compression suffix."""

from __future__ import annotations

from desdm.errors import FileTypeError

__all__ = ["COMPRESSIONS", "LONGEST", "check_directory", "check_name", "plain_name", "split_name"]

COMPRESSIONS = (".fz", ".gz")
#: Length of ``desfile.filename`` and ``file_archive_info.path``.
LONGEST = 160
_LONGEST_BYTES = 240


def split_name(name: str) -> tuple[str, str]:
    """(name without compression suffix, suffix or ``""``); a tarball keeps its suffix, which is its type."""
    for suffix in COMPRESSIONS:
        if name.endswith(suffix) and not name.endswith(".tar" + suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def plain_name(name: str) -> str:
    """The name without any compression suffix: a file of .fits.fz.gz is fpacked, then gzipped."""
    stem, suffix = split_name(name)
    return plain_name(stem) if suffix else name


def check_name(name: str) -> str:
    """The name, if the archive can hold a file of that name.

    Raises
    ------
    FileTypeError
        If it names another directory, hides, holds characters that do not print, or is too long.
    """
    if not name or name != name.strip() or name[0] in ".-~" or "/" in name or "\\" in name:
        raise FileTypeError(
            f"{name!r} is not a name for a file of the archive: letters, digits and ._+- please"
        )
    if not name.isprintable():
        raise FileTypeError(
            f"{name!r} is not a name for a file of the archive: it has characters that do not print"
        )
    if len(split_name(name)[0]) > LONGEST or len(name.encode()) > _LONGEST_BYTES:
        raise FileTypeError(
            f"{name[:40]!r}… is too long for the archive: {len(name)} characters, at most {LONGEST}"
        )
    return name


def check_directory(directory: str) -> str:
    """The directory, if it is a plain relative one; `FileTypeError` if it is not."""
    parts = directory.split("/") if directory else []
    for part in parts:
        if not part or part[0] in ".-~" or part != part.strip() or "\\" in part or not part.isprintable():
            raise FileTypeError(
                f"{directory!r} is not a directory of the archive: relative, without . and .."
            )
    if len(directory) > LONGEST or any(len(part.encode()) > _LONGEST_BYTES for part in parts):
        raise FileTypeError(f"directory {directory[:40]!r}… is too long: at most {LONGEST} characters")
    return directory
