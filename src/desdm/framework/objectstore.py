"""What modules of one job hand to each other in memory; files only where a program, the archive or a full memory asks."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from desdm.errors import UsageError
from desdm.framework.sections import Settings
from desdm.framework.spill import Spill, Spilled

__all__ = ["HOLD_MEMORY", "ObjectStore", "budget", "weight"]

#: MB of images that a job holds in memory, where the installation does not say: those of ten CCDs of DECam.
HOLD_MEMORY = 1024

T = TypeVar("T")
Write = Callable[[Path, T], object]


@dataclass(slots=True)
class _Held(Generic[T]):
    path: Path
    #: None: it lies in the spill
    value: T | None
    write: Write[T]
    size: int
    spilled: Spilled | None = None
    written: bool = False
    #: descriptor of the file in memory that stands behind the path; negative: it lies on disk
    memory: int = -1

    @property
    def weight(self) -> int:
        """Bytes of memory: of the object, and of its file where that lies in memory too."""
        return (self.size if self.spilled is None else 0) + (self.size if self.memory >= 0 else 0)


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


def budget(settings: Settings, installation: int) -> int:
    """MB that a job may hold: its run's ``hold_memory`` (`UsageError` if that is no number), else the installation's."""
    text = settings.get("hold_memory")
    if text is None:
        return installation
    if not isinstance(text, str) or not text.strip().isdecimal():
        raise UsageError(
            f"hold_memory = {text!r} is not a whole number of MB; leave it out or set hold_memory=1024"
        )
    return int(text)


class ObjectStore:
    """Objects by the name of the file that they stand for.

    A file that is only on its way, from one module to the next program, is written into memory (``memfd_create``) with a
    link to it under its name: a disk's file system takes longer to find room for an image than the program to read it,
    and nothing is left behind when the process dies.

    Parameters
    ----------
    most
        Bytes of arrays, and of files in memory, to hold. Beyond it the object that is needed last goes into a `Spill`
        beside its file, and files go to disk.
    due
        How many wrappers from now the object of a name is read next; 0: by the one that runs, so that it must stay.
    """

    def __init__(self, most: int = HOLD_MEMORY << 20, due: Callable[[str], int] = lambda name: 0) -> None:
        self.most, self.due = most, due
        self._held: dict[str, _Held[Any]] = {}
        self._spill: Spill | None = None
        #: files that are only on their way: nobody wants them once their last reader has read
        self._passing: dict[str, Path] = {}

    def put(self, path: Path, value: T, write: Write[T], *, now: bool = False) -> None:
        """Hold ``value`` as the file ``path``; ``now``: write it too, for it goes into the archive."""
        earlier = self._held.pop(path.name, None)
        if earlier is not None:
            self._forget(earlier)
        held = _Held(path, value, write, weight(value))
        self._held[path.name] = held
        if now:
            self._write(held, value)
        else:
            self._passing[path.name] = path
        self._make_room(0)

    def has(self, name: str) -> bool:
        """Whether an object stands for that file."""
        return name in self._held

    def size(self, name: str) -> int:
        """Bytes of arrays held under that name; 0: none."""
        return self._held[name].size if name in self._held else 0

    def get(self, name: str, *, last: bool) -> Any:
        """The object; a copy unless its taker is the ``last``, so that no module changes another's input."""
        held = self._held[name]
        if held.spilled is not None:
            return self._object(held)
        return held.value if last else copy.deepcopy(held.value)

    def write_file(self, name: str) -> None:
        """See that the file is written."""
        held = self._held.get(name)
        if held is None or held.written:
            return
        self._make_room(held.size)
        if self._weight() + held.size <= self.most:
            held.memory = _in_memory(held.path)
        self._write(held, self._object(held))

    def drop(self, name: str) -> None:
        """Let go of the object, and of its file if that was only written on the way (a CCD's is 100 MB)."""
        held = self._held.pop(name, None)
        if held is not None:
            self._forget(held)
        passing = self._passing.pop(name, None)
        if passing is not None:
            passing.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of everything."""
        for name in [*self._held, *self._passing]:
            self.drop(name)
        if self._spill is not None:
            self._spill.close()
            self._spill = None

    def _object(self, held: _Held[T]) -> T:
        """The object, read anew where it is spilled."""
        if held.spilled is None:
            return cast(T, held.value)
        assert self._spill is not None
        return cast(T, self._spill.read(held.spilled))

    def _weight(self) -> int:
        return sum(h.weight for h in self._held.values())

    def _make_room(self, size: int) -> None:
        """Have ``size`` bytes free, if what nobody reads just now gives that room; what is needed last goes first."""
        over = self._weight() + size - self.most
        if over <= 0:
            return
        # What weighs next to nothing gives no room either.
        idle = [h for h in self._held.values() if h.weight > self.most // 1000 and self.due(h.path.name) > 0]
        for held in sorted(idle, key=lambda h: self.due(h.path.name), reverse=True):
            before = held.weight
            if held.memory >= 0:
                self._release(held)
            if over > before - held.weight and held.spilled is None:
                if self._spill is None:
                    self._spill = Spill(held.path.parent)
                held.spilled, held.value = self._spill.write(held.value), None
            over -= before - held.weight
            if over <= 0:
                return

    @staticmethod
    def _write(held: _Held[T], value: T) -> None:
        try:
            held.write(held.path, value)
        except OSError:
            held.path.unlink(missing_ok=True)
            raise
        held.written = True

    def _forget(self, held: _Held[Any]) -> None:
        """Give back what an object holds."""
        if held.memory >= 0:
            self._release(held)
        if held.spilled is not None and self._spill is not None:
            self._spill.free(held.spilled)

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
