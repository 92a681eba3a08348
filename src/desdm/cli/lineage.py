"""desdm lineage: what a file came from, and what came from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import suspect_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.text import Text
    from rich.tree import Tree

    from desdm.archive.provenance import Lineage
    from desdm.archive.store import Suspect
    from desdm.cli.context import JsonValue
    from desdm.release.holders import Holder

_LINES = 400


@click.command()
@click.argument("filename")
@click.option("--up", "direction", flag_value="up", help="What it came from (the default).")
@click.option("--down", "direction", flag_value="down", help="What came from it.")
@click.option("--prov", is_flag=True, help="W3C PROV-JSON.")
@json_option
@pass_command_context
def command(context: CommandContext, filename: str, direction: str | None, prov: bool, as_json: bool) -> None:
    """Show what FILENAME came from, or what came from it: files, tasks, programs and their versions."""
    from desdm.archive import store
    from desdm.archive.prov import prov_json
    from desdm.archive.provenance import lineage
    from desdm.release.holders import holders

    way: Literal["up", "down"] = "down" if direction == "down" else "up"
    facility = context.facility
    with facility.database.read() as conn:
        ancestry = lineage(conn, filename, way)
        marks = store.suspects_of(conn, [f.id for f in ancestry.files])
        affected = (
            holders(conn, facility.config.releases, [f.id for f in ancestry.files]) if way == "down" else []
        )
    if prov:
        context.show(prov_json(ancestry), lambda: None, True)
        return

    def human() -> None:
        context.print_tree(_tree(ancestry, way, marks))
        for holder in affected:
            names = [f.name for f in ancestry.files if f.id in holder.files]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            click.echo(
                f"release {holder.release} ({holder.state.value}) was made from {', '.join(names[:3])}{more}"
            )

    context.show(_document(ancestry, marks, affected), human, as_json)


def _document(
    ancestry: Lineage, marks: Sequence[Suspect], affected: Sequence[Holder]
) -> Mapping[str, JsonValue]:
    """Return the JSON document of a lineage."""
    names = {f.id: f.name for f in ancestry.files}
    ends = {
        "used": (_task, names.__getitem__),
        "was_generated_by": (names.__getitem__, _task),
        "was_derived_from": (names.__getitem__, names.__getitem__),
    }
    files: list[dict[str, JsonValue]] = [
        {
            "filename": f.name,
            "filetype": f.filetype,
            "sha256": f.sha256,
            "md5sum": f.md5sum,
            "filesize": f.filesize,
            "band": f.band,
            "path": f.relpath,
            "archive": f.archive_name,
            **_suspect_marks(f.id, marks),
        }
        for f in ancestry.files
    ]
    return {
        "files": files,
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
            for t in ancestry.tasks
        ],
        "edges": [
            {"kind": e.kind, "from": ends[e.kind][0](e.origin), "to": ends[e.kind][1](e.to)}
            for e in ancestry.edges
        ],
        "releases": [
            {"release": h.release, "state": h.state.value, "files": sorted(names[n] for n in h.files)}
            for h in affected
        ],
    }


def _suspect_marks(number: int, marks: Sequence[Suspect]) -> dict[str, JsonValue]:
    """Return the marks of a suspect file; empty for any other."""
    own = [suspect_document(m) for m in marks if m.desfile_id == number]
    return {"suspect": own} if own else {}


def _task(number: int) -> str:
    """Return the identifier of a task in the document."""
    return f"task:{number}"


def _tree_line(label: str) -> Text:
    """Return one line of the tree, cut at the edge of the terminal."""
    from rich.text import Text

    text = Text.from_markup(label, overflow="ellipsis")
    text.no_wrap = True
    return text


def _tree(ancestry: Lineage, way: Literal["up", "down"], marks: Sequence[Suspect]) -> Tree:
    """Return the lineage as a tree, breadth first."""
    from rich.markup import escape
    from rich.tree import Tree

    files = {f.id: f for f in ancestry.files}
    tasks = {t.id: t for t in ancestry.tasks}
    maker = {e.origin: tasks[e.to] for e in ancestry.edges if e.kind == "was_generated_by"}
    doubtful = {mark.desfile_id: mark.reason for mark in marks}
    following: dict[int, list[int]] = {}
    for edge in ancestry.edges:
        if edge.kind == "was_derived_from":
            start, end = (edge.origin, edge.to) if way == "up" else (edge.to, edge.origin)
            following.setdefault(start, []).append(end)

    def label(number: int) -> str:
        file = files[number]
        text = f"[bold]{escape(file.name)}[/bold] [dim]{file.filetype}[/dim]"
        if number in doubtful:
            text += f"  [red]suspect: {escape(doubtful[number])}[/red]"
        task = maker.get(number)
        if task is not None:
            programs = ", ".join(dict.fromkeys(f"{e.name} {e.version}".strip() for e in task.execs))
            # The run first: a narrow terminal cuts the end.
            task_name = " ".join(x for x in (task.attempt, task.module or task.name, task.wrapkeys) if x)
            text += f"  ← {escape(task_name)}" + (f" ({escape(programs)})" if programs else "")
        return text

    root = Tree(_tree_line(label(ancestry.files[0].id)))
    listed = {ancestry.files[0].id}
    # Breadth first with a bound: a deep history is for --json, a screen is not.
    queue = [(root, ancestry.files[0].id)]
    while queue:
        branch, number = queue.pop(0)
        for each in following.get(number, ()):
            if len(listed) >= _LINES:
                branch.add(f"[dim]… {len(files) - len(listed)} more files; see --json[/dim]")
                return root
            again = each in listed and bool(following.get(each))
            node = branch.add(_tree_line(label(each) + (" [dim](above)[/dim]" if again else "")))
            if each not in listed:
                listed.add(each)
                queue.append((node, each))
    return root
