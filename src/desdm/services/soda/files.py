"""Cache of open release images for cutouts: looked up by identifier or position, verified, with header and pixel grid."""

from __future__ import annotations

import mmap
import os
import threading
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from desdm.accounts.model import Caller
from desdm.errors import CorruptFile, FileTypeError, NotFoundError, UsageError
from desdm.pixels.boxes import Plane, open_plane
from desdm.pixels.cards import HDU, read_hdus
from desdm.pixels.fitsbytes import hdu_header, is_structure
from desdm.release.model import Release, ReleaseFile
from desdm.services.access import access_of
from desdm.services.bulk.verify import sha256_of
from desdm.services.context import Services
from desdm.services.soda.sky import Grid
from desdm.services.soda.stencil import Polygon
from desdm.sky.spherical import unit
from desdm.survey.headers import merged

__all__ = ["ImageCache", "ReleaseImage"]

Floats = npt.NDArray[np.float64]
_AUTHORITY = "ivo://desdm/"
_OPEN = 256  # files; each has a descriptor, its tables of tiles and its header
_TICK_NS = 50_000_000  # a file written so shortly before it was hashed may be written again in the same tick
#: Keywords of the whole image that a cutout replaces or omits.
_WHOLE = (
    "RA_CENT",
    "DEC_CENT",
    "RACMIN",
    "RACMAX",
    "DECCMIN",
    "DECCMAX",
    "CROSSRA0",
    "CRPIX1",
    "CRPIX2",
    "WCSAXES",
    "RELEASE",
    "FILENAME",
)


class _Stamp(NamedTuple):
    """Identity of a file's content as long as nobody changes the file."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, fd: int) -> _Stamp:
        """Return the stamp of an open file."""
        status = os.fstat(fd)
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class ReleaseImage:
    """An open release image; closed when the last reference is gone.

    Attributes
    ----------
    file
        Record of the file.
    planes
        Image planes of one shape by name: SCI, MSK, WGT; the first image of a file without SCI.
    grid
        Pixel grid on the sky.
    primary, cards
        Cards that a cutout copies: of the primary HDU, and of each plane.
    """

    def __init__(self, path: Path, file: ReleaseFile) -> None:
        self.file, self._path = file, path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as err:
            raise CorruptFile(f"{file.release}/{file.path} is missing on this server") from err
        self._closing = weakref.finalize(self, os.close, self._fd)
        self.stamp = _Stamp.of(self._fd)

    def verify(self) -> bool:
        """Verify the digest of the file; return whether its stamp identifies its bytes from now on.

        Raises
        ------
        CorruptFile
            The bytes are not those that were released.
        """
        settled = time.time_ns() - self.stamp.changed_ns > _TICK_NS
        if sha256_of(self._fd).hexdigest() != self.file.sha256:
            raise CorruptFile(
                f"{self.file.release}/{self.file.path}: its bytes differ from the released digest"
            )
        return settled and self.fresh()

    def fresh(self) -> bool:
        """Whether the file is unchanged since it was opened."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        return self.stamp == (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def read_headers(self) -> ReleaseImage:
        """Read headers and tables of tiles; return the image itself."""
        with mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ) as view:
            try:
                hdus = read_hdus(cast(bytes, view), len(view))
            except FileTypeError as err:
                raise CorruptFile(f"{self.file.release}/{self.file.path}: {err}") from err
            heads = [bytes(view[h.start : h.data_start]) for h in hdus]
        numbers = [
            i for i, h in enumerate(hdus) if h.kind == "image" and len(h.shape) == 2 and min(h.shape) > 0
        ]
        if not numbers:
            raise UsageError(f"{self.file.release}/{self.file.path} holds no image")
        by_name = {hdus[i].name: i for i in reversed(numbers)}
        first = by_name.get("SCI", numbers[0])
        names = [
            n for n in ("SCI", "MSK", "WGT") if n in by_name and hdus[by_name[n]].shape == hdus[first].shape
        ]
        chosen = [by_name[n] for n in names] or [first]
        self.planes: dict[str, Plane] = {
            hdus[i].name or "SCI": open_plane(self._path, self._fd, i, hdus[i]) for i in chosen
        }
        header = merged(_HeaderOnly(hdu_header(heads[i])) for i in dict.fromkeys((0, first)))
        self.grid = Grid(header, (int(hdus[first].shape[0]), int(hdus[first].shape[1])))
        self.cards = {hdus[i].name or "SCI": _copied_cards(heads[i]) for i in chosen}
        self.primary = _copied_cards(heads[0]) if first else b""
        self.hdus: tuple[HDU, ...] = hdus
        return self


