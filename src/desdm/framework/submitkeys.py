"""Find the keys of a submit WCL that have no effect, so that an operator is informed of every one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from desdm.errors import PlanError
from desdm.framework.configs import FURTHER, code_config
from desdm.framework.headerupdates import PREFIX
from desdm.framework.sections import Settings, section
from desdm.framework.structure import resolve_structure
from desdm.framework.submitfiles import FILE_KEYS, LIST_KEYS, names
from desdm.framework.tileinfo import TILE_KEYS

__all__ = ["describe_ignored_keys", "ignored_keys"]

#: Keys at the top that the framework itself reads; any other is a variable, and has an effect where it is named.
_TOP = frozenset({
    "pipeline", "pipeprod", "pipever", "blocklist", "text", "unit", "inclfunc", "unitname", "project", "campaign",
    "reqnum", "jira_id", "label", "use_qcf", "ops_run_dir", "save_run_vals", "expnum", "tilename", "nite", "band",
    "calibration_nights", "calibration_tag", "hold_memory", "image_tag", "divide_jobs_by",
})  # fmt: skip
#: Sections at the top that speak to a batch system, to other archives or to a database that does not exist here.
_TOP_IGNORED = frozenset({
    "site", "archive", "job_file_mvmt", "exec_def", "transfer", "directory", "archive_transfer",
})  # fmt: skip
#: Sections at the top that the framework itself reads; others are read where a variable or a module's code names them.
_TOP_SECTIONS = frozenset({
    "block", "module", "filename_pattern", "directory_pattern", "qcf", "inputs", "calibration",
})  # fmt: skip
#: A section of any level: the environment of the programs.
_ENVIRONMENT = "job_environment"
#: Keys of a block; any other is a value of its modules that do not say it themselves.
_BLOCK = frozenset({"modulelist", "divide_jobs_by", "text"})
_MODULE = frozenset({
    "wrappername", "wrapperloop", "loopobj", "noop", "tolerant", "text", "file", "list",
})  # fmt: skip
#: Keys of a module that only the original's job manager reads.
_MODULE_IGNORED = frozenset({
    "modnamepat", "max_fwthreads", "req_vals", "list_order", "wrapper", "modname", "fwthread_reuse", "qcf",
})  # fmt: skip
_EXEC = frozenset({
    "execname", "cmd_hyphen", "used", "was_generated_by", "ancestry", "version_flag", "version_pattern", "cmdline",
})  # fmt: skip
#: Keys of the original's job manager and batch system that a block or the top may set.
_BATCH = frozenset({
    "request_memory", "request_cpus", "request_disk", "jobwalltime", "glidein_name", "glidein_use_wall",
    "master_use_fwthreads", "max_fwthreads", "purge_job_dir", "create_junk_tarball", "target_site",
})  # fmt: skip
#: Why a key has no effect, by key or by the kind of section.
_WHY = {
    "compress_files": "a file is kept as its program writes it; a module compresses (desdm pipeline show firstcut)",
    "rundir": "a job has one work folder, and the archive its own folders",
    "modnamepat": "wrappers are named by their module and loop values",
    "fwthread_reuse": "the engine shares out its workers",
    "max_fwthreads": "the engine shares out its workers",
    "master_use_fwthreads": "the engine shares out its workers",
    "purge_job_dir": "work folders of jobs that end well are removed",
    "create_junk_tarball": "work folders of failed jobs are always kept",
    "list_order": "lists are written as modules need them",
    "qcf": "the section <qcf> at the top is",
    "join": "a query sees the columns of all tables",
    "hdrupd": "only files that a program makes are updated",
    **dict.fromkeys(
        ("request_memory", "request_cpus", "request_disk", "jobwalltime", "glidein_name", "glidein_use_wall",
         "target_site"),
        "there is no batch system",
    ),
    **dict.fromkeys(("site", "transfer", "archive", "archive_transfer", "job_file_mvmt"), "jobs run beside the archive"),
}  # fmt: skip
_REFERENCE = re.compile(
    r"\$(?:opt)?\{\s*([^${}:]+?)\s*(?::\d+)?\}|\$(?:opt)?\{\s*([^${}:]*)\$", re.IGNORECASE
)


def describe_ignored_keys(tree: Settings) -> list[str]:
    """What a submit WCL says that has no effect, and why: a line for each key of each kind of section, with its places."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for path in ignored_keys(tree):
        kinds.setdefault((_section_kind(path), path[-1]), []).append(".".join(path))
    lines = []
    for (kind, key), places in kinds.items():
        subject = (
            places[0] if len(places) == 1 else f"{key} of {kind} ({len(places)} times: {', '.join(places)})"
        )
        reason = _WHY.get("hdrupd" if key.startswith(PREFIX) else key, "")
        lines.append(f"{subject} is not acted upon" + (f": {reason}" if reason else ""))
    return lines


def _section_kind(path: tuple[str, ...]) -> str:
    """Kind of the section that contains a path."""
    if path[0] != "module" or len(path) < 4:
        return {"module": "modules", "block": "blocks"}.get(path[0], "the top")
    return {"file": "files", "list": "lists"}.get(path[2], "execs")


