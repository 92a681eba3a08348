"""Pipelines in the pipeline assemblers' own language: reads a submit WCL as a `Pipeline`, writes one as WCL.

The vocabulary is the reference's (desdm.md 2.4): blocks, modules, files, lists, execs, wrapper loops, queries.
Keys that belong to a batch system or to services that this house does not have are read and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from desdm import wcl
from desdm.errors import WCLError
from desdm.framework.pipeline import Block, Exec, FileSet, ListSet, Module, Pipeline
from desdm.wcl import Tree

__all__ = ["from_wcl", "read_submit", "to_wcl", "unheeded"]

_TOP_SECTIONS = {"block", "module", "filename_pattern", "directory_pattern"}
_FILE_KEYS = {
    "filetype", "filepat", "flabel", "fsuffix", "filename", "fullname", "dirpat", "query_table", "query_fields",
    "output_fields", "depends", "match", "whole", "optional", "listonly", "savefiles", "calibration", "text", "name",
}  # fmt: skip
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


def read_submit(path: Path, *, compat: bool = False) -> tuple[Pipeline, dict[str, str]]:
    """Read a submit WCL: its pipeline, and the values at its top (``unitname``, ``reqnum`` …)."""
    tree = wcl.read(path, compat=compat).tree
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
    for block_name in _names(top["blocklist"]):
        if not isinstance(blocks.get(block_name), dict):
            raise WCLError(f"blocklist names {block_name}, but there is no <block {block_name}>", name)
        built.append(_block(block_name, blocks[block_name], modules, name))
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


def unheeded(tree: Mapping[str, Any]) -> list[str]:
    """What a submit WCL asks for of the reference's vocabulary that is not acted upon, each by its path."""
    found = []
    for module, body in tree.get("module", {}).items():
        if not isinstance(body, dict):
            continue
        for kind in ("file", "list"):
            for name, spec in body.get(kind, {}).items():
                if isinstance(spec, dict):
                    told = [
                        k for k in spec if k.startswith("hdrupd") or k in ("compress_files", "join", "args")
                    ]
                    found += [f"module.{module}.{kind}.{name}.{key}" for key in told]
    return found


def _names(text: str) -> list[str]:
    return [n.strip().lower() for n in text.split(",") if n.strip()]


def _directories(tree: Mapping[str, Any]) -> dict[str, str]:
    # A directory pattern of the reference has an archive side (ops) and a side for the run (runtime).
    return {k: v if isinstance(v, str) else str(v.get("ops", "")) for k, v in tree.items()}


def _block(block_name: str, body: Mapping[str, Any], modules: Mapping[str, Any], name: str) -> Block:
    overrides = {k: v for k, v in body.items() if k not in ("modulelist", "divide_jobs_by", "text")}
    built = []
    for module_name in _names(str(body.get("modulelist", ""))):
        if not isinstance(modules.get(module_name), dict):
            raise WCLError(
                f"block {block_name} names {module_name}, but there is no <module {module_name}>", name
            )
        built.append(_module(module_name, {**overrides, **modules[module_name]}, name))
    if not built:
        raise WCLError(f"block {block_name} has no modulelist", name)
    return Block(
        block_name,
        tuple(built),
        tuple(_names(str(body.get("divide_jobs_by", "")))),
        str(body.get("text", "")),
    )


def _module(module_name: str, body: Mapping[str, Any], name: str) -> Module:
    execs = [(int(k[5:]), v) for k, v in body.items() if k.startswith("exec_") and k[5:].isdecimal()]
    made = tuple(_exec(v) for _, v in sorted(execs, key=lambda item: item[0]))
    files = {k: v for k, v in body.get("file", {}).items() if isinstance(v, dict)}
    generated = {
        part.strip().removeprefix("file.").lower()
        for one in made
        for part in one.was_generated_by.split(",")
        if part.strip()
    }
    inputs: list[FileSet] = []
    outputs: list[FileSet] = []
    for file_name, spec in files.items():
        fileset = _fileset(file_name, spec, body, f"{name}: module {module_name}")
        given = bool(
            fileset.depends
            or fileset.calibration
            or fileset.query
            or (fileset.filename and not fileset.filetype)
        )
        is_output = file_name in generated if generated else not given
        (outputs if is_output else inputs).append(fileset)
    lists = tuple(
        _listset(k, v, files, f"{name}: module {module_name}")
        for k, v in body.get("list", {}).items()
        if isinstance(v, dict)
    )
    inputs += [
        _list_source(k, v)
        for k, v in body.get("list", {}).items()
        if isinstance(v, dict) and _feeds(v, files)
    ]
    settings: Tree = {
        k: v
        for k, v in body.items()
        if k not in _MODULE_KEYS and not (k.startswith("exec_") and k[5:].isdecimal())
    }
    return Module(
        name=module_name,
        wrapper=_wrapper(str(body.get("wrappername", "genwrap"))),
        text=str(body.get("text", "")),
        loop=tuple(_names(str(body.get("wrapperloop", "")))),
        loopobj=str(body.get("loopobj", "")),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        lists=lists,
        execs=made,
        settings=settings,
        noop=wcl.truth(str(body.get("noop", "false"))),
        tolerant=wcl.truth(str(body.get("tolerant", "false"))),
    )


