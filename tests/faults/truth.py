"""What is true of an installation's files, read by SQLite, psycopg and astropy and not by the program."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import sqlite3
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from astropy.io import fits

__all__ = ["contents", "flip", "on_disk", "registered", "rows", "wait_for"]

#: Folders of an archive that hold no registered file.
_HIDDEN = (".stage", ".orphans", ".trash")


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of the operations database, read by SQLite or psycopg and not by the program."""
    if (home / "desdm.sqlite").exists():
        connection = sqlite3.connect(f"file:{home}/desdm.sqlite?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    settings = tomllib.loads((home / "desdm.toml").read_text())["database"]
    url = settings["url"].replace("+psycopg", "")
    with psycopg.connect(url, password=(home / settings["password_file"]).read_text()) as conn:
        return conn.execute(query).fetchall()


def registered(home: Path) -> list[tuple[str, str, str, int, str]]:
    """(path in the archive, name, type, size, sha256) of every registered copy that is not in the trash."""
    found = rows(
        home,
        "SELECT a.path, f.filename, f.compression, f.filetype, f.filesize, f.sha256 FROM file_archive_info a "
        "JOIN desfile f ON f.id = a.desfile_id WHERE a.state <> 'trash'",
    )
    return [
        (f"{path}/{name}{packed}", f"{name}{packed}", kind, size, digest)
        for path, name, packed, kind, size, digest in found
    ]


def on_disk(home: Path) -> set[str]:
    """Paths of the archive's files."""
    root = home / "archive"
    return {
        str(p.relative_to(root))
        for p in root.rglob("*")
        if p.is_file() and p.relative_to(root).parts[0] not in _HIDDEN
    }


def contents(home: Path) -> dict[str, str]:
    """Digest of the content of each product by name, without logs, job files and kept work folders: they name tokens."""
    return {
        name: content(home / "archive" / path)
        for path, name, kind, _, _ in registered(home)
        if kind not in ("log", "wcl") and not name.endswith("_junk.tar.gz")
    }


#: Header cards that hold the time of writing, or follow from it.
_DATED = ("DATE", "CHECKSUM", "DATASUM", "HISTORY", "COMMENT", "")


def content(path: Path) -> str:
    """Digest of a file's content: bytes, of FITS files headers without dates and data."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    if not data.startswith(b"SIMPLE  ="):
        return hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256()
    with fits.open(path, memmap=False, disable_image_compression=True) as hdus:
        for hdu in hdus:
            cards = [(c.keyword, str(c.value)) for c in hdu.header.cards if c.keyword not in _DATED]
            digest.update(repr(cards).encode())
            where = hdu.fileinfo()
            digest.update(data[where["datLoc"] : where["datLoc"] + where["datSpan"]])
    return digest.hexdigest()


def flip(path: Path, moments: random.Random, count: int = 1) -> None:
    """Flip bit 6 of some bytes in the second half of a file; size and times stay."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    for _ in range(count):
        data[moments.randrange(len(data) // 2, len(data))] ^= 64
    path.chmod(0o600)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def wait_for(condition: Callable[[], bool], limit: float, pause: float = 0.1) -> bool:
    """Whether a condition comes true within ``limit`` seconds."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(pause)
    return False
