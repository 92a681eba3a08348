"""desdm lineage: what a file came from, and what came from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from desdm.cli.door import Door, json_option, pass_door
from desdm.cli.findings import suspect_document

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from desdm.archive.provenance import Lineage
    from desdm.archive.store import Suspect
    from desdm.release.holders import Holder

_LINES = 400


@click.command()
@click.argument("filename")
@click.option("--up", "direction", flag_value="up", help="What it came from (the default).")
@click.option("--down", "direction", flag_value="down", help="What came from it.")
@click.option("--prov", is_flag=True, help="W3C PROV-JSON.")
@json_option
@pass_door
def command(door: Door, filename: str, direction: str | None, prov: bool, as_json: bool) -> None:
    """Show what FILENAME came from, or what came from it: files, tasks, programs and their versions."""
    from desdm.archive import store
    from desdm.archive.prov import prov_json
    from desdm.archive.provenance import lineage
    from desdm.release.holders import holders

    way: Literal["up", "down"] = "down" if direction == "down" else "up"
    facility = door.facility
    with facility.database.read() as conn:
        found = lineage(conn, filename, way)
        marks = store.suspects_of(conn, [f.id for f in found.files])
        held = holders(conn, facility.config.releases, [f.id for f in found.files]) if way == "down" else []
    if prov:
        door.show(prov_json(found), lambda: None, True)
        return

    def human() -> None:
        door.print_tree(_tree(found, way, marks))
        for one in held:
            names = [f.name for f in found.files if f.id in one.files]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            click.echo(
                f"release {one.release} ({one.state.value}) was made from {', '.join(names[:3])}{more}"
            )

    door.show(_document(found, marks, held), human, as_json)


def _document(found: Lineage, marks: Sequence[Suspect], held: Sequence[Holder]) -> dict[str, Any]:
    names = {f.id: f.name for f in found.files}
    ends = {
        "used": (_task, names.__getitem__),
        "was_generated_by": (names.__getitem__, _task),
        "was_derived_from": (names.__getitem__, names.__getitem__),
    }
    return {
        "files": [
            {
                "filename": f.name,
                "filetype": f.filetype,
                "sha256": f.sha256,
                "md5sum": f.md5sum,
                "filesize": f.filesize,
                "band": f.band,
                "path": f.relpath,
                "archive": f.archive_name,
            }
            | _doubt(f.id, marks)
            for f in found.files
        ],
        "tasks": [
            {
                "id": _task(t.id),
                "name": t.name,
                "module": t.module,
                "wrapper": t.wrapper,
                "wrapkeys": t.wrapkeys,
                "attempt": t.attempt,
                "start_time": t.start_time,
                "end_time": t.end_time,
                "status": t.status,
                "host": t.exec_host,
                "programs": [{"name": e.name, "version": e.version, "cmdargs": e.cmdargs} for e in t.execs],
            }
            for t in found.tasks
        ],
        "edges": [
            {"kind": e.kind, "from": ends[e.kind][0](e.origin), "to": ends[e.kind][1](e.to)}
            for e in found.edges
        ],
        "releases": [
            {"release": h.release, "state": h.state.value, "files": sorted(names[n] for n in h.files)}
            for h in held
        ],
    }


def _doubt(number: int, marks: Sequence[Suspect]) -> dict[str, Any]:
    """The marks of a suspect file; nothing for any other."""
    own = [suspect_document(m) for m in marks if m.desfile_id == number]
    return {"suspect": own} if own else {}


def _task(number: int) -> str:
    return f"task:{number}"


def _whole(label: str) -> Text:
    """One line of the tree: cut at the terminal's edge, so that no name is broken."""
    from rich.text import Text

    text = Text.from_markup(label, overflow="ellipsis")
    text.no_wrap = True
    return text


def _tree(found: Lineage, way: Literal["up", "down"], marks: Sequence[Suspect]) -> Tree:
    from rich.markup import escape
    from rich.tree import Tree

    files = {f.id: f for f in found.files}
    tasks = {t.id: t for t in found.tasks}
    maker = {e.origin: tasks[e.to] for e in found.edges if e.kind == "was_generated_by"}
    doubtful = {mark.desfile_id: mark.reason for mark in marks}
    following: dict[int, list[int]] = {}
    for edge in found.edges:
        if edge.kind == "was_derived_from":
            here, there = (edge.origin, edge.to) if way == "up" else (edge.to, edge.origin)
            following.setdefault(here, []).append(there)

    def label(number: int) -> str:
        file = files[number]
        text = f"[bold]{escape(file.name)}[/bold] [dim]{file.filetype}[/dim]"
        if number in doubtful:
            text += f"  [red]suspect: {escape(doubtful[number])}[/red]"
        task = maker.get(number)
        if task is not None:
            programs = ", ".join(dict.fromkeys(f"{e.name} {e.version}".strip() for e in task.execs))
            what = " ".join(x for x in (task.module or task.name, task.wrapkeys, task.attempt) if x)
            text += f"  ← {escape(what)}" + (f" ({escape(programs)})" if programs else "")
        return text

    root = Tree(_whole(label(found.files[0].id)))
    told = {found.files[0].id}
    # Breadth first with a bound: a deep history is for --json, a screen is not.
    waiting = [(root, found.files[0].id)]
    while waiting:
        branch, number = waiting.pop(0)
        for each in following.get(number, ()):
            if len(told) >= _LINES:
                branch.add(f"[dim]… {len(files) - len(told)} more files; see --json[/dim]")
                return root
            again = each in told and bool(following.get(each))
            node = branch.add(_whole(label(each) + (" [dim](above)[/dim]" if again else "")))
            if each not in told:
                told.add(each)
                waiting.append((node, each))
    return root