def _wrapper(text: str) -> str:
    # genwrap.py is the reference's generic wrapper; ours runs without starting an interpreter.
    return "genwrap" if text in ("genwrap.py", "genwrap") else text


def _fileset(file_name: str, spec: Mapping[str, Any], module: Mapping[str, Any], where: str) -> FileSet:
    text = {k: v for k, v in spec.items() if isinstance(v, str)}
    query: dict[str, str] = {}
    if "query_fields" in text:
        for field in _names(text["query_fields"]):
            key = field.rpartition(".")[2]
            query[key] = text.get(key, str(module.get(key, f"${{{key}}}")))
    unknown = [k for k in text if k not in _FILE_KEYS and k not in query]
    if unknown and "filepat" not in text and not query and "depends" not in text and "filename" not in text:
        raise WCLError(
            f"file {file_name} says neither what it is nor where it comes from ({', '.join(unknown)})", where
        )
    # A key that is asked for is no name of ours; a single type that is asked for is also what the files are.
    filetype = text.get("filetype", "")
    if "filetype" in query and not query["filetype"].replace("_", "").isalnum():
        filetype = ""
    return FileSet(
        name=text.get("name", file_name),
        filetype=filetype,
        filepat=text.get("filepat", ""),
        flabel=text.get("flabel", ""),
        fsuffix=text.get("fsuffix", "fits"),
        filename="" if "filename" in query else text.get("filename", text.get("fullname", "")),
        dirpat=text.get("dirpat", ""),
        query=query,
        depends=_depends(text.get("depends", "")),
        match=tuple(_names(text.get("match", ""))),
        whole=wcl.truth(text.get("whole", "false")),
        optional=wcl.truth(text.get("optional", "false")),
        listonly=wcl.truth(text.get("listonly", "false")),
        savefiles=wcl.truth(text.get("savefiles", "true")),
        calibration=wcl.truth(text.get("calibration", "false")),
    )


def _depends(text: str) -> str:
    module, _, rest = text.strip().lower().partition(".")
    for kind in ("file.", "list."):
        rest = rest.removeprefix(kind)
    return f"{module}.{rest.partition('.')[0]}" if module else ""


def _feeds(spec: Mapping[str, Any], files: Mapping[str, Any]) -> bool:
    return "depends" in spec or "query_fields" in spec


def _list_source(list_name: str, spec: Mapping[str, Any]) -> FileSet:
    # A list that depends or queries by itself brings its own files; its nick names them.
    fileset = _fileset(_nick(list_name, spec), spec, {}, f"list {list_name}")
    whole = not spec.get("divide_by") and not spec.get("match")
    match = tuple(_names(str(spec.get("match", spec.get("divide_by", "")))))
    return FileSet(
        name=fileset.name, filetype=fileset.filetype, query=fileset.query, depends=fileset.depends, match=match,
        whole=whole, optional=wcl.truth(str(spec.get("allow_missing", "false"))), listonly=True,
    )  # fmt: skip


def _columns(spec: Mapping[str, Any]) -> tuple[str, ...]:
    parts: list[str] = []
    depth, here = 0, ""
    for char in str(spec.get("columns", "")):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            parts.append(here.strip())
            here = ""
        else:
            here += char
    return tuple(p for p in (*parts, here.strip()) if p)


def _nick(list_name: str, spec: Mapping[str, Any]) -> str:
    for column in _columns(spec):
        inner = column[5:-1].partition(",")[2] if column.startswith("$FMT{") else column
        if "." in inner:
            return inner.rpartition(".")[0].strip().rpartition(".")[2].lower()
    return list_name


def _listset(list_name: str, spec: Mapping[str, Any], files: Mapping[str, Any], where: str) -> ListSet:
    columns = _columns(spec) or (f"{_nick(list_name, spec)}.fullname",)
    nicks = dict.fromkeys(
        (c[5:-1].partition(",")[2] if c.startswith("$FMT{") else c).rpartition(".")[0].strip().lower()
        for c in columns
    )
    nicks = {n or list_name: None for n in nicks}
    if not _feeds(spec, files):
        missing = [n for n in nicks if n not in files]
        if missing:
            raise WCLError(f"list {list_name} names {missing[0]}, which is no file of the module", where)
    return ListSet(
        name=list_name,
        files=tuple(nicks),
        columns=columns,
        filename=str(spec.get("filename", "")),
        divide_by=tuple(_names(str(spec.get("divide_by", "")))),
        sortkey=_sortkey(str(spec.get("sortkey", "")), where),
        format=str(spec.get("format", "textsp")),
        allow_missing=wcl.truth(str(spec.get("allow_missing", "false"))),
    )


