"""Raw frames that are one exposure: the same pixels, or the same moment on the same instrument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from desdm.archive.model import Staged
from desdm.archive.store import RawFrame
from desdm.survey.findings import Finding, Severity

__all__ = ["earlier_twin", "frame_of", "same_exposure", "twin_finding"]


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
        return None
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
