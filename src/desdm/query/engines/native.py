"""Native copies of releases for DuckDB: written when absent or outdated; they can be deleted at any time."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from desdm.errors import CorruptFile, StorageFull, storage_error
from desdm.query.engines.digests import require_recorded_digests
from desdm.query.engines.writing import SQL_TYPES, kind_of, quote
from desdm.release.model import ReleaseColumn, ReleaseFile, ReleaseTable

__all__ = ["discard", "make", "partitions", "projection", "source"]

#: Rows of one block of the copy; a cone search reads few blocks.
_BLOCK = 30_720
#: Version of the copy's layout; with another number all copies are written again.
_VERSION = 2


def partitions(root: Path, table: ReleaseTable) -> list[Path]:
    """Return the Parquet files of a table in the order of ``hpix29``."""

    def place(path: Path) -> tuple[int, str]:
        name, order = path.name.partition(".")[0], 0
        for part in path.parts:
            if part.startswith("Norder="):
                order = int(part[7:])
        number = name.removeprefix("Npix=")
        return (int(number) << 2 * (29 - order) if number.isdigit() else 0, str(path))

    folder = root / table.path
    parts = [
        p for p in folder.rglob("*.parquet") if "dataset" in p.parts and p.name != "data_thumbnail.parquet"
    ]
    return sorted(parts or folder.rglob("*.parquet"), key=place)


def source(root: Path, table: ReleaseTable) -> str:
    """Return the table function of DuckDB that reads the Parquet files of a table.

    ``can_have_nan``: minimum and maximum of Parquet leave NaN out, and DuckDB would conclude from a finite maximum that
    the column has none, and drop every test for it.
    """
    files = ", ".join(_text(str(path)) for path in partitions(root, table))
    return f"read_parquet([{files}], hive_partitioning = false, can_have_nan = true)"


def projection(columns: Sequence[ReleaseColumn]) -> str:
    """Return the select list that converts columns to the types of the engine; NaN becomes NULL.

    NaN is what is neither finite nor infinite: unlike ``isnan`` and comparisons, DuckDB evaluates these two on each row,
    whatever the statistics of a file say.
    """
    items = []
    for column in columns:
        name, kind = quote(column.name, "duckdb"), kind_of(column)
        if kind in ("float", "double"):
            wanted = SQL_TYPES["duckdb"][kind]
            items.append(
                f"CASE WHEN isfinite({name}) OR isinf({name}) THEN CAST({name} AS {wanted}) END AS {name}"
            )
        elif kind in SQL_TYPES["duckdb"]:
            items.append(f"CAST({name} AS {SQL_TYPES['duckdb'][kind]}) AS {name}")
        else:
            items.append(name)
    return ", ".join(items)


def _fingerprint(tables: Sequence[ReleaseTable], root: Path) -> str:
    """Return a digest of the sources of a copy: names, types, and the files' sizes and times."""
    facts: list[object] = [_VERSION]
    for table in tables:
        files = [
            (str(p.relative_to(root)), p.stat().st_size, p.stat().st_mtime_ns)
            for p in partitions(root, table)
        ]
        facts.append([table.name, table.row_count, [(c.name, kind_of(c)) for c in table.columns], files])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def make(
    folder: Path,
    release: str,
    tables: Sequence[ReleaseTable],
    root: Path,
    memory: str,
    files: Sequence[ReleaseFile] = (),
) -> Path:
    """Return the path of a release's native copy; write it if it is absent or older than the Parquet files.

    Parameters
    ----------
    folder
        ``serving`` of the installation.
    release
        Name of the release.
    tables
        Its tables.
    root
        Directory of the release.
    memory
        Largest memory for writing, in DuckDB's form (``4GB``).
    files
        Recorded files of the release: a copy is made only from files with their recorded digests.

    Raises
    ------
    CorruptFile
        A Parquet file is missing, damaged or cannot be read.
    StorageFull
        No room for the copy.
    StorageUnavailable
        A file or directory cannot be read or written.
    """
    wanted = _fingerprint(tables, root)
    path = folder / f"{release}-{wanted[:16]}.duckdb"
    if path.is_file():
        return path
    require_recorded_digests(release, tables, root, files)
    temporary = folder / f".{release}-{secrets.token_hex(4)}.duckdb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        discard(path)
        _write(temporary, tables, root, memory)
        temporary.replace(path)
    except OSError as err:
        raise storage_error(err, path) from err
    except duckdb.Error as err:
        if "No space left" in str(err) or "File too large" in str(err):
            raise StorageFull(f"{folder}: no room for the copy that serves {release}") from err
        raise CorruptFile(f"{release}: a table cannot be read; run: desdm release verify {release}") from err
    finally:
        for rest in folder.glob(f"{temporary.name}*"):
            rest.unlink(missing_ok=True)
    for old in folder.glob(f"{release}-{'[0-9a-f]' * 16}.duckdb"):
        if old != path:
            # A server that still has it open keeps it until it closes.
            discard(old)
    return path


def discard(copy: Path) -> None:
    """Remove a native copy, or a directory of its name."""
    if copy.is_dir() and not copy.is_symlink():
        shutil.rmtree(copy)
    else:
        copy.unlink(missing_ok=True)


def _write(target: Path, tables: Sequence[ReleaseTable], root: Path, memory: str) -> None:
    """Write the tables of a release into a new DuckDB file."""
    with duckdb.connect(config={"memory_limit": memory}) as conn:
        conn.execute(f"ATTACH {_text(str(target))} AS native (ROW_GROUP_SIZE {_BLOCK})")
        for table in tables:
            name = quote(table.name, "duckdb")
            rows = f"SELECT {projection(table.columns)} FROM {source(root, table)}"  # noqa: S608
            conn.execute(f"CREATE TABLE native.{name} AS {rows}")
        conn.execute("DETACH native")


def _text(value: str) -> str:
    """Return a text literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
