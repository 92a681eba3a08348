"""Add a table to a release: rows from a Parquet file or a stream, into HATS layout, with its columns' texts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import manifest, store
from desdm.release.columns import (
    HPIX_COLUMN,
    check_name,
    describe_columns,
    field_of,
    read_schema_file,
    stored_type,
)
from desdm.release.hats import HPIX, parts, write_hats
from desdm.release.model import Release, ReleaseColumn, ReleaseTable
from desdm.release.rights import refuse_hidden_source
from desdm.release.source import TableSource
from desdm.release.statistics import Statistics
from desdm.schema.database import Database
from desdm.schema.states import EventKind, ReleaseState
from desdm.schema.store import record_event
from desdm.sky.healpix import cell_distance, hpix29
from desdm.timestamps import XTYPES, timestamp_text

__all__ = ["add_table", "draft"]

_BATCH = 65536


def add_table(
    database: Database,
    root: Path,
    release: str,
    table: str,
    source: Path | Iterator[pa.RecordBatch],
    *,
    ra: str | None,
    dec: str | None,
    schema: Path | None = None,
    infer: bool = False,
    kind: str = "release",
    text: str = "",
    who: str,
    reason: str = "",
    provenance: TableSource | None = None,
    columns: Sequence[ReleaseColumn] | None = None,
    id_column: str | None = None,
    replace_it: bool = False,
    public: bool = False,
) -> ReleaseTable:
    """Add a table to a draft release, whole or not at all.

    Parameters
    ----------
    kind, text
        Kind of the table (``release`` or ``value-added``), and what a row is.
    root
        The release's directory; the table lies in ``tables/<table>`` below it.
    source
        A Parquet file, a table of another release (its directory), or record batches of one schema. Rows may lie in
        any order; memory does not grow with them.
    ra, dec
        Columns of the position, ICRS degrees; both None for a table without positions.
    schema
        Schema file with the columns' texts, units and UCDs.
    infer
        Guess missing texts, units and UCDs; such columns are marked.
    provenance
        Where it came from; may be filled while the rows stream.
    columns
        Descriptions of the columns, instead of ``schema`` and the fields' metadata.
    id_column
        Column that names a row; else the one whose UCD is ``meta.id;meta.main``.
    replace_it
        Replace a table of that name.
    public
        Take data of a proprietary release for a release that everybody may see.
    who, reason
        Author and reason, for the record.

    Returns
    -------
    ReleaseTable
        The record of the table.

    Raises
    ------
    ConflictError
        The release is published or frozen, or has such a table.
    UsageError
        Columns are not described, a name could not be written in ADQL, or a row has no position; or the
        data are those of a proprietary release, and this one is public.
    """
    check_name(table, "table", 48)
    draft(database, release)
    if (ra is None) != (dec is None):
        raise UsageError("give both --ra and --dec, or neither for a table without positions")
    final = root / "tables" / table
    with database.read() as conn:
        if isinstance(source, Path) and not public:
            came_from = provenance.facts.get("came_from", "") if provenance else ""
            refuse_hidden_source(conn, root, release, table, file=source, came_from=str(came_from))
        exists = any(t.name.lower() == table.lower() for t in store.tables(conn, release))
    if exists and not replace_it:
        raise ConflictError(f"{release} has a table {table}; add --replace to put this one in its place")
    schema_file = read_schema_file(schema) if schema is not None else ("", {})
    batches, source_schema = _open_source(source)
    described_columns = (
        tuple(columns)
        if columns is not None
        else describe_columns(source_schema, schema_file[1], infer=infer)
    )
    _check_position(source_schema, ra, dec)
    converter = _RowConverter(source_schema, described_columns, ra, dec)
    final.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{table}-", dir=final.parent))
    try:
        statistics = Statistics()
        rows = converter.rows(batches, statistics)
        layout = write_hats(building / "t", rows, converter.schema, name=f"{release}.{table}", ra=ra, dec=dec)
        if not layout.rows:
            raise UsageError(f"table {table} has no rows")
        record = ReleaseTable(
            release=release,
            name=table,
            kind=kind,
            text=text or schema_file[0],
            row_count=layout.rows,
            ra_column=ra,
            dec_column=dec,
            id_column=id_column or _identity(described_columns),
            path=f"tables/{table}",
            columns=statistics.onto(
                _with_roles(converter.columns, ra, dec, id_column or _identity(described_columns))
            ),
        )
        _install(database, building / "t", final, record, provenance or TableSource(), who, reason)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return record


def draft(database: Database, name: str) -> Release:
    """Return a release that must be a draft.

    Raises
    ------
    NotFoundError, ConflictError
        There is none of this name, or its content is fixed.
    """
    with database.read() as conn:
        release = next((r for r in store.releases(conn) if r.name == name), None)
    if release is None:
        raise NotFoundError(f"no release {name}; create one: desdm release create {name} --empty")
    if release.state is ReleaseState.PUBLISHED:
        raise ConflictError(
            f"{name} is published and never changes; make a point release: "
            f"desdm release create {name}_1 --erratum-of {name}"
        )
    if release.state is ReleaseState.FROZEN:
        raise ConflictError(f"{name} is frozen; publish it, or open it again: desdm release thaw {name}")
    return release


def _install(
    database: Database,
    built: Path,
    final: Path,
    table: ReleaseTable,
    provenance: TableSource,
    who: str,
    reason: str,
) -> None:
    """Install a built table: rows in the database first, then its directory."""
    old = final.with_name(f".{final.name}-old")
    files = [
        replace(file, path=f"{table.path}/{file.path}")
        for file in manifest.measure(
            built, table.release, manifest.list_files(manifest.on_disk(built), filetype="table")
        )
    ]
    with database.write() as conn:
        # The row is locked from here on: no second builder, and no publication in between.
        if not store.change(conn, table.release, ReleaseState.DRAFT, state=ReleaseState.DRAFT):
            raise ConflictError(f"{table.release} was frozen meanwhile; the table was not added")
        store.drop_table(conn, table.release, table.name)
        store.drop_files(conn, table.release, f"{table.path}/")
        store.insert_files(conn, files)
        store.insert_table(conn, table, provenance, who, _now())
        event = f"{table.release}.{table.name}: {table.kind} table added, {table.row_count} rows"
        if "reviewed_by" in provenance.facts:
            event += f", reviewed by {provenance.facts['reviewed_by']}"
        event_reason = reason or str(provenance.facts.get("review", ""))
        record_event(conn, EventKind.RELEASE, who, event, subject=table.release, reason=event_reason)
        if final.exists():
            final.rename(old)
        built.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _now() -> datetime:
    """Return the time, UTC without time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _open_source(source: Path | Iterator[pa.RecordBatch]) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
    """Return the record batches of a source and their schema."""
    # Without pre_buffer: with it, every row group that was read stays in memory to the end.
    if isinstance(source, Path) and source.is_dir():
        return _folder(source)
    if isinstance(source, Path):
        try:
            file = pq.ParquetFile(source, pre_buffer=False)
        except FileNotFoundError as err:
            raise NotFoundError(f"no file {source}") from err
        except (OSError, pa.ArrowException) as err:
            raise UsageError(f"{source.name} is not a Parquet file: {err}") from err
        return file.iter_batches(_BATCH), file.schema_arrow
    first = next(source, None)
    if first is None:
        raise UsageError("the table has no rows")
    return chain([first], source), first.schema


