"""Explain why no calibration was chosen: which runs must not be used, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.calibrations.model import CalibrationRequest
from desdm.archive.calibrations.nearest import MAX_REASONS, night_range
from desdm.archive.calibrations.usable import (
    attempt_ids,
    entry_files,
    of_band,
    rejected_of_band,
    sound_files,
    usable_files,
    withheld_files,
)
from desdm.archive.model import Scope
from desdm.archive.withheld import unfit_reasons
from desdm.schema.runname import RunName

__all__ = ["explain_none"]


def explain_none(conn: Connection, filetype: str, request: CalibrationRequest) -> str:
    """Say in words why `choose` found no calibration of a type, and what to do.

    Parameters
    ----------
    filetype
        Type of the calibration.
    request
        What it was to be chosen for.
    """
    band = f", band {request.band}" if request.band else ""
    subject = f"{filetype} for exposure {request.expnum} of night {request.nite or '?'}{band}"
    if filetype in request.pins:
        run = request.pins[filetype]
        reasons = _pin_reasons(conn, filetype, request) or ", which made none"
        return (
            f"no {subject}: the operator set calibration.{filetype} = {run}{reasons}; name another run, or leave the "
            "setting out"
        )
    scopes = f" in {' or '.join(scope.describe() for scope in request.scopes)}" if request.scopes else ""
    return (
        f"no {subject}{scopes}: {_epoch_reasons(conn, filetype, request)}, no night within {request.nights} days whose "
        f"calibration run ended well{_night_reasons(conn, filetype, request)}, {_tag_reasons(conn, filetype, request)}; "
        "run precal of a near night, or register one (desdm epoch use)"
    )


def _epoch_reasons(conn: Connection, filetype: str, request: CalibrationRequest) -> str:
    """Say what the epoch table lacks."""
    entries = store.epoch_inputs(conn, filetype, request.expnum, request.band, request.campaign)
    texts = []
    for entry in entries:
        _, rejected = entry_files(conn, entry)
        if rejected:
            texts.append(f"{entry.attempt or entry.filepat}: {rejected[0].reason}")
    if not texts:
        return "no row of the epoch table"
    return f"no usable row of the epoch table ({'; '.join(texts[:MAX_REASONS])})"


def _tag_reasons(conn: Connection, filetype: str, request: CalibrationRequest) -> str:
    """Say what the tag lacks."""
    if not request.tag:
        return "no calibration_tag is set"
    reasons = _withheld_reasons(conn, {"filetype": filetype, "tag": request.tag}, request)
    text = "; ".join(reasons[:MAX_REASONS])
    return f"nothing tagged {request.tag}" + (f" that may be used ({text})" if reasons else "")


def _pin_reasons(conn: Connection, filetype: str, request: CalibrationRequest) -> str:
    """Say in parentheses why the files of the run that the operator named must not be used; empty: it made none."""
    if RunName.parse(request.pins[filetype]) is None:
        return ", a file that is not registered under that type, or must not be used"
    files, rejected = usable_files(conn, {"filetype": filetype, "attempt": request.pins[filetype]})
    reasons = [one.reason for one in rejected_of_band(rejected, request.band)]
    reasons += unfit_reasons(conn, attempt_ids(of_band(files, request.band))).values()
    return _parenthesis(reasons)


def _night_reasons(conn: Connection, filetype: str, request: CalibrationRequest) -> str:
    """Say in parentheses why the files of near nights must not be used; empty: there are none."""
    if not request.nite:
        return ""
    query = {"filetype": filetype, "nite": night_range(request)}
    return _parenthesis(_withheld_reasons(conn, query, request))


def _parenthesis(reasons: list[str]) -> str:
    """Put different reasons in parentheses after a blank; empty without reasons."""
    different = list(dict.fromkeys(reasons))
    more = f"; {len(different) - MAX_REASONS} more" if len(different) > MAX_REASONS else ""
    return f" ({'; '.join(different[:MAX_REASONS])}{more})" if different else ""


def _withheld_reasons(conn: Connection, query: Mapping[str, str], request: CalibrationRequest) -> list[str]:
    """Return the reasons why files that fit a query must not be used, in the scopes of a request."""
    reasons: list[str] = []
    scopes: tuple[Scope | None, ...] = request.scopes or (None,)
    for scope in scopes:
        sound, unsound = sound_files(conn, query, scope)
        files = of_band(sound, request.band)
        reasons += unfit_reasons(conn, attempt_ids(files), scope).values()
        rejected = [*withheld_files(conn, query, files, scope), *unsound]
        reasons += [one.reason for one in rejected_of_band(rejected, request.band)]
    return list(dict.fromkeys(reasons))
