"""Raw frames that are one exposure: the same pixels, or the same moment on the same instrument."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.content import Content
from desdm.archive.model import Staged
from desdm.archive.pixeldigest import pixel_digest, sample_digest
from desdm.archive.store import RawFrame
from desdm.errors import FileTypeError
from desdm.survey.findings import Finding, Severity

__all__ = ["Pixels", "earlier_twin", "frame_of", "repeated_exposures", "same_exposure", "twin_finding"]


def same_exposure(one: RawFrame, other: RawFrame) -> str:
    """What shows that two raw frames are one exposure, in words; empty if nothing does."""
    if one.sha256 == other.sha256:
        return "the same bytes"
    if one.digest is not None and one.digest == other.digest:
        return "the same pixels"
    moment = (one.mjd_obs, one.instrument)
    if None not in moment and moment == (other.mjd_obs, other.instrument) and one.expnum != other.expnum:
        return "the same instrument and begin of the exposure"
    return ""


def earlier_twin(frame: RawFrame, others: Iterable[RawFrame]) -> tuple[RawFrame, str] | None:
    """The first registered frame that is the same exposure as a later one, and what shows that; None if there is none."""
    for other in others:
        if other.id < frame.id and (why := same_exposure(frame, other)):
            return other, why
    return None


def repeated_exposures(conn: Connection, expnums: Iterable[int]) -> dict[int, tuple[RawFrame, str]]:
    """Return, of exposures that are another one of these again, the frame that was registered first, and what shows it.

    Parameters
    ----------
    conn
        Connection to the database.
    expnums
        Numbers of the exposures.
    """
    known: dict[tuple[object, ...], RawFrame] = {}
    repeated: dict[int, tuple[RawFrame, str]] = {}
    # By keys, so that the work grows with the frames and not with their pairs.
    for frame in store.frames_of_exposures(conn, sorted(set(expnums))):
        keys: list[tuple[object, ...]] = [("bytes", frame.sha256)]
        if frame.digest is not None:
            keys.append(("pixels", frame.digest))
        if frame.mjd_obs is not None and frame.instrument is not None:
            keys.append(("begin", frame.mjd_obs, frame.instrument))
        first = next((known[key] for key in keys if key in known), None)
        if first is not None and frame.expnum is not None and first.expnum != frame.expnum:
            repeated.setdefault(frame.expnum, (first, same_exposure(frame, first)))
            continue
        for key in keys:
            known.setdefault(key, frame)
    return repeated


def frame_of(number: int, staged: Staged) -> RawFrame:
    """A staged raw frame by what tells exposures apart."""
    row = staged.metadata
    expnum, digest, mjd, instrument = (row.get(k) for k in ("expnum", "data_digest", "mjd_obs", "instrument"))
    return RawFrame(
        number,
        staged.name,
        expnum if isinstance(expnum, int) else None,
        digest if isinstance(digest, str) else None,
        mjd if isinstance(mjd, float) else None,
        instrument if isinstance(instrument, str) else None,
        staged.sha256,
    )


def twin_finding(frame: RawFrame, others: Sequence[RawFrame]) -> Finding | None:
    """What a person must know of a frame that is an exposure which is registered already; None if it is not."""
    match = earlier_twin(frame, others)
    if match is None:
        return _other_pixels(frame, others)
    other, why = match
    if other.expnum == frame.expnum:
        return Finding(
            Severity.WARNING,
            f"it has {why} as {other.filename}, which is registered",
            "EXPNUM",
            str(frame.expnum),
            f"{other.filename} is processed, this file is not",
        )
    return Finding(
        Severity.ERROR,
        f"it has {why} as {other.filename} of exposure {other.expnum}",
        "EXPNUM",
        str(frame.expnum),
        f"it is not processed with its night; to do so, submit it by its number or exclude {other.expnum}",
    )


def _other_pixels(frame: RawFrame, others: Sequence[RawFrame]) -> Finding | None:
    """What a person must know of a frame that is a registered observation with other pixels, as lossy packing makes."""
    other = next((o for o in others if o.id < frame.id and _same_observation(frame, o)), None)
    if other is None:
        return None
    return Finding(
        Severity.WARNING,
        f"it is the same observation as {other.filename}, which is registered, with other pixels",
        "EXPNUM",
        str(frame.expnum),
        "neither is processed with its night; delete the one that is not to be used (desdm delete)",
    )


def _same_observation(one: RawFrame, other: RawFrame) -> bool:
    """Whether two frames have one number, instrument and begin."""
    identity = (one.expnum, one.mjd_obs, one.instrument)
    return None not in identity and identity == (other.expnum, other.mjd_obs, other.instrument)


class Pixels:
    """Pixels of frames in an archive, compared where their records say that they may be one exposure.

    The record holds a digest of samples, which is quick to make. Here the samples of an earlier frame are taken again
    (the record of a packed file may be of its stored bytes, as they were once digested), and where samples agree all
    pixels are compared. A frame with the samples of another and other pixels is recorded by the digest of all its pixels.

    Parameters
    ----------
    conn
        A writing transaction.
    name, root
        Archive and its root folder.
    """

    def __init__(self, conn: Connection, name: str, root: Path) -> None:
        self._conn, self._archive, self._root = conn, name, root
        self._whole: dict[int, str | None] = {}
        self._samples: dict[int, str | None] = {}

    def settle(self, frame: RawFrame, others: Sequence[RawFrame]) -> tuple[RawFrame, list[RawFrame]]:
        """Return a new frame and those that may be the same exposure with digests that agree only if all pixels do.

        Parameters
        ----------
        frame
            The frame.
        others
            Registered frames of the same pixels by their records, and those of the same night.
        """
        settled = []
        for other in others:
            if other.id >= frame.id or other.sha256 == frame.sha256:
                settled.append(other)
                continue
            if other.digest != frame.digest and _may_be_one(frame, other):
                other = self._sampled_again(other)
            if other.digest is not None and other.digest == frame.digest and not self._equal(frame, other):
                frame = self._told_apart(frame)
            settled.append(other)
        return frame, settled

    def _sampled_again(self, frame: RawFrame) -> RawFrame:
        """Return a frame with the digest of its samples, unless its record is of all its pixels."""
        if frame.id not in self._samples:
            self._samples[frame.id] = self._digest(frame, whole=False)
        digest = self._samples[frame.id]
        if digest in (None, frame.digest) or frame.digest == self._digest_of_all(frame):
            return frame
        assert digest is not None
        store.set_digest(self._conn, frame.id, digest)
        return frame._replace(digest=digest)

    def _told_apart(self, frame: RawFrame) -> RawFrame:
        """Return a frame that is recorded by the digest of all its pixels."""
        digest = self._digest_of_all(frame)
        if digest is None:
            return frame
        store.set_digest(self._conn, frame.id, digest)
        return frame._replace(digest=digest)

    def _equal(self, one: RawFrame, other: RawFrame) -> bool:
        """Whether all pixels of two frames are equal; true where one cannot be read, for their samples are."""
        digests = self._digest_of_all(one), self._digest_of_all(other)
        return None in digests or digests[0] == digests[1]

    def _digest_of_all(self, frame: RawFrame) -> str | None:
        """Return the digest of all pixels of a frame; None if it cannot be read."""
        if frame.id not in self._whole:
            self._whole[frame.id] = self._digest(frame, whole=True)
        return self._whole[frame.id]

    def _digest(self, frame: RawFrame, *, whole: bool) -> str | None:
        """Return the digest of all pixels of a frame or of its samples; None if it cannot be read."""
        paths = store.frame_paths(self._conn, self._archive, [frame.id])
        if frame.id not in paths:
            return None
        try:
            with (
                (self._root / paths[frame.id]).open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                content = Content(frame.filename, data, len(data))  # type: ignore[arg-type]
                return pixel_digest(content) if whole else sample_digest(content)
        except (OSError, ValueError, FileTypeError):
            return None


def _may_be_one(one: RawFrame, other: RawFrame) -> bool:
    """Whether two frames have one number, or one instrument and begin."""
    moment = (one.mjd_obs, one.instrument)
    return (one.expnum is not None and one.expnum == other.expnum) or (
        None not in moment and moment == (other.mjd_obs, other.instrument)
    )
