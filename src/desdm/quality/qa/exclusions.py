"""Exclusions beside verdicts: what a person must see who looks at the verdict of an exposure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from desdm.archive import store
from desdm.schema.evaluation import ExclusionDocument, ListedVerdict
from desdm.schema.store import exposure_name
from desdm.texttable import time_text

__all__ = ["Exclusion", "exclusions", "exclusions_of_run", "summary", "with_exclusions"]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An exposure, or one CCD of it, that calibrations and coadds must not use: by whom, since when (UTC), and why.

    ``ccdnum`` is None for the whole exposure.
    """

    expnum: int
    ccdnum: int | None
    reason: str
    analyst: str
    since: datetime

    @property
    def text(self) -> str:
        """The exclusion in words."""
        what = exposure_name(self.expnum) + (f", CCD {self.ccdnum}," if self.ccdnum else "")
        return f"{what} is excluded since {time_text(self.since)} (UTC) by {self.analyst}: {self.reason}"

    def document(self) -> ExclusionDocument:
        """The exclusion as JSON tells it."""
        return {
            "expnum": self.expnum,
            "ccdnum": self.ccdnum,
            "reason": self.reason,
            "analyst": self.analyst,
            "since": self.since,
        }


def exclusions(conn: Connection, expnums: Sequence[int]) -> list[Exclusion]:
    """Return the exclusions in force of exposures, in the order of exposures and CCDs."""
    of_exposures = [
        Exclusion(r["expnum"], r["ccdnum"] or None, r["reason"], r["analyst"], r["since"])
        for r in store.excluded(conn, expnums)
    ]
    return sorted(of_exposures, key=lambda e: (e.expnum, e.ccdnum or 0, e.since))


def exclusions_of_run(conn: Connection, attempt_id: int) -> list[Exclusion]:
    """Return the exclusions in force of what a run has processed: its exposures, and those of their CCDs that it used."""
    used = store.exposures_of_attempt(conn, attempt_id)
    return [
        e
        for e in exclusions(conn, sorted(used))
        # A raw file of all CCDs does not name them.
        if e.ccdnum is None or not used[e.expnum] or e.ccdnum in used[e.expnum]
    ]


def with_exclusions(conn: Connection, verdicts: Sequence[ListedVerdict]) -> list[ListedVerdict]:
    """Return verdicts with the further key ``exclusions``: those of the exposure that are in force, as JSON."""
    of_exposures: dict[int, list[ExclusionDocument]] = {}
    for one in exclusions(conn, [v["expnum"] for v in verdicts]):
        of_exposures.setdefault(one.expnum, []).append(one.document())
    return [{**v, "exclusions": of_exposures.get(v["expnum"], [])} for v in verdicts]


def summary(exclusions: Iterable[ExclusionDocument]) -> str:
    """Return what is excluded of one exposure as one word or list of CCDs, for a column; empty: nothing."""
    ccds = [one["ccdnum"] for one in exclusions]
    if not ccds:
        return ""
    return "yes" if None in ccds else "CCD " + ",".join(str(n) for n in sorted({n for n in ccds if n}))
