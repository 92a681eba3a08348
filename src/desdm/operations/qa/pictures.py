"""Pictures of what is reviewed, made on demand from files of the archive and kept by the digests of these files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.archive import Archive
from desdm.archive.filetypes import BY_NAME
from desdm.archive.model import FileRecord
from desdm.archive.verify import Verifier
from desdm.errors import DesdmError, NotFoundError, storage_error
from desdm.modes import make_private
from desdm.operations.qa import deskstore
from desdm.quality.qa.model import Subject
from desdm.quality.qa.overview import MaskShare, overview
from desdm.schema.operationstates import SubjectKind
from desdm.survey.bands import band_order

__all__ = ["LARGE", "SMALL", "Pictures", "Sources", "SubjectPicture", "picture_sources"]

#: Longer sides of a picture in pixels: the one that a page begins with, and the one to look closer.
SMALL, LARGE = 620, 1800
#: Bytes of a small picture at most.
_MOST_BYTES = 44_000
#: Bytes of all pictures that are kept.
_LIMIT = 500_000_000
#: Changes when pictures are drawn otherwise: those of before are then not used.
_VERSION = 1
#: Images that are not shown as the picture of what was made: masks and maps beside an image.
_ASIDE = ("cp_mask", "cp_weight", "segmap", "minisky", "miniflat", "coadd_nwgint", "fits_image")


@dataclass(frozen=True, slots=True)
class Sources:
    """Files that a picture is drawn from.

    Attributes
    ----------
    files
        The files, in the order of CCDs.
    text
        What it shows.
    band, bands
        Of a tile: band of the picture, and all bands of which there is one, in their order.
    """

    files: tuple[FileRecord, ...]
    text: str
    band: str = ""
    bands: tuple[str, ...] = ()

    def key(self, size: int) -> str:
        """Return the name under which the picture is kept: the digests of the files, and the size."""
        words = json.dumps([_VERSION, size, [file.sha256 for file in self.files]])
        return hashlib.sha256(words.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SubjectPicture:
    """A picture.

    Attributes
    ----------
    data, media_type
        Its bytes, and their type.
    width, height
        Its size, pixels.
    bits
        Mask bits of the subject, the most frequent first.
    has_mask
        Whether there is also a picture with the mask.
    unread
        Why files are missing in it.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    bits: tuple[MaskShare, ...]
    has_mask: bool
    unread: tuple[str, ...]


def picture_sources(conn: Connection, subject: Subject, band: str = "") -> Sources:
    """Return the files that show a subject.

    Of a run's images those that came last in its work count; of an exposure that no run has processed the raw frame.

    Parameters
    ----------
    conn
        Connection to the database.
    subject
        Exposure, CCD, tile, run or file.
    band
        Of a tile or its run: band of the coadd; empty: r, or another if there is none.

    Raises
    ------
    NotFoundError
        No image of it is in the archive, or none of this band.
    """
    if subject.kind is SubjectKind.FILE:
        assert subject.desfile_id is not None
        return Sources(tuple(archive_store.files_by_id(conn, [subject.desfile_id])), subject.name)
    images = deskstore.images_of_attempt(conn, subject.attempt_id) if subject.attempt_id is not None else []
    coadds = _coadds(images)
    if coadds:
        bands = tuple(sorted(coadds, key=band_order))
        shown = band or min(bands, key=lambda one: "rizgYu".find(one) % 9)
        if shown not in coadds:
            raise NotFoundError(
                f"no coadd of {subject.name} in band {shown[:8]} is in the archive: {', '.join(bands)}"
            )
        (record,) = archive_store.files_by_id(conn, [coadds[shown].id])
        return Sources(
            (record,), f"{subject.name}: {record.name}, {record.filetype}, band {shown}", shown, bands
        )
    chosen = _chosen(images, subject.ccdnum)
    if not chosen and subject.expnum is not None:
        raw = deskstore.images_of_exposure(conn, subject.expnum)
        chosen = _chosen(raw, subject.ccdnum)
        if not any(one.ccdnum for one in (*images, *raw)):
            # All CCDs are in one file: nothing tells which there are.
            chosen = chosen or _chosen(raw, None)
    if not chosen:
        raise NotFoundError(f"no image of {subject.name} is in the archive")
    records = {record.id: record for record in archive_store.files_by_id(conn, [one.id for one in chosen])}
    ordered = tuple(records[one.id] for one in chosen if one.id in records)
    many = f"{len(ordered)} CCDs" if len(ordered) > 1 else ordered[0].name
    return Sources(ordered, f"{subject.name}: {many}, {ordered[0].filetype}")


