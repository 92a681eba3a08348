"""Epochs of the camera, and the table of the calibrations that serve in them."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.calibrations.model import SERVING, calibration_files
from desdm.archive.calibrations.usable import entry_files, of_band
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.schema.states import EventKind
from desdm.schema.store import record_event

__all__ = ["assign", "assign_all", "define_epoch"]


def define_epoch(conn: Connection, name: str, low: int, high: int, text: str, *, who: str) -> None:
    """Define an epoch of the camera; epochs do not overlap.

    Parameters
    ----------
    name, text
        Name of the epoch, and its description.
    low, high
        Its first and last exposure number.
    who
        Author, for the record.

    Raises
    ------
    ConflictError
        The name is taken, or the range overlaps another epoch's.
    UsageError
        The range is empty.
    """
    if low > high or low < 0:
        raise UsageError(f"epoch {name}: exposures {low} to {high} are not a range")
    for other, first, last, _ in store.epochs(conn):
        if other == name:
            raise ConflictError(f"epoch {name} is defined already: exposures {first} to {last}")
        if low <= last and first <= high:
            raise ConflictError(f"epoch {name} would overlap {other}: exposures {first} to {last}")
    store.insert_epoch(conn, name, low, high, text)
    defined = f"epoch {name} defined: exposures {low} to {high}"
    record_event(conn, EventKind.EPOCH, who, defined, subject=name, reason=text)


def assign(
    conn: Connection,
    epoch: str,
    filetype: str,
    *,
    band: str = "",
    campaign: str = "",
    attempt: str | None = None,
    filepat: str | None = None,
    who: str,
    reason: str = "",
) -> int:
    """Assign calibrations of a type to an epoch.

    Parameters
    ----------
    epoch
        Name of the epoch.
    filetype
        Type of the calibrations.
    band, campaign
        Of the exposures that they serve; empty: all.
    attempt, filepat
        The attempt that made the files, or a pattern of names of delivered files: one of the two.
    who, reason
        Author and reason, for the record.

    Returns
    -------
    int
        How many files serve.

    Raises
    ------
    NotFoundError
        No such epoch, or no such file.
    UsageError
        Neither attempt nor files are named, or both.
    """
    if (attempt is None) == (filepat is None):
        raise UsageError("say which calibrations serve: an attempt, or a pattern of names of delivered files")
    if epoch not in {name for name, *_ in store.epochs(conn)}:
        raise NotFoundError(f"no epoch {epoch}; define it: desdm epoch add")
    entry = store.EpochInput(0, epoch, filetype, band, campaign, attempt, filepat, who)
    usable, rejected = entry_files(conn, entry)
    files = of_band(usable, band)
    if not files:
        subject = f"no {filetype} {'of ' + attempt if attempt else 'named ' + str(filepat)}"
        state = (
            "that may be used is in the archive: " + rejected[0].reason if rejected else "is in the archive"
        )
        raise NotFoundError(f"{subject} {state}")
    number = catalog.attempt_number(conn, attempt) if attempt else None
    store.insert_epoch_input(
        conn,
        {
            "name": epoch,
            "filetype": filetype,
            "band": band,
            "campaign": campaign,
            "pfw_attempt_id": number,
            "filepat": filepat,
            "who": who,
        },
    )
    scope = "".join(f", {key} {value}" for key, value in (("band", band), ("campaign", campaign)) if value)
    source = f"of {attempt}" if attempt else f"named {filepat}"
    text = f"epoch {epoch}{scope}: {len(files)} {filetype} {source} serve"
    record_event(conn, EventKind.EPOCH, who, text, number, subject=epoch, reason=reason)
    return len(files)


def assign_all(
    conn: Connection, epoch: str, attempt: str, *, campaign: str = "", who: str, reason: str = ""
) -> dict[str, int]:
    """Assign every calibration that an attempt made to an epoch, each for its own band.

    Parameters
    ----------
    epoch
        Name of the epoch.
    attempt
        The attempt, ``<unit>_r<request>p<attempt>``.
    campaign
        Of the exposures that they serve; empty: all.
    who, reason
        Author and reason, for the record.

    Returns
    -------
    dict
        Number of files by file type.

    Raises
    ------
    NotFoundError
        No such epoch or attempt, or it made no calibration.
    """
    counts: dict[str, int] = {}
    for filetype in SERVING:
        files = calibration_files(catalog.find(conn, {"filetype": filetype, "attempt": attempt}))
        for band in sorted({file.band for file in files}):
            counts[filetype] = counts.get(filetype, 0) + assign(
                conn,
                epoch,
                filetype,
                band=band,
                campaign=campaign,
                attempt=attempt,
                who=who,
                reason=reason,
            )
    if not counts:
        raise NotFoundError(f"{attempt} made none of {', '.join(SERVING)}")
    return counts
