"""What a step of a release's build gets, and what it hands back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.archive.verify import Verifier
from desdm.schema.database import Database

__all__ = ["BuildContext", "Made", "Picked", "Step", "digest"]


@dataclass(frozen=True, slots=True)
class Picked:
    """A file of the archive that was selected for the release.

    Attributes
    ----------
    record
        Its record: type, name, digest, where it lies.
    metadata
        The row of its type's metadata table (``tilename``, ``band``, ``ra_cent``, ``naxis1`` …; absent keys are None).
    run
        Name of the attempt that made it.
    """

    record: FileRecord
    metadata: Mapping[str, Any]
    run: str

    @property
    def tilename(self) -> str | None:
        """Tile that it belongs to."""
        return self.metadata.get("tilename")

    @property
    def band(self) -> str | None:
        """Band, where it has one."""
        return self.metadata.get("band") or self.record.band


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What every step of a build gets.

    Attributes
    ----------
    release
        Name of the release.
    root
        Its directory; a step writes below it, temporary first, then renames.
    archive
        Where the selected files lie; a step reads them by `verified`.
    selected
        The files of the selection, in the order of type, tile, band and name.
    who
        Who makes the release.
    progress
        Gets one line on what is being done.
    workers
        Threads that a step may use.
    """

    release: str
    root: Path
    database: Database
    archive: Archive
    selected: tuple[Picked, ...]
    who: str
    progress: Callable[[str], object] = field(default=lambda text: None)
    workers: int = 1
    verifier: Verifier = field(default_factory=Verifier)

    def of_type(self, *filetypes: str) -> list[Picked]:
        """The selected files of these types."""
        return [p for p in self.selected if p.record.filetype in filetypes]

    def verified(self, picked: Picked) -> Path:
        """Where a selected file lies, its bytes held against the digest of its record.

        Raises
        ------
        CorruptFile
            They are not those that were registered, or gone.
        """
        return self.verifier.path(self.archive, picked.record)


def digest(path: Path) -> str:
    """sha-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """One file that a step made, below the release's directory; size and digest are measured afterwards.

    The fields are those of `desdm.release.model.ReleaseFile`.
    """

    path: str
    filetype: str
    mime: str
    tilename: str | None = None
    band: str | None = None
    desfile_id: int | None = None
    source_sha256: str | None = None
    ra_cent: float | None = None
    dec_cent: float | None = None
    radius: float | None = None
    s_region: str | None = None
    naxis1: int | None = None
    naxis2: int | None = None
    pixscale: float | None = None
    fwhm: float | None = None
    t_min: float | None = None
    t_max: float | None = None
    t_exptime: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a build: its name, and what makes its files.

    A step is run again from the start when a build is taken up again; it must then make the same bytes.
    """

    name: str
    make: Callable[[BuildContext], list[Made]]
