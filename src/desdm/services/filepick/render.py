"""A list of files as JSON, CSV, VOTable, Parquet, plain addresses or a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypedDict
from urllib.parse import quote

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from desdm.release.document import STYLE
from desdm.release.model import Release, ReleaseColumn, ReleaseFile
from desdm.services.filepick.pick import Selection

__all__ = [
    "COLUMNS",
    "address",
    "addresses",
    "batches",
    "entry",
    "listing",
    "page",
    "release_entry",
    "url_path",
]

#: Columns of the table of files.
COLUMNS = (
    ReleaseColumn("release", "char", "*", text="Release"),
    ReleaseColumn("path", "char", "*", ucd="meta.id;meta.file", text="Path in the release"),
    ReleaseColumn("filetype", "char", "*", ucd="meta.code", text="Type of the file"),
    ReleaseColumn("mime", "char", "*", ucd="meta.code.mime", text="Media type"),
    ReleaseColumn("tilename", "char", "*", ucd="meta.id", text="Coadd tile"),
    ReleaseColumn("band", "char", "*", ucd="instr.bandpass", text="Band"),
    ReleaseColumn("size", "long", unit="byte", ucd="phys.size;meta.file", text="Size"),
    ReleaseColumn("sha256", "char", "*", ucd="meta.checksum", text="sha-256 of the bytes, hexadecimal"),
    ReleaseColumn(
        "ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", text="Right ascension of the centre, ICRS"
    ),
    ReleaseColumn(
        "dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", text="Declination of the centre, ICRS"
    ),
    ReleaseColumn("url", "char", "*", ucd="meta.ref.url", text="Address"),
)
#: Files of one piece of a response.
_PIECE = 5_000


class FileEntry(TypedDict):
    """A file in JSON."""

    release: str
    path: str
    filetype: str
    mime: str
    tilename: str | None
    band: str | None
    size: int
    sha256: str
    ra: float | None
    dec: float | None
    url: str


class ReleaseEntry(TypedDict):
    """A release in JSON."""

    name: str
    title: str
    text: str
    proprietary: bool
    erratum_of: str | None
    published_at: str | None
    manifest_sha256: str | None
    tables: list[str]
    files: int
    bytes: int
    url: str
    manifest: str


def url_path(path: str) -> str:
    """Quote a path for a URL; permitted characters (RFC 3986, 3.3) are not escaped, so that wget uses the right names."""
    return quote(path, safe="/=+,:@")


def address(base: str, release: str, path: str) -> str:
    """Return the URL of a file or folder of a release.

    Parameters
    ----------
    base
        URL of this server.
    release, path
        Release, and path in it.

    Returns
    -------
    str
        The URL.
    """
    return f"{base}/files/{url_path(release)}/{url_path(path)}"


def entry(base: str, file: ReleaseFile) -> FileEntry:
    """Return a file as a JSON entry."""
    return {
        "release": file.release,
        "path": file.path,
        "filetype": file.filetype,
        "mime": file.mime,
        "tilename": file.tilename,
        "band": file.band,
        "size": file.filesize,
        "sha256": file.sha256,
        "ra": file.ra_cent,
        "dec": file.dec_cent,
        "url": address(base, file.release, file.path),
    }


def release_entry(base: str, release: Release, files: int, size: int, tables: Sequence[str]) -> ReleaseEntry:
    """Return a release as a JSON entry.

    Parameters
    ----------
    base
        URL of this server.
    release
        Release.
    files, size
        Number of files that the caller may read, and their bytes.
    tables
        Names of the tables that the caller may query.

    Returns
    -------
    ReleaseEntry
        The entry.
    """
    return {
        "name": release.name,
        "title": release.title,
        "text": release.text,
        "proprietary": release.proprietary,
        "erratum_of": release.erratum_of,
        "published_at": (
            None if release.published_at is None else release.published_at.isoformat(timespec="seconds") + "Z"
        ),
        "manifest_sha256": release.manifest_sha256,
        "tables": [f"{release.name}.{table}" for table in tables],
        "files": files,
        "bytes": size,
        "url": address(base, release.name, ""),
        "manifest": address(base, release.name, "manifest.json"),
    }


def listing(base: str, selection: Selection, offset: int, next_url: str | None) -> Iterator[bytes]:
    """Encode files as JSON, in pieces.

    Parameters
    ----------
    base
        URL of this server.
    selection
        Files.
    offset
        Number of matches before the first file.
    next_url
        URL of the next part; None after the last.

    Yields
    ------
    bytes
        Pieces of the document.
    """
    head = json.dumps({"total": selection.total, "offset": offset, "next": next_url})
    yield f'{head[:-1]}, "files": ['.encode()
    for start in range(0, len(selection.files), _PIECE):
        rows = (entry(base, file) for _, file in selection.files[start : start + _PIECE])
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        yield f"{',' if start else ''}\n{text}".encode()
    yield b"\n]}\n"


def addresses(base: str, selection: Selection) -> Iterator[bytes]:
    """Yield the URLs of the files in pieces, one a line, for ``wget -i`` and ``xargs curl``."""
    for start in range(0, len(selection.files), _PIECE):
        part = selection.files[start : start + _PIECE]
        yield "".join(f"{address(base, file.release, file.path)}\n" for _, file in part).encode()


def batches(base: str, selection: Selection) -> Iterator[pa.RecordBatch]:
    """Yield the files as rows of `COLUMNS`."""
    types = {"char": pa.string(), "long": pa.int64(), "double": pa.float64()}
    schema = pa.schema([(column.name, types[column.datatype]) for column in COLUMNS])
    for start in range(0, len(selection.files), _PIECE):
        rows = [entry(base, file) for _, file in selection.files[start : start + _PIECE]]
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


@cache
def _templates() -> Environment:
    """Return the template environment."""
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = _size
    environment.filters["url_path"] = url_path
    environment.globals["style"] = STYLE
    return environment


def page(template: str, **values: object) -> str:
    """Render the page ``templates/<template>``; every value is escaped."""
    return _templates().get_template(template).render(**values)


def _size(count: int) -> str:
    """Return a number of bytes as text with a unit."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
