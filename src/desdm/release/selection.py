"""The document that records the selection of a release, below its directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from desdm.release.select import Omission, Selection

__all__ = [
    "SELECTION",
    "SelectionDocument",
    "SelectionEntry",
    "read_selection",
    "selection_entries",
    "write_selection",
]

#: File that records the selection, relative to the release's directory.
SELECTION = "docs/selection.json"


@dataclass(frozen=True, slots=True)
class SelectionEntry:
    """A selected file of the archive.

    Attributes
    ----------
    file, sha256, filetype
        Name, digest and file type.
    tilename, band
        Tile and band, where it has them.
    run
        Name of the attempt that produced it; empty for a delivered file.
    objects
        Number of objects of a catalogue.
    """

    file: str
    sha256: str
    filetype: str
    tilename: str | None
    band: str | None
    run: str
    objects: int | None = None


@dataclass(frozen=True, slots=True)
class SelectionDocument:
    """The selected files, the omissions, and the conditions of the selection."""

    text: str
    files: tuple[SelectionEntry, ...]
    omissions: tuple[Omission, ...]


def write_selection(root: Path, selection: Selection) -> None:
    """Write the selection and its omissions as JSON below the release's directory."""
    entries = [
        SelectionEntry(
            f.record.name, f.record.sha256, f.record.filetype, f.tilename, f.band, f.run, f.objects
        )
        for f in selection.files
    ]
    document = {
        "selection": selection.text,
        "files": [asdict(entry) for entry in entries],
        "left_out": [{"what": one.subject, "why": one.reason} for one in selection.omissions],
    }
    path = root / SELECTION
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_selection(root: Path) -> SelectionDocument | None:
    """Read the selection of the release at ``root``; None for a release of added tables."""
    path = root / SELECTION
    if not path.is_file():
        return None
    document = json.loads(path.read_text("utf-8"))
    files = [
        SelectionEntry(
            file=entry["file"],
            sha256=entry.get("sha256", ""),
            filetype=entry.get("filetype", ""),
            tilename=entry.get("tilename"),
            band=entry.get("band"),
            run=entry.get("run") or "",
            objects=entry.get("objects"),
        )
        for entry in document.get("files", [])
    ]
    omissions = [Omission(entry["what"], entry["why"]) for entry in document.get("left_out", [])]
    return SelectionDocument(document.get("selection", ""), tuple(files), tuple(omissions))


def selection_entries(root: Path) -> tuple[SelectionEntry, ...]:
    """Return the selected files of the release at ``root``; none for a release of added tables."""
    document = read_selection(root)
    return () if document is None else document.files
