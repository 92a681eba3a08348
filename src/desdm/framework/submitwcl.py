"""Pipelines in the pipeline assemblers' own language: reads a submit WCL as a `Pipeline`.

The vocabulary is DESDM's: blocks, modules, files, lists, execs, wrapper loops, queries.
`ignored_keys` names every key that has no effect here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from desdm import wcl
from desdm.errors import WCLError
from desdm.framework.pipeline import Block, Exec, FileSet, Module, Pipeline, texts
from desdm.framework.sections import Settings, Tree, section, texts_of
from desdm.framework.structure import Locate, resolve_structure
from desdm.framework.submitfiles import Links, fileset, list_source, list_specs, listset, names
from desdm.framework.submitkeys import describe_ignored_keys, ignored_keys
from desdm.framework.writewcl import to_wcl
from desdm.wcl.include import IncludeFunctions

__all__ = ["describe_ignored_keys", "from_wcl", "ignored_keys", "read_submit", "to_wcl"]

_TOP_SECTIONS = {"block", "module", "filename_pattern", "directory_pattern"}
_BLOCK_KEYS_OF_TOP = ("divide_jobs_by",)
_MODULE_KEYS = {
    "wrappername",
    "wrapperloop",
    "loopobj",
    "noop",
    "tolerant",
    "text",
    "file",
    "list",
    "modnamepat",
}
_FILE_REFERENCE = re.compile(r"\$\{\s*file\.([^.}]+)\.", re.IGNORECASE)


def read_submit(
    path: Path, *, compat: bool = False, functions: IncludeFunctions | None = None
) -> tuple[Pipeline, dict[str, str]]:
    """Read a submit WCL.

    Parameters
    ----------
    path
        The file.
    compat
        Read as DESDM's own reader does, with warnings instead of errors.
    functions
        Functions for ``<<inclfunc>>``.

    Returns
    -------
    tuple
        The pipeline, and the values at the top (``unitname``, ``reqnum`` …).
    """
    document = wcl.read(path, compat=compat, functions=functions)
    return from_wcl(document.tree, str(path), locate=document.origin)


def from_wcl(
    tree: Settings,
    name: str = "<submit>",
    *,
    settings: Mapping[str, str] | None = None,
    locate: Locate | None = None,
) -> tuple[Pipeline, dict[str, str]]:
    """The pipeline that a submit WCL says, and the values at its top.

    Parameters
    ----------
    tree
        The submit WCL.
    name
        Its file, for errors.
    settings
        The operator's values, which come before those at the top where a structural key names them.
    locate
        Gives the place of a key, for errors (`desdm.wcl.Document.origin`).

    Raises
    ------
    WCLError
        A section or key is missing, a reference in a structural key has no value, or a flag is neither true nor false.
    """
    tree = resolve_structure(tree, name, settings=settings, locate=locate)
    top = {k: v for k, v in tree.items() if isinstance(v, str)}
    for key in ("pipeline", "blocklist"):
        if key not in top and not (key == "pipeline" and "pipeprod" in top):
            raise WCLError(f"a submit WCL needs {key} at its top", name)
    blocks, modules = section(tree, "block"), section(tree, "module")
    block_records = []
    links = Links(modules)
    for block_name in names(top["blocklist"]):
        block = blocks.get(block_name)
        if not isinstance(block, dict):
            raise WCLError(f"blocklist names {block_name}, but there is no <block {block_name}>", name)
        # A key that a block does not have is that of the top.
        block = {key: top[key] for key in _BLOCK_KEYS_OF_TOP if key in top} | block
        block_records.append(_block(block_name, block, modules, links, name))
    pipeline = top.get("pipeline", top.get("pipeprod", ""))
    sections: Tree = {k: v for k, v in tree.items() if not isinstance(v, str) and k not in _TOP_SECTIONS}
    unit = top.get("unit", "unitname")
    parsed = Pipeline(
        name=pipeline,
        text=top.get("text", ""),
        blocks=tuple(block_records),
        version=top.get("pipever", "1"),
        unit=unit,
        filename_patterns=texts_of(section(tree, "filename_pattern")),
        directory_patterns=_directory_patterns(section(tree, "directory_pattern")),
        settings=sections,
        inclfunc=top.get("inclfunc", ""),
    )
    reserved = {"pipeline", "pipever", "blocklist", "text", "unit", "inclfunc", *_BLOCK_KEYS_OF_TOP}
    return parsed, {k: v for k, v in top.items() if k not in reserved}


def _directory_patterns(tree: Settings) -> dict[str, str]:
    """Return the directory patterns: of each the archive side (ops), not that of the run (runtime)."""
    # A directory pattern of DESDM has an archive side (ops) and a side for the run (runtime).
    return {k: v if isinstance(v, str) else str(v.get("ops", "")) for k, v in tree.items()}


def _block(block_name: str, body: Settings, modules: Settings, links: Links, name: str) -> Block:
    """Return the record of a block with its modules."""
    overrides = {k: v for k, v in body.items() if k not in ("modulelist", "divide_jobs_by", "text")}
    module_records = []
    for module_name in names(str(body.get("modulelist", ""))):
        module = modules.get(module_name)
        if not isinstance(module, dict):
            raise WCLError(
                f"block {block_name} names {module_name}, but there is no <module {module_name}>", name
            )
        where = f"{name}: module {module_name}"
        module_records.append(_module(module_name, {**overrides, **module}, links, where))
    if not module_records:
        raise WCLError(f"block {block_name} has no modulelist", name)
    return Block(
        block_name,
        tuple(module_records),
        tuple(names(str(body.get("divide_jobs_by", "")))),
        str(body.get("text", "")),
    )


def _module(module_name: str, body: Settings, links: Links, where: str) -> Module:
    """Return the record of a module: its files as inputs and outputs, its lists and programs."""
    numbered = [
        (int(k[5:]), v)
        for k, v in body.items()
        if k.startswith("exec_") and k[5:].isdecimal() and isinstance(v, dict)
    ]
    execs = tuple(_exec(v) for _, v in sorted(numbered, key=lambda item: item[0]))
    files = {k: v for k, v in section(body, "file").items() if isinstance(v, dict)}
    lists = list_specs(section(body, "list"))
    generated = {
        n for program in execs for n in _file_references(module_name, program.was_generated_by, links)
    }
    list_files: dict[str, FileSet] = {}
    for program in lists:
        for nick in links.nicknames_of(module_name, program) if program.has_source else ():
            if nick not in list_files:
                list_files[nick] = list_source(nick, program, files.get(nick, {}), body, links, where)
    loopobj = str(body.get("loopobj", "")).strip().lower()
    loop_name = loopobj.partition(".")[2] or loopobj
    if loopobj.startswith("list."):
        loop_name = links.nickname(module_name, loop_name)
    referenced = {
        loop_name,
        *_referenced_files(module_name, body, execs, links),
        *(n for s in lists for n in (s.nickname,)),
    }
    inputs: list[FileSet] = []
    outputs: list[FileSet] = []
    for file_name, spec in files.items():
        if file_name in list_files:
            continue
        file_set = fileset(file_name, spec, body, links, where)
        has_source = bool(
            file_set.depends or file_set.calibration or file_set.query or file_set.newname or file_set.program
        )
        is_output = file_name in generated
        if not generated and file_name not in referenced:
            is_output = not has_source and not (file_set.filename and not file_set.filetype)
        if is_output:
            outputs.append(file_set)
        elif has_source or (
            file_set.by_name and (not execs or not referenced - {loop_name} or file_name in referenced)
        ):
            inputs.append(file_set)
        elif not file_set.by_name and file_name in referenced:
            raise WCLError(
                f"file {file_name} says neither what it is nor where it comes from: give it a filename, fullname, "
                "filepat, query_fields, exec or depends",
                where,
            )
    for nick, source in list_files.items():
        (outputs if nick in generated else inputs).append(source)
    settings: Tree = {
        k: v
        for k, v in body.items()
        if k not in _MODULE_KEYS and not (k.startswith("exec_") and k[5:].isdecimal())
    }
    return Module(
        name=module_name,
        wrapper=_wrapper_name(str(body.get("wrappername", "genwrap"))),
        text=str(body.get("text", "")),
        loop=tuple(names(str(body.get("wrapperloop", "")))),
        loopobj=loop_name,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        lists=tuple(listset(program, {*files, *list_files}, where) for program in lists),
        execs=execs,
        settings=settings,
        noop=wcl.truth(str(body.get("noop", "false"))),
        tolerant=wcl.truth(str(body.get("tolerant", "false"))),
    )


def _file_references(module: str, text: str, links: Links) -> Iterator[str]:
    """Names of the files in a comma list of ``file.F``, ``list.L`` and ``list.L.F``."""
    for part in names(text.replace(":", ",")):
        kind, _, name = part.partition(".")
        if kind == "list":
            name, _, nick = name.partition(".")
            yield nick or links.nickname(module, name)
        else:
            yield name if kind == "file" else part


def _referenced_files(module: str, body: Settings, execs: tuple[Exec, ...], links: Links) -> Iterator[str]:
    """Names of the files that a module's programs, settings and lists speak of."""
    for program in execs:
        yield from _file_references(module, program.used, links)
        yield from _file_references(module, program.ancestry, links)
    for key, value in body.items():
        if key not in ("file", "list"):
            for text in texts(value):
                yield from (name.lower() for name in _FILE_REFERENCE.findall(text))


def _wrapper_name(text: str) -> str:
    """Return the name of a wrapper; DESDM's ``genwrap.py`` is our own generic wrapper."""
    # genwrap.py is DESDM's generic wrapper; ours runs without starting an interpreter.
    return "genwrap" if text in ("genwrap.py", "genwrap") else text


def _exec(spec: Settings) -> Exec:
    """Return the record of an exec section."""
    text = {k: v for k, v in spec.items() if isinstance(v, str)}
    keys = (
        "execname",
        "cmd_hyphen",
        "used",
        "was_generated_by",
        "ancestry",
        "version_flag",
        "version_pattern",
    )
    return Exec(
        cmdline=texts_of(section(spec, "cmdline")),
        **{"execname": "", **{k: text[k] for k in keys if k in text}},
    )
