"""The nearest night whose calibration run ended well, of each CCD and band."""

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

__all__ = ["MOST_REASONS", "nearest_nights", "night_range"]

#: The most reasons that a message names.
MOST_REASONS = 4
#: The most nights that a message names.
_MOST_NIGHTS = 5
#: States of an attempt that make its night a good one.
_GOOD = (AttemptState.DONE, AttemptState.FLAGGED)


def night_range(request: CalibrationRequest) -> str:
    """Return the range of nights around the request's, in the syntax of `desdm.archive.query`."""
    night, span = night_date(request.nite), timedelta(days=request.nights)
    return f"{night - span:%Y%m%d}:{night + span:%Y%m%d}"


def nearest_nights(
    conn: Connection, filetype: str, request: CalibrationRequest, scope: Scope | None
) -> tuple[list[CalibrationChoice], list[RejectedCalibration]]:
    """Choose the calibrations of the nearest good night.

    Parameters
    ----------
    filetype
        Type of the calibration.
    request
        What it is chosen for; its night must be given.
    scope
        Attempts whose calibrations may serve; None: all.

    Returns
    -------
    list of CalibrationChoice, list of RejectedCalibration
        One choice for each CCD and band, and the files of nearer nights that must not be used.
    """
    query = {"filetype": filetype, "nite": night_range(request)}
    files = calibration_files(catalog.find(conn, query, scope=scope))
    choices = _choose_by_distance(conn, files, request)
    rejected: list[RejectedCalibration] = []
    # The lineage of what is chosen is looked at, and of all nights' only where one of these must not be used.
    if unsound(conn, {choice.file.id: choice.file.expnum for choice in choices}):
        files, rejected = sound_files(conn, query, scope)
        choices = _choose_by_distance(conn, files, request)
    rejected += withheld_files(conn, query, files, scope)
    nearer = _nearer(conn, rejected_of_band(rejected, request.band), choices, request)
    if reasons := list(dict.fromkeys(one.reason for one in nearer)):
        text = f"; nearer ones are not used: {'; '.join(reasons[:MOST_REASONS])}"
        choices = [choice._replace(reason=choice.reason + text) for choice in choices]
    return choices, nearer


def _nearer(
    conn: Connection,
    rejected: Sequence[RejectedCalibration],
    choices: Sequence[CalibrationChoice],
    request: CalibrationRequest,
) -> list[RejectedCalibration]:
    """Return the rejected files that lie nearer than what was chosen, without those of the unit's own attempts."""
    runs = store.attempt_names(conn, attempt_ids(one.file for one in rejected))
    distances = {choice.file.detector: abs(request.days_to(choice.file)) for choice in choices}
    return [
        one
        for one in rejected
        if not request.is_own(runs.get(one.file.attempt_id or 0, ("", ""))[0])
        and abs(request.days_to(one.file)) < distances.get(one.file.detector, request.nights + 1)
    ]


def _choose_by_distance(
    conn: Connection, files: Sequence[CalibrationFile], request: CalibrationRequest
) -> list[CalibrationChoice]:
    """Choose for each CCD and band the calibration of the nearest night whose run ended well."""
    files = of_band(files, request.band)
    runs = store.attempt_names(conn, attempt_ids(files))
    good: dict[tuple[int | None, str], list[CalibrationFile]] = {}
    failures = set()
    for file in files:
        run, state = runs.get(file.attempt_id or 0, ("", ""))
        if request.is_own(run):
            continue
        if run and AttemptState(state) not in _GOOD:
            failures.add(f"{file.nite} ({run} is {state})")
        else:
            good.setdefault(file.detector, []).append(file)
    orders = attempt_orders(conn, (file for candidates in good.values() for file in candidates))
    return [
        _choose_nearest(candidates, request, runs, orders, sorted(failures))
        for _, candidates in sorted(good.items(), key=lambda item: str(item[0]))
    ]


def _choose_nearest(
    candidates: Sequence[CalibrationFile],
    request: CalibrationRequest,
    runs: Mapping[int, tuple[str, str]],
    orders: Mapping[int, int],
    failures: Sequence[str],
) -> CalibrationChoice:
    """Choose the nearest of the candidates for one CCD and band, with the choice in words."""

    def rank(file: CalibrationFile) -> tuple[int, bool, int, int]:
        days = request.days_to(file)
        # Of two nights as far away the earlier one: its calibrations were known when the exposure came.
        return abs(days), days > 0, orders.get(file.attempt_id or 0, 0), -file.id

    nearest = min(candidates, key=rank)
    days = request.days_to(nearest)
    distance = "the same night" if days == 0 else f"{abs(days)} d {'after' if days > 0 else 'before'}"
    farther = sorted({file.nite for file in candidates} - {nearest.nite})
    run = runs.get(nearest.attempt_id or 0, ("delivered", ""))[0]
    text = (
        f"no row of the epoch table; nearest good night within {request.nights} d of {request.nite}: "
        f"{nearest.nite}, {distance} ({run})"
    )
    if farther:
        text += f"; farther: {', '.join(farther[:_MOST_NIGHTS])}"
    if failures:
        text += f"; passed over: {', '.join(failures[:_MOST_NIGHTS])}"
    return CalibrationChoice(nearest, ChoiceRule.NIGHT, text)
