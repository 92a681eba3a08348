"""Verdicts on exposures: what was judged, and an analyst's word that stands above it; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from desdm.errors import NotFoundError, UsageError
from desdm.quality.qa import store
from desdm.quality.qa.contents import evaluation
from desdm.schema import EVALUATIONS

__all__ = ["overrule", "record", "verdicts"]


def verdicts(conn: Connection, cut: str, expnums: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """The newest verdict of each exposure; columns of firstcut_eval."""
    return store.newest(conn, EVALUATIONS[cut], expnums)


def record(conn: Connection, cut: str, told: Mapping[str, Any], attempt_id: int | None = None) -> None:
    """Add a verdict that no run's file tells: of an exposure that was not processed, or whose run failed."""
    store.add_evaluation(conn, EVALUATIONS[cut], {**evaluation(told), "pfw_attempt_id": attempt_id})


def overrule(
    conn: Connection, cut: str, expnum: int | None, accepted: str, comment: str | None, analyst: str
) -> None:
    """An analyst's verdict on an exposure: the numbers stay, verdict and reason are the analyst's.

    Raises
    ------
    UsageError
        No exposure, or no comment.
    NotFoundError
        The exposure has not been judged.
    """
    if expnum is None or not comment:
        raise UsageError("say which exposure, and why: desdm verdict EXPNUM --set … --comment TEXT")
    known = store.newest(conn, EVALUATIONS[cut], [expnum])
    if not known:
        raise NotFoundError(f"exposure {expnum} has no verdict in {cut}_eval; see: desdm verdict --cut {cut}")
    told = {
        **known[0],
        "accepted": accepted,
        "reason": f"overruled: {comment}",
        "program": "analyst",
        "analyst": analyst,
        "analyst_comment": comment,
    }
    record(conn, cut, told, known[0]["pfw_attempt_id"])
