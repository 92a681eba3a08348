"""The developer's guide names files that exist, and its code parses and imports what exists."""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from pathlib import Path

import pytest

from desdm.framework.wrapper import Task

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs" / "developer").glob("*.md")), ROOT / "CONTRIBUTING.md"]

#: What the steps of a page create.
CREATED = (
    "src/desdm/archive/filetypes/weather.py",
    "src/desdm/codes/skylevel",
    "src/desdm/services/rowcount",
    "tests/archive/test_weather.py",
    "tests/codes/test_object_columns.py",
    "tests/codes/test_skylevel.py",
    "tests/services/rowcount",
)
_PATH = re.compile(r"(?<![\w/.])(?:src|tests|scripts|bench|docs)/[\w./<>*-]*\w/?")
_BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def is_created(path: str) -> bool:
    """Tell whether a page's steps create a file or folder."""
    return any(path == one or path.startswith(f"{one}/") for one in CREATED)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_files_that_a_page_names_exist(page: Path) -> None:
    paths = {
        m[0].rstrip("/")
        for m in _PATH.finditer(page.read_text("utf-8"))
        if "<" not in m[0] and "*" not in m[0]
    }
    assert {path for path in paths if not is_created(path) and not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_the_code_of_a_page_imports_exists(page: Path) -> None:
    for match in _BLOCK.finditer(page.read_text("utf-8")):
        code = textwrap.dedent(match[2])
        if "import " not in code:  # rows of a table, which stand for themselves
            continue
        for node in ast.walk(ast.parse(code)):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if is_created(f"src/{node.module.replace('.', '/')}") or is_created(
                f"src/{node.module.replace('.', '/')}.py"
            ):
                continue
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], node.module


def test_the_table_of_a_task_names_what_a_task_has() -> None:
    page = (ROOT / "docs" / "developer" / "astronomy-code.md").read_text("utf-8")
    table = re.search(r"^ *\| `Task` \|.*\n(?:^ *\|.*\n)+", page, re.MULTILINE)
    assert table
    first_cells = [line.strip().split("|")[1] for line in table[0].splitlines()[2:]]
    names = [name for cell in first_cells for name in re.findall(r"(\w+)\(", cell)]
    assert len(names) > 10
    assert [name for name in names if not hasattr(Task, name)] == []
