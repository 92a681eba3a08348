"""Input and output of a build step of a release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.archive.verify import Verifier
from desdm.schema.database import Database

__all__ = ["BuildContext", "BuiltFile", "SelectedFile", "Step"]


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """A file of the archive that was selected for the release.

    Attributes
    ----------
    record
        Its record: type, name, digest, directory.
    run
        Name of the attempt that produced it; empty for a delivered file.
    tilename, band
        Tile and band, where it has them.
    ra_cent, dec_cent
        Centre of an image, ICRS degrees.
    naxis1, naxis2, pixscale
        Size of an image in pixels, and of a pixel in arcsec.
    objects
        Number of objects in a catalogue.
    """

    record: FileRecord
    run: str
    tilename: str | None = None
    band: str | None = None
    ra_cent: float | None = None
    dec_cent: float | None = None
    naxis1: int | None = None
    naxis2: int | None = None
    pixscale: float | None = None
    objects: int | None = None


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Input of every build step.

    Attributes
    ----------
    release
        Name of the release.
    root
        Directory of the release; a step writes each file below it under a temporary name and then renames it.
    database
        Database of the installation.
    archive
        Archive of the selected files; a step gets their paths from `verified_path`.
    selected
        The files of the selection, in the order of type, tile, band and name.
    who
        User who builds the release.
    progress
        Receives one line of text for each task.
    workers
        Threads that a step may use.
    verifier
        Compares files with their recorded digests, each file once.
    """

    release: str
    root: Path
    database: Database
    archive: Archive
    selected: tuple[SelectedFile, ...]
    who: str
    progress: Callable[[str], object] = field(default=lambda text: None)
    workers: int = 1
    verifier: Verifier = field(default_factory=Verifier)

    def of_type(self, *filetypes: str) -> list[SelectedFile]:
        """Return the selected files of the given types."""
        return [file for file in self.selected if file.record.filetype in filetypes]

    def verified_path(self, file: SelectedFile) -> Path:
        """Return the path of a selected file after comparing its bytes with the digest of its record.

        Raises
        ------
        CorruptFile
            The bytes differ from those registered, or the file is missing.
        """
        return self.verifier.path(self.archive, file.record)


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file that a step wrote below the release's directory; its size and digest are added afterwards.

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
    """A build step: its name, and the function that makes its files.

    When a build is resumed, an unfinished step runs again from the start and must write the same bytes.
    """

    name: str
    make: Callable[[BuildContext], list[BuiltFile]]
