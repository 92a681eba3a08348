"""Structural keys of a submit WCL with their references replaced, as DESDM looks every key up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from desdm import wcl
from desdm.errors import WCLError
from desdm.framework.sections import Settings, Tree, section
from desdm.framework.submitfiles import names
from desdm.wcl.tree import copy_tree

__all__ = ["Locate", "resolve_structure"]

#: Gives the origin of the value or section at a path; None if it is not known.
Locate: TypeAlias = "Callable[..., wcl.Origin | None]"

#: Keys by the kind of section, that say what the pipeline is made of; other values are replaced for each wrapper.
_KEYS: dict[str, frozenset[str]] = {
    "top": frozenset({"pipeline", "pipeprod", "blocklist", "divide_jobs_by", "unit", "use_qcf"}),
    "block": frozenset({"modulelist", "divide_jobs_by", "wrapperloop", "loopobj", "noop", "tolerant"}),
    "module": frozenset({"wrappername", "wrapperloop", "loopobj", "noop", "tolerant"}),
    "file": frozenset({
        "filepat", "dirpat", "query_fields", "depends", "depends-newname", "match", "whole", "optional", "listonly",
        "savefiles", "calibration", "fallback", "name",
    }),
    "list": frozenset({
        "columns", "format", "divide_by", "sortkey", "allow_missing", "match", "depends", "depends-newname", "query_fields",
    }),
    "exec": frozenset({"used", "was_generated_by", "ancestry", "cmd_hyphen"}),
}  # fmt: skip
#: How references begin that are replaced; headers and functions are not part of a structure.
_REFERENCES = ("${", "$opt{")
#: Keys that are true or false.
_FLAGS = frozenset({
    "use_qcf", "noop", "tolerant", "whole", "optional", "listonly", "savefiles", "calibration", "fallback",
    "allow_missing",
})  # fmt: skip


def resolve_structure(
    tree: Settings,
    name: str = "<submit>",
    *,
    settings: Mapping[str, str] | None = None,
    locate: Locate | None = None,
) -> Tree:
    """Return a submit WCL with the references in its structural keys replaced.

    A reference is looked up in the file, list or program that contains it, then in its module, its block and at the top.

    Parameters
    ----------
    tree
        The submit WCL.
    name
        Its file, for errors.
    settings
        The operator's values, which come before those at the top.
    locate
        Gives the place of a key, for errors.

    Raises
    ------
    WCLError
        A reference has no value, or a flag is neither true nor false.
    """
    return _Structure(tree, name, settings or {}, locate).resolved


class _Structure:
    """A submit WCL whose structural keys are resolved."""

    def __init__(self, tree: Settings, name: str, settings: Mapping[str, str], locate: Locate | None) -> None:
        self._name, self._locate = name, locate
        self.resolved = copy_tree(tree)
        overlay = {k: v for k, v in settings.items() if "." not in k}
        self._resolver = wcl.Resolver({**self.resolved, **overlay}, compat=True)
        self._keys("top", self.resolved, (), {})
        block_of: dict[str, str] = {}
        for block, body in _sections(self.resolved, "block"):
            self._keys("block", body, ("block", block), {"curr_block": block})
            for module in names(str(body.get("modulelist", ""))):
                block_of.setdefault(module, block)
        for module, body in _sections(self.resolved, "module"):
            # A module that several blocks run is read with the values of the first.
            current = {"curr_module": module, "curr_block": block_of.get(module, "")}
            self._keys("module", body, ("module", module), current)
            for kind in ("file", "list"):
                for label, spec in _sections(body, kind):
                    path = ("module", module, kind, label)
                    self._keys(kind, spec, path, current)
                    for part, inner in _sections(spec, "div_list_by_col"):
                        self._keys(kind, inner, (*path, "div_list_by_col", part), current)
            for label, program in body.items():
                if label.startswith("exec_") and isinstance(program, dict):
                    self._keys("exec", program, ("module", module, label), current)

    def _keys(self, kind: str, spec: Tree, path: tuple[str, ...], current: Mapping[str, str]) -> None:
        """Resolve the structural keys of one section, and check its flags."""
        keys = _KEYS[kind]
        columns = names(str(spec.get("query_fields", ""))) if kind in ("file", "list") else []
        for key in sorted(keys & spec.keys()):
            value = spec[key]
            # A column of the archive that a query is about may have the name of a key.
            if not isinstance(value, str) or key in columns:
                continue
            try:
                if any(start in value.lower() for start in _REFERENCES):
                    value = self._resolver.replace(value, current=current, searchobj=spec)
                if key in _FLAGS:
                    wcl.truth(value)
            except WCLError as err:
                raise self._error((*path, key), str(spec[key]), err.message) from err
            spec[key] = value

    def _error(self, path: tuple[str, ...], value: str, reason: str) -> WCLError:
        """Return an error with the file, the line and the key of a value."""
        origin = None if self._locate is None else self._locate(*path)
        text = f"{'.'.join(path)} = {value}: {reason}"
        return WCLError(text, *((self._name, None) if origin is None else (origin.file, origin.line)))


def _sections(tree: Settings, kind: str) -> Iterator[tuple[str, Tree]]:
    """Yield the sections of a kind with their names."""
    for name, body in section(tree, kind).items():
        if isinstance(body, dict):
            yield name, body
