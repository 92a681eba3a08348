"""What a plan reads of people's and programs' judgement of exposures, as one digest, to tell whether it has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.catalogfile import FileIdentity
from desdm.archive.unsound import unsound
from desdm.quality.qa import store
from desdm.schema import EVALUATIONS
from desdm.schema.operationstates import Mark

__all__ = ["Flags", "marks_concern", "read_flags"]


@dataclass(frozen=True, slots=True)
class Flags:
    """Exclusions and verdicts of exposures.

    Attributes
    ----------
    digest
        sha-256 of the exclusions in force and the verdicts that count.
    expnums
        Exposures, in order.
    own
        The exposure that a run processes by itself: its verdict follows from the run, and is no part of the digest.
    """

    digest: str
    expnums: tuple[int, ...]
    own: int | None


def read_flags(conn: Connection, expnums: Iterable[int], own: int | None = None) -> Flags:
    """Read the exclusions in force and the verdicts that count of exposures.

    Parameters
    ----------
    conn
        Connection to the database.
    expnums
        The exposures.
    own
        The exposure that a run processes by itself.
    """
    numbers = tuple(sorted(set(expnums)))
    excluded = sorted((e["expnum"], e["ccdnum"], e["reason"]) for e in archive_store.excluded(conn, numbers))
    others = [number for number in numbers if number != own]
    verdicts = [
        (cut, row["expnum"], row["accepted"])
        for cut, table in EVALUATIONS.items()
        for row in (store.counting(conn, table, None, others) if others else ())
    ]
    text = json.dumps([excluded, verdicts])
    return Flags(hashlib.sha256(text.encode()).hexdigest(), numbers, own)


def marks_concern(
    conn: Connection, newest: int, used: Iterable[FileIdentity], omitted: Iterable[int]
) -> bool:
    """Tell whether marks that were made since a plan read its inputs change which ones it may use.

    Parameters
    ----------
    conn
        Connection to the database.
    newest
        Number of the newest mark when the plan read its inputs.
    used
        The inputs.
    omitted
        Numbers of the files that the plan leaves out.
    """
    marks = store.marks_since(conn, newest)
    if not marks:
        return False
    if any(mark.verdict is Mark.DEFECTIVE for mark in marks):
        files = {file.id: file for file in used}
        attempts = {file.pfw_attempt_id for file in files.values()} - {None}
        if any(mark.desfile_id is None and mark.pfw_attempt_id in attempts for mark in marks):
            return True
        if unsound(conn, {number: file.expnum for number, file in files.items()}):
            return True
    freed = [mark for mark in marks if mark.verdict is not Mark.DEFECTIVE]
    left = sorted(set(omitted)) if freed else []
    attempts_left = set(archive_store.attempts_of(conn, left)) if left else set()
    return any(
        mark.desfile_id in left if mark.desfile_id is not None else mark.pfw_attempt_id in attempts_left
        for mark in freed
    )
