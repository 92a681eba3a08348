"""Chooses calibrations and says why: the operator's pin, the epoch table, the nearest good night, a tag; in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.model import Scope
from desdm.archive.unsound import unsound
from desdm.archive.withheld import outside, unfit_reasons, withheld
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.schema.states import DataState, EventKind
from desdm.schema.store import record_event

__all__ = [
    "SERVING",
    "Answer",
    "Choice",
    "Occasion",
    "Passed",
    "choose",
    "define_epoch",
    "register",
    "register_all",
    "why_none",
]

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


class Passed(NamedTuple):
    """A calibration file that was not chosen, and why."""

    row: Mapping[str, Any]
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


@dataclass(slots=True)
class Answer:
    """What was chosen, what was passed over although it lay nearer or was named, each with why, and remarks for people."""

    choices: list[Choice] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def choose(conn: Connection, filetype: str, occasion: Occasion) -> Answer:
    """The calibrations of that type for an occasion: one a CCD and band (or one, for types of the whole camera).

    DESDM's order (desdm.md section 4): the epoch table by exposure number, band and campaign; then the nearest night
    whose calibration run ended well; then a tag. What the operator pins comes before all. What was made from an excluded
    frame, or by or from a JUNK run, is never chosen (`desdm.archive.unsound`).

    Returns
    -------
    Answer
        Without choices there is none; `why_none` says so in words.
    """
    if filetype in occasion.pins:
        return _pinned(conn, filetype, occasion)
    answer = Answer()
    for entry in store.epoch_inputs(conn, filetype, occasion.expnum, occasion.band, occasion.campaign):
        rows, passed = _of_entry(conn, entry)
        rows, passed = _of_band(rows, occasion.band), _of_band_passed(passed, occasion.band)
        answer.passed += passed
        if passed:
            source = entry.attempt or f"files {entry.filepat}"
            answer.notes.append(
                f"epoch {entry.epoch} names {source} for {filetype}, of which {len(passed)} files are not used: "
                f"{passed[0].reason}"
            )
        if rows:
            answer.choices = [Choice(row, "epoch", _epoch_text(entry, occasion)) for row in rows]
            return answer
    scopes: tuple[Scope | None, ...] = occasion.scopes or (None,)
    for scope in scopes:
        chosen, passed = _in_scope(conn, filetype, occasion, scope)
        answer.passed += passed
        if chosen and scope is not scopes[0] and scope is not None:
            note = f"; taken from {scope.describe()}, since the run's own scope has none"
            chosen = [choice._replace(reason=choice.reason + note) for choice in chosen]
        if chosen:
            answer.choices = chosen
            break
    if answer.notes:
        words = "; ".join(answer.notes)
        answer.choices = [one._replace(reason=f"{one.reason}; {words}") for one in answer.choices]
    return answer


def _pinned(conn: Connection, filetype: str, occasion: Occasion) -> Answer:
    """The calibrations of the run that the operator named, with a remark where it lies outside the run's scope."""
    run = occasion.pins[filetype]
    found, passed = _usable(conn, {"filetype": filetype, "attempt": run})
    rows = _of_band(found, occasion.band)
    reason, notes = f"the operator set calibration.{filetype} = {run}", []
    numbers = sorted({int(r["pfw_attempt_id"]) for r in rows if r["pfw_attempt_id"]})
    facts = store.attempt_facts(conn, numbers) if numbers and occasion.scopes else {}
    for one in facts.values():
        others = [outside(one, scope) for scope in occasion.scopes]
        if all(others):
            notes.append(
                f"calibration.{filetype} = {one.run} is {others[0]}; it is used because it was named"
            )
    return Answer(
        [Choice(row, "operator", "; ".join([reason, *notes])) for row in rows],
        _of_band_passed(passed, occasion.band),
        notes,
    )


def _in_scope(
    conn: Connection, filetype: str, occasion: Occasion, scope: Scope | None
) -> tuple[list[Choice], list[Passed]]:
    """The calibrations of the nearest good night, else of the tag, among the attempts of a scope; what was passed over."""
    passed: list[Passed] = []
    if occasion.nite:
        chosen, passed = _nearest(conn, filetype, occasion, scope)
        if chosen:
            return chosen, passed
    if occasion.tag:
        rows, left = catalog.find_sound(conn, {"filetype": filetype, "tag": occasion.tag}, scope)
        passed += _of_band_passed([Passed(*one) for one in left], occasion.band)
        rows_of_band = _of_band(rows, occasion.band)
        runs = store.attempt_names(
            conn, sorted({r["pfw_attempt_id"] for r in rows_of_band if r["pfw_attempt_id"]})
        )
        others = [r for r in rows_of_band if not _own(r, runs, occasion)]
        why = f"no row of the epoch table and no good night within {occasion.nights} d; tag {occasion.tag}"
        return [Choice(row, "tag", why) for row in _newest(others, _orders(conn, others))], passed
    return [], passed


