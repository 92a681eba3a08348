"""Writes docs/pipelines/<name>.md from the pipeline values and their codes: pipeline_pages.py [--check]."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from desdm.archive.filetypes import BY_NAME
from desdm.framework.pipeline import FileSet, Module, Pipeline
from desdm.pipelines import PIPELINES

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "pipelines"


def source_of(wrapper: str) -> Path:
    """File of a wrapper's function."""
    return ROOT / "src" / Path(*wrapper.split(".")[:-1]).with_suffix(".py")


def functions_of(path: Path) -> dict[str, ast.FunctionDef]:
    """Functions of a file by name."""
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def reached(name: str, functions: dict[str, ast.FunctionDef]) -> list[ast.FunctionDef]:
    """The function and those of its file that it calls, directly or not."""
    found: dict[str, ast.FunctionDef] = {}
    todo = [name]
    while todo:
        one = todo.pop()
        if one in found or one not in functions:
            continue
        found[one] = functions[one]
        todo += [n.id for n in ast.walk(functions[one]) if isinstance(n, ast.Name)]
    return list(found.values())


def metrics_of(wrapper: str) -> Iterator[tuple[str, str, str]]:
    """(name, unit, text) of each QA number that a wrapper records under a fixed name."""
    for function in reached(wrapper.rpartition(".")[2], functions_of(source_of(wrapper))):
        for call in ast.walk(function):
            if not (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr == "metric"
            ):
                continue
            said = [a.value if isinstance(a, ast.Constant) else None for a in call.args]
            named = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
            if said and isinstance(said[0], str):
                unit = said[2] if len(said) > 2 else named.get("unit", "")
                yield said[0], str(unit or ""), str(named.get("text", ""))


def files(sets: tuple[FileSet, ...], sources: dict[str, str]) -> str:
    """Inputs or outputs as a cell of a table."""
    return ", ".join(filter(None, (one_file(f, sources) for f in sets))) or "–"


def one_file(f: FileSet, sources: dict[str, str]) -> str:
    """One file set."""
    kind = f.filetype or sources.get(f.depends, "")
    about = []
    if f.calibration:
        about.append("chosen calibration")
    elif f.query:
        kind = f.query.get("filetype", kind)
        about.append("archive")
    elif f.depends:
        about.append(f"of {f.depends.partition('.')[0]}")
    if f.optional:
        about.append("optional")
    if not f.savefiles:
        about.append("in memory only" if f.name == "image" else "not kept")
    return f"`{kind}`" + (f" ({', '.join(about)})" if about else "")


def page(pipeline: Pipeline) -> str:
    """The page of a pipeline."""
    lines = [
        f"# {pipeline.name}",
        "",
        f"{pipeline.text[0].upper()}{pipeline.text[1:]}. One unit is one {pipeline.unit}.",
        "",
    ]
    lines += [
        f"This page is written by `scripts/pipeline_pages.py` from `src/desdm/pipelines/{pipeline.name}.py`.",
        "",
    ]
    sources = {f"{m.name}.{f.name}": f.filetype for _, m in pipeline.modules() for f in m.outputs}
    made: dict[str, None] = {}
    read: dict[str, None] = {}
    number = 0
    for block in pipeline.blocks:
        divided = (
            f"one job for each {' and '.join(block.divide_jobs_by)}" if block.divide_jobs_by else "one job"
        )
        lines += [f"## Block `{block.name}`: {block.text or pipeline.text} ({divided})", ""]
        lines += ["| # | module | does | for each | reads | makes |", "|---|---|---|---|---|---|"]
        for module in block.modules:
            number += 1
            lines.append(
                f"| {number} | `{module.name}` | {module.text} | {', '.join(module.loop) or 'run'} | "
                f"{files(module.inputs, sources)} | {files(module.outputs, sources)} |"
            )
            made |= {f.filetype: None for f in module.outputs if f.savefiles}
            for f in module.inputs:
                for kind in (f.query.get("filetype", f.filetype) if not f.depends else "").split(","):
                    if kind in BY_NAME:
                        read[kind] = None
        lines.append("")
    for title, kinds in (("Inputs from the archive", read), ("Products in the archive", made)):
        lines += [f"## {title}", "", "| file type | what it is |", "|---|---|"]
        lines += [f"| `{k}` | {BY_NAME[k].text} |" for k in kinds if k in BY_NAME] + [""]
    lines += ["## QA numbers", "", "| module | number | unit | what it is |", "|---|---|---|---|"]
    for _, module in pipeline.modules():
        lines += numbers(module)
    return "\n".join(lines) + "\n"


def numbers(module: Module) -> Iterator[str]:
    """Rows of the table of QA numbers."""
    seen = set()
    for name, unit, text in metrics_of(module.wrapper):
        if name not in seen:
            seen.add(name)
            yield f"| `{module.name}` | `{name}` | {unit or '–'} | {text} |"


def index() -> str:
    """The table of contents."""
    lines = ["# The pipelines", "", "| pipeline | unit | what it does |", "|---|---|---|"]
    lines += [f"| [{p.name}]({p.name}.md) | {p.unit} | {p.text} |" for p in PIPELINES]
    return (
        "\n".join(
            [
                *lines,
                "",
                "`desdm pipeline show NAME` shows one; with `--wcl` it is written as submit WCL.",
            ]
        )
        + "\n"
    )


def main() -> int:
    """Write the pages, or say which are not current."""
    pages = {PAGES / f"{p.name}.md": page(p) for p in PIPELINES} | {PAGES / "README.md": index()}
    stale = [p for p, text in pages.items() if not p.is_file() or p.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not current; run scripts/pipeline_pages.py\n")
        return int(bool(stale))
    PAGES.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(pages[path], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