def ignored_keys(tree: Settings) -> Iterator[tuple[str, ...]]:
    """Give the path of every key and section of a submit WCL that has no effect here."""
    names_used = _NameIndex(tree)
    tree = resolve_structure(tree)
    names_used.collect(tree)
    blocks, modules = section(tree, "block"), section(tree, "module")
    listed = names(str(tree.get("blocklist", "")))
    used = {m for b in listed for m in names(str(section(blocks, b).get("modulelist", ""))) if m in modules}
    reads = {name: _keys_of_code(section(modules, name)) for name in used}
    of_codes = frozenset(key for keys in reads.values() if keys is not None for key in keys)
    for key, value in tree.items():
        if isinstance(value, dict):
            # A section of a module's name holds values over the module's own.
            effective = key in _TOP_SECTIONS or key == _ENVIRONMENT or key in used or key in of_codes
            if (key in _TOP_IGNORED or not effective) and not names_used.uses(key):
                yield (key,)
        elif key not in _TOP and key not in TILE_KEYS and not names_used.uses(key):
            yield (key,)
    for name, body in blocks.items():
        if not isinstance(body, dict) or name not in listed:
            yield ("block", name)
        else:
            of_block = [reads[m] for m in names(str(body.get("modulelist", ""))) if m in reads]
            yield from (
                ("block", name, key) for key in body if not _has_effect_in_block(key, of_block, names_used)
            )
    for name, body in modules.items():
        if not isinstance(body, dict) or name not in used:
            yield ("module", name)
            continue
        yield from (("module", name, *path) for path in _ignored_of_module(body, reads[name], names_used))


def _has_effect_in_block(key: str, reads: Collection[Collection[str] | None], names_used: _NameIndex) -> bool:
    """Whether a key of a block has an effect: on the block, or as a value of one of its modules."""
    if key in _BLOCK or names_used.uses(key):
        return True
    if key in _BATCH:
        return False
    return (
        key in _MODULE
        or key == _ENVIRONMENT
        or _is_exec(key)
        or any(of_module is not None and key in of_module for of_module in reads)
    )


def _is_exec(key: str) -> bool:
    """Return whether a key is that of an exec section."""
    return key.startswith("exec_") and key[5:].isdecimal()


def _keys_of_code(body: Settings) -> frozenset[str] | None:
    """The keys that a module's own code reads, as its ``config.wcl`` says; None: a program, which reads none by itself."""
    wrapper = str(body.get("wrappername", "genwrap"))
    try:
        config = code_config(wrapper)
    except PlanError:  # the submission refuses it
        config = None
    if config is None:
        return None
    further = (key.strip().partition(".")[0] for key in names(str(config.get(FURTHER, ""))))
    return frozenset((*(key.lower() for key in config), *further))


def _ignored_of_module(
    body: Settings, reads: Collection[str] | None, names_used: _NameIndex
) -> Iterator[tuple[str, ...]]:
    """Yield the paths of keys of a module that have no effect."""
    for key, value in body.items():
        if _is_exec(key) and isinstance(value, dict):
            yield from ((key, k) for k in value if k not in _EXEC)
        elif (
            key not in _MODULE
            and key != _ENVIRONMENT
            and not names_used.uses(key)
            and (reads is None or key in _MODULE_IGNORED or key not in reads)
        ):
            yield (key,)
    generated = {
        part.rpartition(".")[2]
        for key, value in body.items()
        if key.startswith("exec_") and isinstance(value, Mapping)
        for part in names(str(value.get("was_generated_by", "")))
    }
    for kind, keys in (("file", FILE_KEYS), ("list", LIST_KEYS)):
        for name, spec in section(body, kind).items():
            if not isinstance(spec, dict):
                yield (kind, name)
                continue
            query_columns = {f.rpartition(".")[2] for f in names(str(spec.get("query_fields", "")))}
            # The original joins tables as its query says; here one query sees every column.
            yield from (
                (kind, name, key)
                for key in spec
                if key not in keys
                and key not in query_columns
                and not names_used.uses(key)
                and not (kind == "file" and key.startswith(PREFIX) and _is_output(name, spec, generated))
            )


def _is_output(name: str, spec: Settings, generated: Collection[str]) -> bool:
    """Whether a module's file is an output: its programs make it, or nothing says where else it comes from."""
    return name in generated or (
        not generated and not any(key in spec for key in ("depends", "query_fields", "exec"))
    )


class _NameIndex:
    """The variables that some value of the document names, and the keys by which it loops, matches and sorts."""

    def __init__(self, tree: Settings) -> None:
        self._names: set[str] = set()
        self._starts: set[str] = set()
        self.collect(tree)

    def uses(self, key: str) -> bool:
        """Whether a variable of that name is used."""
        return key in self._names or any(key.startswith(start) for start in self._starts)

    def collect(self, tree: Settings) -> None:
        """Collect the names in a section and the sections in it."""
        for key, value in tree.items():
            if isinstance(value, Mapping):
                self.collect(value)
                continue
            if key in ("wrapperloop", "divide_by", "match", "divide_jobs_by", "query_fields"):
                self._names.update(f.rpartition(".")[2] for f in names(value))
            for whole, start in _REFERENCE.findall(value):
                if whole:
                    self._names.update(part for part in (whole.lower(), whole.lower().partition(".")[0]))
                elif start:
                    self._starts.add(start.lower())
