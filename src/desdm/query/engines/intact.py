"""Checks the files of a release's tables against their recorded digests before an engine takes rows from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from desdm.archive.publish import digest
from desdm.errors import CorruptFile, storage_error
from desdm.release.model import ReleaseFile, ReleaseTable

__all__ = ["require_intact"]


def require_intact(
    release: str, tables: Sequence[ReleaseTable], root: Path, files: Sequence[ReleaseFile]
) -> None:
    """Require that each Parquet file of the tables is there and has the bytes that were published.

    Parameters
    ----------
    release
        Name of the release.
    tables
        Its tables.
    root
        Directory of the release.
    files
        Recorded files of the release. None at all: it is not published yet, and nothing is recorded.

    Raises
    ------
    CorruptFile
        A file is missing, is no regular file, differs from its record, or has none.
    StorageUnavailable
        A file cannot be read.
    """
    if not files:
        return
    folders = tuple(f"{table.path.rstrip('/')}/" for table in tables)
    recorded = {f.path: f for f in files if f.path.startswith(folders) and f.path.endswith(".parquet")}
    found = {
        str(path.relative_to(root)) for table in tables for path in (root / table.path).rglob("*.parquet")
    }
    advice = f"run: desdm release verify {release}"
    for name in sorted(found - set(recorded)):
        raise CorruptFile(f"{release}: {name} is not of the release; {advice}")
    for name, file in sorted(recorded.items()):
        path = root / name
        if not path.is_file():
            raise CorruptFile(f"{release}: {name} is missing or no regular file; {advice}")
        try:
            sha256, size = digest(path)
        except OSError as err:
            raise storage_error(err, path) from err
        if (sha256, size) != (file.sha256, file.filesize):
            raise CorruptFile(f"{release}: {name} is damaged, its digest is not the recorded one; {advice}")
