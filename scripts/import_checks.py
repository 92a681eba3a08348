"""Find imports that import-linter does not see: import_checks.py [FOLDER].

Exit status 1: `import_module` names a package of an upper layer, or `desdm.client` imports a package that an
installation of the client alone does not have.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
#: The client may use it where the user has it: a table is returned as a DataFrame on demand.
OPTIONAL = {"pandas"}


def layers() -> dict[str, int]:
    """Return the layer of each package of desdm, 0 for the uppermost."""
    contract = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "layers")
    return {name.strip(): at for at, row in enumerate(contract["layers"]) for name in row.split("|")}


def light_packages() -> set[str]:
    """Return the importable names of the packages that an installation of the client alone has."""
    names = {line.partition(">")[0].partition("[")[0] for line in PROJECT["project"]["dependencies"]}
    return {name.strip().replace("-", "_") for name in names} | OPTIONAL | set(sys.stdlib_module_names)


def literal_start(node: ast.expr) -> str:
    """Return a text, or the text before the first value of an f-string; empty for other expressions."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return literal_start(node.values[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def dynamic_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each module of desdm that `import_module` or `__import__` loads, where it is a literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).rpartition(".")[2]
            name = literal_start(node.args[0])
            if function in ("import_module", "__import__") and name.startswith("desdm."):
                yield node.lineno, name


def imported(nodes: Iterator[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Yield line and name of each imported module; for `from a import b` both a and a.b."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def statements(tree: ast.Module, late: bool) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those of functions only with ``late``; not those for the type checker."""
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.stmt):
                yield node
            typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if not typing_only and (late or not function):
                pending.append(node)


def upward_imports(source: Path) -> Iterator[str]:
    """Yield a message for each dynamic import of a package above the importing one."""
    layer = layers()
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        for line, name in dynamic_imports(ast.parse(path.read_text("utf-8"))):
            target = name.split(".")[1]
            if target in layer and parts[0] in layer and layer[target] < layer[parts[0]]:
                yield f"{path}:{line}: {parts[0]} loads {name}, which is in a layer above"


def heavy_imports(source: Path) -> Iterator[str]:
    """Yield a message for each package that the client, or what it imports of desdm, needs beyond the light ones."""
    light = light_packages()
    pending, visited = sorted((source / "client").rglob("*.py")), set[Path]()
    while pending:
        path = pending.pop()
        if path in visited:
            continue
        visited.add(path)
        # The modules that the client imports run at import only; functions that it does not call may need more.
        late = path.is_relative_to(source / "client")
        for line, name in imported(statements(ast.parse(path.read_text("utf-8")), late)):
            package, _, rest = name.partition(".")
            if package == source.name:
                module = source.joinpath(*rest.split("."))
                pending += [p for p in (module.with_suffix(".py"), module / "__init__.py") if p.is_file()]
            elif package not in light:
                yield f"{path}:{line}: {package} is not among the dependencies of the client"


def main() -> int:
    """Print the forbidden imports; return 1 if there are any."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "src" / "desdm"
    messages = sorted({*upward_imports(source), *heavy_imports(source)})
    print(
        "\n".join(messages) or "no dynamic import of an upper layer; the client imports light packages only"
    )
    return int(bool(messages))


if __name__ == "__main__":
    sys.exit(main())
