"""When an exposure began, and of which night it is: from the forms of DATE-OBS, TIME-OBS and MJD-OBS that occur.

A form that means one moment only is read; whatever leaves a doubt is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from desdm.pixels.cards import Value
from desdm.survey.findings import Finding, Severity

__all__ = [
    "KEYS",
    "Moment",
    "Observation",
    "agrees",
    "mjd_of",
    "moment",
    "night_keyword",
    "night_of",
    "observation",
]

_DATES = ("DATE-OBS", "DATE-BEG")
_TIMES = ("TIME-OBS", "UTC-OBS", "UT-OBS", "UT", "UTC", "TIME-BEG", "TM-START")
_DAYS = ("MJD-OBS", "MJD-BEG")
#: Of the middle and end of an exposure (FITS 4.0, section 9.5): they tell no begin, but must not contradict it.
_LATER_DATES, _LATER_DAYS = ("DATE-AVG", "DATE-END"), ("MJD-AVG", "MJD-END")
_CLOCK = r"(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}(?:[.,]\d*)?))?"
_ZONE = r"\s*(?P<zone>[Zz]|UTC?|[+-]\d{2}:?\d{2})?"
_ISO = re.compile(rf"(?P<y>\d{{4}})[-/](?P<mo>\d{{1,2}})[-/](?P<d>\d{{1,2}})(?:(?:[Tt]|\s+){_CLOCK}{_ZONE})?")
_BASIC = re.compile(
    rf"(?P<y>\d{{4}})(?P<mo>\d\d)(?P<d>\d\d)(?:[Tt](?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d(?:[.,]\d*)?){_ZONE})?"
)
#: The form of before 1998: DD/MM/YY, of the years 1900 to 1999 (FITS 4.0, section 9.1.1).
_OLD = re.compile(rf"(?P<d>\d{{1,2}})/(?P<mo>\d{{1,2}})/(?P<y>\d\d)(?:\s+{_CLOCK}{_ZONE})?")
_TIME = re.compile(_CLOCK + _ZONE)
_NIGHT = re.compile(r"(\d{4})([-/]?)(\d\d)\2(\d\d)")
_ONE_DAY = timedelta(days=1)
_MJD_0 = datetime(1858, 11, 17)
#: The zeros of Unix clocks and of the MJD (1858) are what programs write for an unset time, and no CCD is older.
_EARLIEST = datetime(1970, 1, 1)
_FIRST, _LAST = 40587.0, 88069.0  # MJD of the beginnings of 1970 and 2100
#: First light of cameras, by INSTRUME in lower case: DECam's of 2012-09-12 (Flaugher et al. 2015, AJ 150, 150).
_FIRST_LIGHT = {"decam": datetime(2012, 9, 12)}
#: Last days of June and December with a leap second, as YYMM (IERS Bulletin C); those after 2026 are not known yet.
_LEAPS = frozenset(
    {
        "7206",
        "7212",
        "7312",
        "7412",
        "7512",
        "7612",
        "7712",
        "7812",
        "7912",
        "8106",
        "8206",
        "8306",
        "8506",
        "8712",
        "8912",
        "9012",
        "9206",
        "9306",
        "9406",
        "9512",
        "9706",
        "9812",
        "0512",
        "0812",
        "1206",
        "1506",
        "1612",
    }
)
#: Seconds in a day; no exposure is longer.
_DAY = 86400.0
#: Clocks of one exposure may differ by its length (begin, middle, end) and by this, seconds.
_SLACK = 120.0


@dataclass(frozen=True, slots=True)
class Moment:
    """When an exposure began (UTC, without zone), as far as its header tells; what is odd about that."""

    begin: datetime | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """Night (YYYYMMDD) and begin (UTC, without zone) of an exposure, as far as known, and what is odd about them."""

    nite: str | None
    begin: datetime | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """A date, and seconds after its midnight if there is a time."""

    day: date
    seconds: float | None


def mjd_of(begin: datetime) -> float:
    """Modified Julian Date of a moment."""
    return (begin - _MJD_0) / timedelta(days=1)


def night_of(begin: datetime) -> str:
    """The night, YYYYMMDD, to which a moment belongs.

    DESDM's rule: what begins at 15 h UTC or later, which is noon at Cerro Tololo in summer, belongs to the night of that
    date, what begins earlier to the night of the date before.
    """
    return _digits(begin.date() if begin.hour > 14 else begin.date() - _ONE_DAY)


def _digits(day: date) -> str:
    """Return a day as YYYYMMDD."""
    return f"{day.year}{day.month:02d}{day.day:02d}"  # strftime costs several times as much


def night_keyword(value: Value) -> str | None:
    """The night that a keyword names (20121120, '2012-11-20'), YYYYMMDD; None if it names no day of the calendar."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    match = _NIGHT.fullmatch(text)
    day = match and _day(match.group(1), match.group(3), match.group(4))
    return _digits(day) if day else None