def _folder(source: Path) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
    """Return the record batches of a folder of Parquet files and their schema."""
    files = parts(source) or sorted(source.glob("*.parquet"))
    if not files:
        raise NotFoundError(f"no Parquet file in {source}")
    batches = (
        batch for path in files for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(_BATCH)
    )
    return batches, pq.read_schema(files[0])


def _check_position(schema: pa.Schema, ra: str | None, dec: str | None) -> None:
    """Check that the position columns exist and are floating-point numbers."""
    for option, name in (("--ra", ra), ("--dec", dec)):
        if name is None:
            continue
        if name not in schema.names:
            available = ", ".join(schema.names[:12])
            raise UsageError(f"{option} {name}: the table has no such column; it has {available}")
        if not pa.types.is_floating(schema.field(name).type):
            raise UsageError(f"{option} {name}: a position is a floating-point number of degrees")


def _identity(columns: Sequence[ReleaseColumn]) -> str | None:
    """Return the name of the column with the UCD of a row identifier."""
    return next((c.name for c in columns if c.ucd == "meta.id;meta.main"), None)


def _with_roles(
    columns: Sequence[ReleaseColumn], ra: str | None, dec: str | None, identity: str | None
) -> list[ReleaseColumn]:
    """Mark identifier and position as principal, and the HEALPix column as indexed."""
    # What a first look should show: the name, the position, and what the schema file says.
    first = {name for name in (ra, dec, identity) if name}
    return [
        replace(c, principal=c.principal or c.name in first, indexed=c.indexed or c.name == HPIX)
        for c in columns
    ]


