"""Objects that do not fit into memory, in one nameless file of a job's work folder."""

from __future__ import annotations

import errno
import os
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from desdm.errors import StorageFull

__all__ = ["Spill", "Spilled"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Spilled:
    """Where an object lies: its small parts here, its arrays of ``sizes`` bytes one after the other from ``offset`` on."""

    rest: bytes
    offset: int
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return sum(self.sizes)


class Spill:
    """A file without a name (``O_TMPFILE``), so that nothing of it is left however the process ends.

    Arrays are written as they are in memory (pickle's out-of-band buffers, PEP 574) and read into new memory: together no
    more work than the copy of an image. A place that is free again is used for the next object of its size, which costs a
    third of what writing beyond the file's end does.

    Parameters
    ----------
    folder
        Where the file lies; created with the first object.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: dict[int, list[int]] = {}

    def write(self, value: object) -> Spilled:
        """Write an object.

        Raises
        ------
        StorageFull
            No room; the object was not taken, and what was written of it is free again.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115 - open until `close`
        buffers: list[pickle.PickleBuffer] = []
        rest = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        parts = [b.raw() for b in buffers]
        sizes = tuple(p.nbytes for p in parts)
        total = sum(sizes)
        free = self._free.get(total)
        offset = free.pop() if free else self._end
        try:
            at = offset
            for part in parts:
                at = self._put(part, at)
        except OSError as err:
            if offset != self._end:
                self._free.setdefault(total, []).append(offset)
            else:
                os.ftruncate(self._file.fileno(), self._end)
            if err.errno in _FULL:
                raise StorageFull(
                    f"{self.folder}: no room for {total / 1e6:.0f} MB of images that do not fit into memory; "
                    "make room there, or raise engine.hold_memory in desdm.toml, then resume the run"
                ) from err
            raise
        self._end = max(self._end, at)
        return Spilled(rest, offset, sizes)

    def _put(self, data: memoryview, at: int) -> int:
        """Write all of ``data`` at an offset; the offset of its end."""
        assert self._file is not None
        done = 0
        while done < data.nbytes:
            done += os.pwrite(self._file.fileno(), data[done:], at + done)
        return at + done

    def read(self, spilled: Spilled) -> Any:
        """The object, its arrays in memory of their own."""
        assert self._file is not None
        at, buffers = spilled.offset, []
        for size in spilled.sizes:
            import numpy as np  # who spills arrays has it; a worker of text need not load it

            buffer = np.empty(size, np.uint8)
            done = 0
            while done < size:
                count = os.preadv(self._file.fileno(), [buffer[done:].data], at + done)
                if not count:
                    raise OSError(
                        f"{self.folder}: the file of images that do not fit into memory ends too early"
                    )
                done += count
            at += size
            buffers.append(buffer)
        return pickle.loads(spilled.rest, buffers=buffers)  # noqa: S301 - this process pickled it, and it lies in memory

    def free(self, spilled: Spilled) -> None:
        """Give an object's place to the next one of its size."""
        self._free.setdefault(spilled.size, []).append(spilled.offset)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file, self._end = None, 0
            self._free.clear()
