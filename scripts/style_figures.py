"""Print figures of the style of src/desdm, each beside its bound: style_figures.py [--json | --files MEASURE] [FOLDER].

Exit status 1: a figure is beyond a bound that is enforced. A figure beyond another bound is printed with the word "above"
(or "below"). `--files MEASURE` lists the files that contribute most to a figure.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "desdm"


class Measure(NamedTuple):
    """A figure with its bound; `enforced` bounds fail `make test`."""

    name: str
    text: str
    unit: str
    bound: float | None
    at_least: bool = False
    enforced: bool = False


MEASURES = (
    Measure("participles", "participles as names and in prose", "per kline", 8, enforced=True),
    Measure("participles-names", "of these, names", "per kline", None),
    Measure("any", "lines that name Any", "per kline", 3, enforced=True),
    Measure("maps", "lines with untyped maps, by an alias too", "per kline", 1, enforced=True),
    Measure("undocumented", "functions and classes without a docstring", "", 0, enforced=True),
    Measure(
        "private-docstrings", "private functions with a docstring", "%", 90, at_least=True, enforced=True
    ),
    Measure(
        "parameters",
        "public functions of 3+ arguments with Parameters",
        "%",
        80,
        at_least=True,
        enforced=True,
    ),
    Measure("state-strings", "texts in the place of states", "places", 0, enforced=True),
    Measure("fmt-skip", "lines with `fmt: skip` or `fmt: off`", "lines", 40, enforced=True),
)

PARTICIPLES = ("found", "told", "said", "given", "asked", "made", "held", "kept", "shown", "seen")
MAPS = ("dict", "Mapping", "MutableMapping")

# Folders and files whose values have no type by nature: `Any` and untyped maps are not counted there.
UNTYPED = {
    "wcl/": "WCL documents hold whatever their author wrote",
}

# Folders whose functions are described by the docstring of their module.
DOCUMENTED_BY_MODULE = ("schema/migrations/versions/",)

_WORD = re.compile(rf"\b(?:{'|'.join(PARTICIPLES)})\b")
#: Names of states, as attributes, variables and keys.
_STATE = re.compile(r"(?:^|_)(?:state|status|phase|verdict|accepted|run_class|damage)$")
_FMT = re.compile(r"fmt: *(?:skip|off)")


def is_untyped(path: str) -> bool:
    """Tell whether a file is one of those whose values have no type by nature."""
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in UNTYPED)


def module_name(path: str) -> str:
    """Return the name under which other modules import a file of the package."""
    return ".".join(("desdm", *path.removesuffix(".py").removesuffix("/__init__").split("/")))


def lines_with_any(tree: ast.Module) -> set[int]:
    """Return the lines that name `Any`, imports among them."""
    lines = set()
    for node in ast.walk(tree):
        if (isinstance(node, ast.Name) and node.id == "Any") or (
            isinstance(node, (ast.Attribute, ast.alias))
            and "Any" in (getattr(node, "attr", ""), getattr(node, "name", ""))
        ):
            lines.add(node.lineno)
    return lines


def is_untyped_map(node: ast.AST) -> bool:
    """Tell whether an expression is a map of texts to `Any` or `object`."""
    match node:
        case ast.Subscript(
            value=ast.Name(id=name) | ast.Attribute(attr=name),
            slice=ast.Tuple(
                elts=[ast.Name(id="str"), ast.Name(id="Any" | "object") | ast.Attribute(attr="Any")]
            ),
        ):
            return name in MAPS
    return False


def map_aliases(tree: ast.Module) -> set[str]:
    """Return the names of a module that are an alias of an untyped map."""
    aliases = set()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                aliases |= {name} if is_untyped_map(value) else set()
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=ast.expr() as value):
                if "TypeAlias" in ast.unparse(kind) and is_untyped_map(value):
                    aliases.add(name)
            case _ if type(node).__name__ == "TypeAlias":  # `type X = …` of Python 3.12
                if is_untyped_map(getattr(node, "value", node)):
                    aliases.add(ast.unparse(getattr(node, "name", node)))
    return aliases


def lines_with_maps(tree: ast.Module, aliases: Collection[tuple[str, str]] = ()) -> set[int]:
    """Return the lines with an untyped map, or with an alias of one.

    Parameters
    ----------
    tree
        The module.
    aliases
        Module and name of the aliases that other modules define.
    """
    names = map_aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name for a in node.names if (node.module, a.name) in aliases}
    return {
        node.lineno
        for node in ast.walk(tree)
        if is_untyped_map(node)
        or (isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load))
    }


def undocumented(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the functions, methods and classes without a docstring; not functions within functions.

    Special methods, overloads and methods that override a documented one need none.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            decorators = {ast.unparse(d).rpartition(".")[2] for d in child.decorator_list}
            if not (
                ast.get_docstring(child)
                or child.name.startswith("__")
                or decorators & {"overload", "override"}
            ):
                yield child
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child)
        else:
            yield from undocumented(child)


def compared_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line of each place where a text stands for a state, and the text: a member of an enum belongs there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(_STATE.search(_last_name(side)) for side in sides):
                yield from ((node.lineno, text) for side in sides for text in _texts(side))
        elif isinstance(node, ast.Call):
            method = node.func
            column = (
                method.value
                if isinstance(method, ast.Attribute) and method.attr in ("in_", "not_in")
                else None
            )
            if column is not None and _STATE.search(_last_name(column)):
                yield from ((node.lineno, text) for argument in node.args for text in _texts(argument))
            for keyword in node.keywords:
                if keyword.arg is not None and _STATE.search(keyword.arg):
                    yield from ((node.lineno, text) for text in _texts(keyword.value))
        elif isinstance(node, ast.Match) and _STATE.search(_last_name(node.subject)):
            for case in node.cases:
                for part in ast.walk(case.pattern):
                    if isinstance(part, ast.MatchValue):
                        yield from ((node.lineno, text) for text in _texts(part.value))


def _last_name(node: ast.expr) -> str:
    """Return the last name of an expression, of ``job.state.value`` and ``row["state"]`` state; empty without one."""
    match node:
        case ast.Attribute(value=inner, attr="value"):
            return _last_name(inner)
        case (
            ast.Attribute(attr=name)
            | ast.Name(id=name)
            | ast.Subscript(slice=ast.Constant(value=str() as name))
        ):
            return name
        case _:
            return ""


def _texts(node: ast.expr) -> list[str]:
    """Return the texts that an operand of a comparison is, or holds."""
    parts = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    return [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str) and p.value]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of a module."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of arguments of a function, `self` and `cls` aside."""
    args = function.args
    return sum(a.arg not in {"self", "cls"} for a in (*args.posonlyargs, *args.args, *args.kwonlyargs))