class _RowConverter:
    """Converts the rows of a source into the rows that are stored."""

    def __init__(
        self, source: pa.Schema, columns: Sequence[ReleaseColumn], ra: str | None, dec: str | None
    ) -> None:
        self.ra, self.dec = ra, dec
        self.adds = ra is not None and HPIX not in source.names
        by_name = {c.name: c for c in columns}
        fields = [field_of(by_name[f.name], stored_type(f.type, f.name)) for f in source]
        if self.adds:
            fields.append(field_of(HPIX_COLUMN, pa.int64()))
        self.columns = (*columns, HPIX_COLUMN) if self.adds and HPIX not in by_name else tuple(columns)
        self.schema = pa.schema(fields)
        self._times = {
            f.name for f in fields if pa.types.is_string(f.type) and by_name[f.name].xtype in XTYPES
        }

    def rows(self, batches: Iterator[pa.RecordBatch], statistics: Statistics) -> Iterator[pa.RecordBatch]:
        """Yield the stored rows, and add them to the statistics."""
        count = 0
        for batch in batches:
            if not batch.num_rows:
                continue
            pixels = self._pixels(batch, count)
            arrays = [
                pa.array(pixels, pa.int64())
                if field.name == HPIX and pixels is not None
                else self._cast(batch, field)
                for field in self.schema
            ]
            stored = pa.record_batch(arrays, schema=self.schema)
            statistics.add(stored)
            count += batch.num_rows
            yield stored

    def _cast(self, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        """Cast a column to its stored type; NaN becomes null, and timestamps in texts become UTC."""
        values = batch.column(field.name)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_timestamp(values.type) and values.type.tz is not None:
            values = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False)
        if pa.types.is_floating(values.type):
            # NaN becomes null: readers disagree whether NaN is the largest number or no value.
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        try:
            # Nanoseconds are dropped: neither VOTable's timestamp nor PostgreSQL has them.
            stored = values.cast(field.type, safe=not pa.types.is_timestamp(field.type))
        except pa.ArrowInvalid as err:
            raise UsageError(f"column {field.name}: {err}") from err
        if field.name not in self._times:
            return stored
        try:
            return pa.array([text and timestamp_text(text) for text in stored.to_pylist()], pa.string())
        except ValueError as err:
            raise UsageError(f"column {field.name}: {err}") from err

    def _pixels(self, batch: pa.RecordBatch, before: int) -> npt.NDArray[np.int64] | None:
        """Return the HEALPix cells of the positions; checks them against a column of the source."""
        if self.ra is None or self.dec is None:
            return None
        ra = _numbers(batch.column(self.ra))
        dec = _numbers(batch.column(self.dec))
        bad = ~(np.isfinite(ra) & (np.abs(dec) <= 90.0) & (np.abs(ra) <= 360.0))
        if bad.any():
            row = int(np.argmax(bad))
            raise UsageError(
                f"row {before + row + 1} has no position on the sky: {self.ra} = {ra[row]}, {self.dec} = {dec[row]}; "
                "take it out, or add the table without --ra and --dec"
            )
        pixels = hpix29(ra % 360.0, dec)
        if not self.adds:
            stored = _numbers(batch.column(HPIX)).astype(np.int64)
            wrong = np.flatnonzero(stored != pixels)
            # On the edge of a cell of 0.4 mas two programs may choose differently; more than 1 arcsec is another place.
            far = wrong[cell_distance(stored[wrong], ra[wrong], dec[wrong]) > 1.0 / 3600.0]
            if far.size:
                raise UsageError(
                    f"row {before + int(far[0]) + 1}: {HPIX} is not the cell of its position; leave the column out "
                    "and it is computed"
                )
        return pixels


def _numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    """Return a column as numpy array, nulls as NaN (integers: 0)."""
    if values.null_count:
        values = values.fill_null(float("nan") if pa.types.is_floating(values.type) else 0)
    numbers: npt.NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return numbers
