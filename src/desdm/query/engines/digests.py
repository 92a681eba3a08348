"""Check of the files of a release's tables against their recorded digests, before an engine reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from desdm.archive.publish import digest
from desdm.errors import CorruptFile, storage_error
from desdm.release.model import ReleaseFile, ReleaseTable

__all__ = ["require_recorded_digests"]


def require_recorded_digests(
    release: str, tables: Sequence[ReleaseTable], root: Path, files: Sequence[ReleaseFile]
) -> None:
    """Raise unless each Parquet file of the tables exists and has its recorded digest.

    Parameters
    ----------
    release
        Name of the release.
    tables
        Its tables.
    root
        Directory of the release.
    files
        Recorded files of the release; empty for a release that is not published yet.

    Raises
    ------
    CorruptFile
        A file is missing, not a regular file, not recorded, or differs from its record.
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
        raise CorruptFile(f"{release}: {name} is not a file of the release; {advice}")
    for name, file in sorted(recorded.items()):
        path = root / name
        if not path.is_file():
            raise CorruptFile(f"{release}: {name} is missing or not a regular file; {advice}")
        try:
            sha256, size = digest(path)
        except OSError as err:
            raise storage_error(err, path) from err
        if (sha256, size) != (file.sha256, file.filesize):
            raise CorruptFile(f"{release}: {name} is damaged, its digest is not the recorded one; {advice}")
