"""New FITS files that have their name only when they are whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fitsio

from desdm.errors import storage_error

__all__ = ["new_fits"]

#: Bytes below which a disk counts as full: cfitsio writes blocks of several 2880 bytes.
_LEAST_FREE = 1 << 20


@contextmanager
def new_fits(path: Path) -> Iterator[fitsio.FITS]:
    """Open a new FITS file beside its place, and move it there when it was written completely.

    Raises
    ------
    StorageFull, StorageUnavailable
        It cannot be written. The part that was written is removed, and an earlier file of that name stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        with fitsio.FITS(str(temporary), "rw", clobber=True) as out:
            yield out
        temporary.replace(path)
    except OSError as err:
        # cfitsio tells its own stack of messages and not the error of the system: whether the disk is full is measured.
        number = err.errno or (errno.ENOSPC if _is_full(path.parent) else errno.EIO)
        raise storage_error(OSError(number, os.strerror(number), str(path))) from err
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(folder: Path) -> bool:
    """Whether a file system has no room."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_FREE
    except OSError:
        return False
