"""What a document takes in from outside: files by ``<<include>>``, values by ``<<inclfunc>>``."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from desdm.errors import WCLError
from desdm.wcl.functions import named_function
from desdm.wcl.resolve import Resolver
from desdm.wcl.tree import MAX_DEPTH, Tree

__all__ = [
    "MAX_INCLUDES",
    "MAX_NESTED",
    "Answer",
    "IncludeFunctions",
    "Included",
    "call_inclfunc",
    "included_text",
    "read_text",
]

IncludeFunctions: TypeAlias = Mapping[str, Callable[[Mapping[str, object]], object]]
"""Functions for ``<<inclfunc>>`` by their bare name; each takes the dictionary of its keys' values."""

MAX_BYTES = 64 * 1024 * 1024
"""Largest file that is read; a WCL file of a job holds some thousand lines."""
MAX_NESTED = 50
"""Deepest chain of includes."""
MAX_INCLUDES = 10_000
"""Most files in one document, against includes that double at each step."""

_CALL = re.compile(r"([^(]+)\(([^)]+)\)")


class Included(NamedTuple):
    """The text of an included file, its path, and whether it exists only beside the including file."""

    text: str
    path: str
    beside: bool


class Answer(NamedTuple):
    """What an inclfunc gave, and the keys handed to it that had no value."""

    tree: Tree
    missing: tuple[str, ...]


def read_text(path: str, file: str | None = None, line: int | None = None, *, regular: bool = False) -> str:
    """Read a file as UTF-8.

    Parameters
    ----------
    path
        The file.
    file, line
        Position of the include, if there is one.
    regular
        Refuse what is not a regular file: an include of a pipe would wait for ever.

    Raises
    ------
    WCLError
        It is missing, too large or not UTF-8.
    """
    place = (file, line) if file is not None else (path, None)
    # The place names the file already where no other file includes it.
    subject, failure = ("it", "") if file is None else (path, f"cannot read {path}: ")
    try:
        if regular and not stat.S_ISREG(Path(path).stat().st_mode):
            raise WCLError(f"{subject} is not a regular file", *place)
        with Path(path).open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as err:
        raise WCLError(f"{failure}{err.strerror or err}", *place) from err
    except ValueError as err:  # a NUL byte or a lone surrogate in the name
        raise WCLError(f"cannot read {path!r}: {err}", *place) from err
    if len(raw) > MAX_BYTES:
        raise WCLError(f"{subject} is larger than {MAX_BYTES // 2**20} MiB; is it WCL?", *place)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as err:
        bad = raw[: err.start].count(b"\n") + 1
        raise WCLError(f"byte {raw[err.start]:#04x} is not UTF-8; is it WCL?", path, bad) from err


def included_text(written: str, file: str, line: int, known: Tree, *, compat: bool) -> Included:
    """Resolve the path of an include and read it.

    ``${}`` is replaced from the top-level values read so far, then ``~`` and ``$ENV`` are expanded; there are
    no globs. A relative path starts from the folder of the including file; in compat from the working folder,
    and only if nothing is there from the including file's.

    Parameters
    ----------
    written
        Path as the include has it.
    file, line
        Position of the include.
    known
        Top-level values read so far.
    compat
        Search as the original does.

    Raises
    ------
    WCLError
        A variable has no value, or the file cannot be read.
    """
    try:
        # Production files write environment variables with braces too; a value of the document comes first.
        outside: Tree = {k.lower(): v for k, v in os.environ.items()} if compat else {}
        path = Resolver({**outside, **known}, kinds=(), compat=compat).replace(written)
    except WCLError as err:
        raise WCLError(
            f"<<include {written}>>: {err.message}; an environment variable is written without braces",
            file,
            line,
        ) from err
    try:
        path = os.path.expandvars(str(Path(path).expanduser()) if path.startswith("~") else path)
    except (RuntimeError, ValueError) as err:  # no such user
        raise WCLError(f"<<include {written}>>: {err}", file, line) from err
    here = str(Path(file).parent / path)
    beside = False
    if not compat:
        path = here
    elif not os.path.lexists(path) and os.path.lexists(here):
        path, beside = here, here != path
    return Included(read_text(path, file, line, regular=True), path, beside)


def call_inclfunc(
    written: str, file: str, line: int, known: Tree, functions: IncludeFunctions | None = None
) -> Answer:
    """Call ``pkg.mod.func(key1,key2)`` with the expanded values of the keys and take its dictionary.

    Parameters
    ----------
    written
        The call as the document says it.
    file, line
        Where it stands, for errors.
    known
        The top-level values read so far.
    functions
        Functions by their bare name, which take the place of those that the document names by package.

    Raises
    ------
    WCLError
        The call is ill-formed, the function is missing or fails, or its answer is not a tree of text.
    """
    match = _CALL.match(written)
    if match is None:
        raise WCLError(f"<<inclfunc {written}>> is not of the form pkg.mod.func(key,key)", file, line)
    resolver = Resolver(known, kinds=(), compat=True)
    arguments: dict[str, str | list[str] | None] = {}
    try:
        name = match[1].strip()
        function = (functions or {}).get(name.rpartition(".")[2]) or named_function(name)
        for key in (word.strip() for word in match[2].split(",")):
            hit = resolver.lookup(key)
            if hit is None or isinstance(hit.value, dict):
                arguments[key] = None
                continue
            values = [one.value for one in resolver.expand(hit.value)]
            arguments[key] = values[0] if len(values) == 1 else values
        try:
            answer = function(arguments)
        except Exception as err:  # code named by the document may fail in any way; it becomes one error
            raise WCLError(f"{type(err).__name__}: {err}") from err
        tree = _as_tree(answer, 0)
    except WCLError as err:
        raise WCLError(f"<<inclfunc {written}>>: {err.message}", file, line) from err
    return Answer(tree, tuple(key for key, value in arguments.items() if value is None))


def _as_tree(answer: object, depth: int) -> Tree:
    """Convert the dictionary that a function returned to a tree of texts with lower-case keys."""
    if not isinstance(answer, Mapping) or depth > MAX_DEPTH:
        raise WCLError(f"the function gave {type(answer).__name__}, not a dictionary")
    tree: Tree = {}
    for key, value in answer.items():
        if value is not None:
            tree[str(key).lower()] = _as_tree(value, depth + 1) if isinstance(value, Mapping) else str(value)
    return tree
