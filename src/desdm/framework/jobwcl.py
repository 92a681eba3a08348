"""The one WCL file that goes into a job: what to run, on which files, with which settings.

Its sections: ``<run>`` (settings of the attempt), ``<module M>`` (wrapper's name and settings, once a module),
``<wrapper N>`` (loop values, inputs, outputs). Paths are relative to the archive's root; an input that the job
itself makes is named like its output and lies in the work folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from desdm import wcl
from desdm.errors import PlanError
from desdm.framework.picking import excluded_ccds
from desdm.framework.pipeline import Exec, ListSet, Module
from desdm.framework.plan import Plan, PlannedFile, PlannedJob, PlannedWrapper
from desdm.framework.sections import Settings, Tree, section, text_value, texts_of
from desdm.schema.runname import RunName

__all__ = ["JobFile", "JobRenderer", "JobSpec", "WrapperSpec", "check_lists", "read_job"]


class JobRenderer:
    """Render the WCL of an attempt's jobs; parts that jobs share are rendered once.

    Parameters
    ----------
    identity
        Name of the run.
    common
        Keys at the top of every job file (archive root, pattern file …).
    run
        Settings of the attempt.
    configs
        Each module's own settings (``config.wcl`` beside its code, overlaid by the module's), by module name.
    """

    def __init__(
        self,
        identity: RunName,
        common: Mapping[str, str],
        run: Settings,
        configs: Mapping[str, Settings],
    ) -> None:
        top = {
            "attempt": identity.text,
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
        parts += [self._module_text(m) for m in modules.values()]
        parts += [_wrapper_text(w) for w in job.wrappers]
        return "".join(parts)

    def _module_text(self, module: Module) -> str:
        """Return the WCL of a module, rendered once for all jobs."""
        if module.name not in self._modules:
            settings = dict(self._configs.get(module.name, {}))
            for number, item in enumerate(module.execs, 1):
                settings[f"exec_{number}"] = _exec_section(item)
            body: Tree = {"wrappername": module.wrapper}
            if module.tolerant:
                body["tolerant"] = "true"
            if settings:
                body["settings"] = settings
            updates: Tree = {
                f.name: {name: dict(body) for name, body in f.headers.items()}
                for f in module.outputs
                if f.headers
            }
            if updates:
                body["hdrupd"] = updates
            if module.lists:
                body["list"] = {item.name: _list_section(item) for item in module.lists}
            self._modules[module.name] = wcl.dumps({"module": {module.name: body}})
        return self._modules[module.name]


def _exec_section(program: Exec) -> Tree:
    """Return the WCL section of a program."""
    keys = (
        "execname",
        "cmd_hyphen",
        "used",
        "was_generated_by",
        "ancestry",
        "version_flag",
        "version_pattern",
    )
    tree: Tree = {key: getattr(program, key) for key in keys if getattr(program, key)}
    if program.cmdline:
        tree["cmdline"] = dict(program.cmdline)
    return tree


def _list_section(list_set: ListSet) -> Tree:
    """Return the WCL section of a list: its format, columns and file name."""
    tree: Tree = {"format": list_set.format, "columns": ",".join(list_set.columns)}
    if list_set.filename:
        tree["filename"] = list_set.filename
    return tree


def _checked_name(text: str, kind: str) -> str:
    """Return a text that WCL can hold in a list of files; `PlanError` for any other."""
    # Job files are written by hand for speed; what WCL cannot hold is refused here as its writer would.
    if "#" in text or "," in text or "\n" in text or text != text.strip() or not text or text.endswith("\\"):
        raise PlanError(f"{kind} {text!r} cannot be in a WCL list of files; rename the file")
    return text


def _wrapper_text(wrapper: PlannedWrapper) -> str:
    """Return the WCL of a wrapper."""
    lines = [f"<wrapper {wrapper.wrapnum}>\n    modname = {wrapper.module.name}\n"]
    if wrapper.keys:
        lines.append("    <key>\n")
        lines += [f"        {k} = {v}\n" for k, v in wrapper.keys.items() if v]
        lines.append("    </key>\n")
    filled = [(n, files) for n, files in wrapper.inputs.items() if files]
    if filled:
        lines.append("    <input>\n")
        lines += [f"        {name} = {_relative_paths(files)}\n" for name, files in filled]
        lines.append("    </input>\n")
    lines += _excluded_line(wrapper)
    maybe = [f"in.{f.name}" for f in wrapper.module.inputs if f.optional]
    maybe += [f"out.{name}" for name, file in wrapper.outputs.items() if file.optional]
    if maybe:
        lines.append(f"    optional = {','.join(maybe)}\n")
    if wrapper.outputs:
        lines.append("    <output>\n")
        for name, file in wrapper.outputs.items():
            lines.append(
                f"        <{name}>\n            filename = {_checked_name(file.filename, 'file name')}\n"
                f"            filetype = {file.filetype}\n            directory = {file.directory}\n"
            )
            if not file.save:
                lines.append("            savefiles = false\n")
            if file.workpath:
                lines.append(f"            fullname = {_checked_name(file.workpath, 'file name')}\n")
            lines.append(f"        </{name}>\n")
        lines.append("    </output>\n")
    for name, list_set in wrapper.lists.items():
        lines.append(f"    <listrow {name}>\n")
        lines += [f"        {k} = {v}\n" for k, v in _list_rows(wrapper, list_set)]
        lines.append("    </listrow>\n")
    lines.append("</wrapper>\n")
    return "".join(lines)


def _excluded_line(wrapper: PlannedWrapper) -> list[str]:
    """The line ``excluded = file|3|5,…``: CCDs that the wrapper must not use of files of several CCDs."""
    if wrapper.keys.get("ccdnum"):
        return []
    ccds_by_file = {
        f.filename: sorted(excluded_ccds((f.columns,)), key=int)
        for files in wrapper.inputs.values()
        for f in files
        if f.columns.get("excluded_ccds")
    }
    items = ",".join("|".join((_checked_name(name, "file"), *ccds)) for name, ccds in ccds_by_file.items())
    return [f"    excluded = {items}\n"] if items else []


def _relative_paths(files: Iterable[PlannedFile]) -> str:
    """Return the paths of files in the archive as a comma list."""
    return ",".join(_checked_name(f"{f.directory}/{f.filename}", "file") for f in files)


def check_lists(plan: Plan) -> None:
    """Refuse with `PlanError` what the lists of a plan's wrappers cannot hold, as writing the jobs would."""
    for job in plan.jobs:
        for wrapper in job.wrappers:
            for list_set in wrapper.lists.values():
                for _ in _list_rows(wrapper, list_set):
                    pass


