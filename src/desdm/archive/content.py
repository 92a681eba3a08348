"""What a file type looks at: a file's name and bytes, with its FITS headers read at most once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from desdm.archive.names import plain_name
from desdm.errors import FileTypeError
from desdm.pixels.cards import HDU, Column, Header, Value, columns, read_hdus
from desdm.pixels.gunzip import GZIP, gunzip
from desdm.survey.findings import Finding, Severity

if TYPE_CHECKING:
    from desdm.pixels.bintable import BinTable

__all__ = ["Content"]

#: A gzipped file is unpacked in memory to read its headers, but not further than this (bytes).
MOST_UNPACKED = 512 << 20


class Content:
    """A file as the file types see it.

    Parameters
    ----------
    name
        Full name.
    data
        Its bytes, or an mmap of them.
    size
        Their number.
    delivered
        Whether it comes from outside, so that nothing in it is to be trusted; a product of our own codes is not looked
        through for faults of its header.
    """

    __slots__ = (
        "_columns",
        "_data",
        "_error",
        "_hdus",
        "_headers",
        "_images",
        "_plain",
        "_size",
        "delivered",
        "findings",
        "name",
        "stem",
    )

    def __init__(self, name: str, data: bytes, size: int, *, delivered: bool = True) -> None:
        self.name = name
        self.delivered = delivered
        self.stem = plain_name(name)
        self._data, self._size = data, size
        self._plain: bytes | None = None
        self._hdus: tuple[HDU, ...] | None = None
        self._headers: tuple[Header, ...] | None = None
        self._images: tuple[HDU, ...] | None = None
        self._error: FileTypeError | None = None
        self._columns: dict[int, dict[str, Column]] = {}
        self.findings: list[Finding] = []

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    @property
    def data(self) -> bytes:
        """The bytes, unpacked if the file is gzipped."""
        if self._plain is None:
            self._plain = self._data
            if self._data[:2] == GZIP and self.name.endswith(".gz"):
                try:
                    self._plain = gunzip(bytes(self._data), MOST_UNPACKED)
                except FileTypeError as err:
                    raise type(err)(f"{err}; correct the file, or deposit it as .fz or unpacked") from err
                self._size = len(self._plain)
        return self._plain

    @property
    def opened(self) -> bool:
        """Whether it was read as FITS, and is sound."""
        return self._hdus is not None

    def head(self, count: int = 16) -> bytes:
        """The first bytes as they are stored."""
        return bytes(self._data[:count])

    @property
    def hdus(self) -> tuple[HDU, ...]:
        """The HDUs; `FileTypeError` if the file is not a valid FITS file."""
        if self._error is not None:
            raise self._error
        if self._hdus is None:
            try:
                data = self.data
                self._check_gzip(data)
                odd: list[str] = []
                self._hdus = read_hdus(data, self._size, odd)
                self.findings += [Finding(Severity.NOTE, text) for text in odd]
            except FileTypeError as err:
                self._error = err
                raise
        return self._hdus

    def _check_gzip(self, data: bytes) -> None:
        """Refuse gzip where a FITS file is expected, with what to do."""
        if self.name.endswith(".gz") and self._data[:6] == b"SIMPLE":
            raise FileTypeError(
                f"its name says gzip and its bytes are a FITS file that is not packed; deliver it as {self.name[:-3]}, or "
                "gzip it"
            )
        if data[:2] != GZIP:
            return
        if self._data[:2] == GZIP and self.name.endswith(".gz"):
            raise FileTypeError("it is gzipped twice; unpack it once (gunzip) and deliver what comes out")
        raise FileTypeError(
            f"its bytes are gzip and its name does not say so; deliver it as {self.name}.gz, or unpacked"
        )

    def columns(self, number: int) -> dict[str, Column]:
        """Columns of the table in HDU ``number`` by name in lower case."""
        if number not in self._columns:
            self._columns[number] = columns(self.hdus[number])
        return self._columns[number]

    def images(self) -> tuple[HDU, ...]:
        """The HDUs that hold pixels."""
        if self._images is None:
            self._images = tuple(
                hdu for hdu in self.hdus if hdu.kind == "image" and len(hdu.shape) >= 2 and all(hdu.shape)
            )
        return self._images

    def tables(self) -> Iterator[tuple[int, HDU]]:
        """(number, HDU) of the binary tables."""
        return ((i, hdu) for i, hdu in enumerate(self.hdus) if hdu.kind == "table")

    def headers(self) -> tuple[Header, ...]:
        """Headers in the order in which a keyword is looked for.

        The first image's, then the primary one; of a FITS_LDAC catalogue the primary one, then that of the catalogued
        image, which is text in the table LDAC_IMHEAD.
        """
        if self._headers is None:
            self._headers = tuple(self._in_order())
        return self._headers

    def _in_order(self) -> Iterator[Header]:
        """The headers of `headers`."""
        images = self.images()
        first = self.hdus[0].header
        if images and images[0].header is not first:
            yield images[0].header
        yield first
        cards = None if images else self._catalogued()
        if cards is not None:
            yield cards

    def _catalogued(self) -> Header | None:
        """The header of the (first) image of a FITS_LDAC catalogue."""
        for _, hdu in self.tables():
            if hdu.name == "LDAC_IMHEAD" and hdu.data_bytes and hdu.data_bytes % 80 == 0:
                return Header(bytes(self.data[hdu.data_start : hdu.data_start + hdu.data_bytes]))
        return None

    def keyword(self, *keys: str) -> Value:
        """Value of the first of ``keys`` that some header has."""
        headers = self._headers or self.headers()
        for key in keys:
            for header in headers:
                value = header.get(key)
                if value is not None and value != "":
                    return value
        return None

    def table(self, number: int) -> BinTable:
        """The columns of the binary table in HDU ``number``; it needs numpy."""
        from desdm.pixels.bintable import BinTable

        return BinTable(self.data, self.hdus[number], self.columns(number))

    def cells(self, number: int, name: str) -> Any:
        """A column of a binary table as a numpy array of one row an element, big-endian as stored."""
        return self.table(number).cells(name)