def is_click_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is a click command, or is called by click for an option or argument."""
    for decorator in function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = ast.unparse(target)
        if name.startswith("click.") or name.endswith((".command", ".group")):
            return True
    # Callbacks and types of options are called by click, with arguments that its documentation describes.
    return any(
        a.annotation is not None and "click.Parameter" in ast.unparse(a.annotation)
        for a in function.args.args
    )


def names(text: str) -> int:
    """Return how many tokens of a source are a name that is a participle."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.NAME and token.string in PARTICIPLES for token in tokens)


def count(path: str, text: str, aliases: Collection[tuple[str, str]]) -> Counter[str]:
    """Return the counts of one file by measure; shares are counted as `<measure>` of `<measure>/all`.

    A word counts as a word of its own, in code, docstrings, comments and messages; as part of a longer name it does not.

    Parameters
    ----------
    path
        Path of the file below the package.
    text
        Its source.
    aliases
        Module and name of the aliases of untyped maps in all files.
    """
    tree = ast.parse(text)
    counts = Counter(
        {"lines": text.count("\n"), "participles": len(_WORD.findall(text)), "participles-names": names(text)}
    )
    counts["fmt-skip"] = sum(bool(_FMT.search(line)) for line in text.splitlines())
    if not is_untyped(path):
        counts["any"] = len(lines_with_any(tree))
        counts["maps"] = len(lines_with_maps(tree, aliases))
    if not path.startswith(DOCUMENTED_BY_MODULE):
        counts["undocumented"] = sum(1 for _ in undocumented(tree))
    counts["state-strings"] = sum(1 for _ in compared_texts(tree))
    for function in functions(tree):
        docstring = ast.get_docstring(function)
        if function.name.startswith("__"):
            continue
        if function.name.startswith("_"):
            counts["private-docstrings/all"] += 1
            counts["private-docstrings"] += bool(docstring)
        # The arguments of a click command are its options: their help texts document them, and the docstring is the
        # help text of the command, in which a Parameters section would be printed.
        elif arguments(function) >= 3 and not is_click_command(function):
            counts["parameters/all"] += 1
            counts["parameters"] += "Parameters\n" in (docstring or "")
    return counts


