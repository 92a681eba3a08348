"""What has arrived of a night: which exposures are calibrations, which are to be processed, and why others are not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.catalogfile import CatalogFile
from desdm.archive.twins import earlier_twin
from desdm.survey.findings import Severity

__all__ = ["CALIBRATIONS", "Arrival", "arrivals", "refusal"]

#: Words in an exposure's title that keep it from being processed (DESDM's rule).
_WORDS = re.compile(r"\b(junk|focus|pointing|donut|test)\b", re.IGNORECASE)
#: Types of calibration frames, in lower case.
CALIBRATIONS = ("zero", "bias", "dome flat", "dflat", "flat", "dark")
_SCIENCE = ("object", "standard")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One raw exposure of a night; ``refused`` says why it is not processed (empty: it is, or is a calibration)."""

    expnum: int
    filename: str
    obstype: str
    title: str
    band: str
    nite: str
    calibration: bool
    refused: str
    propid: str = ""
    desfile_id: int = 0


def refusal(obstype: str, title: str) -> str:
    """Why an exposure is not to be processed; empty: it is."""
    if obstype not in _SCIENCE:
        return f"not processed: its type is {obstype or 'unknown'}"
    match = _WORDS.search(title)
    return f"not processed: its title says {match.group(1).lower()}" if match else ""


def arrivals(conn: Connection, nite: str, expnum: int | None = None) -> list[Arrival]:
    """Raw exposures of a night in the archive, or one of them, by exposure number; one on the exclude list is refused."""
    query = {"filetype": "raw", "nite": nite} | ({} if expnum is None else {"expnum": str(expnum)})
    files = [f for f in catalog.find(conn, query) if f.expnum is not None]
    banned = {e["expnum"]: e["reason"] for e in store.excluded(conn) if not e["ccdnum"]}
    digests = [f.metadata.data_digest for f in files if f.metadata.data_digest is not None]
    frames = [*store.frames_with_pixels(conn, digests), *store.frames_of_nights(conn, [nite])]
    others = sorted((f for f in frames if f.expnum not in banned), key=lambda f: f.id)
    # A file that has a CCD twice is several exposures in one, or one that was put together wrongly.
    doubtful = {
        number: finding.text
        for number, findings in store.findings_of(conn, [file.id for file in files]).items()
        for finding in findings
        if finding.key == "CCDNUM" and finding.severity is Severity.ERROR
    }
    exposures = [
        _arrival(file, file.expnum, banned, files, others, doubtful.get(file.id, ""))
        for file in files
        if file.expnum is not None
    ]
    return sorted(exposures, key=lambda a: (a.expnum, a.filename))


def _arrival(
    file: CatalogFile,
    expnum: int,
    banned: Mapping[int, str],
    files: Sequence[CatalogFile],
    others: Sequence[store.RawFrame],
    doubt: str,
) -> Arrival:
    """Return the record of a raw exposure that has arrived, with the reason if it is not processed."""
    metadata = file.metadata
    obstype, title = (metadata.obstype or "").lower(), metadata.object or ""
    calibration = obstype in CALIBRATIONS
    why = "" if calibration else refusal(obstype, title)
    if doubt:
        why = why or f"not processed: {doubt}; to do so, submit it by its number"
    if expnum in banned:
        why = f"excluded: {banned[expnum]}"
    same = sorted(f.filename for f in files if f.expnum == expnum)
    if len(same) > 1:
        why = why or f"not processed: {len(same)} files have its number ({', '.join(same)})"
    frame = store.RawFrame(
        file.id,
        file.filename,
        expnum,
        metadata.data_digest,
        metadata.mjd_obs,
        metadata.instrument,
        file.sha256,
    )
    twin = earlier_twin(frame, others)
    if twin is not None and twin[0].expnum != expnum:
        why = why or f"not processed: it has {twin[1]} as {twin[0].filename} of exposure {twin[0].expnum}"
    return Arrival(
        expnum,
        file.filename,
        obstype,
        title,
        file.band or "",
        str(file.nite),
        calibration,
        why,
        metadata.propid or "",
        file.id,
    )
