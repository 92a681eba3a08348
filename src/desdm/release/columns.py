"""The columns of a release table: their types, and text, unit and UCD from the file, a schema file, or guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import yaml

from desdm.errors import UsageError
from desdm.release.guess import guess
from desdm.release.hats import HPIX
from desdm.release.model import ReleaseColumn

__all__ = [
    "HPIX_COLUMN",
    "ColumnText",
    "check_name",
    "describe_columns",
    "field_of",
    "read_schema_file",
    "stored_type",
]

#: Column by which rows are sorted.
HPIX_COLUMN = ReleaseColumn(
    name=HPIX,
    datatype="long",
    ucd="pos.healpix",
    indexed=True,
    text="HEALPix number, order 29, nested, of the position; rows are sorted by it",
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
#: VOTable data type of each type that is stored.
_DATATYPES: dict[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int16(): "short",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
}
#: Prefixes of UCDs whose floating-point values mean nothing without a unit.
_NEEDS_UNIT = (
    "pos.eq.ra",
    "pos.eq.dec",
    "pos.galactic",
    "pos.ecliptic",
    "phot.mag",
    "time.epoch",
    "time.start",
    "time.end",
    "time.duration",
    "phys.temperature",
    "phys.size",
    "em.wl",
    "em.freq",
    "spect.dopplerVeloc",
)


#: Keys of a column in a schema file that become its metadata.
_TEXT_KEYS = ("description", "unit", "ucd", "xtype")


@dataclass(frozen=True, slots=True)
class ColumnText:
    """Description of a column in a schema file; None: the file does not give it."""

    description: str | None = None
    unit: str | None = None
    ucd: str | None = None
    xtype: str | None = None
    principal: bool = False


def check_name(name: str, kind: str, longest: int) -> None:
    """Check that a name can be written in ADQL without quotes (ADQL 2.1, 2.1.3).

    Parameters
    ----------
    name
        Name of a table or column.
    kind
        Kind of the name, for the message.
    longest
        Largest number of characters.

    Raises
    ------
    UsageError
        The name needs quotes in ADQL or is too long.
    """
    if not _NAME.match(name) or len(name) > longest:
        raise UsageError(
            f"{kind} {name!r}: at most {longest} letters, digits and _, a letter first; name it otherwise"
        )


def stored_type(kind: pa.DataType, column: str) -> pa.DataType:
    """Return the type in which a column is stored: one that VOTable, FITS and both engines have.

    Raises
    ------
    UsageError
        For lists, structures and other types that no query could name.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    replacements = {
        pa.int8(): pa.int16(),
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(),
        pa.large_string(): pa.string(),
        pa.string_view(): pa.string(),
        pa.null(): pa.string(),
    }
    kind = replacements.get(kind, kind)
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.timestamp("us")
    if kind in _DATATYPES or kind == pa.string():
        return kind
    raise UsageError(
        f"column {column}: values of type {kind} cannot be queried; flatten them or leave the column out"
    )


