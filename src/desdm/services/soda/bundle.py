"""Archives of many cutouts: tar or zip streams that end with a table of the results."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Literal, cast

from desdm import __version__
from desdm.services.soda.batch import CutStatus, ItemResult, Member

__all__ = ["MIME", "Form", "bundle", "members"]

Form = Literal["tar", "zip"]
MIME: dict[Form, str] = {"tar": "application/x-tar", "zip": "application/zip"}
_COLUMNS = ("row", "name", "region", "release", "tilename", "bands", "status", "reason", "files")
_BLOCK = 512


def bundle(form: Form, results: Iterable[ItemResult]) -> Iterator[bytes]:
    """Stream each file as soon as it is cut, then ``results.csv`` and ``summary.json``.

    Parameters
    ----------
    form
        ``tar`` or ``zip``.
    results
        Results in any order; ``results.csv`` has them in the order of the rows.
    """
    return (_tar if form == "tar" else _zip)(members(results))


def members(results: Iterable[ItemResult]) -> Iterator[Member]:
    """Yield the files of all results, then ``results.csv`` and ``summary.json``."""
    rows: dict[int, tuple[str, ...]] = {}
    counts: dict[str, int] = {status.value: 0 for status in CutStatus}
    for result in results:
        item = result.item
        file = next(iter(item.files.values()), None)
        counts[result.status] += 1
        rows[item.number] = (
            str(item.number),
            item.name,
            item.stencil.text,
            file.release if file else "",
            (file.tilename or "") if file else "",
            " ".join(item.files),
            result.status,
            result.reason,
            " ".join(m.name for m in result.members),
        )
        yield from result.members
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows[number] for number in sorted(rows))
    yield Member("results.csv", "text/csv", (text.getvalue().encode(),))
    summary = {"rows": len(rows), **counts, "program": f"desdm {__version__}"}
    yield Member("summary.json", "application/json", (json.dumps(summary, indent=1).encode() + b"\n",))


def _tar(files: Iterator[Member]) -> Iterator[bytes]:
    """Encode files as a tar stream."""
    for member in files:
        info = tarfile.TarInfo(member.name)
        info.size, info.mode = member.size, 0o644
        body = member.bytes()
        yield info.tobuf(tarfile.USTAR_FORMAT) + body + b"\0" * (-len(body) % _BLOCK)
    yield b"\0" * (20 * _BLOCK)


class _Pipe:
    """Output of zipfile that cannot seek, so that sizes follow each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep bytes."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: the bytes are not buffered."""

    def take(self) -> bytes:
        """Return and forget the bytes kept so far."""
        data, self._pieces = b"".join(self._pieces), []
        return data


def _zip(files: Iterator[Member]) -> Iterator[bytes]:
    """Encode files as a zip stream."""
    pipe = _Pipe()
    with zipfile.ZipFile(cast("IO[bytes]", pipe), "w", zipfile.ZIP_STORED) as archive:
        for member in files:
            archive.writestr(zipfile.ZipInfo(member.name), member.bytes())
            yield pipe.take()
    yield pipe.take()