def _coadds(images: Sequence[deskstore.ImageFile]) -> dict[str, deskstore.ImageFile]:
    """Return the coadds of a run by their bands."""
    return {one.band: one for one in images if one.filetype == "coadd" and one.band}


def _chosen(images: Sequence[deskstore.ImageFile], ccdnum: int | None) -> list[deskstore.ImageFile]:
    """Return of each CCD the image that comes last in the work; of a tile one image."""
    order = {kind: n for n, kind in enumerate(BY_NAME)}
    kinds = {one.filetype for one in images if one.filetype not in _ASIDE}
    if not kinds:
        return []
    kind = max(kinds, key=lambda k: order.get(k, -1))
    of_kind = [one for one in images if one.filetype == kind and ccdnum in (None, one.ccdnum)]
    if kind.startswith("coadd"):
        # Coadds of one band are shown by band; this is another image of the tile.
        return of_kind[:1]
    by_ccd = {one.ccdnum: one for one in of_kind}
    return [by_ccd[number] for number in sorted(by_ccd)]


class Pictures:
    """Pictures of one installation, at most `limit` bytes of them; the ones that were not used for longest go first.

    Parameters
    ----------
    archive
        Archive of the files.
    folder
        Where pictures are kept.
    limit
        Bytes that are kept.
    """

    def __init__(self, archive: Archive, folder: Path, limit: int = _LIMIT) -> None:
        self._archive, self._folder, self._limit = archive, folder, limit
        self._verifier = Verifier()
        # Few at once: a picture of a focal plane takes seconds of a processor, and pages must be served meanwhile.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="desdm-picture")
        self._pending: dict[str, Future[None]] = {}
        self._guard = threading.Lock()

    def available(self, sources: Sources) -> bool:
        """Whether the first of the files is where the archive has it."""
        return bool(sources.files) and self._archive.path(sources.files[0]).is_file()

    def known(self, sources: Sources, *, mask: bool, size: int = SMALL) -> SubjectPicture | None:
        """Return a picture that was made before; None if it was not.

        Parameters
        ----------
        sources
            Its files.
        mask
            With the mask, if there is one.
        size
            Longer side, pixels.
        """
        key = sources.key(size)
        try:
            facts = json.loads((self._folder / f"{key}.json").read_text("utf-8"))
            has_mask = bool(facts["mask"])
            path = self._folder / f"{key}-{'mask' if mask and has_mask else 'plain'}.webp"
            data = path.read_bytes()
            os.utime(path)
        except (OSError, ValueError, KeyError):
            return None
        bits = tuple(
            MaskShare(str(n), (int(c[0]), int(c[1]), int(c[2])), float(f)) for n, c, f in facts["bits"]
        )
        width, height = facts["size"]
        return SubjectPicture(data, "image/webp", width, height, bits, has_mask, tuple(facts["unread"]))

    def begin(self, sources: Sources, *, size: int = SMALL) -> Future[None]:
        """Draw the pictures of some files, if nobody does so already; the result is there when it is done.

        Parameters
        ----------
        sources
            The files.
        size
            Longer side, pixels.
        """
        key = sources.key(size)
        with self._guard:
            pending = self._pending.get(key)
            if pending is None:
                pending = self._pending[key] = self._threads.submit(self._draw_once, sources, key, size)
            return pending

    def make(
        self, sources: Sources, *, mask: bool, size: int = SMALL, within: float | None = None
    ) -> SubjectPicture | None:
        """Return a picture, and draw and keep it if it was not made before.

        Parameters
        ----------
        sources
            Its files.
        mask
            With the mask, if there is one.
        size
            Longer side, pixels.
        within
            Seconds to wait for it; None: until it is there.

        Returns
        -------
        SubjectPicture or None
            None: it is not ready yet.

        Raises
        ------
        DesdmError
            None of its files can be read.
        """
        picture = self.known(sources, mask=mask, size=size)
        if picture is None:
            try:
                self.begin(sources, size=size).result(within)
            except TimeoutError:
                return None
            picture = self.known(sources, mask=mask, size=size)
        return picture

    def _draw_once(self, sources: Sources, key: str, size: int) -> None:
        """Draw the pictures of some files, unless they were kept meanwhile."""
        try:
            if self.known(sources, mask=False, size=size) is None:
                self._draw(sources, key, size)
        finally:
            with self._guard:
                self._pending.pop(key, None)

    def _draw(self, sources: Sources, key: str, size: int) -> None:
        """Draw the pictures of some files, and keep them."""
        paths, unread = [], []
        for record in sources.files:
            try:
                paths.append(self._verifier.path(self._archive, record))
            except DesdmError as err:
                unread.append(str(err))
        if not paths:
            raise NotFoundError(f"{sources.text}: no picture: {unread[0] if unread else 'no file'}")
        drawn = overview(paths, size)
        most = _MOST_BYTES if size <= SMALL else 4_000_000
        # Both with the same size in pixels, so that one lies exactly on the other.
        rendered = _fitting([p for p in (drawn.plain, drawn.masked) if p is not None], most)
        facts = {
            "mask": drawn.masked is not None,
            "size": rendered[0][1],
            "bits": [[one.name, one.colour, one.fraction] for one in drawn.bits],
            "unread": [*unread, *drawn.unread],
        }
        try:
            make_private(self._folder)
            for name, (data, _) in zip(("plain", "mask"), rendered, strict=False):
                self._write(f"{key}-{name}.webp", data)
            # Last: a picture is known when its facts are there.
            self._write(f"{key}.json", json.dumps(facts).encode())
            self._prune()
        except OSError as err:
            raise storage_error(err, self._folder) from err

    def _write(self, name: str, data: bytes) -> None:
        """Write a file under its name when it is whole."""
        part = self._folder / f".{name}.{os.getpid()}-{threading.get_ident()}"
        part.write_bytes(data)
        part.replace(self._folder / name)

    def _prune(self) -> None:
        """Remove the pictures that were not used for longest until the others are within the limit."""
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._limit:
                break
            with suppress(FileNotFoundError):
                path.unlink()
                total -= size


def _fitting(pictures: Sequence[npt.NDArray[np.uint8]], most: int) -> list[tuple[bytes, tuple[int, int]]]:
    """Return pictures as WebP of at most so many bytes each, all of one size in pixels."""
    from PIL import Image

    images = [Image.fromarray(one) for one in pictures]
    while True:
        for quality in (72, 55):
            encoded = []
            for image in images:
                buffer = io.BytesIO()
                image.save(buffer, "WEBP", quality=quality, method=1)
                encoded.append(buffer.getvalue())
            largest = max(len(data) for data in encoded)
            if largest <= most:
                return [(data, images[0].size) for data in encoded]
        # Bytes grow as the pixels; a little less, so that one more round is enough.
        scale = min(0.95, 0.97 * (most / largest) ** 0.5)
        to = max(1, round(images[0].width * scale)), max(1, round(images[0].height * scale))
        images = [image.resize(to, Image.Resampling.LANCZOS) for image in images]
