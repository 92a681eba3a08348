"""The one WCL file that goes into a job: what to run, on which files, with which settings.

Its sections: ``<run>`` (settings of the attempt), ``<module M>`` (wrapper's name and settings, once a module),
``<wrapper N>`` (loop values, inputs, outputs). Paths are relative to the archive's root; an input that the job
itself makes is named like its output and found in the work folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desdm import wcl
from desdm.errors import PlanError
from desdm.framework.picking import excluded_ccds
from desdm.framework.pipeline import Exec, ListSet, Module
from desdm.framework.plan import Identity, Plan, PlannedFile, PlannedJob, PlannedWrapper

__all__ = ["JobFile", "JobOrder", "JobRenderer", "WrapperOrder", "check_lists", "read_job"]


class JobRenderer:
    """Writes the WCL of an attempt's jobs; what is common to many jobs is written once and kept.

    Parameters
    ----------
    identity
        Whose jobs they are.
    common
        Keys at the top of every job file (archive root, pattern file …).
    run
        Settings of the attempt.
    configs
        Each module's own settings (``config.wcl`` beside its code, overlaid by the module's), by module name.
    """

    def __init__(
        self,
        identity: Identity,
        common: Mapping[str, str],
        run: Mapping[str, Any],
        configs: Mapping[str, Mapping[str, Any]],
    ) -> None:
        top = {
            "attempt": identity.run,
            "unitname": identity.unitname,
            "reqnum": str(identity.reqnum),
            "attnum": str(identity.attnum),
            **common,
        }
        self._top = wcl.dumps({**top, "run": dict(run)})
        self._configs = configs
        self._modules: dict[str, str] = {}

    def render(self, job: PlannedJob, block: str) -> str:
        """The job's WCL."""
        modules = {w.module.name: w.module for w in job.wrappers}
        parts = [f"jobnum = {job.jobnum}\nblock = {block}\n", self._top]
        if job.jobkeys:
            parts.append(f"jobkeys = {job.jobkeys}\n")
        parts += [self._module(m) for m in modules.values()]
        parts += [_wrapper(w) for w in job.wrappers]
        return "".join(parts)

    def _module(self, module: Module) -> str:
        if module.name not in self._modules:
            settings = dict(self._configs.get(module.name, {}))
            for number, one in enumerate(module.execs, 1):
                settings[f"exec_{number}"] = _exec(one)
            body: dict[str, Any] = {"wrappername": module.wrapper}
            if module.tolerant:
                body["tolerant"] = "true"
            if settings:
                body["settings"] = settings
            updates = {f.name: dict(f.headers) for f in module.outputs if f.headers}
            if updates:
                body["hdrupd"] = updates
            if module.lists:
                body["list"] = {one.name: _list(one) for one in module.lists}
            self._modules[module.name] = wcl.dumps({"module": {module.name: body}})
        return self._modules[module.name]


def _exec(one: Exec) -> dict[str, Any]:
    keys = (
        "execname",
        "cmd_hyphen",
        "used",
        "was_generated_by",
        "ancestry",
        "version_flag",
        "version_pattern",
    )
    tree: dict[str, Any] = {key: getattr(one, key) for key in keys if getattr(one, key)}
    if one.cmdline:
        tree["cmdline"] = dict(one.cmdline)
    return tree


def _list(one: ListSet) -> dict[str, str]:
    tree = {"format": one.format, "columns": ",".join(one.columns)}
    if one.filename:
        tree["filename"] = one.filename
    return tree


def _plain(text: str, what: str) -> str:
    # Job files are written by hand for speed; what WCL cannot hold is refused here as its writer would.
    if "#" in text or "," in text or "\n" in text or text != text.strip() or not text or text.endswith("\\"):
        raise PlanError(f"{what} {text!r} cannot stand in a WCL list of files; rename the file")
    return text