@dataclass(frozen=True, slots=True)
class _HeaderOnly:
    """HDU-like object with a header, as `merged` reads it."""

    header: object


def _copied_cards(head: bytes) -> bytes:
    """Return the cards of a header that a cutout copies."""
    lines, copying = [], False
    for at in range(0, len(head), 80):
        line = head[at : at + 80]
        key = line[:8].decode("ascii", "replace").strip()
        if key == "END":
            break
        if key != "CONTINUE":
            corner = key[:-1] in ("RAC", "DECC") and key[-1:].isdigit()
            copying = bool(key) and key != "COMMENT" and not (is_structure(key) or corner or key in _WHOLE)
        if copying:
            lines.append(line if line.isascii() else bytes(c if 32 <= c < 127 else 63 for c in line))
    return b"".join(lines)


@dataclass(slots=True)
class _Index:
    """Published images by path and by position."""

    generation: int = -1
    by_path: dict[tuple[str, str], ReleaseFile] = field(default_factory=dict)
    coadds: dict[str, list[ReleaseFile]] = field(default_factory=dict)
    centres: dict[str, Floats] = field(default_factory=dict)
    reaches: dict[str, Floats] = field(default_factory=dict)
    outlines: dict[int, Polygon] = field(default_factory=dict)


class ImageCache:
    """Looks up release images and keeps the most recent ones open; one for each server, thread-safe."""

    def __init__(self, services: Services, most: int = _OPEN) -> None:
        self._services, self._most = services, most
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], ReleaseImage] = OrderedDict()
        self._trusted: dict[tuple[str, str], _Stamp] = {}
        self._opening: dict[tuple[str, str], threading.Lock] = {}
        self._index = _Index()

    def _current_index(self) -> _Index:
        """Return the index of the current holdings."""
        holdings = self._services.published.current()
        if self._index.generation == holdings.generation:
            return self._index
        index = _Index(holdings.generation)
        for release, files in holdings.files.items():
            low = release.lower()
            index.by_path.update({(low, f.path): f for f in files})
            coadds = [f for f in files if f.filetype == "coadd" and f.ra_cent is not None]
            index.coadds[low] = coadds
            index.centres[low] = unit(
                np.array([f.ra_cent for f in coadds], float), np.array([f.dec_cent for f in coadds], float)
            ).reshape(-1, 3)
            # Chords, slightly longer than the radius in the record.
            radius = np.radians(np.array([f.radius or 0.0 for f in coadds], float))
            index.reaches[low] = 2.0 * np.sin(radius / 2.0) * (1 + 1e-9) + 1e-12
        self._index = index
        return index

    def release(self, caller: Caller, name: str) -> Release:
        """Return a release that the caller may see; with an empty name the newest.

        Raises
        ------
        NotFoundError
            There is none, or the caller may not see it.
        """
        access = access_of(self._services, caller)
        if name:
            return access.whole_release(name)
        releases = access.whole_releases()
        if not releases:
            access.require_read()
            raise NotFoundError("no release is published yet")
        return releases[0]

    def find(self, caller: Caller, identifier: str) -> ReleaseFile:
        """Return the image of a publisher DID ``ivo://desdm/<release>?<path>``, or of ``<release>/<path>``.

        Raises
        ------
        NotFoundError
            There is none, or the caller may not see it.
        UsageError
            The file is not an image.
        """
        # An unencoded plus arrives as a blank; no path has a blank.
        text = unquote(identifier.strip()).replace(" ", "+")
        text = text[len(_AUTHORITY) :] if text.lower().startswith(_AUTHORITY) else text
        at = min((text.index(c) for c in "?/" if c in text), default=-1)
        if at <= 0:
            raise NotFoundError(f"ID {identifier[:120]!r}: an identifier is {_AUTHORITY}<release>?<path>")
        try:
            name = self.release(caller, text[:at]).name
        except NotFoundError:
            raise NotFoundError(f"ID {identifier[:120]!r}: no such dataset") from None
        file = self._current_index().by_path.get((name.lower(), text[at + 1 :]))
        if file is None:
            raise NotFoundError(f"ID {identifier[:120]!r}: no such dataset")
        if not file.path.endswith((".fits", ".fits.fz")):
            raise UsageError(f"ID {identifier[:120]!r}: only FITS images can be cut; this is {file.mime}")
        return file

    def bands(self, file: ReleaseFile) -> dict[str, ReleaseFile]:
        """Return the images of the same tile by band."""
        coadds = self._current_index().coadds.get(file.release.lower(), [])
        return {f.band: f for f in coadds if f.tilename == file.tilename and f.band}

    def images_at(self, release: str, ra: float, dec: float) -> dict[str, ReleaseFile]:
        """Return the images at a position by band; where tiles overlap, those of the tile with the nearest centre.

        Parameters
        ----------
        release
            Name of the release.
        ra, dec
            Position, degrees (ICRS).

        Returns
        -------
        dict
            Images by band; empty outside of all tiles.
        """
        index = self._current_index()
        files, centres = index.coadds.get(release.lower(), []), index.centres.get(release.lower())
        if not files or centres is None:
            return {}
        point = unit(np.array(ra), np.array(dec))
        away = centres - point
        chord = np.sqrt((away * away).sum(axis=1))
        near = np.flatnonzero(chord <= index.reaches[release.lower()])
        for i in near[np.argsort(chord[near], kind="stable")]:
            outline = self._outline(index, files[i])
            if outline is None or outline.contains(point).all():
                return self.bands(files[i])
        return {}

    def _outline(self, index: _Index, file: ReleaseFile) -> Polygon | None:
        """Return the outline of an image; None if its record has none."""
        if file.id not in index.outlines and file.s_region:
            values = [float(w) for w in file.s_region.split() if w[:1] in "+-.0123456789"]
            index.outlines[file.id] = Polygon(tuple(zip(values[::2], values[1::2], strict=True)))
        return index.outlines.get(file.id)

    def open(self, file: ReleaseFile) -> ReleaseImage:
        """Return an image, open and verified: hashed before the first cutout and after each change.

        Raises
        ------
        CorruptFile
            Its bytes differ from the release; the fault is entered into the problem list.
        """
        key = (file.release, file.path)
        with self._lock:
            image = self._open.get(key)
            if image is not None:
                self._open.move_to_end(key)
            opening = self._opening.setdefault(key, threading.Lock())
        if image is not None and image.fresh() and image.file.sha256 == file.sha256:
            return image
        with opening:
            with self._lock:
                image = self._open.get(key)
            if image is not None and image.fresh() and image.file.sha256 == file.sha256:
                return image
            new = ReleaseImage(self._services.root(file.release) / file.path, file)
            try:
                settled = self._trusted.get(key) == new.stamp or new.verify()
                new.read_headers()
            except CorruptFile as err:
                with self._lock:
                    self._open.pop(key, None)
                self._services.faults.report(file.release, file.path, f"{err}; it is not served", "cutouts")
                raise
            with self._lock:
                if settled:
                    self._trusted[key] = new.stamp
                    self._open[key] = new
                    while len(self._open) > self._most:
                        self._open.popitem(last=False)
                self._opening.pop(key, None)
            return new
