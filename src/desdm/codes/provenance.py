"""Provenance keywords of a product."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from astropy.io import fits

__all__ = ["Ran", "stamp", "stamp_file"]


class Ran(Protocol):
    """A program that ran, as the framework records it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its version."""


_RUN = (
    ("reqnum", "REQNUM", "request"),
    ("unitname", "UNITNAME", "unit"),
    ("attnum", "ATTNUM", "attempt"),
    ("tilename", "TILENAME", "tile"),
)


def stamp(header: fits.Header, keys: Mapping[str, str], ran: Sequence[Ran], filename: str) -> None:
    """Write DESFNAME, the run's identity and SOFTnn = 'program version' into a header.

    Parameters
    ----------
    header
        Changed in place.
    keys
        The task's keys; reqnum, unitname, attnum and tilename are taken if they are there.
    ran
        Programs that ran; each version is named once.
    filename
        Name of the product.
    """
    header["DESFNAME"] = (filename, "name of this product")
    for key, word, text in _RUN:
        if keys.get(key):
            value = keys[key]
            header[word] = (int(value) if word in ("REQNUM", "ATTNUM") and value.isdigit() else value, text)
    lines = [f"desdm {_own_version()}", *dict.fromkeys(f"{r.name} {r.version}" for r in ran)]
    old = {header[k] for k in list(header) if k.startswith("SOFT") and k[4:].isdigit()}
    count = len(old)
    for line in lines:
        if line not in old:
            count += 1
            header[f"SOFT{count:02d}"] = (line, "software that made it")


def stamp_file(path: Path, keys: Mapping[str, str], ran: Sequence[Ran]) -> None:
    """`stamp` the primary header of a file on disk, and write fresh checksums into every HDU.

    Parameters
    ----------
    path
        FITS file, changed in place.
    keys
        Keys of the wrapper (run, exposure, CCD and the like).
    ran
        Programs that ran, with their versions.
    """
    with fits.open(path, mode="update", memmap=False) as hdus:
        stamp(hdus[0].header, keys, ran, path.name)
        for hdu in hdus:
            hdu.add_checksum()


@functools.cache
def _own_version() -> str:
    """Return the version of the package, "unknown" if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("desdm")
    except PackageNotFoundError:
        return "unknown"
