"""What a file was made from, and what was made from it, for reading on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from desdm.archive.model import FileRecord
from desdm.archive.provenance import Direction, Lineage, Task, lineage
from desdm.facility import Facility
from desdm.look.installation import file_record

__all__ = ["Ancestry", "read_ancestry"]

#: Lines of a tree; a deep history is for `Ancestry.up` and `Ancestry.down`.
_MOST_LINES = 200


@dataclass(frozen=True)
class Ancestry:
    """The history of a file; ``print`` shows it as trees, from the nearest file to the farthest.

    Attributes
    ----------
    filename
        Name of the file.
    up, down
        Files, tasks and edges to what it was made from, and to what was made from it.
    """

    filename: str
    up: Lineage = field(repr=False)
    down: Lineage = field(repr=False)

    @property
    def ancestors(self) -> tuple[FileRecord, ...]:
        """Files that it was made from, directly or not."""
        return self.up.files[1:]

    @property
    def descendants(self) -> tuple[FileRecord, ...]:
        """Files that were made from it, directly or not."""
        return self.down.files[1:]

    @property
    def programs(self) -> tuple[str, ...]:
        """Programs that had a part in making it, with their versions."""
        names = {
            f"{program.name} {program.version}".strip() for task in self.up.tasks for program in task.execs
        }
        return tuple(sorted(names))

    @override
    def __str__(self) -> str:
        """Return both trees."""
        return "\n".join(
            [
                f"{self.filename} was made from {_count(self.ancestors)}:",
                *_tree(self.up, "up")[1:],
                f"From it {_were(self.descendants)} made{':' if self.descendants else ''}",
                *_tree(self.down, "down")[1:],
            ]
        )

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        """Show the trees in a notebook as ``print`` does."""
        write = getattr(printer, "text", print)
        write("…" if cycle else str(self))


def read_ancestry(facility: Facility, name: str) -> Ancestry:
    """Return the history of a file."""
    with facility.database.read() as conn:
        file_record(conn, name)
        return Ancestry(name, lineage(conn, name, "up"), lineage(conn, name, "down"))


def _count(files: Sequence[FileRecord]) -> str:
    """Return how many files there are."""
    return f"{len(files)} file{'s' * (len(files) != 1)}"


def _were(files: Sequence[FileRecord]) -> str:
    """Return how many files were made, with the verb."""
    return f"{_count(files)} {'was' if len(files) == 1 else 'were'}" if files else "no file was"


def _tree(history: Lineage, way: Direction) -> list[str]:
    """Return a history as the lines of a tree; each file stands in it once, where the way from the top meets it first."""
    files = {file.id: file for file in history.files}
    tasks = {task.id: task for task in history.tasks}
    makers = {edge.origin: tasks[edge.to] for edge in history.edges if edge.kind == "was_generated_by"}
    following: dict[int, list[int]] = {}
    for edge in history.edges:
        if edge.kind == "was_derived_from":
            start, end = (edge.origin, edge.to) if way == "up" else (edge.to, edge.origin)
            following.setdefault(start, []).append(end)
    lines: list[str] = []
    done: set[int] = set()

    def add(number: int, indent: str) -> None:
        """Add the line of a file that is new, and those below it."""
        done.add(number)
        lines.append(indent + _label(files[number], makers.get(number)))
        for each in following.get(number, ()):
            if each not in done and len(lines) < _MOST_LINES:
                add(each, indent + "  ")

    add(history.files[0].id, "")
    if len(done) < len(files):
        lines.append(f"  … {len(files) - len(done)} more files")
    return lines


def _label(file: FileRecord, maker: Task | None) -> str:
    """Return the line of a file: its name and type, and the task that made it."""
    text = f"{file.name}  [{file.filetype}]"
    if maker is not None:
        text += f"  by {' '.join(part for part in (maker.module or maker.name, maker.attempt) if part)}"
    return text
