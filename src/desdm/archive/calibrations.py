"""Chooses calibrations and says why: the operator's pin, the epoch table, the nearest good night, a tag; in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.model import Scope
from desdm.archive.withheld import unfit_reasons, withheld
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.schema.states import DataState, EventKind
from desdm.schema.store import record_event

__all__ = ["SERVING", "Choice", "Occasion", "choose", "define_epoch", "register", "register_all", "why_none"]

#: Calibrations that serve exposures; what else a supercal makes (lists of frames, star catalogues) is its own evidence.
SERVING = (
    "cal_crosstalk", "cal_lintable", "cal_biascor", "cal_bpm", "cal_bf", "cal_dflatcor", "cal_starflat", "cal_skypc",
    "cal_skytempl",
)  # fmt: skip

#: Reasons that a message names.
_REASONS = 4
#: States of an attempt that make its night a good one.
_GOOD = ("done", "flagged")
#: Of these each band has its own; the others serve every band, whatever frames they were made from.
BANDED = ("cal_dflatcor", "cal_starflat", "cal_skypc", "cal_skytempl", "flatnorm")


class Choice(NamedTuple):
    """A calibration file, the rule that chose it (operator, epoch, night or tag), and the choice in words."""

    row: Mapping[str, Any]
    how: str
    reason: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """For what a calibration is wanted.

    Attributes
    ----------
    expnum, nite, band, campaign
        Of the exposure; an empty band asks for every band.
    nights
        How far away a night may be, in days.
    tag
        Fallback: files or attempts with this tag; empty: none.
    pins
        File type → attempt that the operator wants it from.
    unit
        Unit that is processed: what its own earlier attempts made does not serve it, or a second attempt at the same
        work would not be the same work.
    scopes
        Attempts whose calibrations may serve, the preferred scope first; empty: all attempts. What the operator or the
        epoch table names serves whatever the scope.
    """

    expnum: int | None = None
    nite: str = ""
    band: str = ""
    campaign: str = ""
    nights: int = 10
    tag: str = ""
    pins: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    scopes: tuple[Scope, ...] = ()


def choose(conn: Connection, filetype: str, occasion: Occasion) -> list[Choice]:
    """The calibrations of that type for an occasion: one a CCD and band (or one, for types of the whole camera).

    DESDM's order (desdm.md section 4): the epoch table by exposure number, band and campaign; then the nearest night
    whose calibration run ended well; then a tag. What the operator pins comes before all.

    Returns
    -------
    list of Choice
        Empty: there is none; `why_none` says so in words.
    """
    if filetype in occasion.pins:
        run = occasion.pins[filetype]
        rows = _of_band(
            _usable(conn, catalog.find(conn, {"filetype": filetype, "attempt": run})), occasion.band
        )
        return [Choice(row, "operator", f"the operator set calibration.{filetype} = {run}") for row in rows]
    for entry in store.epoch_inputs(conn, filetype, occasion.expnum, occasion.band, occasion.campaign):
        rows = _of_band(_of_entry(conn, entry), occasion.band)
        if rows:
            return [Choice(row, "epoch", _epoch_text(entry, occasion)) for row in rows]
    scopes: tuple[Scope | None, ...] = occasion.scopes or (None,)
    for scope in scopes:
        chosen = _in_scope(conn, filetype, occasion, scope)
        if chosen and scope is not scopes[0] and scope is not None:
            note = f"; taken from {scope.describe()}, since the run's own scope has none"
            return [choice._replace(reason=choice.reason + note) for choice in chosen]
        if chosen:
            return chosen
    return []


def _in_scope(conn: Connection, filetype: str, occasion: Occasion, scope: Scope | None) -> list[Choice]:
    """The calibrations of the nearest good night, else of the tag, among the attempts of a scope."""
    if occasion.nite:
        chosen = _nearest(conn, filetype, occasion, scope)
        if chosen:
            return chosen
    if occasion.tag:
        rows = catalog.find(conn, {"filetype": filetype, "tag": occasion.tag}, scope=scope)
        rows_of_band = _of_band(rows, occasion.band)
        runs = store.attempt_names(
            conn, sorted({r["pfw_attempt_id"] for r in rows_of_band if r["pfw_attempt_id"]})
        )
        others = [r for r in rows_of_band if not _own(r, runs, occasion)]
        why = f"no row of the epoch table and no good night within {occasion.nights} d; tag {occasion.tag}"
        return [Choice(row, "tag", why) for row in _newest(others, _orders(conn, others))]
    return []


def why_none(conn: Connection, filetype: str, occasion: Occasion) -> str:
    """Why nothing was found, which runs must not be used, and what to do."""
    what = f"{filetype} for exposure {occasion.expnum} of night {occasion.nite or '?'}"
    band = f", band {occasion.band}" if occasion.band else ""
    tag = f"nothing tagged {occasion.tag}" if occasion.tag else "no calibration_tag is set"
    where = f" in {' or '.join(s.describe() for s in occasion.scopes)}" if occasion.scopes else ""
    unfit = _unfit(conn, filetype, occasion)
    return (
        f"no {what}{band}{where}: no row of the epoch table, no night within {occasion.nights} d whose calibration run "
        f"ended well{unfit}, {tag}; run precal of a near night, or register one (desdm epoch use)"
    )


def _unfit(conn: Connection, filetype: str, occasion: Occasion) -> str:
    """The runs of near nights, or that the operator pinned, whose calibrations must not be used, with the reasons."""
    query = {"filetype": filetype}
    scopes: tuple[Scope | None, ...] = occasion.scopes or (None,)
    if filetype in occasion.pins:
        rows = catalog.find(conn, {**query, "attempt": occasion.pins[filetype]})
        numbers = {int(r["pfw_attempt_id"]) for r in _of_band(rows, occasion.band) if r["pfw_attempt_id"]}
        reasons = list(unfit_reasons(conn, numbers).values())
    else:
        if occasion.nite:
            query["nite"] = _nites(occasion)
        reasons = []
        for scope in scopes:
            found = _of_band(catalog.find(conn, query, scope=scope), occasion.band)
            numbers = {int(r["pfw_attempt_id"]) for r in found if r["pfw_attempt_id"]}
            reasons += unfit_reasons(conn, numbers, scope).values()
            left = withheld(conn, query, found, scope, key=lambda row: row["id"])
            reasons += [one.reason for one in left if _of_band([one.row], occasion.band)]
    named = list(dict.fromkeys(reasons))
    more = f"; {len(named) - _REASONS} more" if len(named) > _REASONS else ""
    return f" ({'; '.join(named[:_REASONS])}{more})" if named else ""


def _of_band(rows: Sequence[Mapping[str, Any]], band: str) -> list[Mapping[str, Any]]:
    return [
        r for r in rows if not band or r.get("filetype") not in BANDED or r.get("band") in (None, "", band)
    ]


def _band_of(row: Mapping[str, Any]) -> str:
    return str(row.get("band") or "") if row.get("filetype") in BANDED else ""


def _of_entry(conn: Connection, entry: store.EpochInput) -> list[Mapping[str, Any]]:
    """The files that an entry of the epoch table names and that may be used."""
    query = {"filetype": entry.filetype}
    if entry.attempt is not None:
        query["attempt"] = entry.attempt
    else:
        query["filename"] = str(entry.filepat)
    return _usable(conn, catalog.find(conn, query))


def _usable(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows whose attempt is not JUNK or PRUNED: who names an attempt does not thereby bless it."""
    numbers = sorted({int(r["pfw_attempt_id"]) for r in rows if r["pfw_attempt_id"]})
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    unfit = (DataState.JUNK, DataState.PRUNED)
    return [
        r for r in rows if not r["pfw_attempt_id"] or facts[int(r["pfw_attempt_id"])].data_state not in unfit
    ]