def value(measure: Measure, counts: Counter[str]) -> float:
    """Return a figure from the counts of all files."""
    if measure.unit == "%":
        return 100 * counts[measure.name] / max(counts[f"{measure.name}/all"], 1)
    if measure.unit == "per kline":
        return 1000 * counts[measure.name] / max(counts["lines"], 1)
    return counts[measure.name]


def state(measure: Measure, figure: float) -> str:
    """Return "ok", or on which side of its bound a figure lies."""
    if measure.bound is None:
        return ""
    if measure.at_least:
        return "ok" if figure >= measure.bound else "below"
    return "ok" if figure <= measure.bound else "above"


def contribution(measure: Measure, counts: Counter[str]) -> int:
    """Return what a file adds to a figure: occurrences, or functions without what is counted."""
    return (
        counts[f"{measure.name}/all"] - counts[measure.name] if measure.unit == "%" else counts[measure.name]
    )


def main() -> int:
    """Print the figures; return 1 if one is beyond an enforced bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=SOURCE, help="package to count (default: src/desdm)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument(
        "--files", choices=[m.name for m in MEASURES], metavar="MEASURE", help="the 20 files that add most"
    )
    options = parser.parse_args()
    files = {p.relative_to(options.folder).as_posix(): p for p in sorted(options.folder.rglob("*.py"))}
    sources = {name: path.read_text("utf-8") for name, path in files.items()}
    aliases = {
        (module_name(name), alias)
        for name, text in sources.items()
        if not is_untyped(name)
        for alias in map_aliases(ast.parse(text))
    }
    by_file = {name: count(name, text, aliases) for name, text in sources.items()}
    total: Counter[str] = sum(by_file.values(), Counter())
    if options.files:
        measure = next(m for m in MEASURES if m.name == options.files)
        adds = Counter({name: contribution(measure, counts) for name, counts in by_file.items()})
        for name, number in adds.most_common(20):
            print(f"{number:6d}  {name}")
        return 0
    figures = [(m, value(m, total)) for m in MEASURES]
    if options.json:
        rows = [
            {
                "measure": m.name,
                "value": round(v, 2),
                "unit": m.unit,
                "bound": m.bound,
                "state": state(m, v),
                "enforced": m.enforced,
            }
            for m, v in figures
        ]
        print(json.dumps({"lines": total["lines"], "files": len(files), "figures": rows}))
    else:
        print(f"{len(files)} files, {total['lines']} lines")
        for m, v in figures:
            bound = "" if m.bound is None else f"{'at least' if m.at_least else 'at most'} {m.bound:g}"
            print(f"{m.text:50} {v:7.1f} {m.unit:10} {bound:12} {state(m, v)}".rstrip())
    return int(any(m.enforced and state(m, v) != "ok" for m, v in figures))


if __name__ == "__main__":
    sys.exit(main())
