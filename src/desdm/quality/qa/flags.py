"""What a plan reads of people's and programs' judgement of exposures, as one digest, to tell whether it has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.quality.qa import store
from desdm.schema import EVALUATIONS

__all__ = ["Flags", "read_flags"]


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
