"""What modules of one job hand to each other in memory; files only where a program, the archive or a full memory asks."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

__all__ = ["Handover", "weight"]

T = TypeVar("T")
Write = Callable[[Path, T], object]


@dataclass(slots=True)
class _Held(Generic[T]):
    path: Path
    value: T
    write: Write[T]
    size: int
    written: bool = False
    #: descriptor of the file in memory that stands behind the path; negative: it lies on disk
    memory: int = -1


def weight(value: object) -> int:
    """Bytes of the arrays in ``value``: an array, or a dataclass, list, tuple or dict of such."""
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    if is_dataclass(value) and not isinstance(value, type):
        return sum(weight(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, list | tuple):
        return sum(map(weight, value))
    if isinstance(value, dict):
        return sum(map(weight, value.values()))
    return 0


class Handover:
    """Objects by the name of the file that they stand for.

    A file that is only on its way, from one module to the next program, is written into memory (``memfd_create``) with a
    link to it under its name: a disk's file system takes longer to find room for an image than the program to read it,
    and nothing is left behind when the process dies.

    Parameters
    ----------
    most
        Bytes of arrays, and of files in memory, to hold; beyond it the object that was given first is written to disk
        and let go, and files go to disk.
    """

    def __init__(self, most: int = 4 << 30) -> None:
        self.most = most
        self._held: dict[str, _Held[Any]] = {}
        #: files that are only on their way: nobody wants them once their last reader has read
        self._passing: dict[str, Path] = {}

    def put(self, path: Path, value: T, write: Write[T], *, now: bool = False) -> None:
        """Hold ``value`` as the file ``path``; ``now``: write it too, for it goes into the archive."""
        held = _Held(path, value, write, weight(value))
        self._held.pop(path.name, None)
        self._held[path.name] = held
        if now:
            self._write(held, on_disk=True)
        else:
            self._passing[path.name] = path
        while len(self._held) > 1 and self._weight() > self.most:
            oldest = self._held.pop(next(iter(self._held)))
            if oldest.memory >= 0:
                self._release(oldest)
            self._write(oldest, on_disk=True)

    def _weight(self) -> int:
        return sum(h.size * (2 if h.memory >= 0 else 1) for h in self._held.values())

    def has(self, name: str) -> bool:
        """Whether an object stands for that file."""
        return name in self._held

    def size(self, name: str) -> int:
        """Bytes of arrays held under that name; 0: none."""
        return self._held[name].size if name in self._held else 0

    def get(self, name: str, *, last: bool) -> Any:
        """The object; a copy unless its taker is the ``last``, so that no module changes another's input."""
        value = self._held[name].value
        return value if last else copy.deepcopy(value)

    def on_disk(self, name: str) -> None:
        """See that the file is written."""
        if name in self._held:
            self._write(self._held[name])

    def drop(self, name: str) -> None:
        """Let go of the object, and of its file if that was only written on the way (a CCD's is 100 MB)."""
        held = self._held.pop(name, None)
        if held is not None and held.memory >= 0:
            self._release(held)
        passing = self._passing.pop(name, None)
        if passing is not None:
            passing.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of everything."""
        for name in [*self._held, *self._passing]:
            self.drop(name)

    def _write(self, held: _Held[Any], *, on_disk: bool = False) -> None:
        if held.written:
            return
        if not on_disk and self._weight() + held.size <= self.most:
            held.memory = _in_memory(held.path)
        held.write(held.path, held.value)
        held.written = True

    @staticmethod
    def _release(held: _Held[Any]) -> None:
        os.close(held.memory)
        held.memory, held.written = -1, False
        held.path.unlink(missing_ok=True)


def _in_memory(path: Path) -> int:
    """A file in memory with a link to it as ``path``; its descriptor, or -1 where the system has none to give."""
    try:
        number = os.memfd_create(path.name)
    except OSError:
        return -1
    path.unlink(missing_ok=True)
    # By the process's number, since programs that it starts read it too.
    path.symlink_to(f"/proc/{os.getpid()}/fd/{number}")
    return number