def why_none(conn: Connection, filetype: str, occasion: Occasion) -> str:
    """Why nothing was found, which runs must not be used, and what to do."""
    what = f"{filetype} for exposure {occasion.expnum} of night {occasion.nite or '?'}"
    band = f", band {occasion.band}" if occasion.band else ""
    if filetype in occasion.pins:
        run = occasion.pins[filetype]
        why = _unfit(conn, filetype, occasion) or ", which made none"
        return (
            f"no {what}{band}: the operator set calibration.{filetype} = {run}{why}; name another run, or leave the "
            "setting out"
        )
    tag = "no calibration_tag is set"
    if occasion.tag:
        left = _withheld_reasons(conn, {"filetype": filetype, "tag": occasion.tag}, occasion)
        words = "; ".join(left[:_REASONS])
        tag = f"nothing tagged {occasion.tag}" + (f" that may be used ({words})" if left else "")
    entries = store.epoch_inputs(conn, filetype, occasion.expnum, occasion.band, occasion.campaign)
    named = [f"{e.attempt or e.filepat}: {p[0].reason}" for e in entries if (p := _of_entry(conn, e)[1])]
    table = (
        f"no usable row of the epoch table ({'; '.join(named[:_REASONS])})"
        if named
        else "no row of the epoch table"
    )
    where = f" in {' or '.join(s.describe() for s in occasion.scopes)}" if occasion.scopes else ""
    unfit = _unfit(conn, filetype, occasion)
    return (
        f"no {what}{band}{where}: {table}, no night within {occasion.nights} d whose calibration run "
        f"ended well{unfit}, {tag}; run precal of a near night, or register one (desdm epoch use)"
    )


def _unfit(conn: Connection, filetype: str, occasion: Occasion) -> str:
    """The runs of near nights, or that the operator pinned, whose calibrations must not be used, with the reasons."""
    query = {"filetype": filetype}
    if filetype in occasion.pins:
        rows, passed = _usable(conn, {**query, "attempt": occasion.pins[filetype]})
        numbers = {int(r["pfw_attempt_id"]) for r in _of_band(rows, occasion.band) if r["pfw_attempt_id"]}
        reasons = [one.reason for one in _of_band_passed(passed, occasion.band)]
        reasons += unfit_reasons(conn, numbers).values()
    else:
        reasons = (
            _withheld_reasons(conn, {**query, "nite": _nites(occasion)}, occasion) if occasion.nite else []
        )
    named = list(dict.fromkeys(reasons))
    more = f"; {len(named) - _REASONS} more" if len(named) > _REASONS else ""
    return f" ({'; '.join(named[:_REASONS])}{more})" if named else ""


def _withheld_reasons(conn: Connection, query: Mapping[str, str], occasion: Occasion) -> list[str]:
    """Why files that fit a query must not be used, in the scopes of an occasion."""
    reasons: list[str] = []
    scopes: tuple[Scope | None, ...] = occasion.scopes or (None,)
    for scope in scopes:
        rows, spoiled = catalog.find_sound(conn, query, scope)
        found = _of_band(rows, occasion.band)
        numbers = {int(r["pfw_attempt_id"]) for r in found if r["pfw_attempt_id"]}
        reasons += unfit_reasons(conn, numbers, scope).values()
        left = withheld(conn, query, found, scope, key=lambda row: row["id"])
        reasons += [one.reason for one in left if _of_band([one.row], occasion.band)]
        reasons += [reason for row, reason in spoiled if _of_band([row], occasion.band)]
    return list(dict.fromkeys(reasons))


def _of_band(rows: Sequence[Mapping[str, Any]], band: str) -> list[Mapping[str, Any]]:
    return [
        r for r in rows if not band or r.get("filetype") not in BANDED or r.get("band") in (None, "", band)
    ]


def _band_of(row: Mapping[str, Any]) -> str:
    return str(row.get("band") or "") if row.get("filetype") in BANDED else ""


def _of_band_passed(passed: Sequence[Passed], band: str) -> list[Passed]:
    return [one for one in passed if _of_band([one.row], band)]


def _of_entry(conn: Connection, entry: store.EpochInput) -> tuple[list[Mapping[str, Any]], list[Passed]]:
    """The files that an entry of the epoch table names and that may be used, and the others."""
    query = {"filetype": entry.filetype}
    if entry.attempt is not None:
        query["attempt"] = entry.attempt
    else:
        query["filename"] = str(entry.filepat)
    rows, passed = _usable(conn, query)
    if entry.attempt is None:
        passed += [
            Passed(one.row, one.reason) for one in withheld(conn, query, rows, key=lambda row: row["id"])
        ]
    return rows, passed


