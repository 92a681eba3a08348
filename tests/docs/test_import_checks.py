"""Imports that import-linter does not see: dynamic ones into upper layers, and heavy packages in the client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check(folder: Path) -> tuple[int, list[str]]:
    """Exit status and messages of the script, without the path of the folder."""
    command = [sys.executable, str(ROOT / "scripts" / "import_checks.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.replace(f"{folder}/", "").splitlines()


def package(root: Path, **files: str) -> Path:
    """A package ``desdm`` with modules; ``__`` in a name stands for a folder."""
    for name, text in {"client____init__": "", **files}.items():
        path = root / "desdm" / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "desdm"


def test_a_dynamic_import_of_an_upper_layer_is_found(tmp_path: Path) -> None:
    source = package(
        tmp_path,
        archive__late='from importlib import import_module\n\n\ndef late():\n    import_module("desdm.services.tap")\n',
        archive__part='import importlib\nimportlib.import_module(f"desdm.web.{1}")\n__import__("desdm.cli")\n',
        web__down='from importlib import import_module\nimport_module("desdm.archive")\nimport_module("desdm.web.a")\n',
    )
    status, messages = check(source)
    assert (status, messages) == (
        1,
        [
            "archive/late.py:5: archive loads desdm.services.tap, which is in a layer above",
            "archive/part.py:2: archive loads desdm.web., which is in a layer above",
            "archive/part.py:3: archive loads desdm.cli, which is in a layer above",
        ],
    )


def test_heavy_packages_in_the_client_are_found(tmp_path: Path) -> None:
    typing_only = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scipy\n"
    source = package(
        tmp_path,
        client__client="import numpy\nimport duckdb, numba\nfrom desdm import texts\n",
        client__late="def late():\n    import sqlalchemy.orm\n    import pandas\n",
        client__typed=typing_only,
        texts="import starlette\n\n\ndef late():\n    import scipy\n",
    )
    status, messages = check(source)
    assert (status, messages) == (
        1,
        [
            "client/client.py:2: duckdb is not among the dependencies of the client",
            "client/client.py:2: numba is not among the dependencies of the client",
            "client/late.py:2: sqlalchemy is not among the dependencies of the client",
            "texts.py:1: starlette is not among the dependencies of the client",
        ],
    )


def test_the_sources_pass() -> None:
    assert check(ROOT / "src" / "desdm")[0] == 0