def _wrapper(wrapper: PlannedWrapper) -> str:
    lines = [f"<wrapper {wrapper.wrapnum}>\n    modname = {wrapper.module.name}\n"]
    if wrapper.keys:
        lines.append("    <key>\n")
        lines += [f"        {k} = {v}\n" for k, v in wrapper.keys.items() if v]
        lines.append("    </key>\n")
    filled = [(n, files) for n, files in wrapper.inputs.items() if files]
    if filled:
        lines.append("    <input>\n")
        lines += [f"        {name} = {_paths(files)}\n" for name, files in filled]
        lines.append("    </input>\n")
    lines += _excluded(wrapper)
    maybe = [f"in.{f.name}" for f in wrapper.module.inputs if f.optional]
    maybe += [f"out.{name}" for name, file in wrapper.outputs.items() if file.optional]
    if maybe:
        lines.append(f"    optional = {','.join(maybe)}\n")
    if wrapper.outputs:
        lines.append("    <output>\n")
        for name, file in wrapper.outputs.items():
            lines.append(
                f"        <{name}>\n            filename = {_plain(file.filename, 'file name')}\n"
                f"            filetype = {file.filetype}\n            directory = {file.directory}\n"
            )
            if not file.save:
                lines.append("            savefiles = false\n")
            if file.workpath:
                lines.append(f"            fullname = {_plain(file.workpath, 'file name')}\n")
            lines.append(f"        </{name}>\n")
        lines.append("    </output>\n")
    for name, one in wrapper.lists.items():
        lines.append(f"    <listrow {name}>\n")
        lines += [f"        {k} = {v}\n" for k, v in _list_rows(wrapper, one)]
        lines.append("    </listrow>\n")
    lines.append("</wrapper>\n")
    return "".join(lines)


def _excluded(wrapper: PlannedWrapper) -> list[str]:
    """The line ``excluded = file|3|5,…``: CCDs that the wrapper must not use of files of several CCDs."""
    if wrapper.keys.get("ccdnum"):
        return []
    found = {
        f.filename: sorted(excluded_ccds((f.row,)), key=int)
        for files in wrapper.inputs.values()
        for f in files
        if f.row.get("excluded_ccds")
    }
    items = ",".join("|".join((_plain(name, "file"), *ccds)) for name, ccds in found.items())
    return [f"    excluded = {items}\n"] if items else []


def _paths(files: Iterable[PlannedFile]) -> str:
    return ",".join(_plain(f"{f.directory}/{f.filename}", "file") for f in files)


def check_lists(plan: Plan) -> None:
    """Refuse with `PlanError` what the lists of a plan's wrappers cannot hold, as writing the jobs would."""
    for job in plan.jobs:
        for wrapper in job.wrappers:
            for one in wrapper.lists.values():
                for _ in _list_rows(wrapper, one):
                    pass


def _list_rows(wrapper: PlannedWrapper, one: ListSet) -> Iterable[tuple[str, str]]:
    files = [(nick, f) for nick in one.files for f in (*wrapper.inputs.get(nick, ()), *_made(wrapper, nick))]
    if one.sortkey:
        column, numeric, reverse = one.sortkey

        def order(item: tuple[str, PlannedFile]) -> Any:
            file, where = item[1], f"module {wrapper.module.name}, list {one.name}: sortkey {column}"
            value = file.filename if column in ("filename", "fullname") else file.row.get(column)
            if value is None:
                raise PlanError(f"{where}: {file.filename} has no such column")
            try:
                return float(value) if numeric else str(value)
            except ValueError as err:
                raise PlanError(f"{where}: {value!r} of {file.filename} is not a number") from err

        files.sort(key=order, reverse=reverse)
    if not files and not one.allow_missing:
        raise PlanError(f"module {wrapper.module.name}: list {one.name} of {wrapper.wrapkeys} would be empty")
    for number, (nick, file) in enumerate(files, 1):
        yield f"r{number}", "|".join(_column(text, nick, file, wrapper, one) for text in one.columns)


