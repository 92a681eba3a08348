"""Lists of the observatory: which files it has taken, when they are expected, and which of them it has sent.

A list is CSV with the columns ``filename``, ``nite``, ``expnum``, ``expected_at`` and ``delivered``, or a JSON array of
objects with these keys. The manifest of a supernova field is a JSON object with ``field``, ``nite`` and the array
``exposures``; its exposures need a number only.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from desdm.errors import UsageError, storage_error
from desdm.operations.dts import store
from desdm.operations.dts.model import ListedFile
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import record_event
from desdm.survey.obstime import night_keyword, night_of
from desdm.timestamps import parse_timestamp

__all__ = ["import_list", "read_list"]

_TRUE, _FALSE = {"1", "true", "t", "yes", "y"}, {"", "0", "false", "f", "no", "n"}
#: Hour (UTC) of the day after the night by which the exposures of a night are expected when a list tells no time.
_EXPECTED_HOUR = 14


def import_list(database: Database, path: Path, *, source: str, who: str, now: datetime) -> list[ListedFile]:
    """Enter the files of a list or of a manifest.

    A file that is listed already is entered anew; what was once marked as delivered stays so.

    Parameters
    ----------
    database
        Database of the installation.
    path
        The list.
    source
        Who sends the files.
    who
        Person or program that imports it.
    now
        Current time, UTC.

    Returns
    -------
    list of ListedFile
        The files.

    Raises
    ------
    UsageError
        The list cannot be read; the message names the line or entry, and the key.
    """
    files = read_list(path, source)
    with database.write() as conn:
        store.put_listed(conn, files)
        marked = sum(file.delivered for file in files)
        text = f"list {path.name} of {source}: {len(files)} files, {marked} marked as delivered"
        record_event(conn, EventKind.DELIVERY, who, text, subject=path.name)
    return files


def read_list(path: Path, source: str) -> list[ListedFile]:
    """Return the files of a list or of a manifest; `UsageError` with line or entry where it cannot be understood."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as err:
        raise storage_error(err, path) from err
    except UnicodeDecodeError as err:
        raise UsageError(f"{path}: {err}; save it as UTF-8") from err
    entries = _json_entries(path, text) if text.lstrip()[:1] in ("[", "{") else _csv_entries(path, text)
    files = [_file(where, entry, source, path.name[:160]) for where, entry in entries]
    if not files:
        raise UsageError(f"{path}: the list names no file")
    return files


def _csv_entries(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the lines of a CSV list, each with where it stands."""
    reader = csv.DictReader(io.StringIO(text))
    columns = reader.fieldnames or []
    if "filename" not in columns and "expnum" not in columns:
        raise UsageError(f"{path}: the first line must name the columns, filename or expnum among them")
    for row in reader:
        yield (
            f"{path}, line {reader.line_num}",
            {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)},
        )


def _json_entries(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the entries of a JSON list or manifest, each with where it stands; values as text."""
    try:
        document = json.loads(text)
    except ValueError as err:
        raise UsageError(f"{path}: {err}") from err
    common: dict[str, object] = {}
    if isinstance(document, dict):
        common = {key: document[key] for key in ("nite", "expected_at", "delivered") if key in document}
        document = document.get("exposures")
    if not isinstance(document, list):
        raise UsageError(f"{path}: neither an array of files nor an object with the array exposures")
    for number, entry in enumerate(document, 1):
        where = f"{path}, entry {number}"
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: it is not an object")
        merged = {**common, **entry}
        if "expnum" not in merged and "expid" in merged:
            merged["expnum"] = merged["expid"]
        yield where, {key: "" if value is None else str(value) for key, value in merged.items()}


def _file(where: str, entry: Mapping[str, str], source: str, listed_in: str) -> ListedFile:
    """Return the record of an entry."""
    expnum = _number(where, entry.get("expnum", ""))
    filename = entry.get("filename", "").strip() or (f"DECam_{expnum:08d}.fits.fz" if expnum else "")
    if not filename or "/" in filename or len(filename) > 160:
        raise UsageError(
            f"{where}: filename {filename!r} is not the name of a file; correct it, or give expnum"
        )
    when, night = entry.get("expected_at", "").strip(), entry.get("nite", "").strip()
    try:
        expected = parse_timestamp(when) if when else None
    except ValueError as err:
        raise UsageError(f"{where}: expected_at: {err}") from err
    nite = night_keyword(night) if night else None if expected is None else night_of(expected)
    if nite is None:
        raise UsageError(f"{where}: nite {night!r} is not a night YYYYMMDD; without expected_at it is needed")
    if expected is None:
        expected = datetime.strptime(nite, "%Y%m%d") + timedelta(days=1, hours=_EXPECTED_HOUR)
    delivered = entry.get("delivered", "").strip().lower()
    if delivered not in _TRUE | _FALSE:
        raise UsageError(f"{where}: delivered {delivered!r} is neither true nor false")
    return ListedFile(source, filename, nite, expnum, expected, delivered in _TRUE, listed_in)


def _number(where: str, text: str) -> int | None:
    """Return an exposure number; None for an empty text."""
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 0 < int(text) < 2**31:
        raise UsageError(f"{where}: expnum {text!r} is not an exposure number")
    return int(text)