def _usable(conn: Connection, query: Mapping[str, str]) -> tuple[list[Mapping[str, Any]], list[Passed]]:
    """The files that may be used, and the others: who names an attempt does not thereby bless it."""
    rows, spoiled = catalog.find_sound(conn, query)
    passed = [Passed(*one) for one in spoiled]
    numbers = sorted({int(r["pfw_attempt_id"]) for r in rows if r["pfw_attempt_id"]})
    facts = store.attempt_facts(conn, numbers) if numbers else {}
    unfit = [n for n, one in facts.items() if one.data_state in (DataState.JUNK, DataState.PRUNED)]
    reasons = unfit_reasons(conn, unfit) if unfit else {}
    good: list[Mapping[str, Any]] = [r for r in rows if r["pfw_attempt_id"] not in reasons]
    return good, [*passed, *(Passed(r, reasons[n]) for r in rows if (n := r["pfw_attempt_id"]) in reasons)]


def _epoch_text(entry: store.EpochInput, occasion: Occasion) -> str:
    for_band = f"band {entry.band}" if entry.band else "every band"
    campaign = f"campaign {entry.campaign}" if entry.campaign else "every campaign"
    source = entry.attempt or f"files {entry.filepat}"
    return (
        f"exposure {occasion.expnum} lies in epoch {entry.epoch}, whose table says {entry.filetype}, {for_band}, "
        f"{campaign}: {source} (registered by {entry.who})"
    )


def _nearest(
    conn: Connection, filetype: str, occasion: Occasion, scope: Scope | None = None
) -> tuple[list[Choice], list[Passed]]:
    """The calibrations of the nearest night whose run ended well, and those of nearer nights that must not be used."""
    query = {"filetype": filetype, "nite": _nites(occasion)}
    rows: Sequence[Mapping[str, Any]] = catalog.find(conn, query, scope=scope)
    chosen = _by_distance(conn, rows, occasion)
    spoiled: list[Passed] = []
    # The lineage of what is chosen is looked at, and of all nights' only where one of these must not be used.
    if unsound(conn, {int(c.row["id"]): c.row.get("expnum") for c in chosen}):
        rows, left = catalog.find_sound(conn, query, scope)
        spoiled = [Passed(*one) for one in left]
        chosen = _by_distance(conn, rows, occasion)
    others = withheld(conn, query, rows, scope, key=lambda row: row["id"])
    unused = _of_band_passed([*spoiled, *(Passed(one.row, one.reason) for one in others)], occasion.band)
    runs = store.attempt_names(conn, sorted({n for p in unused if (n := p.row["pfw_attempt_id"])}))
    nearest = {_place(c.row): _distance(c.row, occasion) for c in chosen}
    passed = [
        one
        for one in unused
        if not _own(one.row, runs, occasion)
        and _distance(one.row, occasion) < nearest.get(_place(one.row), occasion.nights + 1)
    ]
    if reasons := list(dict.fromkeys(one.reason for one in passed)):
        words = f"; nearer ones are not used: {'; '.join(reasons[:_REASONS])}"
        chosen = [one._replace(reason=one.reason + words) for one in chosen]
    return chosen, passed


def _by_distance(conn: Connection, found: Sequence[Mapping[str, Any]], occasion: Occasion) -> list[Choice]:
    """Of each CCD and band the calibration of the nearest night whose run ended well."""
    wanted = _day(occasion.nite)
    rows = _of_band(found, occasion.band)
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
        by_ccd.setdefault(_place(row), []).append(row)
    orders = _orders(conn, good)
    return [
        Choice(*_nearest_of(some, wanted, occasion, runs, orders, sorted(bad)))
        for _, some in sorted(by_ccd.items(), key=lambda item: str(item[0]))
    ]


def _place(row: Mapping[str, Any]) -> tuple[Any, str]:
    """What a calibration is of, among those of its type: CCD and band."""
    return row.get("ccdnum"), _band_of(row)


def _distance(row: Mapping[str, Any], occasion: Occasion) -> int:
    """Days between a calibration's night and the occasion's."""
    return abs((_day(row["nite"]) - _day(occasion.nite)).days)


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
        newest.setdefault(_place(row), row)
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
    usable, passed = _of_entry(conn, entry)
    rows = _of_band(usable, band)
    if not rows:
        what = f"no {filetype} {'of ' + attempt if attempt else 'named ' + str(filepat)}"
        why = f"that may be used is in the archive: {passed[0].reason}" if passed else "is in the archive"
        raise NotFoundError(f"{what} {why}")
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
