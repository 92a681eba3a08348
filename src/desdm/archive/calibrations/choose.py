"""Choose calibrations and say why: the operator's pin, the epoch table, the nearest good night, a tag; in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.calibrations.model import (
    CalibrationChoice,
    CalibrationFile,
    CalibrationRequest,
    ChoiceRule,
    RejectedCalibration,
    Selection,
)
from desdm.archive.calibrations.nearest import choose_from_nearest_nights
from desdm.archive.calibrations.usable import (
    attempt_ids,
    attempt_orders,
    entry_files,
    of_band,
    rejected_of_band,
    sound_files,
    usable_files,
)
from desdm.archive.model import Scope
from desdm.archive.names import split_name
from desdm.archive.withheld import outside
from desdm.schema.runname import RunName

__all__ = ["choose", "file_known"]


def choose(conn: Connection, filetype: str, request: CalibrationRequest) -> Selection:
    """Choose the calibrations of a type: one for each CCD and band (or one, for types of the whole camera).

    The order is that of the DES Data Management system: the epoch table by exposure number, band and campaign; then the
    nearest night whose calibration run ended well; then a tag. What the operator pins comes before all. What was made from
    an excluded frame, or by or from a JUNK run, is never chosen (`desdm.archive.unsound`).

    Parameters
    ----------
    filetype
        Type of the calibration, for instance ``cal_biascor``.
    request
        What it is chosen for.

    Returns
    -------
    Selection
        Without choices there is none; `explain_none` says so in words.
    """
    if filetype in request.pins:
        return _choose_pinned(conn, filetype, request)
    selection = Selection()
    if _choose_by_epoch(conn, filetype, request, selection):
        return selection
    scopes: tuple[Scope | None, ...] = request.scopes or (None,)
    for scope in scopes:
        choices, rejected = _choose_in_scope(conn, filetype, request, scope)
        selection.rejected += rejected
        if choices:
            if scope is not None and scope is not scopes[0]:
                note = f"; taken from {scope.describe()}, since the run's own scope has none"
                choices = [choice._replace(reason=choice.reason + note) for choice in choices]
            selection.choices = choices
            break
    if selection.notes:
        notes = "; ".join(selection.notes)
        selection.choices = [
            choice._replace(reason=f"{choice.reason}; {notes}") for choice in selection.choices
        ]
    return selection


def _choose_by_epoch(
    conn: Connection, filetype: str, request: CalibrationRequest, selection: Selection
) -> bool:
    """Take the files of the first entry of the epoch table that has usable ones into ``selection``; tell if there are."""
    for entry in store.epoch_inputs(conn, filetype, request.expnum, request.band, request.campaign):
        files, rejected = entry_files(conn, entry)
        files, rejected = of_band(files, request.band), rejected_of_band(rejected, request.band)
        selection.rejected += rejected
        if rejected:
            source = entry.attempt or f"files {entry.filepat}"
            selection.notes.append(
                f"epoch {entry.epoch} names {source} for {filetype}, of which {len(rejected)} files are not used: "
                f"{rejected[0].reason}"
            )
        if files:
            text = _epoch_text(entry, request)
            selection.choices = [CalibrationChoice(file, ChoiceRule.EPOCH, text) for file in files]
            return True
    return False


def _choose_pinned(conn: Connection, filetype: str, request: CalibrationRequest) -> Selection:
    """Choose the calibrations of the run that the operator named, with a note where it lies outside the run's scope."""
    run = request.pins[filetype]
    if RunName.parse(run) is None:
        return _choose_named_file(conn, filetype, run, request)
    usable, rejected = usable_files(conn, {"filetype": filetype, "attempt": run})
    files = of_band(usable, request.band)
    notes = []
    numbers = attempt_ids(files)
    facts = store.attempt_facts(conn, numbers) if numbers and request.scopes else {}
    for attempt in facts.values():
        differences = [outside(attempt, scope) for scope in request.scopes]
        if all(differences):
            notes.append(
                f"calibration.{filetype} = {attempt.run} is {differences[0]}; it is used because it was named"
            )
    reason = "; ".join([f"the operator set calibration.{filetype} = {run}", *notes])
    return Selection(
        [CalibrationChoice(file, ChoiceRule.OPERATOR, reason) for file in files],
        rejected_of_band(rejected, request.band),
        notes,
    )


