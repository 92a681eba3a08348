"""Checks of one release table: rows, order on the sky, keys, ranges, units, UCDs and texts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from desdm.release.findings import Check, failed, note, passed
from desdm.release.hats import HPIX, parts
from desdm.release.limits import MISSING, Limits, limits_of
from desdm.release.model import ReleaseColumn, ReleaseTable
from desdm.sky.healpix import hpix29

__all__ = ["check_table"]

#: Keys compared at once: 400 MB.
_KEYS = 50_000_000


def check_table(root: Path, table: ReleaseTable) -> list[Check]:
    """Run every check of a table; ``root`` is the release's directory."""
    name = table.name
    files = parts(root / table.path)
    if not files:
        return [failed("rows", name, "its files are missing; add the table again")]
    checks = [_rows(table, files), *_texts(table), *_units(table), *_ranges(table, files), _key(table, files)]
    if table.ra_column is not None:
        checks.append(_order(table, files))
    return checks


def _batches(files: Sequence[Path], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield some columns of all files."""
    for path in files:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(262144, columns=columns)


def _rows(table: ReleaseTable, files: Sequence[Path]) -> Check:
    """Compare number of rows and columns with the record."""
    count = sum(pq.read_metadata(path).num_rows for path in files)
    if count != table.row_count:
        return failed(
            "rows", table.name, f"{count} rows lie on disk, {table.row_count} were added; add it again"
        )
    for path in files:
        schema = pq.read_schema(path)
        if schema.names != [c.name for c in table.columns]:
            return failed(
                "rows", table.name, f"{path.name} has other columns than were added; add the table again"
            )
    return passed("rows", table.name, f"{count} rows in {len(files)} files, as added")


def _texts(table: ReleaseTable) -> Iterator[Check]:
    """Check that every column has text and UCD."""
    lacking = [c.name for c in table.columns if not (c.text and c.ucd)]
    guessed = [c.name for c in table.columns if c.inferred]
    if lacking:
        yield failed(
            "texts", table.name, f"without text or UCD: {', '.join(lacking)}; say them in a schema file"
        )
    if guessed:
        yield note("texts", table.name, f"{len(guessed)} columns are guessed from their names, and marked so")
    if not lacking and not guessed:
        yield passed(
            "texts", table.name, f"{len(table.columns)} columns have text, UCD, and a unit where it applies"
        )
    if not table.text:
        yield note("texts", table.name, "the table has no description of its rows (--text)")


def _units(table: ReleaseTable) -> Iterator[Check]:
    """Check the units and UCDs of all columns."""
    wrong = [problem for column in table.columns for problem in _word_faults(column)]
    for text, guessed in wrong:
        yield (note if guessed else failed)("units", table.name, text)
    if not wrong:
        yield passed("units", table.name, "units are VOUnits, UCDs are of the list UCD1+")


def _word_faults(column: ReleaseColumn) -> Iterator[tuple[str, bool]]:
    """Yield the faults of unit and UCD of a column, and whether they were guessed."""
    from astropy.io.votable import ucd
    from astropy.units import Unit

    if column.unit:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                Unit(column.unit, format="vounit")
        except (ValueError, Warning) as err:
            yield (
                f"{column.name}: {column.unit!r} is not a VOUnit: {str(err).splitlines()[0]}",
                column.inferred,
            )
    if column.ucd and not ucd.check_ucd(column.ucd, check_controlled_vocabulary=True, has_colon=False):
        yield f"{column.name}: {column.ucd!r} is not a UCD1+", column.inferred


def _ranges(table: ReleaseTable, files: Sequence[Path]) -> Iterator[Check]:
    """Check that values are finite and lie within the range of their UCD."""
    suspects: dict[str, tuple[ReleaseColumn, Limits]] = {}
    extremes = extremes_of(files)
    for column in table.columns:
        if column.null_count == table.row_count:
            yield note("ranges", table.name, f"{column.name} has no value in any row")
        limits = limits_of(column)
        if limits is None or column.name not in extremes:
            continue
        if limits.beyond(np.array(extremes[column.name])).any():
            suspects[column.name] = column, limits
    for column, limits in suspects.values():
        yield failed("ranges", table.name, _beyond(table, files, column, limits, extremes[column.name]))
    if not suspects:
        yield passed("ranges", table.name, "positions, magnitudes, errors and times are within what can be")


def extremes_of(files: Sequence[Path]) -> dict[str, tuple[float, float]]:
    """Return the least and the largest number of each column from the footers of its files; integers exactly."""
    extremes: dict[str, tuple[float, float]] = {}
    for path in files:
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for i in range(metadata.num_columns):
                column = metadata.row_group(group).column(i)
                statistics = column.statistics
                if statistics is None or not statistics.has_min_max:
                    continue
                if not isinstance(statistics.min, int | float):
                    continue
                low, high = extremes.get(column.path_in_schema, (np.inf, -np.inf))
                extremes[column.path_in_schema] = min(low, statistics.min), max(high, statistics.max)
    return extremes


def _beyond(
    table: ReleaseTable,
    files: Sequence[Path],
    column: ReleaseColumn,
    limits: Limits,
    extremes: tuple[float, float],
) -> str:
    """Tell which values of a column are beyond its range: how many, and the first row of them."""
    key = table.id_column
    names = [column.name, *([key] if key and key != column.name else [])]
    count, example = 0, ""
    for batch in _batches(files, names):
        values = batch.column(column.name)
        present = np.asarray(values.is_valid())
        wrong = present & limits.beyond(values.fill_null(0).to_numpy(zero_copy_only=False))
        rows = np.flatnonzero(wrong)
        if rows.size and not count:
            first = int(rows[0])
            example = f"{values[first].as_py():.10g}"
            if len(names) > 1:
                example += f" where {key} = {batch.column(names[1])[first].as_py()}"
        count += rows.size
    rows_text = f"in {count} of {table.row_count} rows, the first {example}"
    if limits.low == -np.inf and limits.high == np.inf:
        text = f"{column.name}: infinite {rows_text}"
    else:
        # Footers tell a least value of 0 as -0.
        text = f"{column.name}: {extremes[0] + 0.0:.10g} to {extremes[1]:.10g} is beyond {limits.text} {rows_text}"
    text += f"; {MISSING if np.isinf(extremes).any() else limits.advice}"
    if column.inferred:
        text += f" (UCD {column.ucd} is guessed from the name; if it is another quantity, say so in a schema file)"
    return text


def _key(table: ReleaseTable, files: Sequence[Path]) -> Check:
    """Check that the identifier is unique."""
    key = table.id_column
    if key is None:
        return note("keys", table.name, "no column names a row (UCD meta.id;meta.main, or --id)")
    column = next((c for c in table.columns if c.name == key), None)
    if column is None:
        return failed("keys", table.name, f"{key} is to name a row, and is not a column")
    if column.null_count:
        return failed("keys", table.name, f"{column.null_count} rows have no {key}")
    repeated = (
        _repeated_integers(table, files, key)
        if column.datatype in ("short", "int", "long")
        else _repeated_texts(files, key)
    )
    if repeated:
        return failed(
            "keys", table.name, f"{key} is to name a row, and {repeated} rows repeat the name of another row"
        )
    return passed("keys", table.name, f"{key} is unique over {table.row_count} rows")


def _repeated_integers(table: ReleaseTable, files: Sequence[Path], key: str) -> int:
    """Count the rows whose integer key another row has."""
    # Many rows are compared in several passes, each over the keys of one remainder, so that memory stays bounded.
    passes = -(-table.row_count // _KEYS)
    repeated = 0
    for i in range(passes):
        parts_of_pass: list[npt.NDArray[np.int64]] = []
        for batch in _batches(files, [key]):
            values = batch.column(0).to_numpy()
            parts_of_pass.append(values if passes == 1 else values[values % passes == i])
        keys = np.sort(np.concatenate(parts_of_pass))
        repeated += int(np.count_nonzero(keys[1:] == keys[:-1]))
    return repeated


def _repeated_texts(files: Sequence[Path], key: str) -> int:
    """Count the rows whose key of another type another row has."""
    values = pa.chunked_array([batch.column(0) for batch in _batches(files, [key])])
    return len(values) - int(pc.count_distinct(values).as_py())


def _order(table: ReleaseTable, files: Sequence[Path]) -> Check:
    """Check that rows are sorted by the cell of their position."""
    assert table.ra_column is not None and table.dec_column is not None
    last = -1
    for batch in _batches(files, [HPIX, table.ra_column, table.dec_column]):
        columns = {name: batch.column(name).to_numpy() for name in batch.schema.names}
        pixels = columns[HPIX]
        if pixels[0] < last or np.any(pixels[1:] < pixels[:-1]):
            return failed("order", table.name, f"rows are not sorted by {HPIX}; add the table again")
        last = int(pixels[-1])
        if not np.array_equal(pixels, hpix29(columns[table.ra_column] % 360.0, columns[table.dec_column])):
            return failed("order", table.name, f"{HPIX} is not the cell of the position; add the table again")
    return passed("order", table.name, f"rows are sorted by {HPIX}, the cell of their position")
