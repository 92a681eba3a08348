"""Store of objects that the modules of a job pass to each other in memory, written to files only when needed."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from desdm.errors import UsageError
from desdm.framework.allocator import SpareFiles
from desdm.framework.sections import Settings
from desdm.framework.spill import Spill, Spilled

__all__ = ["HOLD_MEMORY", "ObjectStore", "budget", "weight"]

#: MB of images that a job holds in memory, where the installation does not say: those of ten CCDs of DECam.
HOLD_MEMORY = 1024

T = TypeVar("T")
Write = Callable[[Path, T], object]


@dataclass(slots=True)
class _Entry(Generic[T]):
    """An object in the store, with the state of its file."""

    path: Path
    #: None: it lies in the spill
    value: T | None
    write: Write[T]
    size: int
    spilled: Spilled | None = None
    written: bool = False
    #: descriptor of the file in memory at the path; negative: the file is on disk
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
    """Return the MB of images that a job may keep in memory: the run's ``hold_memory``, else the installation's."""
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

    A file that is only passed from one module to the next program is written into memory (``memfd_create``) with a
    link to it under its name: a disk's file system takes longer to find room for an image than the program to read it,
    and nothing is left behind when the process dies.

    Parameters
    ----------
    capacity
        Bytes of arrays, and of files in memory, to hold. Beyond it the object that is needed last goes into a `Spill`
        beside its file, and files go to disk.
    next_use
        How many wrappers from now the object of a name is read next; 0: by the one that runs, so that it must stay.
    spares
        Files in memory to use again. Without: those of this store alone, which go with it.
    """

    def __init__(
        self,
        capacity: int = HOLD_MEMORY << 20,
        next_use: Callable[[str], int] = lambda name: 0,
        spares: SpareFiles | None = None,
    ) -> None:
        self.capacity, self.next_use = capacity, next_use
        self._entries: dict[str, _Entry[Any]] = {}
        self._spill: Spill | None = None
        self._spares, self._own_spares = spares or SpareFiles(), spares is None
        #: files that are only on their way: nobody wants them once their last reader has read
        self._temporary: dict[str, Path] = {}

    def put(self, path: Path, value: T, write: Write[T], *, now: bool = False) -> None:
        """Store an object as the file ``path``.

        Parameters
        ----------
        path
            File that the object stands for; another object of this name is dropped.
        value
            The object; its arrays count as memory.
        write
            Writes it: ``write(path, value)``.
        now
            Write the file at once, for it goes into the archive.

        Raises
        ------
        OSError
            The file cannot be written; nothing of it is left.
        """
        previous = self._entries.pop(path.name, None)
        if previous is not None:
            self._free(previous)
        entry = _Entry(path, value, write, weight(value))
        self._entries[path.name] = entry
        if now:
            self._write(entry, value)
        else:
            self._temporary[path.name] = path
        self._free_memory(0)

    def has(self, name: str) -> bool:
        """Return whether there is an object for that file."""
        return name in self._entries

    def size(self, name: str) -> int:
        """Return the bytes of arrays of the object of that name; 0 if there is none."""
        return self._entries[name].size if name in self._entries else 0

    def get(self, name: str, *, last: bool) -> Any:
        """Return an object; a copy unless it is read for the ``last`` time, so that no module changes another's input."""
        entry = self._entries[name]
        if entry.spilled is not None:
            return self._load(entry)
        return entry.value if last else copy.deepcopy(entry.value)

    def write_file(self, name: str) -> None:
        """Write the file of an object if it is not written yet."""
        entry = self._entries.get(name)
        if entry is None or entry.written:
            return
        number = self._reused_memory(entry.size)
        self._free_memory(entry.size)
        if self._total_weight() + entry.size <= self.capacity:
            entry.memory = _in_memory(entry.path, number)
        elif number >= 0:
            os.close(number)
        self._write(entry, self._load(entry))

    def drop(self, name: str) -> None:
        """Remove an object, and its file if that is temporary (a CCD's is 100 MB)."""
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._free(entry)
        temporary = self._temporary.pop(name, None)
        if temporary is not None:
            temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all objects and the spill file."""
        for name in [*self._entries, *self._temporary]:
            self.drop(name)
        if self._own_spares:
            self._spares.close()
        if self._spill is not None:
            self._spill.close()
            self._spill = None

    def _load(self, entry: _Entry[T]) -> T:
        """Return the object, read from the spill file if it is there."""
        if entry.spilled is None:
            return cast(T, entry.value)
        assert self._spill is not None
        return cast(T, self._spill.read(entry.spilled))

    def _total_weight(self) -> int:
        """Return the bytes of memory that all objects and files in memory take."""
        return sum(h.weight for h in self._entries.values()) + self._spares.size

    def _free_memory(self, size: int) -> None:
        """Free memory for ``size`` bytes as far as idle objects allow; the one that is needed last goes first."""
        over = self._total_weight() + size - self.capacity
        if over > 0:
            over -= self._spares.close()
        if over <= 0:
            return
        for entry in self._idle():
            before = entry.weight
            if entry.memory >= 0:
                os.close(self._detach_memory(entry))
            if over > before - entry.weight and entry.spilled is None:
                if self._spill is None:
                    self._spill = Spill(entry.path.parent)
                entry.spilled, entry.value = self._spill.write(entry.value), None
            over -= before - entry.weight
            if over <= 0:
                return

    def _idle(self) -> list[_Entry[Any]]:
        """The objects that the wrapper that runs does not read; the one that is needed last comes first."""
        # What weighs next to nothing gives no room either.
        idle = [
            h
            for h in self._entries.values()
            if h.weight > self.capacity // 1000 and self.next_use(h.path.name) > 0
        ]
        return sorted(idle, key=lambda h: self.next_use(h.path.name), reverse=True)

    def _reused_memory(self, size: int) -> int:
        """Return the descriptor of a file in memory to be written anew with an object of ``size`` bytes, or -1.

        It is a spare one; where the store is full, that of an object which lies in memory too and is needed last.
        """
        number = self._spares.take(size)
        if number < 0 and self._total_weight() + size > self.capacity:
            entry = next((h for h in self._idle() if h.memory >= 0), None)
            if entry is not None and self._spares.keep(entry.memory, entry.size):
                self._detach_memory(entry)
                number = self._spares.take(size)
        return number

    def _write(self, entry: _Entry[T], value: T) -> None:
        """Write an object to its file; an incomplete file is removed, whatever went wrong."""
        try:
            entry.write(entry.path, value)
            entry.written = True
        finally:
            if not entry.written:
                if entry.memory >= 0:
                    os.close(self._detach_memory(entry))
                entry.path.unlink(missing_ok=True)

    def _free(self, entry: _Entry[Any]) -> None:
        """Free the memory and the spill space of an object; its file in memory may serve the next one."""
        if entry.memory >= 0:
            kept = self._spares.keep(entry.memory, entry.size)
            number = self._detach_memory(entry)
            if not kept:
                os.close(number)
        if entry.spilled is not None and self._spill is not None:
            self._spill.free(entry.spilled)

    @staticmethod
    def _detach_memory(entry: _Entry[Any]) -> int:
        """Remove the link to an object's file in memory; return the file's descriptor."""
        number, entry.memory, entry.written = entry.memory, -1, False
        entry.path.unlink(missing_ok=True)
        return number


def _in_memory(path: Path, number: int) -> int:
    """Put a file in memory behind the link ``path``.

    Parameters
    ----------
    path
        The link.
    number
        Descriptor of a file in memory whose content nobody needs; -1: a new one.

    Returns
    -------
    int
        Its descriptor, or -1 if the system has no files in memory.
    """
    if number < 0:
        try:
            number = os.memfd_create(path.name)
        except OSError:
            return -1
    path.unlink(missing_ok=True)
    # By the process's number, since programs that it starts read it too.
    path.symlink_to(f"/proc/{os.getpid()}/fd/{number}")
    return number