def agrees(night: str, begin: datetime) -> bool:
    """Whether a header may call that the night of a moment: about noon, which differs by site, both dates are right."""
    return night == night_of(begin) or (
        12 <= begin.hour < 20 and night in (_digits(begin.date()), _digits(begin.date() - _ONE_DAY))
    )


def moment(values: dict[str, Value], exptime: float) -> Moment:
    """When an exposure began.

    Parameters
    ----------
    values
        Keywords of `KEYS` that the header has.
    exptime
        Seconds; keywords that differ by no more may stand for its begin and end.

    Returns
    -------
    Moment
        Of several keywords that contradict each other, DATE-OBS holds.
    """
    findings: list[Finding] = []
    key, text = _first(values, _DATES)
    mjd = _mjd(values, findings)
    read = None
    if text is not None:
        read = _date(str(text))
        if read is None:
            assumed = "the time is taken from MJD-OBS" if mjd else "the exposure has no time"
            findings.append(_odd(key, text, "it is not a date that has one meaning", assumed))
        elif _is_unset(read):
            assumed = "the time is taken from MJD-OBS" if mjd else "the exposure has no time"
            findings.append(
                _odd(
                    key,
                    text,
                    "it is not after the beginning of 1970 and before 9999: an unset clock",
                    assumed,
                )
            )
            read = None
    begin = mjd
    if read is not None:
        begin = _completed(read, values, mjd, findings, (key, text))
    if begin is not None and (read is not None or begin.time() != time.min):
        _compare(begin, values, exptime, findings, key if read is not None else _first(values, _DAYS)[0])
    system = values.get("TIMESYS")
    if isinstance(system, str) and system.strip() and not system.strip().upper().startswith(("UT", "GMT")):
        findings.append(
            _odd("TIMESYS", system, "times of this scale are not converted", "they are taken as UTC")
        )
    if begin is not None and begin > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1):
        findings.append(_odd(key or "MJD-OBS", text or values.get("MJD-OBS"), "the date lies in the future"))
    return Moment(begin, tuple(findings))


def observation(get: Callable[[str], Value]) -> Observation:
    """Night and begin of an exposure, from the keywords of its header.

    Parameters
    ----------
    get
        The value of a keyword; None if the header has none.

    Returns
    -------
    Observation
        The night is that of NITE or DTCALDAT, unless it is not a day of the calendar or contradicts the begin of the
        exposure, from which the night follows then.
    """
    exptime = get("EXPTIME")
    seconds = float(exptime) if isinstance(exptime, int | float) and not isinstance(exptime, bool) else 0.0
    when = moment({key: v for key in KEYS if (v := get(key)) is not None}, seconds)
    night = None if when.begin is None else night_of(when.begin)
    stated, odd = None, list(when.findings)
    first_light = _FIRST_LIGHT.get(str(get("INSTRUME") or "").strip().lower())
    if when.begin is not None and first_light is not None and when.begin < first_light:
        text = f"the exposure began before first light of the camera, which was on {first_light:%Y-%m-%d}"
        key = next((k for k in (*_DATES, *_DAYS) if get(k) not in (None, "")), _DATES[0])
        odd.append(_odd(key, get(key), text))
    for key in ("NITE", "DTCALDAT"):
        value = get(key)
        if value is None or value == "":
            continue
        own = night_keyword(value)
        follows = f"the night is {night} by DATE-OBS" if night else "it is left out"
        if own is None:
            odd.append(_odd(key, value, "it is not a night of the calendar", follows))
        elif when.begin is None and not _is_possible(own, first_light):
            odd.append(_odd(key, value, "no exposure of the camera can be of that night", "it is left out"))
        elif when.begin is not None and own != night and not agrees(own, when.begin):
            odd.append(_odd(key, value, f"the exposure began at {when.begin:%Y-%m-%dT%H:%M:%S}", follows))
        elif stated is not None and stated != own:
            odd.append(_odd(key, value, f"NITE says {stated}", f"the night is {stated}"))
        else:
            stated = stated or own
    return Observation(stated or night, when.begin, tuple(odd))