def _sortkey(text: str, where: str) -> tuple[str, bool, bool] | None:
    if not text:
        return None
    parts = [p.strip() for p in text.strip("() ").split(",")]
    if len(parts) > 3:
        raise WCLError(f"sortkey = {text}: (column, numeric, reverse)", where)
    flags = [wcl.truth(p) for p in parts[1:]] + [False, False]
    return parts[0].rpartition(".")[2].lower(), flags[0], flags[1]


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


# -- the other way


def to_wcl(pipeline: Pipeline) -> Tree:
    """The submit WCL of a pipeline; `from_wcl` of it gives the same pipeline."""
    tree: Tree = {"pipeline": pipeline.name, "pipever": pipeline.version, "unit": pipeline.unit}
    if pipeline.text:
        tree["text"] = pipeline.text
    if pipeline.inclfunc:
        tree["inclfunc"] = pipeline.inclfunc
    tree["blocklist"] = ",".join(b.name for b in pipeline.blocks)
    tree |= dict(pipeline.settings)
    if pipeline.filename_patterns:
        tree["filename_pattern"] = dict(pipeline.filename_patterns)
    if pipeline.directory_patterns:
        tree["directory_pattern"] = {k: {"ops": v} for k, v in pipeline.directory_patterns.items()}
    tree["block"] = {b.name: _write_block(b) for b in pipeline.blocks}
    tree["module"] = {m.name: _write_module(m) for _, m in pipeline.modules()}
    return tree


def _write_block(block: Block) -> Tree:
    tree: Tree = {"modulelist": ",".join(m.name for m in block.modules)}
    if block.text:
        tree["text"] = block.text
    if block.divide_jobs_by:
        tree["divide_jobs_by"] = ",".join(block.divide_jobs_by)
    return tree


def _write_module(module: Module) -> Tree:
    tree: Tree = {"wrappername": module.wrapper}
    if module.text:
        tree["text"] = module.text
    if module.loop:
        tree["wrapperloop"] = ",".join(module.loop)
    if module.loopobj:
        tree["loopobj"] = module.loopobj
    if module.noop:
        tree["noop"] = "true"
    if module.tolerant:
        tree["tolerant"] = "true"
    tree |= dict(module.settings)
    files: Tree = {f.name: _write_file(f) for f in module.inputs}
    for f in module.outputs:
        # An image that is changed on its way has one name as input and output; a section of WCL has one name.
        files |= (
            {f"{f.name}_out": {"name": f.name, **_write_file(f)}}
            if f.name in files
            else {f.name: _write_file(f)}
        )
    if files:
        tree["file"] = files
    if module.lists:
        tree["list"] = {one.name: _write_list(one) for one in module.lists}
    for number, one in enumerate(module.execs, 1):
        tree[f"exec_{number}"] = _write_exec(one)
    return tree


def _write_file(f: FileSet) -> Tree:
    tree: Tree = {}
    for key in ("filetype", "filepat", "flabel", "filename", "dirpat", "depends"):
        if getattr(f, key):
            tree[key] = getattr(f, key)
    if f.filepat and f.fsuffix:
        tree["fsuffix"] = f.fsuffix
    if f.query:
        tree["query_fields"] = ",".join(f.query)
        tree |= dict(f.query)
    if f.match:
        tree["match"] = ",".join(f.match)
    for key in ("whole", "optional", "listonly", "calibration"):
        if getattr(f, key):
            tree[key] = "true"
    if not f.savefiles:
        tree["savefiles"] = "false"
    return tree


def _write_list(one: ListSet) -> Tree:
    tree: Tree = {"columns": ",".join(one.columns), "format": one.format}
    if one.filename:
        tree["filename"] = one.filename
    if one.divide_by:
        tree["divide_by"] = ",".join(one.divide_by)
    if one.sortkey:
        tree["sortkey"] = f"({one.sortkey[0]}, {one.sortkey[1]}, {one.sortkey[2]})"
    if one.allow_missing:
        tree["allow_missing"] = "true"
    return tree


def _write_exec(one: Exec) -> Tree:
    tree: Tree = {"execname": one.execname, "cmd_hyphen": one.cmd_hyphen}
    for key in ("used", "was_generated_by", "ancestry"):
        if getattr(one, key):
            tree[key] = getattr(one, key)
    tree["version_flag"] = one.version_flag
    tree["version_pattern"] = one.version_pattern
    if one.cmdline:
        tree["cmdline"] = dict(one.cmdline)
    return tree
