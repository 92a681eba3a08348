"""Links of one image (DataLink 1.0, section 3): rows, or a row with the error."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from desdm.release.model import ReleaseColumn, ReleaseFile
from desdm.services.access import Access, table_of
from desdm.services.obscore.rows import file_of

__all__ = ["COLUMNS", "SERVICES", "links_of"]


#: Values of a row in the order of `COLUMNS`: texts, and the content length.
Row = tuple[str | int | None, ...]


def _text(name: str, ucd: str, text: str) -> ReleaseColumn:
    """Return the description of a text column."""
    return ReleaseColumn(name, "char", "*", ucd=ucd, text=text)


COLUMNS: tuple[ReleaseColumn, ...] = (
    _text("ID", "meta.id;meta.main", "Requested identifier"),
    _text("access_url", "meta.ref.url", "Where to get it"),
    _text("service_def", "meta.ref", "Service below that makes it"),
    _text("error_message", "meta.code.error", "Why there are no links"),
    _text("description", "meta.note", "What it is"),
    _text("semantics", "meta.code", "What it is to the image"),
    _text("content_type", "meta.code.mime", "Media type"),
    ReleaseColumn("content_length", "long", unit="byte", ucd="phys.size;meta.file", text="Size"),
)

#: Service descriptor → description.
SERVICES = {"soda-sync": "Cutout, at once (SODA)", "soda-async": "Cutouts as an asynchronous job (SODA)"}
_HOLDS = "Coadd: image, mask and weight in one compressed FITS file"
_DOCUMENTS = {"text/html", "text/markdown"}


def links_of(access: Access, did: str, base: str) -> Iterator[Row]:
    """Yield the links of an identifier.

    Parameters
    ----------
    access
        Visibility of files to the caller.
    did
        Identifier (``ivo://desdm/<release>?<path>``).
    base
        URL of this server.

    Yields
    ------
    tuple
        Values in the order of `COLUMNS`.
    """
    file = file_of(access.holdings, did)
    if file is None or not access.file(file):
        access.refuse("" if file is None else file.release, "" if file is None else table_of(file.path))
        yield _fault(did, "NotFoundFault: no published file has this identifier")
        return
    release = access.release(file.release)
    files = access.files(release)
    yield _link(did, file, base, "#this", _HOLDS if file.filetype == "coadd" else f"File {file.path}")
    for other in files:
        if other.filetype == "coadd_color" and other.tilename == file.tilename and other.path != file.path:
            yield _link(did, other, base, "#preview", f"Colour picture of tile {other.tilename}")
    if file.filetype == "coadd":
        yield from (
            (did, None, service, None, text, "#cutout", None, None) for service, text in SERVICES.items()
        )
    for other in files:
        if other.filetype == "document" and other.mime.split(";")[0] in _DOCUMENTS:
            yield _link(did, other, base, "#auxiliary", f"Document {other.path} of release {release.name}")
    manifest = f"{base}/files/{quote(release.name)}/manifest.json"
    text = "Manifest: digests of all files of the release"
    yield did, manifest, None, None, text, "#auxiliary", "application/json", None


def _link(did: str, file: ReleaseFile, base: str, semantics: str, text: str) -> Row:
    """Return the row of a file."""
    url = f"{base}/files/{quote(file.release)}/{quote(file.path)}"
    return did, url, None, None, text, semantics, file.mime, file.filesize


def _fault(did: str, message: str) -> Row:
    """Return the row of an error."""
    return did, None, None, message, None, "#this", None, None
