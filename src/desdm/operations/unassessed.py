"""Verdicts on exposures that no run assessed: not processed, or their run failed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.config import Config
from desdm.quality.qa.verdict import record, verdicts
from desdm.schema.states import Verdict
from desdm.schema.store import exposure_name

__all__ = ["NIGHTLY", "Exposure", "is_production", "record_unassessed"]

#: Program and analyst of these verdicts.
NIGHTLY = "nightly"


@dataclass(frozen=True, slots=True)
class Exposure:
    """An exposure, as its verdict names it."""

    expnum: int
    nite: str
    band: str


def is_production(config: Config, scope: Scope) -> bool:
    """Tell whether a scope is that of production: only then exposures without a run get a verdict, and tags are set."""
    return scope == Scope(config.project, config.campaign)


def record_unassessed(
    conn: Connection, scope: Scope, exposure: Exposure, verdict: Verdict, reason: str, *, processed: bool
) -> None:
    """Record a verdict on an exposure that no run assessed; the same verdict again adds nothing to the record.

    Parameters
    ----------
    conn
        Connection in a transaction.
    scope
        Attempts whose verdicts count.
    exposure
        The exposure.
    verdict, reason
        The verdict and its reason.
    processed
        Whether a run processed it.
    """
    recorded = verdicts(conn, "firstcut", [exposure.expnum], scope)
    if recorded and (recorded[0]["accepted"], recorded[0]["reason"]) == (verdict.value, reason):
        return
    values = {
        "exposurename": exposure_name(exposure.expnum),
        "expnum": exposure.expnum,
        "nite": exposure.nite,
        "band": exposure.band,
        "processed": str(processed),
        "accepted": verdict.value,
        "reason": reason,
        "program": NIGHTLY,
        "analyst": NIGHTLY,
    }
    record(conn, "firstcut", values)
