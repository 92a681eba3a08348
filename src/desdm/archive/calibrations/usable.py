"""Which calibration files a query or an entry of the epoch table names may be used, and why the others may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.calibrations.model import (
    CalibrationFile,
    CalibrationIdentity,
    RejectedCalibration,
    calibration_files,
    calibration_identity,
)
from desdm.archive.model import Scope
from desdm.archive.withheld import unfit_reasons, withheld
from desdm.schema.states import DataState

__all__ = [
    "attempt_ids",
    "attempt_orders",
    "entry_files",
    "of_band",
    "rejected_of_band",
    "sound_files",
    "usable_files",
    "withheld_files",
]


def of_band(files: Iterable[CalibrationFile], band: str) -> list[CalibrationFile]:
    """Return the files that serve a band; an empty ``band``: all of them."""
    return [file for file in files if file.serves(band)]


def rejected_of_band(rejected: Iterable[RejectedCalibration], band: str) -> list[RejectedCalibration]:
    """Return the rejected files that would serve a band."""
    return [one for one in rejected if one.file.serves(band)]


def attempt_ids(files: Iterable[CalibrationIdentity]) -> list[int]:
    """Return the numbers of the attempts that made the files, sorted."""
    return sorted({file.attempt_id for file in files if file.attempt_id})


def attempt_orders(conn: Connection, files: Iterable[CalibrationFile]) -> dict[int, int]:
    """Return the order of preference of the files' attempts, by number; delivered files are as good as the best."""
    numbers = attempt_ids(files)
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    return {number: attempt.order for number, attempt in facts.items()}


def sound_files(
    conn: Connection, query: Mapping[str, str], scope: Scope | None = None, *, replaced: bool = False
) -> tuple[list[CalibrationFile], list[RejectedCalibration]]:
    """Return the files of a query with sound lineage, and the others with the reasons; see `catalog.find_sound`.

    Parameters
    ----------
    conn
        Connection to the database.
    query
        Keys and values, as of `catalog.find`.
    scope
        Project, campaign and run classes of the attempts; None: all.
    replaced
        Also list, of the others, those of which another of the same CCD and band is returned.
    """
    sound, unsound = catalog.find_sound(conn, query, scope, replaced=replaced)
    rejected = [RejectedCalibration(calibration_identity(file), reason) for file, reason in unsound]
    return calibration_files(sound), rejected


def withheld_files(
    conn: Connection,
    query: Mapping[str, str],
    files: Sequence[CalibrationFile],
    scope: Scope | None = None,
) -> list[RejectedCalibration]:
    """Return the files that fit a query and must not be used, other than ``files``; see `desdm.archive.withheld`.

    Parameters
    ----------
    conn
        Connection to the database.
    query
        Keys and values, as of `catalog.find`.
    files
        Files that the query returns, which are left out.
    scope
        Project, campaign and run classes of the attempts; None: all.
    """
    others = withheld(conn, query, scope, known={file.id for file in files})
    return [RejectedCalibration(calibration_identity(one.file), one.reason) for one in others]


def usable_files(
    conn: Connection, query: Mapping[str, str]
) -> tuple[list[CalibrationFile], list[RejectedCalibration]]:
    """Return the files of a query that may be used, and the others: who names an attempt does not thereby bless it."""
    files, rejected = sound_files(conn, query)
    numbers = attempt_ids(files)
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    unfit = [n for n, attempt in facts.items() if attempt.data_state in (DataState.JUNK, DataState.PRUNED)]
    reasons = unfit_reasons(conn, unfit) if unfit else {}
    usable = []
    for file in files:
        reason = reasons.get(file.attempt_id or 0)
        if reason is None:
            usable.append(file)
        else:
            rejected.append(RejectedCalibration(file, reason))
    return usable, rejected


def entry_files(
    conn: Connection, entry: store.EpochInput
) -> tuple[list[CalibrationFile], list[RejectedCalibration]]:
    """Return the files that an entry of the epoch table names and that may be used, and the others."""
    query = {"filetype": entry.filetype}
    if entry.attempt is not None:
        return usable_files(conn, {**query, "attempt": entry.attempt})
    query["filename"] = str(entry.filepat)
    files, rejected = usable_files(conn, query)
    return files, [*rejected, *withheld_files(conn, query, files)]