def _list_rows(wrapper: PlannedWrapper, list_set: ListSet) -> Iterable[tuple[str, str]]:
    """Yield the rows of a wrapper's list, sorted; `PlanError` if it is empty or a column is missing."""
    files = [
        (nick, f)
        for nick in list_set.files
        for f in (*wrapper.inputs.get(nick, ()), *_outputs_of(wrapper, nick))
    ]
    if list_set.sortkey:
        column, numeric, reverse = list_set.sortkey

        def sort_key(item: tuple[str, PlannedFile]) -> tuple[float, str]:
            """Return the sort key of a row, a number or a text."""
            file, place = item[1], f"module {wrapper.module.name}, list {list_set.name}: sortkey {column}"
            value = file.filename if column in ("filename", "fullname") else file.columns.get(column)
            if value is None:
                raise PlanError(f"{place}: {file.filename} has no such column")
            try:
                return (float(str(value)), "") if numeric else (0.0, str(value))
            except ValueError as err:
                raise PlanError(f"{place}: {value!r} of {file.filename} is not a number") from err

        files.sort(key=sort_key, reverse=reverse)
    if not files and not list_set.allow_missing:
        raise PlanError(
            f"module {wrapper.module.name}: list {list_set.name} of {wrapper.wrapkeys} would be empty"
        )
    for number, (nick, file) in enumerate(files, 1):
        yield f"r{number}", "|".join(_cell(text, nick, file, wrapper, list_set) for text in list_set.columns)


def _outputs_of(wrapper: PlannedWrapper, nick: str) -> list[PlannedFile]:
    """Return the wrapper's own outputs of a name: a list may contain files that it will write."""
    return [f for name, f in wrapper.outputs.items() if name.partition(".")[0] == nick]


