"""Which calibration frames a precal or supercal takes: of a night or a range of nights, at most so many of a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from desdm.errors import PlanError
from desdm.framework.model import Row, number
from desdm.framework.sections import Settings, Tree
from desdm.pipelines.exposure import without_dead
from desdm.survey.bands import band_order
from desdm.wcl import split_range

__all__ = ["NONE", "NOT_REJECTED", "SETTINGS", "night", "nights"]

Find: TypeAlias = Callable[[Mapping[str, str]], Sequence[Row]]

#: What an operator may set of the frames; ``nite`` is of one night, ``nitemin`` and ``nitemax`` of several.
SETTINGS: Mapping[str, str] = {
    "nite": "night, YYYYMMDD",
    "nitemin": "first night, YYYYMMDD",
    "nitemax": "last night, YYYYMMDD",
    "exclude": "exposure numbers or ranges that are left out",
    "band": "bands, comma separated",
    "ccdnum": "CCDs, numbers or ranges",
    "max_frames": "frames of a kind that are combined at most",
}
#: Part of a query: frames need no verdict, but neither rejected nor excluded exposures (or CCDs) are combined.
NOT_REJECTED = {"assessment": "unassessed"}
#: An exposure number that no exposure has: the query of a kind of frame that was not taken.
NONE = "-1"
#: Frames of a type and band that are combined at most (desdm.md section 5).
MOST = 150


def night(find: Find, settings: Settings) -> Tree:
    """Frames of one night: the submission's ``inclfunc`` of ``precal``.

    Parameters
    ----------
    find
        Looks up files in the archive: query → rows.
    settings
        ``nite``; ``exclude`` (exposure numbers), ``max_frames`` and ``band`` (g,r,i) are optional.

    Returns
    -------
    dict
        ``ccdnum``, ``band`` (all of them: g,r,i) and ``zero_expnums``, ``dflat_expnums``; section ``left_out`` counts
        the frames beyond ``max_frames`` by 'zero' and band.

    Raises
    ------
    PlanError
        No calibration frame of that night is in the archive.
    """
    nite = str(settings.get("nite", "")).strip()
    if not nite:
        raise PlanError("say which night: --set nite=YYYYMMDD")
    rows = _rows(find, nite, settings)
    told = _frames(rows, settings, f"night {nite}")
    return {**told, "unitname": str(settings.get("unitname") or nite)}


def nights(find: Find, settings: Settings) -> Tree:
    """Frames of a range of nights: the submission's ``inclfunc`` of ``supercal``.

    Parameters
    ----------
    find
        Looks up files in the archive: query → rows.
    settings
        ``nitemin`` and ``nitemax``, or ``unitname`` as ``20160101t0110``; the others as for `night`.

    Returns
    -------
    dict
        As `night`, with ``ramp_expnums``, ``crosstalk_expnums``, ``starflat_expnums``, ``sky_expnums``, nitemin,
        nitemax, and ``nite``, the last of them.
    """
    first, last = _range(settings)
    rows = _rows(find, f"{first}:{last}" if first != last else first, settings)
    told = _frames(rows, settings, f"nights {first} to {last}")
    objects = [r for r in rows if _word(r, "obstype") == "object"]
    fields = [r for r in objects if _word(r, "object").startswith("crosstalk field")]
    stars = [r for r in objects if _word(r, "object").startswith("star flat")]
    junk = ("junk", "focus", "pointing", "donut", "test")
    sky = [r for r in objects if r not in fields and r not in stars]
    sky = [r for r in sky if not any(w in _word(r, "object").split() for w in junk)]
    told["ramp_expnums"] = _numbers([r for r in rows if _ramp(r)])
    told["crosstalk_expnums"] = _numbers(fields)
    told["starflat_expnums"] = _numbers(stars)
    told["sky_expnums"] = _numbers([r for band in _in(sky) for r in _spread(_of(sky, band), _most(settings))])
    unit = str(settings.get("unitname") or f"{first}t{last[4:]}")
    return {**told, "nite": last, "nitemin": first, "nitemax": last, "unitname": unit}


def _range(settings: Settings) -> tuple[str, str]:
    first, last = str(settings.get("nitemin", "")).strip(), str(settings.get("nitemax", "")).strip()
    unit = str(settings.get("unitname", ""))
    if not first and unit[8:9] == "t" and unit[:8].isdigit() and unit[9:].isdigit():
        # 20160101t0110: to the tenth of January of the same year, or of the next if that would lie before.
        year = int(unit[:4]) + (unit[9:] < unit[4:8])
        first, last = unit[:8], f"{year:04d}{unit[9:]}"
    if not (len(first) == len(last) == 8 and (first + last).isdigit() and first <= last):
        raise PlanError("say which nights: --set nitemin=YYYYMMDD --set nitemax=YYYYMMDD")
    return first, last


def _rows(find: Find, nite: str, settings: Settings) -> list[Row]:
    """Raw exposures by number; those that are excluded, or stand twice in the archive, are left out."""
    said = str(settings.get("exclude", "")).strip()
    banned = {int(n) for n in split_range(said)} if said else set()
    found: dict[int, list[Row]] = {}
    for row in find({"filetype": "raw", "nite": nite, **NOT_REJECTED}):
        if row.get("expnum") is not None:
            found.setdefault(int(number(row, "expnum")), []).append(row)
    return [rows[0] for n, rows in sorted(found.items()) if len(rows) == 1 and n not in banned]


def _frames(rows: Sequence[Row], settings: Settings, when: str) -> Tree:
    most = _most(settings)
    zeros = [r for r in rows if _word(r, "obstype") in ("zero", "bias")]
    flats = [r for r in rows if _word(r, "obstype") in ("dome flat", "dflat") and not _ramp(r)]
    if not zeros and not flats:
        raise PlanError(f"{when}: no bias (obstype zero) and no dome flat is in the archive; ingest them")
    wanted = str(settings.get("band", "")).strip()
    bands = wanted.split(",") if wanted else _in(flats)
    left = {"zero": len(zeros) - most} | {b: len(_of(flats, b)) - most for b in bands}
    taken = [r for b in bands for r in _spread(_of(flats, b), most)]
    ccds = str(settings.get("ccdnum", "")).strip() or _ccds([*zeros, *flats])
    working = without_dead(ccds, [*zeros, *flats])
    if not working["ccdnum"]:
        raise PlanError(f"{when}: {working['dead_ccds']}; no other CCD is asked for")
    return {
        **working,
        # A night without a flat is told band by band, as one with too few is.
        "band": ",".join(bands) or "g,r,i,z,Y",
        "zero_expnums": _numbers(_spread(zeros, most)),
        "dflat_expnums": _numbers(taken),
        "left_out": {k: str(n) for k, n in left.items() if n > 0},
    }


def _most(settings: Settings) -> int:
    return int(str(settings.get("max_frames", MOST)))


def _spread(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many, evenly from all, so that every night of the range keeps its share."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]


def _ramp(row: Row) -> bool:
    return _word(row, "object").startswith("linearity ramp")


def _word(row: Row, key: str) -> str:
    return str(row.get(key) or "").strip().lower()


def _in(rows: Sequence[Row]) -> list[str]:
    have = {str(r["band"]) for r in rows if r.get("band")}
    return sorted(have, key=band_order)


def _of(rows: Sequence[Row], band: str) -> list[Row]:
    return [r for r in rows if str(r.get("band")) == band]


def _numbers(rows: Sequence[Row]) -> str:
    return ",".join(str(r["expnum"]) for r in rows) or NONE


def _ccds(rows: Sequence[Row]) -> str:
    have = {int(n) for r in rows if r.get("ccds") for n in split_range(str(r["ccds"]))}
    if not have:
        raise PlanError("no raw frame says of which CCDs it is; set ccdnum=…")
    return ",".join(map(str, sorted(have)))
