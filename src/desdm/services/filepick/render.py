"""A list of files as JSON, CSV, VOTable, Parquet, plain addresses or a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from desdm.release.document import STYLE
from desdm.release.model import Release, ReleaseColumn, ReleaseFile
from desdm.services.filepick.pick import Found

__all__ = ["COLUMNS", "address", "addresses", "batches", "entry", "listing", "page", "release_entry", "spelt"]

#: What a row of the table of files says.
COLUMNS = (
    ReleaseColumn("release", "char", "*", text="Release"),
    ReleaseColumn("path", "char", "*", ucd="meta.id;meta.file", text="Path in the release"),
    ReleaseColumn("filetype", "char", "*", ucd="meta.code", text="Type of the file"),
    ReleaseColumn("mime", "char", "*", ucd="meta.code.mime", text="Media type"),
    ReleaseColumn("tilename", "char", "*", ucd="meta.id", text="Coadd tile"),
    ReleaseColumn("band", "char", "*", ucd="instr.bandpass", text="Band"),
    ReleaseColumn("size", "long", unit="byte", ucd="phys.size;meta.file", text="Size"),
    ReleaseColumn("sha256", "char", "*", ucd="meta.checksum", text="sha-256 of the bytes, hexadecimal"),
    ReleaseColumn("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", text="Right ascension of the centre, ICRS"),
    ReleaseColumn("dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", text="Declination of the centre, ICRS"),
    ReleaseColumn("url", "char", "*", ucd="meta.ref.url", text="Address"),
)  # fmt: skip
#: Files of one piece of an answer.
_PIECE = 5_000


def spelt(path: str) -> str:
    """A path as an address spells it: what may stand (RFC 3986, 3.3) stays, so that wget names files as they are."""
    return quote(path, safe="/=+,:@")


def address(base: str, release: str, path: str) -> str:
    """Address of a file or folder of a release."""
    return f"{base}/files/{spelt(release)}/{spelt(path)}"


def entry(base: str, file: ReleaseFile) -> dict[str, Any]:
    """A file as JSON says it."""
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


def release_entry(
    base: str, release: Release, files: int, size: int, tables: Sequence[str]
) -> dict[str, Any]:
    """A release as JSON says it."""
    return {
        "name": release.name,
        "title": release.title,
        "text": release.text,
        "proprietary": release.proprietary,
        "erratum_of": release.erratum_of,
        "published_at": release.published_at and release.published_at.isoformat(timespec="seconds") + "Z",
        "manifest_sha256": release.manifest_sha256,
        "tables": [f"{release.name}.{table}" for table in tables],
        "files": files,
        "bytes": size,
        "url": address(base, release.name, ""),
        "manifest": address(base, release.name, "manifest.json"),
    }


def listing(base: str, found: Found, offset: int, following: str | None) -> Iterator[bytes]:
    """The files of an answer as JSON, in pieces: how many there are in all, where the next ones are, and these."""
    head = json.dumps({"total": found.total, "offset": offset, "next": following})
    yield f'{head[:-1]}, "files": ['.encode()
    for at in range(0, len(found.files), _PIECE):
        rows = (entry(base, file) for _, file in found.files[at : at + _PIECE])
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        yield f"{',' if at else ''}\n{text}".encode()
    yield b"\n]}\n"


def addresses(base: str, found: Found) -> Iterator[bytes]:
    """The addresses of the files, one a line, as ``wget -i`` and ``xargs curl`` read them; in pieces."""
    for at in range(0, len(found.files), _PIECE):
        part = found.files[at : at + _PIECE]
        yield "".join(f"{address(base, file.release, file.path)}\n" for _, file in part).encode()


def batches(base: str, found: Found) -> Iterator[pa.RecordBatch]:
    """The files as rows of `COLUMNS`."""
    types = {"char": pa.string(), "long": pa.int64(), "double": pa.float64()}
    schema = pa.schema([(column.name, types[column.datatype]) for column in COLUMNS])
    for at in range(0, len(found.files), _PIECE):
        rows = [entry(base, file) for _, file in found.files[at : at + _PIECE]]
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    environment.filters["size"] = _size
    environment.filters["spelt"] = spelt
    environment.globals["style"] = STYLE
    return environment


def page(template: str, **values: object) -> str:
    """A page from ``templates/<template>``; every value is escaped."""
    return _templates().get_template(template).render(**values)


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
