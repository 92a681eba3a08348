"""Files of a release with size and sha-256, their manifest in two forms, and its verification."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from desdm.archive.publish import digest
from desdm.errors import FatalError, UsageError
from desdm.release.model import ReleaseFile
from desdm.release.steps import BuiltFile

__all__ = ["MANIFESTS", "Fault", "list_files", "measure", "on_disk", "verify", "write_manifest"]

#: The manifest itself, and what ``sha256sum -c`` reads.
MANIFESTS = ("manifest.json", "MANIFEST.sha256")

_MIMES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".html": "text/html",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".fits": "application/fits",
    ".fz": "application/fits",
    ".hsp": "application/fits",
    ".txt": "text/plain",
    ".reg": "text/plain",
    ".stcs": "text/plain",
    ".yaml": "application/yaml",
    ".properties": "text/plain",
    ".sha256": "text/plain",
}
#: File types by directory, for files without a build step of their own.
_TYPES = {"tables": "table", "docs": "document", "footprint": "footprint", "hips": "hips"}


class Fault(NamedTuple):
    """A file that differs from the manifest."""

    path: str
    text: str
    #: on disk, but in no list
    unlisted: bool = False


def on_disk(root: Path) -> list[str]:
    """Return the relative paths of all files of a release but its manifests and temporary files, sorted."""
    names = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            names.append("/".join(parts))
    return sorted(name for name in names if name not in MANIFESTS)


def list_files(paths: Iterable[str], filetype: str = "") -> list[BuiltFile]:
    """Describe files by their paths.

    Parameters
    ----------
    paths
        Relative paths.
    filetype
        File type; empty: by directory.

    Returns
    -------
    list of BuiltFile
        Files with type and MIME type.

    Raises
    ------
    UsageError
        A file is in a directory without a file type.
    """
    files = []
    for path in paths:
        kind = filetype or _TYPES.get(path.partition("/")[0])
        if kind is None:
            raise UsageError(f"{path} is not a file of the release: no step built it; remove it")
        files.append(BuiltFile(path, kind, _MIMES.get(Path(path).suffix, _bare(path))))
    return files


def _bare(path: str) -> str:
    """Return the MIME type of a file without a suffix."""
    return "application/vnd.apache.parquet" if path.endswith("metadata") else "text/plain"


def measure(root: Path, release: str, files: Iterable[BuiltFile]) -> list[ReleaseFile]:
    """Return the records of built files, with size and digest read from the disk.

    Parameters
    ----------
    root, release
        Directory and name of the release.
    files
        Files below the directory.

    Returns
    -------
    list of ReleaseFile
        The records, without numbers.

    Raises
    ------
    FatalError
        A file is missing.
    """
    rows = []
    for file in files:
        path = root / file.path
        if not path.is_file():
            raise FatalError(f"{file.path} is missing after the build; build the release again")
        sha256, size = digest(path)
        rows.append(ReleaseFile(id=0, release=release, filesize=size, sha256=sha256, **asdict(file)))
    return rows


def write_manifest(root: Path, release: str, files: Sequence[ReleaseFile]) -> list[ReleaseFile]:
    """Write both forms of the manifest.

    Parameters
    ----------
    root, release
        Directory and name of the release.
    files
        All files of the release but the manifests.

    Returns
    -------
    list of ReleaseFile
        The records of both manifests, that of the JSON first.
    """
    keys = ("path", "filesize", "sha256", "filetype", "mime", "tilename", "band", "source_sha256")
    ordered = sorted(files, key=lambda file: file.path)
    entries = [
        {("size" if key == "filesize" else key): getattr(file, key) for key in keys} for file in ordered
    ]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    text = f'{{"release": {json.dumps(release)}, "files": [\n' + ",\n".join(lines) + "\n]}\n"
    _put(root / MANIFESTS[0], text)
    first = measure(root, release, [BuiltFile(MANIFESTS[0], "manifest", "application/json")])
    sums = "".join(f"{file.sha256}  {file.path}\n" for file in [*ordered, *first])
    _put(root / MANIFESTS[1], sums)
    return first + measure(root, release, [BuiltFile(MANIFESTS[1], "manifest", "text/plain")])


def _put(path: Path, text: str) -> None:
    """Write a text file atomically."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def verify(root: Path, files: Sequence[ReleaseFile]) -> list[Fault]:
    """Compare every file with its record; return files that are missing, have other bytes, or are in no list."""
    faults = []
    for file in files:
        path = root / file.path
        if not path.is_file():
            faults.append(Fault(file.path, "is gone"))
        elif path.stat().st_size != file.filesize:
            faults.append(Fault(file.path, f"has {path.stat().st_size} bytes, not {file.filesize}"))
        elif digest(path)[0] != file.sha256:
            faults.append(Fault(file.path, "holds other bytes than were published"))
    paths = {file.path for file in files}
    faults += [
        Fault(path, "is in no list of the release", True) for path in on_disk(root) if path not in paths
    ]
    return faults
