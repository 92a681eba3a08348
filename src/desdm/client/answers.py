"""JSON answers of the data services."""

from __future__ import annotations

from typing import TypedDict

__all__ = [
    "Account",
    "BandFootprint",
    "FileEntry",
    "FootprintAnswer",
    "ManifestEntry",
    "OwnColumn",
    "OwnTable",
    "OwnTables",
    "ReleaseEntry",
]


class ReleaseEntry(TypedDict):
    """A release (``/api/releases``); ``files`` and ``bytes`` are number and total size of its files."""

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


class FileEntry(TypedDict):
    """A file of a release (``/files``); ``ra`` and ``dec`` (degrees) are the centre of an image."""

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


class ManifestEntry(TypedDict, total=False):
    """A file in a manifest, as far as the client reads it."""

    path: str
    size: int
    sha256: str
    filetype: str
    tilename: str | None
    band: str | None


class Account(TypedDict):
    """The caller (``/api/whoami``); ``login`` is None without a token, ``limits`` are by name."""

    login: str | None
    role: str
    actions: list[str]
    limits: dict[str, int]


class BandFootprint(TypedDict):
    """One band at a position: depth (mag), number of exposures, part of the cell with good area."""

    inside: bool
    depth: float | None
    nexp: int | None
    fraction: float | None


class FootprintAnswer(TypedDict):
    """Footprint of a release at a position (``/footprint``), ICRS degrees."""

    release: str
    ra: float
    dec: float
    hpix: int
    inside: bool
    bands: dict[str, BandFootprint]
    tiles: list[str]
    exposures: list[dict[str, str | int | float | None]]
    files: list[dict[str, str | int | float | None]]


class OwnColumn(TypedDict):
    """A column of a user's table."""

    name: str
    datatype: str
    arraysize: str | None
    unit: str
    ucd: str
    text: str


class OwnTable(TypedDict):
    """A user's table; ``rows`` and ``bytes`` are its size."""

    name: str
    rows: int
    bytes: int
    text: str
    created_at: str
    columns: list[OwnColumn]


class OwnTables(TypedDict):
    """Tables of a user (``/api/mydb``), with the bytes used and allowed."""

    tables: list[OwnTable]
    used: int
    quota: int
