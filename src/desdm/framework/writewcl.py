"""Writes a pipeline as a submit WCL; `from_wcl` of it gives the same pipeline."""

from __future__ import annotations

from desdm.framework.pipeline import Block, Exec, FileSet, ListSet, Module, Pipeline
from desdm.wcl import Tree

__all__ = ["to_wcl"]


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
    """Return the section of a block."""
    tree: Tree = {"modulelist": ",".join(m.name for m in block.modules)}
    if block.text:
        tree["text"] = block.text
    if block.divide_jobs_by:
        tree["divide_jobs_by"] = ",".join(block.divide_jobs_by)
    return tree


def _write_module(module: Module) -> Tree:
    """Return the section of a module."""
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
        # An image that is changed in place has one name as input and output; a section of WCL has one name.
        files |= (
            {f"{f.name}_out": {"name": f.name, **_write_file(f)}}
            if f.name in files
            else {f.name: _write_file(f)}
        )
    if files:
        tree["file"] = files
    if module.lists:
        tree["list"] = {item.name: _write_list(item) for item in module.lists}
    for number, item in enumerate(module.execs, 1):
        tree[f"exec_{number}"] = _write_exec(item)
    return tree


def _write_file(f: FileSet) -> Tree:
    """Return the section of a file set."""
    tree: Tree = {}
    for key in ("filetype", "filepat", "flabel", "filename", "dirpat", "depends", "args"):
        if getattr(f, key):
            tree[key] = getattr(f, key)
    for key, value in (("depends-newname", f.newname), ("exec", f.program), ("ops_enddir", f.enddir)):
        if value:
            tree[key] = value
    if f.filepat and f.fsuffix:
        tree["fsuffix"] = f.fsuffix
    if f.query:
        tree["query_fields"] = ",".join(f.query)
        tree |= dict(f.query)
    if f.match:
        tree["match"] = ",".join(f.match)
    for key in ("whole", "optional", "listonly", "calibration", "fallback"):
        if getattr(f, key):
            tree[key] = "true"
    if not f.savefiles:
        tree["savefiles"] = "false"
    return tree | {section: dict(body) for section, body in f.headers.items()}


def _write_list(list_set: ListSet) -> Tree:
    """Return the section of a list."""
    tree: Tree = {"columns": ",".join(list_set.columns), "format": list_set.format}
    if list_set.filename:
        tree["filename"] = list_set.filename
    if list_set.divide_by:
        tree["divide_by"] = ",".join(list_set.divide_by)
    if list_set.sortkey:
        tree["sortkey"] = f"({list_set.sortkey[0]}, {list_set.sortkey[1]}, {list_set.sortkey[2]})"
    if list_set.allow_missing:
        tree["allow_missing"] = "true"
    return tree


def _write_exec(program: Exec) -> Tree:
    """Return the section of a program."""
    tree: Tree = {"execname": program.execname, "cmd_hyphen": program.cmd_hyphen}
    for key in ("used", "was_generated_by", "ancestry"):
        if getattr(program, key):
            tree[key] = getattr(program, key)
    if program.version_flag:
        tree["version_flag"] = program.version_flag
    tree["version_pattern"] = program.version_pattern
    if program.cmdline:
        tree["cmdline"] = dict(program.cmdline)
    return tree
