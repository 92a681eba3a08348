"""Pipelines in the pipeline assemblers' own language: reads a submit WCL as a `Pipeline`.

The vocabulary is the reference's (desdm.md 2.4): blocks, modules, files, lists, execs, wrapper loops, queries.
`ignored_keys` names every key that has no effect here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from desdm import wcl
from desdm.errors import WCLError
from desdm.framework.pipeline import Block, Exec, FileSet, Module, Pipeline, texts
from desdm.framework.submitfiles import Links, fileset, list_source, list_specs, listset, names
from desdm.framework.submitkeys import ignored_keys, unheeded
from desdm.framework.writewcl import to_wcl
from desdm.wcl import Tree
from desdm.wcl.include import IncludeFunctions

__all__ = ["from_wcl", "ignored_keys", "read_submit", "to_wcl", "unheeded"]

_TOP_SECTIONS = {"block", "module", "filename_pattern", "directory_pattern"}
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
    """Read a submit WCL: its pipeline, and the values at its top (``unitname``, ``reqnum`` …)."""
    tree = wcl.read(path, compat=compat, functions=functions).tree
    return from_wcl(tree, str(path))


def from_wcl(tree: Mapping[str, Any], name: str = "<submit>") -> tuple[Pipeline, dict[str, str]]:
    """The pipeline that a submit WCL says, and the values at its top."""
    top = {k: v for k, v in tree.items() if isinstance(v, str)}
    for needed in ("pipeline", "blocklist"):
        if needed not in top and not (needed == "pipeline" and "pipeprod" in top):
            raise WCLError(f"a submit WCL needs {needed} at its top", name)
    blocks = tree.get("block", {})
    modules = tree.get("module", {})
    built = []
    links = Links(modules)
    for block_name in names(top["blocklist"]):
        if not isinstance(blocks.get(block_name), dict):
            raise WCLError(f"blocklist names {block_name}, but there is no <block {block_name}>", name)
        built.append(_block(block_name, blocks[block_name], modules, links, name))
    pipeline = top.get("pipeline", top.get("pipeprod", ""))
    sections: Tree = {k: v for k, v in tree.items() if not isinstance(v, str) and k not in _TOP_SECTIONS}
    unit = top.get("unit", "unitname")
    made = Pipeline(
        name=pipeline,
        text=top.get("text", ""),
        blocks=tuple(built),
        version=top.get("pipever", "1"),
        unit=unit,
        filename_patterns=dict(tree.get("filename_pattern", {})),
        directory_patterns=_directories(tree.get("directory_pattern", {})),
        settings=sections,
        inclfunc=top.get("inclfunc", ""),
    )
    said = {"pipeline", "pipever", "blocklist", "text", "unit", "inclfunc"}
    return made, {k: v for k, v in top.items() if k not in said}


def _directories(tree: Mapping[str, Any]) -> dict[str, str]:
    # A directory pattern of the reference has an archive side (ops) and a side for the run (runtime).
    return {k: v if isinstance(v, str) else str(v.get("ops", "")) for k, v in tree.items()}


def _block(
    block_name: str, body: Mapping[str, Any], modules: Mapping[str, Any], links: Links, name: str
) -> Block:
    overrides = {k: v for k, v in body.items() if k not in ("modulelist", "divide_jobs_by", "text")}
    built = []
    for module_name in names(str(body.get("modulelist", ""))):
        if not isinstance(modules.get(module_name), dict):
            raise WCLError(
                f"block {block_name} names {module_name}, but there is no <module {module_name}>", name
            )
        where = f"{name}: module {module_name}"
        built.append(_module(module_name, {**overrides, **modules[module_name]}, links, where))
    if not built:
        raise WCLError(f"block {block_name} has no modulelist", name)
    return Block(
        block_name,
        tuple(built),
        tuple(names(str(body.get("divide_jobs_by", "")))),
        str(body.get("text", "")),
    )


def _module(module_name: str, body: Mapping[str, Any], links: Links, where: str) -> Module:
    numbered = [(int(k[5:]), v) for k, v in body.items() if k.startswith("exec_") and k[5:].isdecimal()]
    execs = tuple(_exec(v) for _, v in sorted(numbered, key=lambda item: item[0]))
    files = {k: v for k, v in body.get("file", {}).items() if isinstance(v, dict)}
    specs = list_specs(body.get("list", {}))
    generated = {n for one in execs for n in _refers(module_name, one.was_generated_by, links)}
    fed: dict[str, FileSet] = {}
    for one in specs:
        for nick in links.nicks(module_name, one) if one.feeds else ():
            if nick not in fed:
                fed[nick] = list_source(nick, one, files.get(nick, {}), body, links, where)
    loopobj = str(body.get("loopobj", "")).strip().lower()
    loop_name = loopobj.partition(".")[2] or loopobj
    if loopobj.startswith("list."):
        loop_name = links.nick(module_name, loop_name)
    wanted = {loop_name, *_wanted(module_name, body, execs, links), *(n for s in specs for n in (s.nick,))}
    inputs: list[FileSet] = []
    outputs: list[FileSet] = []
    for file_name, spec in files.items():
        if file_name in fed:
            continue
        made = fileset(file_name, spec, body, links, where)
        origin = bool(made.depends or made.calibration or made.query or made.newname or made.program)
        is_output = file_name in generated
        if not generated and file_name not in wanted:
            is_output = not origin and not (made.filename and not made.filetype)
        if is_output:
            outputs.append(made)
        elif origin or (made.by_name and (not execs or not wanted - {loop_name} or file_name in wanted)):
            inputs.append(made)
        elif not made.by_name and file_name in wanted:
            raise WCLError(
                f"file {file_name} says neither what it is nor where it comes from: give it a filename, fullname, "
                "filepat, query_fields, exec or depends",
                where,
            )
    for nick, source in fed.items():
        (outputs if nick in generated else inputs).append(source)
    settings: Tree = {
        k: v
        for k, v in body.items()
        if k not in _MODULE_KEYS and not (k.startswith("exec_") and k[5:].isdecimal())
    }
    return Module(
        name=module_name,
        wrapper=_wrapper(str(body.get("wrappername", "genwrap"))),
        text=str(body.get("text", "")),
        loop=tuple(names(str(body.get("wrapperloop", "")))),
        loopobj=loop_name,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        lists=tuple(listset(one, {**files, **fed}, where) for one in specs),
        execs=execs,
        settings=settings,
        noop=wcl.truth(str(body.get("noop", "false"))),
        tolerant=wcl.truth(str(body.get("tolerant", "false"))),
    )


def _refers(module: str, text: str, links: Links) -> Iterator[str]:
    """Names of the files in a comma list of ``file.F``, ``list.L`` and ``list.L.F``."""
    for part in names(text.replace(":", ",")):
        kind, _, name = part.partition(".")
        if kind == "list":
            name, _, nick = name.partition(".")
            yield nick or links.nick(module, name)
        else:
            yield name if kind == "file" else part


def _wanted(module: str, body: Mapping[str, Any], execs: tuple[Exec, ...], links: Links) -> Iterator[str]:
    """Names of the files that a module's programs, settings and lists speak of."""
    for one in execs:
        yield from _refers(module, one.used, links)
        yield from _refers(module, one.ancestry, links)
    for key, value in body.items():
        if key not in ("file", "list"):
            for text in texts(value):
                yield from (name.lower() for name in _FILE_REFERENCE.findall(text))


def _wrapper(text: str) -> str:
    # genwrap.py is the reference's generic wrapper; ours runs without starting an interpreter.
    return "genwrap" if text in ("genwrap.py", "genwrap") else text


def _exec(spec: Mapping[str, Any]) -> Exec:
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
        cmdline=dict(spec.get("cmdline", {})), **{"execname": "", **{k: text[k] for k in keys if k in text}}
    )
