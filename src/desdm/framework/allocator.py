"""Memory of freed images: kept for the next ones, and given back to the system when nobody needs it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SpareFiles", "retain_freed_memory"]

# Names of glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
# glibc's own values.
_MAPS, _THRESHOLD = 65536, 128 << 10
_MOST = 2**31 - 1
#: Bytes of a file in memory below which it is not worth keeping.
_LEAST_SPARE = 1 << 20


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Context in which freed memory is reused and not returned to the system; at its end all is returned.

    By itself glibc maps each image anew and unmaps it when it is freed, so that the kernel has to clear every page of every
    intermediate plane: a third of what First Cut's own codes cost. Where the C library is another one nothing changes.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _MOST)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _MAPS)
        libc.mallopt(_TRIM_THRESHOLD, _THRESHOLD)
        libc.malloc_trim(0)


class SpareFiles:
    """Files in memory (``memfd_create``) that nobody reads any more. Their pages serve the next images.

    To have the system find and clear new pages costs three times as much as to write an image into old ones.
    """

    def __init__(self) -> None:
        self._files: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(size for _, size in self._files)

    def keep(self, descriptor: int, size: int) -> bool:
        """Keep a file of about ``size`` bytes; False: it is too small, or someone still has its content."""
        if size < _LEAST_SPARE or _is_mapped(descriptor):
            return False
        self._files.append((descriptor, size))
        return True

    def take(self, size: int) -> int:
        """Return the descriptor of a file that about fits ``size`` bytes, or -1. It holds old content."""
        for file in self._files:
            if file[1] // 2 <= size <= 2 * file[1]:
                self._files.remove(file)
                return file[0]
        return -1

    def close(self) -> int:
        """Give all back to the system; return their bytes."""
        size = self.size
        for descriptor, _ in self._files:
            os.close(descriptor)
        self._files.clear()
        return size


def _is_mapped(descriptor: int) -> bool:
    """Whether this process maps a file in memory: who still has an array of it must not see the next content."""
    name = str(Path(f"/proc/self/fd/{descriptor}").readlink()).removesuffix(" (deleted)")
    return name in Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