def _epoch_text(entry: store.EpochInput, occasion: Occasion) -> str:
    for_band = f"band {entry.band}" if entry.band else "every band"
    campaign = f"campaign {entry.campaign}" if entry.campaign else "every campaign"
    source = entry.attempt or f"files {entry.filepat}"
    return (
        f"exposure {occasion.expnum} lies in epoch {entry.epoch}, whose table says {entry.filetype}, {for_band}, "
        f"{campaign}: {source} (registered by {entry.who})"
    )


def _nearest(conn: Connection, filetype: str, occasion: Occasion, scope: Scope | None = None) -> list[Choice]:
    """The calibrations of the nearest night whose run ended well."""
    wanted = _day(occasion.nite)
    query = {"filetype": filetype, "nite": _nites(occasion)}
    rows = _of_band(catalog.find(conn, query, scope=scope), occasion.band)
    runs = store.attempt_names(conn, sorted({r["pfw_attempt_id"] for r in rows if r["pfw_attempt_id"]}))
    good, bad = [], set()
    for row in rows:
        run = runs.get(row["pfw_attempt_id"] or 0)
        if _own(row, runs, occasion):
            continue
        if run is not None and run[1] not in _GOOD:
            bad.add(f"{row['nite']} ({run[0]} is {run[1]})")
        else:
            good.append(row)
    by_ccd: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for row in good:
        by_ccd.setdefault((row.get("ccdnum"), _band_of(row)), []).append(row)
    orders = _orders(conn, good)
    return [
        Choice(*_nearest_of(rows, wanted, occasion, runs, orders, sorted(bad)))
        for _, rows in sorted(by_ccd.items(), key=lambda item: str(item[0]))
    ]