def _made(wrapper: PlannedWrapper, nick: str) -> list[PlannedFile]:
    """The wrapper's own outputs of a name: a list may say what is to be made."""
    return [f for name, f in wrapper.outputs.items() if name.partition(".")[0] == nick]


def _column(text: str, nick: str, file: PlannedFile, wrapper: PlannedWrapper, one: ListSet) -> str:
    form = ""
    if text.startswith("$FMT{") and text.endswith("}"):
        form, _, text = text[5:-1].partition(",")
    owner, _, name = text.strip().rpartition(".")
    if owner and owner != nick:
        return ""
    if name == "fullname":
        own = file.wrapnum == wrapper.wrapnum
        cell = f"make:{file.workpath or file.filename}" if own else f"file:{file.directory}/{file.filename}"
        # A program's own syntax may follow the path, as an extension's number does: $FMT{%s[0],red.fullname}.
        return f"form:{len(form)}:{form}{cell}" if form else cell
    if name == "filename":
        return file.filename
    value = file.row.get(name)
    if value is None:
        raise PlanError(
            f"module {wrapper.module.name}, list {one.name}: {file.filename} has no column {name}"
        )
    if not form:
        return str(value)
    try:
        return form % (value if form.endswith("s") else float(value))
    except (ValueError, TypeError) as err:
        raise PlanError(
            f"list {one.name}: $FMT{{{form},…}} does not fit {value!r} of {file.filename}"
        ) from err


@dataclass(frozen=True, slots=True)
class JobFile:
    """An output that a wrapper must make."""

    filename: str
    filetype: str
    directory: str
    save: bool
    #: path below the work folder where the program writes it; empty: its name
    workpath: str = ""

    @property
    def relpath(self) -> str:
        """Where it will lie in the archive."""
        return f"{self.directory}/{self.filename}"


@dataclass(frozen=True, slots=True)
class WrapperOrder:
    """One wrapper of a job, as its WCL orders it."""

    wrapnum: int
    modname: str
    keys: dict[str, str]
    inputs: dict[str, tuple[str, ...]]
    outputs: dict[str, JobFile]
    optional: frozenset[str]
    listrows: dict[str, list[list[str]]]
    #: CCDs of an input file that must not be used, by the file's name
    excluded: dict[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job's WCL, read."""

    attempt: str
    jobnum: int
    top: dict[str, str]
    run: dict[str, Any]
    modules: dict[str, Any]
    wrappers: tuple[WrapperOrder, ...]


def read_job(path: Path) -> JobOrder:
    """Read a job's WCL; `WCLError` if it cannot be read."""
    tree: dict[str, Any] = wcl.read(path).tree
    top = {k: v for k, v in tree.items() if isinstance(v, str)}
    wrappers = [_read_wrapper(int(number), body) for number, body in tree.get("wrapper", {}).items()]
    return JobOrder(
        top["attempt"], int(top["jobnum"]), top, tree.get("run", {}), tree.get("module", {}), tuple(wrappers)
    )


def _read_wrapper(number: int, body: Mapping[str, Any]) -> WrapperOrder:
    outputs = {
        name: JobFile(
            o["filename"],
            o["filetype"],
            o["directory"],
            o.get("savefiles", "true") != "false",
            o.get("fullname", ""),
        )
        for name, o in body.get("output", {}).items()
    }
    return WrapperOrder(
        number,
        body["modname"],
        dict(body.get("key", {})),
        {name: tuple(paths.split(",")) for name, paths in body.get("input", {}).items()},
        outputs,
        frozenset(body.get("optional", "").split(",")),
        {name: [row.split("|") for row in rows.values()] for name, rows in body.get("listrow", {}).items()},
        {
            name: frozenset(map(int, ccds))
            for name, *ccds in (item.split("|") for item in body.get("excluded", "").split(",") if item)
        },
    )
