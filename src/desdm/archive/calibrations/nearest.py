"""Choice of the calibrations of the nearest night whose run ended well, for each CCD and band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.calibrations.model import (
    CalibrationChoice,
    CalibrationFile,
    CalibrationRequest,
    ChoiceRule,
    RejectedCalibration,
    calibration_files,
    night_date,
)
from desdm.archive.calibrations.usable import (
    attempt_ids,
    attempt_orders,
    of_band,
    rejected_of_band,
    sound_files,
    withheld_files,
)
from desdm.archive.model import Scope
from desdm.archive.unsound import unsound
from desdm.schema.states import AttemptState

__all__ = ["MAX_REASONS", "choose_from_nearest_nights", "night_range"]

#: Largest number of reasons listed in a message.
MAX_REASONS = 4
#: Largest number of nights listed in a message.
_MAX_NIGHTS = 5
#: States of an attempt whose calibrations may be chosen.
_GOOD_STATES = (AttemptState.DONE, AttemptState.FLAGGED)


def night_range(request: CalibrationRequest) -> str:
    """Return the nights within ``request.nights`` days of the request's, as a range for `desdm.archive.query`."""
    night, span = night_date(request.nite), timedelta(days=request.nights)
    return f"{night - span:%Y%m%d}:{night + span:%Y%m%d}"


def choose_from_nearest_nights(
    conn: Connection, filetype: str, request: CalibrationRequest, scope: Scope | None
) -> tuple[list[CalibrationChoice], list[RejectedCalibration]]:
    """Choose the calibration of the nearest good night for each CCD and band, and list the nearer rejected files.

    Parameters
    ----------
    conn
        Connection to the database.
    filetype
        Type of the calibration.
    request
        Exposure that the calibrations are for; ``nite`` is required.
    scope
        Attempts whose calibrations may serve; None: all.

    Returns
    -------
    list of CalibrationChoice, list of RejectedCalibration
        One choice for each CCD and band, and the files of nearer nights that must not be used.
    """
    query = {"filetype": filetype, "nite": night_range(request)}
    files = calibration_files(catalog.find(conn, query, scope=scope))
    choices = _choose_for_all_detectors(conn, files, request)
    rejected: list[RejectedCalibration] = []
    # Checking the lineage of all nights is slow: check that of the chosen files first, and of all only if one fails.
    if unsound(conn, {choice.file.id: choice.file.expnum for choice in choices}):
        files, rejected = sound_files(conn, query, scope, replaced=True)
        choices = _choose_for_all_detectors(conn, files, request)
    rejected += withheld_files(conn, query, files, scope)
    nearer = _rejected_nearer(conn, rejected_of_band(rejected, request.band), choices, request)
    return [_explain_rejections(choice, nearer) for choice in choices], nearer


def _explain_rejections(
    choice: CalibrationChoice, nearer: Sequence[RejectedCalibration]
) -> CalibrationChoice:
    """Add to the reason of a choice why the nearer files of the same CCD and band were rejected."""
    same = [rejection for rejection in nearer if rejection.file.detector == choice.file.detector]
    reasons = list(dict.fromkeys(rejection.reason for rejection in same))
    if not reasons:
        return choice
    text = f"; nearer calibrations were rejected: {'; '.join(reasons[:MAX_REASONS])}"
    return choice._replace(reason=choice.reason + text)


def _rejected_nearer(
    conn: Connection,
    rejected: Sequence[RejectedCalibration],
    choices: Sequence[CalibrationChoice],
    request: CalibrationRequest,
) -> list[RejectedCalibration]:
    """Return the rejected files that come before the chosen one, except files of attempts at the same unit.

    They are of a nearer night, or of the same night and newer.
    """
    attempts = store.attempt_names(conn, attempt_ids(rejection.file for rejection in rejected))
    places = {c.file.detector: (abs(request.days_to(c.file)), -c.file.id) for c in choices}
    return [
        rejection
        for rejection in rejected
        if not request.is_own(attempts.get(rejection.file.attempt_id or 0, ("", ""))[0])
        and (abs(request.days_to(rejection.file)), -rejection.file.id)
        < places.get(rejection.file.detector, (request.nights + 1, 0))
    ]


def _choose_for_all_detectors(
    conn: Connection, files: Sequence[CalibrationFile], request: CalibrationRequest
) -> list[CalibrationChoice]:
    """Choose for each CCD and band the calibration of the nearest night whose run ended well."""
    files = of_band(files, request.band)
    attempts = store.attempt_names(conn, attempt_ids(files))
    good: dict[tuple[int | None, str], list[CalibrationFile]] = {}
    failed: dict[tuple[int | None, str], list[CalibrationFile]] = {}
    for file in files:
        run, state = attempts.get(file.attempt_id or 0, ("", ""))
        if request.is_own(run):
            continue
        ended_well = not run or AttemptState(state) in _GOOD_STATES
        (good if ended_well else failed).setdefault(file.detector, []).append(file)
    preferences = attempt_orders(conn, (file for candidates in good.values() for file in candidates))
    return [
        _choose_for_detector(candidates, failed.get(detector, ()), request, attempts, preferences)
        for detector, candidates in sorted(good.items(), key=lambda item: str(item[0]))
    ]


def _choose_for_detector(
    candidates: Sequence[CalibrationFile],
    failed: Sequence[CalibrationFile],
    request: CalibrationRequest,
    attempts: Mapping[int, tuple[str, str]],
    preferences: Mapping[int, int],
) -> CalibrationChoice:
    """Choose the candidate of the nearest night for one CCD and band, and explain the choice in its reason.

    ``failed`` are the files of runs that did not end well, ``attempts`` gives name and state by attempt,
    ``preferences`` the order of preference, lower first.
    """

    def distance(file: CalibrationFile) -> tuple[int, bool]:
        """Rank by nights; of two equally distant ones the earlier: it existed when the exposure was taken."""
        days = request.days_to(file)
        return abs(days), days > 0

    def rank(file: CalibrationFile) -> tuple[tuple[int, bool], int, int]:
        """Rank by night; within a night the preferred attempt, then the newest file."""
        return distance(file), preferences.get(file.attempt_id or 0, 0), -file.id

    nearest = min(candidates, key=rank)
    days = request.days_to(nearest)
    farther = sorted({file.nite for file in candidates} - {nearest.nite})
    run = attempts.get(nearest.attempt_id or 0, ("delivered", ""))[0]
    text = (
        f"no row of the epoch table; nearest good night within {request.nights} days of {request.nite}: "
        f"{nearest.nite}, {_days_text(days)} ({run})"
    )
    if farther:
        text += f"; also available, but not nearer: {', '.join(farther[:_MAX_NIGHTS])}"
    skipped = {(file.nite, file.attempt_id or 0) for file in failed if distance(file) < distance(nearest)}
    if skipped:
        nights = [
            f"{nite} ({attempts[attempt][0]} is {attempts[attempt][1]})" for nite, attempt in sorted(skipped)
        ]
        text += f"; skipped because the run did not end well: {', '.join(nights[:_MAX_NIGHTS])}"
    return CalibrationChoice(nearest, ChoiceRule.NIGHT, text)


def _days_text(days: int) -> str:
    """Return a distance in nights in words; negative: before the exposure."""
    if days == 0:
        return "the same night"
    return f"{abs(days)} day{'s' if abs(days) > 1 else ''} {'after' if days > 0 else 'before'}"