def _nites(occasion: Occasion) -> str:
    """The range of nights around an occasion's."""
    wanted, span = _day(occasion.nite), timedelta(days=occasion.nights)
    return f"{wanted - span:%Y%m%d}:{wanted + span:%Y%m%d}"


def _own(row: Mapping[str, Any], runs: Mapping[int, tuple[str, str]], occasion: Occasion) -> bool:
    run = runs.get(row["pfw_attempt_id"] or 0)
    return run is not None and bool(occasion.unit) and run[0].rpartition("_r")[0] == occasion.unit


def _nearest_of(
    rows: Sequence[Mapping[str, Any]],
    wanted: date,
    occasion: Occasion,
    runs: Mapping[int, tuple[str, str]],
    orders: Mapping[int, int],
    bad: Sequence[str],
) -> tuple[Mapping[str, Any], str, str]:
    def order(row: Mapping[str, Any]) -> tuple[int, bool, int, int]:
        away = (_day(row["nite"]) - wanted).days
        # Of two nights as far away the earlier one: its calibrations were known when the exposure came.
        return abs(away), away > 0, orders.get(row["pfw_attempt_id"] or 0, 0), -int(row["id"])

    best = min(rows, key=order)
    away = (_day(best["nite"]) - wanted).days
    where = "the same night" if away == 0 else f"{abs(away)} d {'after' if away > 0 else 'before'}"
    others = sorted({str(r["nite"]) for r in rows} - {str(best["nite"])})
    run = runs.get(best["pfw_attempt_id"] or 0, ("delivered", ""))[0]
    text = (
        f"no row of the epoch table; nearest good night within {occasion.nights} d of {occasion.nite}: "
        f"{best['nite']}, {where} ({run})"
    )
    if others:
        text += f"; farther: {', '.join(others[:5])}"
    if bad:
        text += f"; passed over: {', '.join(bad[:5])}"
    return best, "night", text