def _is_possible(night: str, first_light: datetime | None) -> bool:
    """Whether a night without a time lies after first light (or 1970) and not in the future."""
    begin = datetime.strptime(night, "%Y%m%d")
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    return (first_light or _EARLIEST) - timedelta(days=1) < begin <= tomorrow


#: The keywords that `moment` looks at.
KEYS = (*_DATES, *_TIMES, *_DAYS, *_LATER_DATES, *_LATER_DAYS, "TIMESYS")


def _odd(key: str, value: Value, text: str, assumed: str = "") -> Finding:
    """Return a warning on one keyword, with its value and what is assumed instead."""
    return Finding(Severity.WARNING, text, key, repr(value), assumed)


def _first(values: dict[str, Value], keys: tuple[str, ...]) -> tuple[str, Value]:
    """The first of some keywords that has a value."""
    for key in keys:
        value = values.get(key)
        if value is not None and (not isinstance(value, str) or value.strip()):
            return key, value
    return keys[0], None


def _day(year: str, month: str, day: str) -> date | None:
    """Return a date, or None if there is no such day."""
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _has_leap(day: date) -> bool:
    """Whether a day has a leap second, or may have one."""
    last = (day + timedelta(days=1)).day == 1 and day.month in (6, 12)
    return last and (day.strftime("%y%m") in _LEAPS if 1972 <= day.year <= 2026 else day.year > 2026)


def _is_unset(read: _Read) -> bool:
    """Whether a date is what programs write for an unset time: the zero of a clock or before, or the last year of all."""
    if not 1969 < read.day.year < 9999:
        return True
    return (
        datetime(read.day.year, read.day.month, read.day.day) + timedelta(seconds=read.seconds or 0.0)
        <= _EARLIEST
    )


def _clock(match: re.Match[str], day: date) -> float | None:
    """Seconds after midnight; 86400 for 24:00:00; a leap second is the end of its minute. None: no time of ``day``."""
    h, m = int(match["h"]), int(match["m"])
    s = float((match["s"] or "0").replace(",", "."))
    if (h, m) == (23, 59) and 60.0 <= s < 61.0 and _has_leap(day):
        s = 59.999999
    if h == 24 and (m, s) == (0, 0.0):
        return 86400.0
    return h * 3600.0 + m * 60.0 + s if h < 24 and m < 60 and s < 60.0 else None


def _zone(match: re.Match[str]) -> float:
    """Seconds by which a stated zone is ahead of UTC."""
    text = match["zone"] or ""
    if text[:1] not in ("+", "-"):
        return 0.0
    digits = text[1:].replace(":", "")
    return (1 if text[0] == "+" else -1) * (int(digits[:2]) * 3600.0 + int(digits[2:]) * 60.0)


@lru_cache(maxsize=1024)
def _date(text: str) -> _Read | None:
    """What a date says; None if it has no meaning, or not one alone."""
    text = text.strip()
    for form, century in ((_ISO, ""), (_BASIC, ""), (_OLD, "19")):
        match = form.fullmatch(text)
        if match is None:
            continue
        day = _day(century + match["y"], match["mo"], match["d"])
        if day is None:
            return None
        if match["h"] is None:
            return _Read(day, None)
        seconds = _clock(match, day)
        return None if seconds is None else _Read(day, seconds - _zone(match))
    return None


def _time(key: str, value: Value, day: date) -> float | None:
    """Seconds after midnight UTC that a keyword tells; None: it is not a time of day."""
    if key == "TM-START" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0.0 <= value < _DAY else None  # ESO's, in seconds
    match = _TIME.fullmatch(str(value).strip())
    seconds = _clock(match, day) if match else None
    return None if match is None or seconds is None else seconds - _zone(match)


