"""Read the survey's plan from a CSV file, and put it in the place of the one that holds."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from desdm.errors import UsageError
from desdm.operations.surveytable import store
from desdm.operations.surveytable.model import Field
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason
from desdm.survey.bands import BANDS

__all__ = ["import_fields", "read_fields"]

#: Column → other names of it in plans of surveys.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "hex": ("hex", "field", "field_id"),
    "tiling": ("tiling",),
    "band": ("band", "filter"),
    "ra": ("ra",),
    "dec": ("dec",),
    "exptime": ("exptime", "exposure_time"),
    "t_eff_goal": ("t_eff_goal", "teff_goal"),
    "priority": ("priority",),
    "season": ("season",),
    "season_begin": ("season_begin",),
    "season_end": ("season_end",),
}
_OPTIONAL = ("priority", "season", "season_begin", "season_end")
#: Names of fields and seasons.
_LONGEST = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:+-]{0,15}")


def read_fields(path: Path) -> list[Field]:
    """Read fields from a CSV file with a line of names.

    Columns are hex, tiling, band (or filter), ra and dec [deg], exptime [s], t_eff_goal, and, where they are there,
    priority, season, season_begin and season_end (first and last night, YYYYMMDD).

    Raises
    ------
    UsageError
        The file cannot be read, or a column is missing, or a value is not possible; with line and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines, skipinitialspace=True)
            columns = _columns(path, rows.fieldnames or ())
            fields = [_field(path, rows.line_num, row, columns) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise UsageError(f"{path}: {err}") from err
    seen: dict[str, int] = {}
    for number, field in enumerate(fields, 2):
        if field.name in seen:
            raise UsageError(
                f"{path}: line {number}: {field.name} stands in line {seen[field.name]} already; keep one"
            )
        seen[field.name] = number
    _require_one_span(path, fields)
    if not fields:
        raise UsageError(f"{path}: no field in it")
    return fields


def _require_one_span(path: Path, fields: Sequence[Field]) -> None:
    """Raise `UsageError` if a season has other nights in another line."""
    spans: dict[str, tuple[int, str, str]] = {}
    for number, field in enumerate(fields, 2):
        line, begin, end = spans.setdefault(field.season, (number, field.season_begin, field.season_end))
        if (field.season_begin, field.season_end) != (begin, end):
            raise UsageError(
                f"{path}: line {number}: season {field.season!r} is from {field.season_begin or 'no night'} to "
                f"{field.season_end or 'no night'}, but in line {line} from {begin or 'no night'} to {end or 'no night'}; "
                "give each line of a season the same nights"
            )


def import_fields(conn: Connection, path: Path, *, who: str, reason: str) -> int:
    """Put the plan of a file in the place of the one that holds; return the number of its fields.

    Parameters
    ----------
    conn
        Connection in a transaction.
    path
        CSV file, as of `read_fields`.
    who, reason
        Author, and why the plan changes.
    """
    require_reason(reason)
    new = read_fields(path)
    before = len(store.fields(conn))
    store.replace_fields(conn, new)
    text = f"survey plan of {len(new)} fields in the place of {before}: {path.name}"
    record_event(conn, EventKind.SURVEY, who, text, subject="survey", reason=reason)
    return len(new)


def _columns(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Return our column → the file's name of it; `UsageError` if one is missing."""
    by_name = {name.strip().lower(): name for name in names if name}
    columns = {}
    for column, others in _NAMES.items():
        name = next((by_name[other] for other in others if other in by_name), None)
        if name is not None:
            columns[column] = name
        elif column not in _OPTIONAL:
            raise UsageError(
                f"{path}: no column {column}; its first line must name "
                f"{', '.join(c for c in _NAMES if c not in _OPTIONAL)}"
            )
    return columns


def _field(path: Path, line: int, row: Mapping[str, str | None], columns: Mapping[str, str]) -> Field:
    """Return the field of one line."""

    def text(column: str) -> str:
        return (row.get(columns[column]) or "").strip() if column in columns else ""

    def number(column: str, least: float, most: float) -> float:
        try:
            value = float(text(column))
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise UsageError(
                f"{path}: line {line}: {column} {text(column)!r} is not a number from {least:g} to {most:g}"
            )
        return value

    def whole(column: str, least: int, most: int) -> int:
        value = number(column, least, most)
        if value != int(value):
            raise UsageError(f"{path}: line {line}: {column} {text(column)!r} is not a whole number")
        return int(value)

    def night(column: str) -> str:
        nite = text(column).replace("-", "")
        try:
            valid = not nite or datetime.strptime(nite, "%Y%m%d").strftime("%Y%m%d") == nite
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(f"{path}: line {line}: {column} {text(column)!r} is not a night, YYYYMMDD")
        return nite

    band = text("band")
    if band not in BANDS:
        raise UsageError(f"{path}: line {line}: band {band!r} is none of {', '.join(BANDS)}")
    for column in ("hex", "season"):
        # A spreadsheet that reads an export would take what begins with = + - @ as a formula.
        if (column == "hex" or text(column)) and _NAME.fullmatch(text(column)) is None:
            raise UsageError(
                f"{path}: line {line}: {column} {text(column)[:40]!r}: a letter or digit, then letters, digits, blanks and "
                f"_ . : + - only, at most {_LONGEST}"
            )
    begin, end = night("season_begin"), night("season_end")
    if bool(begin) != bool(end) or begin > end:
        raise UsageError(
            f"{path}: line {line}: season_begin {begin!r} and season_end {end!r} are not the first and last night of a "
            "season; give both, or none"
        )
    return Field(
        text("hex"),
        whole("tiling", 0, 1_000_000),
        band,
        number("ra", 0, 360),
        number("dec", -90, 90),
        number("exptime", 1e-3, 1e5),
        number("t_eff_goal", 0, 1e4),
        whole("priority", -1_000_000, 1_000_000) if text("priority") else 0,
        text("season"),
        begin,
        end,
    )
