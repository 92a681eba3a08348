"""What modules of one job hand to each other in memory; files only where a program, the archive or a full memory asks."""

from __future__ import annotations

import copy
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

    Parameters
    ----------
    most
        Bytes of arrays to hold; beyond it the object that was given first is written to its file and let go.
    """

    def __init__(self, most: int = 4 << 30) -> None:
        self.most = most
        self._held: dict[str, _Held[Any]] = {}

    def put(self, path: Path, value: T, write: Write[T], *, now: bool = False) -> None:
        """Hold ``value`` as the file ``path``; ``now``: write it too, for it goes into the archive."""
        held = _Held(path, value, write, weight(value))
        self._held.pop(path.name, None)
        self._held[path.name] = held
        if now:
            self._write(held)
        while len(self._held) > 1 and sum(h.size for h in self._held.values()) > self.most:
            self._write(self._held.pop(next(iter(self._held))))

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
        """Let go of the object; its file, if it was written, stays."""
        self._held.pop(name, None)

    @staticmethod
    def _write(held: _Held[Any]) -> None:
        if not held.written:
            held.write(held.path, held.value)
            held.written = True
