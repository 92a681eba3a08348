"""Compare the inputs of a planned attempt with those of the attempt that it repeats."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.framework.model import Attempt
from desdm.framework.submit import Submission
from desdm.operations.compare import store
from desdm.operations.compare.model import CalibrationDifference
from desdm.operations.compare.runs import compare_calibrations
from desdm.schema.states import AttemptState

__all__ = ["InputChanges", "compare_planned_inputs"]

#: States of attempts that used all that they were planned with.
_WHOLE = (AttemptState.DONE, AttemptState.FLAGGED)


@dataclass(frozen=True, slots=True)
class InputChanges:
    """What a planned attempt takes otherwise than the attempt that it repeats.

    Attributes
    ----------
    calibrations
        Those that differ, with the rules that chose them.
    only_before, only_after
        Names of other files that only the attempt used, or only the plan takes; both empty for an attempt that did
        not end well, as it need not have used all its inputs.
    """

    calibrations: tuple[CalibrationDifference, ...] = ()
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.calibrations or self.only_before or self.only_after)


def compare_planned_inputs(conn: Connection, attempt: Attempt, submission: Submission) -> InputChanges:
    """Compare what a plan takes from the archive with what the attempt that it repeats used.

    The rules choose among the files that the archive holds today: newer calibrations or images change what an
    attempt with the same settings takes.

    Parameters
    ----------
    conn
        The database.
    attempt
        The attempt that is repeated.
    submission
        The planned one, or a dry run of it.
    """
    before = store.calibrations(conn, attempt.id)
    after = store.planned_calibrations(conn, submission.calibrations)
    calibrations = tuple(compare_calibrations(before, after))
    if attempt.state not in _WHOLE:
        return InputChanges(calibrations)
    used = {file.filename for file in store.inputs(conn, attempt.id)}
    planned = {one.filename for one in submission.inputs} - {taken.filename for taken in after}
    return InputChanges(calibrations, tuple(sorted(used - planned)), tuple(sorted(planned - used)))
