"""The typed record of a file that a query of the archive returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from desdm.errors import UsageError

__all__ = ["CatalogFile", "FileIdentity", "FileMetadata", "Scalar"]

#: A value in a column of the file catalogue.
Scalar: TypeAlias = str | int | float | datetime | None

# One for all records: there are many, and hardly any has overrides.
_NO_OVERRIDES: Mapping[str, str] = {}


class FileMetadata(NamedTuple):
    """The columns of the metadata tables beyond `FileIdentity`; None where the table of the file's type has no such column.

    Texts and units are those of `desdm.schema.filemeta`.
    """

    ra_cent: float | None = None
    dec_cent: float | None = None
    racmin: float | None = None
    racmax: float | None = None
    deccmin: float | None = None
    deccmax: float | None = None
    crossra0: str | None = None
    obstype: str | None = None
    object: str | None = None
    propid: str | None = None
    instrument: str | None = None
    exptime: float | None = None
    mjd_obs: float | None = None
    airmass: float | None = None
    naxis1: int | None = None
    naxis2: int | None = None
    pixscale: float | None = None
    gain: float | None = None
    saturate: float | None = None
    mag_zero: float | None = None
    fwhm: float | None = None
    skybrite: float | None = None
    ccds: str | None = None
    data_digest: str | None = None
    objects: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a registered file is: its name and type, the attempt that produced it, and what it is of.

    Attributes
    ----------
    id
        Number of the file.
    filename
        Name with compression suffix.
    pfw_attempt_id
        Attempt that produced it, if one did.
    expnum, ccdnum, band, nite
        Exposure, CCD, band and night that it is of; None: of none or several.
    """

    id: int
    filename: str
    filetype: str
    pfw_attempt_id: int | None
    expnum: int | None
    ccdnum: int | None
    band: str | None
    nite: str | None

    @property
    def subject(self) -> tuple[int | None, int | None, str | None]:
        """Exposure, CCD and band that the file is of: another of the same may stand for it."""
        return self.expnum, self.ccdnum, self.band


@dataclass(frozen=True, slots=True)
class CatalogFile(FileIdentity):
    """A registered file, where a sound copy of it lies, and its metadata.

    Attributes
    ----------
    tilename
        Coadd tile that it is of; None: of none.
    compression
        Suffix of compression (``""``, ``.fz`` or ``.gz``).
    filesize
        Bytes.
    sha256, md5sum
        Digests, hexadecimal.
    archive_name, path
        Archive that holds the copy, and directory relative to its root.
    table
        Metadata table of the file's type.
    metadata
        Further columns of that table.
    excluded_ccds
        CCDs of a file of several that must not be used, where the query's selection looks at exclusions.
    overrides
        What a query program says of the file; in look-ups by name it counts before the columns.
    """

    tilename: str | None
    compression: str
    filesize: int
    sha256: str
    md5sum: str
    archive_name: str
    path: str
    table: str
    metadata: FileMetadata
    excluded_ccds: tuple[int, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=lambda: _NO_OVERRIDES, hash=False)

    @property
    def fullname(self) -> str:
        """Path relative to the archive's root."""
        return f"{self.path}/{self.filename}" if self.path else self.filename

    def value(self, column: str) -> Scalar:
        """Return the value in a column; None where the table of the file's type has no such column.

        Raises
        ------
        UsageError
            No table of the file catalogue has the column.
        """
        if column in self.overrides:
            return self.overrides[column]
        if column not in _FILE_COLUMNS and column not in FileMetadata._fields:
            known = ", ".join(sorted({*_FILE_COLUMNS, *FileMetadata._fields}))
            raise UsageError(f"the file catalogue has no column {column!r}; known: {known}")
        value: Scalar = getattr(self if column in _FILE_COLUMNS else self.metadata, column)
        return value

    def columns(self) -> dict[str, Scalar]:
        """Return the values by column, for plans, whose WCL names columns: those that the file's table has, with overrides.

        CCDs that must not be used are in the key ``excluded_ccds``, comma separated, where there are any.
        """
        names, values_of = _columns_of(self.table)
        values: dict[str, Scalar] = dict(zip(names, values_of(self), strict=True))
        if self.excluded_ccds:
            values["excluded_ccds"] = ",".join(map(str, self.excluded_ccds))
        values.update(self.overrides)
        return values


#: Attributes of `CatalogFile` that are columns for queries and plans.
_FILE_COLUMNS = (
    "id",
    "filename",
    "compression",
    "filetype",
    "filesize",
    "sha256",
    "md5sum",
    "pfw_attempt_id",
    "archive_name",
    "path",
    "fullname",
    "expnum",
    "ccdnum",
    "band",
    "nite",
    "tilename",
)


@cache
def _columns_of(table: str) -> tuple[tuple[str, ...], Callable[[CatalogFile], tuple[Scalar, ...]]]:
    """Return the columns of the files of a metadata table, and the function that reads their values from a record."""
    # Workers import this module, and need no tables.
    from desdm.schema import METADATA_TABLES

    metadata = [name for name in FileMetadata._fields if name in METADATA_TABLES[table].c]
    return (*_FILE_COLUMNS, *metadata), attrgetter(*_FILE_COLUMNS, *(f"metadata.{name}" for name in metadata))