def _orders(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Which of the rows' attempts comes first (`store.order_of`), by number; delivered files are as good as the best."""
    numbers = sorted({int(r["pfw_attempt_id"]) for r in rows if r["pfw_attempt_id"]})
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    return {number: one.order for number, one in facts.items()}


def _newest(rows: Sequence[Mapping[str, Any]], orders: Mapping[int, int]) -> list[Mapping[str, Any]]:
    """Of each CCD and band the newest of the runs that come first."""
    newest: dict[tuple[Any, Any], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda r: (orders.get(r["pfw_attempt_id"] or 0, 0), -int(r["id"]))):
        newest.setdefault((row.get("ccdnum"), _band_of(row)), row)
    return list(newest.values())


def _day(nite: str) -> date:
    try:
        return date(int(nite[:4]), int(nite[4:6]), int(nite[6:8]))
    except ValueError as err:
        raise UsageError(f"{nite!r} is no night: YYYYMMDD") from err


def define_epoch(conn: Connection, name: str, low: int, high: int, text: str, *, who: str) -> None:
    """Define an epoch of the camera; epochs do not overlap.

    Raises
    ------
    ConflictError
        The name is taken, or the range overlaps another epoch's.
    UsageError
        The range is empty.
    """
    if low > high or low < 0:
        raise UsageError(f"epoch {name}: exposures {low} to {high} are no range")
    for other, first, last, _ in store.epochs(conn):
        if other == name:
            raise ConflictError(f"epoch {name} stands already: exposures {first} to {last}")
        if low <= last and first <= high:
            raise ConflictError(f"epoch {name} would overlap {other}: exposures {first} to {last}")
    store.insert_epoch(conn, name, low, high, text)
    defined = f"epoch {name} defined: exposures {low} to {high}"
    record_event(conn, EventKind.EPOCH, who, defined, subject=name, reason=text)


def register(
    conn: Connection,
    epoch: str,
    filetype: str,
    *,
    band: str = "",
    campaign: str = "",
    attempt: str | None = None,
    filepat: str | None = None,
    who: str,
    reason: str = "",
) -> int:
    """Say which calibrations of a type serve in an epoch; returns how many files they are.

    Raises
    ------
    NotFoundError
        No such epoch, or no such file.
    UsageError
        Neither attempt nor files are named, or both.
    """
    if (attempt is None) == (filepat is None):
        raise UsageError("say which calibrations serve: an attempt, or a pattern of names of delivered files")
    if epoch not in {name for name, *_ in store.epochs(conn)}:
        raise NotFoundError(f"no epoch {epoch}; define it: desdm epoch add")
    entry = store.EpochInput(0, epoch, filetype, band, campaign, attempt, filepat, who)
    rows = _of_band(_of_entry(conn, entry), band)
    if not rows:
        raise NotFoundError(
            f"no {filetype} {'of ' + attempt if attempt else 'named ' + str(filepat)} is in the archive"
        )
    number = catalog.attempt_number(conn, attempt) if attempt else None
    store.insert_epoch_input(
        conn,
        {
            "name": epoch, "filetype": filetype, "band": band, "campaign": campaign,
            "pfw_attempt_id": number, "filepat": filepat, "who": who,
        },
    )  # fmt: skip
    where = "".join(f", {key} {value}" for key, value in (("band", band), ("campaign", campaign)) if value)
    source = f"of {attempt}" if attempt else f"named {filepat}"
    text = f"epoch {epoch}{where}: {len(rows)} {filetype} {source} serve"
    record_event(conn, EventKind.EPOCH, who, text, number, subject=epoch, reason=reason)
    return len(rows)


def register_all(
    conn: Connection, epoch: str, attempt: str, *, campaign: str = "", who: str, reason: str = ""
) -> dict[str, int]:
    """Say that every calibration that an attempt made serves in an epoch, each in its own band; files by file type.

    Raises
    ------
    NotFoundError
        No such epoch or attempt, or it made no calibration.
    """
    found: dict[str, int] = {}
    for filetype in SERVING:
        rows = catalog.find(conn, {"filetype": filetype, "attempt": attempt})
        for band in sorted({_band_of(r) for r in rows}):
            found[filetype] = found.get(filetype, 0) + register(
                conn, epoch, filetype, band=band, campaign=campaign, attempt=attempt, who=who, reason=reason
            )
    if not found:
        raise NotFoundError(f"{attempt} made none of {', '.join(SERVING)}")
    return found