def read_schema_file(path: Path) -> tuple[str, dict[str, ColumnText]]:
    """Read the text of a table and the descriptions of its columns from a schema file (JSON or YAML).

    Raises
    ------
    UsageError
        If it cannot be read or is not of the form that docs/releases.md shows.
    """
    try:
        text = path.read_text("utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as err:
        raise UsageError(f"schema file {path.name} cannot be read: {err}") from err
    if not isinstance(document, dict) or not isinstance(document.get("columns"), list):
        raise UsageError(f"schema file {path.name}: it must be a mapping with a list 'columns'")
    columns: dict[str, ColumnText] = {}
    for i, entry in enumerate(document["columns"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise UsageError(f"schema file {path.name}: column {i + 1} has no name")
        unknown = set(entry) - {"name", "description", "unit", "ucd", "principal", "datatype", "xtype"}
        if unknown:
            raise UsageError(
                f"schema file {path.name}: column {entry['name']}: unknown key {sorted(unknown)[0]!r}"
            )
        columns[entry["name"]] = ColumnText(
            **{key: str(entry[key]) for key in _TEXT_KEYS if key in entry},
            principal=bool(entry.get("principal", False)),
        )
    return str(document.get("description", "")), columns


def describe_columns(
    schema: pa.Schema, texts: Mapping[str, ColumnText] | None = None, *, infer: bool = False
) -> tuple[ReleaseColumn, ...]:
    """Return the columns of a table with text, unit and UCD: from a schema file, else the file's fields, else guessed.

    Parameters
    ----------
    schema
        Of the file; a field's metadata hold ``description``, ``unit`` and ``ucd``.
    texts
        Descriptions of the schema file, by column.
    infer
        Guess missing descriptions; such columns are marked.

    Returns
    -------
    tuple of ReleaseColumn
        The columns, in the order of the file.

    Raises
    ------
    UsageError
        A name no query could write, two that differ in case only, or columns without a sufficient description.
    """
    _check_names(schema.names, texts or {})
    columns, missing = [], []
    for field in schema:
        column = _column(field, (texts or {}).get(field.name, ColumnText()))
        absent = _missing_texts(column)
        if absent and infer:
            column = _guessed(column)
        elif absent:
            missing.append(f"{field.name} ({', '.join(absent)})")
        columns.append(column)
    if missing:
        raise UsageError(
            f"{len(missing)} columns are not described: {'; '.join(missing[:8])}{' …' if len(missing) > 8 else ''}. "
            "Describe them in a schema file (--schema) or in the Parquet fields' metadata, or let it be guessed (--infer)"
        )
    return tuple(columns)


def _check_names(names: Sequence[str], described: Collection[str]) -> None:
    """Check the column names of a table, and that a schema file describes no others."""
    for name in names:
        check_name(name, "column", 64)
    lower = [name.lower() for name in names]
    for name in lower:
        if lower.count(name) > 1:
            raise UsageError(f"column {name!r} occurs twice: names in ADQL do not differ by case")
    for name in described:
        if name not in names:
            raise UsageError(f"the schema file describes a column {name!r} that the table does not have")


def _column(field: pa.Field, text_of: ColumnText) -> ReleaseColumn:
    """Return a column with the texts of its field and of the schema file."""
    kind = stored_type(field.type, field.name)
    metadata = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
    metadata |= {key: value for key in _TEXT_KEYS if (value := getattr(text_of, key)) is not None}
    stamp, text = pa.types.is_timestamp(kind), kind == pa.string()
    column = ReleaseColumn(
        name=field.name,
        datatype=_DATATYPES.get(kind, "char"),
        arraysize="*" if stamp or text else None,
        xtype="timestamp" if stamp else metadata.get("xtype") or None,
        unit=metadata.get("unit", ""),
        ucd=metadata.get("ucd", ""),
        text=metadata.get("description", ""),
        principal=text_of.principal,
    )
    if field.name == HPIX:
        return replace(HPIX_COLUMN, text=column.text or HPIX_COLUMN.text)
    return column


def _missing_texts(column: ReleaseColumn) -> list[str]:
    """Return which descriptions a column lacks."""
    missing = [word for word, value in (("text", column.text), ("UCD", column.ucd)) if not value]
    if not column.unit and column.datatype in ("float", "double") and column.ucd.startswith(_NEEDS_UNIT):
        missing.append("unit")
    return missing


def _guessed(column: ReleaseColumn) -> ReleaseColumn:
    """Fill the descriptions that a column lacks with guesses from its name."""
    unit, ucd, text = guess(column.name, column.datatype)
    return replace(
        column, text=column.text or text, ucd=column.ucd or ucd, unit=column.unit or unit, inferred=True
    )


def field_of(column: ReleaseColumn, kind: pa.DataType) -> pa.Field:
    """Return the Parquet field of a column, with its texts as metadata."""
    texts = {"description": column.text, "unit": column.unit, "ucd": column.ucd}
    if column.inferred:
        texts["inferred"] = "true"
    return pa.field(column.name, kind, metadata={k: v for k, v in texts.items() if v})