def file_known(conn: Connection, filetype: str, filename: str) -> bool:
    """Tell whether a file of that type and name is registered, for use or not."""
    record = store.by_name(conn, *split_name(filename))
    return record is not None and record.filetype == filetype


def _choose_named_file(
    conn: Connection, filetype: str, filename: str, request: CalibrationRequest
) -> Selection:
    """Choose a file that the operator named for its CCD and band, and for the others what the rules say."""
    record = store.by_name(conn, *split_name(filename))
    if record is None or record.filetype != filetype:
        return Selection(notes=[f"calibration.{filetype} = {filename}: no such file is registered"])
    maker = record.pfw_attempt_id
    # The files of a named attempt are found although newer ones supersede them.
    query = (
        {"filename": filename} if maker is None else {"attempt": store.attempt_names(conn, [maker])[maker][0]}
    )
    usable, rejected = usable_files(conn, {"filetype": filetype, **query})
    named = [file for file in of_band(usable, request.band) if file.id == record.id]
    unused = [one for one in rejected if one.file.id == record.id]
    if not named:
        return Selection([], unused, [f"calibration.{filetype} = {filename} cannot be used"])
    pins = {key: value for key, value in request.pins.items() if key != filetype}
    selection = choose(conn, filetype, replace(request, pins=pins))
    reason = f"the operator set calibration.{filetype} = {filename}"
    detectors = {file.detector for file in named}
    others = [choice for choice in selection.choices if choice.file.detector not in detectors]
    selection.choices = [*(CalibrationChoice(file, ChoiceRule.OPERATOR, reason) for file in named), *others]
    return selection


def _choose_in_scope(
    conn: Connection, filetype: str, request: CalibrationRequest, scope: Scope | None
) -> tuple[list[CalibrationChoice], list[RejectedCalibration]]:
    """Choose from the nearest good night, else from the tag, among the attempts of a scope."""
    rejected: list[RejectedCalibration] = []
    if request.nite:
        choices, rejected = choose_from_nearest_nights(conn, filetype, request, scope)
        if choices:
            return choices, rejected
    if not request.tag:
        return [], rejected
    sound, unsound = sound_files(conn, {"filetype": filetype, "tag": request.tag}, scope)
    files = of_band(sound, request.band)
    runs = store.attempt_names(conn, attempt_ids(files))
    files = [file for file in files if not request.is_own(runs.get(file.attempt_id or 0, ("", ""))[0])]
    text = f"no row of the epoch table and no good night within {request.nights} days; tag {request.tag}"
    choices = [
        CalibrationChoice(file, ChoiceRule.TAG, text) for file in _newest(files, attempt_orders(conn, files))
    ]
    return choices, [*rejected, *rejected_of_band(unsound, request.band)]


def _newest(files: Sequence[CalibrationFile], orders: Mapping[int, int]) -> list[CalibrationFile]:
    """Return for each CCD and band the newest file of the attempts that come first."""
    newest: dict[tuple[int | None, str], CalibrationFile] = {}
    for file in sorted(files, key=lambda file: (orders.get(file.attempt_id or 0, 0), -file.id)):
        newest.setdefault(file.detector, file)
    return list(newest.values())


def _epoch_text(entry: store.EpochInput, request: CalibrationRequest) -> str:
    """Say in words why an entry of the epoch table decides."""
    band = f"band {entry.band}" if entry.band else "every band"
    campaign = f"campaign {entry.campaign}" if entry.campaign else "every campaign"
    source = entry.attempt or f"files {entry.filepat}"
    return (
        f"exposure {request.expnum} lies in epoch {entry.epoch}, whose table says {entry.filetype}, {band}, "
        f"{campaign}: {source} (registered by {entry.who})"
    )