def _cell(text: str, nick: str, file: PlannedFile, wrapper: PlannedWrapper, list_set: ListSet) -> str:
    """Return one cell of a list row; files are marked, since only the job knows their paths."""
    form = ""
    if text.startswith("$FMT{") and text.endswith("}"):
        form, _, text = text[5:-1].partition(",")
    owner, _, name = text.strip().rpartition(".")
    if owner and owner != nick:
        return ""
    if name == "fullname":
        is_output = file.wrapnum == wrapper.wrapnum
        cell = (
            f"make:{file.workpath or file.filename}"
            if is_output
            else f"file:{file.directory}/{file.filename}"
        )
        # A program's own syntax may follow the path, as an extension's number does: $FMT{%s[0],red.fullname}.
        return f"form:{len(form)}:{form}{cell}" if form else cell
    if name == "filename":
        return file.filename
    value = file.columns.get(name)
    if value is None:
        raise PlanError(
            f"module {wrapper.module.name}, list {list_set.name}: {file.filename} has no column {name}"
        )
    if not form:
        return str(value)
    try:
        return form % (value if form.endswith("s") else float(str(value)))
    except (ValueError, TypeError) as err:
        raise PlanError(
            f"list {list_set.name}: $FMT{{{form},…}} does not fit {value!r} of {file.filename}"
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
class WrapperSpec:
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
class ModuleSpec:
    """What the wrappers of a module have in common, as a job's WCL says it.

    Attributes
    ----------
    wrappername
        Dotted name of the function, or ``genwrap``.
    tolerant
        Whether the job continues without a wrapper that cannot use a file.
    settings
        Settings of the module over those of its code.
    header_updates
        Output → name of an update → keyword → value.
    list_formats
        Format of each list file.
    section
        The section as in the file.
    """

    wrappername: str
    tolerant: bool
    settings: Tree
    header_updates: Mapping[str, Mapping[str, Mapping[str, str]]]
    list_formats: Mapping[str, str]
    section: Tree


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job's WCL, read."""

    attempt: str
    jobnum: int
    top: dict[str, str]
    run: Tree
    modules: dict[str, ModuleSpec]
    wrappers: tuple[WrapperSpec, ...]


def read_job(path: Path) -> JobSpec:
    """Read a job's WCL; `WCLError` if it cannot be read."""
    tree = wcl.read(path).tree
    top = texts_of(tree)
    return JobSpec(
        top["attempt"],
        int(top["jobnum"]),
        top,
        section(tree, "run"),
        {name: _read_module(body) for name, body in _sections(tree, "module")},
        tuple(_read_wrapper(int(number), body) for number, body in _sections(tree, "wrapper")),
    )


def _sections(tree: Settings, name: str) -> Iterator[tuple[str, Tree]]:
    """Yield the sections in a section, by name."""
    for key, body in section(tree, name).items():
        if isinstance(body, dict):
            yield key, body


def _read_module(body: Tree) -> ModuleSpec:
    """Return the record of a module section."""
    updates = {
        output: {name: texts_of(update) for name, update in _sections({"hdrupd": sections}, "hdrupd")}
        for output, sections in _sections(body, "hdrupd")
    }
    return ModuleSpec(
        text_value(body, "wrappername"),
        text_value(body, "tolerant") == "true",
        section(body, "settings"),
        updates,
        {name: text_value(spec, "format", "textsp") for name, spec in _sections(body, "list")},
        body,
    )


def _read_wrapper(number: int, body: Tree) -> WrapperSpec:
    """Return the record of a wrapper section."""
    outputs = {
        name: JobFile(
            text_value(output, "filename"),
            text_value(output, "filetype"),
            text_value(output, "directory"),
            text_value(output, "savefiles", "true") != "false",
            text_value(output, "fullname"),
        )
        for name, output in _sections(body, "output")
    }
    return WrapperSpec(
        number,
        text_value(body, "modname"),
        texts_of(section(body, "key")),
        {name: tuple(paths.split(",")) for name, paths in texts_of(section(body, "input")).items()},
        outputs,
        frozenset(text_value(body, "optional").split(",")),
        {
            name: [row.split("|") for row in texts_of(rows).values()]
            for name, rows in _sections(body, "listrow")
        },
        {
            name: frozenset(map(int, ccds))
            for name, *ccds in (item.split("|") for item in text_value(body, "excluded").split(",") if item)
        },
    )