def _mjd(values: dict[str, Value], findings: list[Finding]) -> datetime | None:
    """Return the time that the MJD keywords give, with findings where it is not usable."""
    key, value = _first(values, _DAYS)
    if value is None:
        return None
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _FIRST < value <= _LAST:
        findings.append(
            _odd(
                key,
                values[key],
                "it is not the Modified Julian Date of a day between 1970 and 2100",
                "it is left out",
            )
        )
        return None
    # Microseconds are all that a double of this size holds.
    return _MJD_0 + timedelta(days=float(value))


def _completed(
    read: _Read,
    values: dict[str, Value],
    mjd: datetime | None,
    findings: list[Finding],
    date: tuple[str, Value],
) -> datetime | None:
    """Date and time together; the time of a bare date from another keyword."""
    midnight = datetime(read.day.year, read.day.month, read.day.day)
    if read.seconds is not None:
        return midnight + timedelta(seconds=read.seconds)
    key, text = _first(values, _TIMES)
    if text is not None:
        seconds = _time(key, text, read.day)
        if seconds is not None:
            return midnight + timedelta(seconds=seconds)
        findings.append(_odd(key, text, "it is not a time of day", "it is left out"))
    if mjd is not None:
        if mjd.date() == read.day:
            return mjd
        findings.append(
            _odd(date[0], date[1], f"MJD-OBS is another day, {mjd:%Y-%m-%d}", "the exposure has no time")
        )
        return None
    findings.append(_odd(date[0], date[1], "it is a date without a time", "the exposure has no time"))
    return None


def _compare(
    begin: datetime, values: dict[str, Value], exptime: float, findings: list[Finding], key: str
) -> None:
    """Say where other keywords tell another time than DATE-OBS, and which of them cannot be read."""
    slack = _SLACK + min(max(0.0, exptime), _DAY)

    def note(name: str, other: str) -> None:
        text = f"it is {other}, {key} is {begin:%Y-%m-%dT%H:%M:%S}"
        findings.append(_odd(name, values[name], text, f"{key} holds"))

    def unreadable(name: str, text: str) -> None:
        # What the begin was looked for in has its finding already.
        if name != key and all(finding.key != name for finding in findings):
            findings.append(_odd(name, values[name], text, f"{key} holds"))

    stated = [name for name, value in values.items() if not isinstance(value, str) or value.strip()]
    for name in (name for name in (*_DAYS, *_LATER_DAYS) if name in stated):
        other = _mjd({_DAYS[0]: values[name]}, [])
        if other is None:
            unreadable(name, "it is not the Modified Julian Date of a day between 1970 and 2100")
        # A whole number is the day alone.
        if other is None or other == datetime(begin.year, begin.month, begin.day):
            continue
        if abs((other - begin).total_seconds()) > slack:
            note(name, f"{other:%Y-%m-%dT%H:%M:%S}")
    for name in (name for name in (*_DATES, *_LATER_DATES) if name in stated):
        read = _date(str(values[name]))
        if read is None or _is_unset(read):
            unreadable(
                name, "it is not a date that has one meaning" if read is None else "it is an unset clock"
            )
            continue
        midnight = datetime(read.day.year, read.day.month, read.day.day)
        if read.seconds is None:
            if not begin.date() <= read.day <= (begin + timedelta(seconds=slack)).date():
                note(name, f"{midnight:%Y-%m-%d}")
        elif abs((midnight + timedelta(seconds=read.seconds) - begin).total_seconds()) > slack:
            note(name, f"{midnight + timedelta(seconds=read.seconds):%Y-%m-%dT%H:%M:%S}")
    own = begin.hour * 3600.0 + begin.minute * 60.0 + begin.second
    for name in (name for name in _TIMES if name in stated):
        seconds = _time(name, values[name], begin.date())
        if seconds is None:
            read = _date(str(values[name]))
            seconds = None if read is None else read.seconds
        if seconds is None:
            unreadable(name, "it is not a time of day")
        elif abs((seconds - own + _DAY / 2) % _DAY - _DAY / 2) > slack:
            findings.append(
                _odd(name, values[name], f"{key} has another time, {begin:%H:%M:%S}", f"{key} holds")
            )
