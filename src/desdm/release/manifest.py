"""The files of a release with size and sha-256, their manifest in two forms, and the check of the one by the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from desdm.errors import FatalError, UsageError
from desdm.release.model import ReleaseFile
from desdm.release.steps import Made, digest

__all__ = ["MANIFESTS", "Fault", "listed", "measured", "on_disk", "verify", "write_manifest"]

#: The manifest itself, and what ``sha256sum -c`` reads.
MANIFESTS = ("manifest.json", "MANIFEST.sha256")

_MIMES = {
    ".parquet": "application/vnd.apache.parquet", ".csv": "text/csv", ".json": "application/json", ".md": "text/markdown",
    ".html": "text/html", ".png": "image/png", ".jpg": "image/jpeg",
    ".fits": "application/fits", ".fz": "application/fits",
    ".hsp": "application/fits", ".txt": "text/plain", ".reg": "text/plain", ".stcs": "text/plain",
    ".yaml": "application/yaml",
    ".properties": "text/plain", ".sha256": "text/plain",
}  # fmt: skip
#: File types of what lies where, for files of which no step said more.
_TYPES = {"tables": "table", "docs": "document", "footprint": "footprint", "hips": "hips"}


class Fault(NamedTuple):
    """A file that is not as the manifest says."""

    path: str
    text: str
    #: it is there, and nobody knows of it
    unlisted: bool = False


def on_disk(root: Path) -> list[str]:
    """Every file below a release's directory but the manifest, as relative paths in order; temporary ones left out."""
    found = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            found.append("/".join(parts))
    return sorted(name for name in found if name not in MANIFESTS)


def listed(paths: Iterable[str], filetype: str = "") -> list[Made]:
    """What can be said of files by where they lie; ``filetype`` if it is known already.

    Raises
    ------
    UsageError
        A file lies where none belongs.
    """
    made = []
    for path in paths:
        kind = filetype or _TYPES.get(path.partition("/")[0])
        if kind is None:
            raise UsageError(f"{path} is no file of the release: no step made it; take it away")
        made.append(Made(path, kind, _MIMES.get(Path(path).suffix, _bare(path))))
    return made


def _bare(path: str) -> str:
    return "application/vnd.apache.parquet" if path.endswith("metadata") else "text/plain"


def measured(root: Path, release: str, made: Iterable[Made]) -> list[dict[str, Any]]:
    """The rows of ``release_file`` of what was made: size and digest are read from the disk."""
    rows = []
    for one in made:
        path = root / one.path
        if not path.is_file():
            raise FatalError(f"{one.path} was to be made and is not there; build the release again")
        rows.append(
            {**asdict(one), "release_name": release, "filesize": path.stat().st_size, "sha256": digest(path)}
        )
    return rows


def write_manifest(root: Path, release: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write both forms of the manifest; returns their own rows, the JSON's first."""
    keys = ("path", "filesize", "sha256", "filetype", "mime", "tilename", "band", "source_sha256")
    ordered = sorted(rows, key=lambda row: str(row["path"]))
    entries = [{("size" if key == "filesize" else key): row[key] for key in keys} for row in ordered]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    text = f'{{"release": {json.dumps(release)}, "files": [\n' + ",\n".join(lines) + "\n]}\n"
    _put(root / MANIFESTS[0], text)
    first = measured(root, release, [Made(MANIFESTS[0], "manifest", "application/json")])
    sums = "".join(f"{row['sha256']}  {row['path']}\n" for row in [*ordered, *first])
    _put(root / MANIFESTS[1], sums)
    return first + measured(root, release, [Made(MANIFESTS[1], "manifest", "text/plain")])


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def verify(root: Path, files: Sequence[ReleaseFile]) -> list[Fault]:
    """Read every file again: those that are gone, of other bytes, or in no list."""
    faults = []
    for file in files:
        path = root / file.path
        if not path.is_file():
            faults.append(Fault(file.path, "is gone"))
        elif path.stat().st_size != file.filesize:
            faults.append(Fault(file.path, f"has {path.stat().st_size} bytes, not {file.filesize}"))
        elif digest(path) != file.sha256:
            faults.append(Fault(file.path, "holds other bytes than were published"))
    known = {file.path for file in files}
    faults += [
        Fault(path, "is in no list of the release", True) for path in on_disk(root) if path not in known
    ]
    return faults
