"""Plans an attempt, a pure function: pipeline, settings and files found in, jobs of wrappers out.

Nothing here reads a database or a file, so that the same pipeline, settings and files always give the same
plan; the planner of DESDM (``begblock``) did the same inside each block, with the database at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, product
from typing import Any, TypeAlias

from desdm.errors import PlanError, WCLError
from desdm.framework.pipeline import Block, FileSet, ListSet, Module, Pipeline
from desdm.wcl import Template, split_range

__all__ = ["Identity", "Plan", "PlannedFile", "PlannedJob", "PlannedWrapper", "Row", "make_plan"]

Row: TypeAlias = Mapping[str, Any]

#: Columns that a product inherits from the rows it is made of, where these agree.
CARRIED = ("expnum", "ccdnum", "band", "nite", "tilename")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the attempt is: ``<unit>_r<req>p<att>``."""

    unitname: str
    reqnum: int
    attnum: int

    @property
    def run(self) -> str:
        """Name of the run, as DESDM writes it."""
        return f"{self.unitname}_r{self.reqnum}p{self.attnum:02d}"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that a wrapper will make (or, from the archive, reads), with what is known of it."""

    filename: str
    filetype: str
    directory: str
    row: Row
    #: number of the wrapper that makes it; 0: it lies in the archive already
    wrapnum: int = 0
    optional: bool = False
    save: bool = True


@dataclass(frozen=True, slots=True)
class PlannedWrapper:
    """One run of a module's code."""

    wrapnum: int
    module: Module
    keys: Mapping[str, str]
    inputs: Mapping[str, tuple[PlannedFile, ...]]
    outputs: Mapping[str, PlannedFile]
    lists: Mapping[str, ListSet] = field(default_factory=dict)

    @property
    def wrapkeys(self) -> str:
        """Loop values as text: ``expnum=431608,ccdnum=34``."""
        return ",".join(f"{k}={self.keys[k]}" for k in self.module.loop)


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """Wrappers that share one work folder, in running order; jobs of a block are independent."""

    jobnum: int
    blknum: int
    jobkeys: str
    wrappers: tuple[PlannedWrapper, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of each block, in running order."""

    blocks: tuple[tuple[PlannedJob, ...], ...]

    @property
    def jobs(self) -> Iterator[PlannedJob]:
        """Every job."""
        for block in self.blocks:
            yield from block


def make_plan(
    pipeline: Pipeline,
    identity: Identity,
    settings: Mapping[str, Any],
    found: Mapping[tuple[str, str], Sequence[Row]],
    run_dir: str,
) -> Plan:
    """Plan an attempt.

    Parameters
    ----------
    pipeline
        What to run.
    identity
        Unit, request and attempt.
    settings
        Values by key; a loop key without ``loopobj`` takes its values here (``ccdnum = (1:62)``).
    found
        Rows of the archive for each external file set, by (module, file set).
    run_dir
        Directory of the attempt in the archive; an output that names no directory goes below it, by file type.

    Raises
    ------
    PlanError
        If a needed input is missing, a loop has no values, a name stands twice, or a module reads what
        another job of its own block makes.
    """
    planner = _Planner(pipeline, identity, settings, found, run_dir)
    return Plan(tuple(planner.block(number, block) for number, block in enumerate(pipeline.blocks, 1)))


class _Planner:
    def __init__(
        self,
        pipeline: Pipeline,
        identity: Identity,
        settings: Mapping[str, Any],
        found: Mapping[tuple[str, str], Sequence[Row]],
        run_dir: str,
    ) -> None:
        self.pipeline, self.found = pipeline, found
        self.base: dict[str, str] = {k: v for k, v in settings.items() if isinstance(v, str)}
        self.base |= {
            "unitname": identity.unitname,
            "reqnum": str(identity.reqnum),
            "attnum": str(identity.attnum),
            "run": identity.run,
            "pipeline": pipeline.name,
            "ops_run_dir": run_dir,
        }
        self.made: dict[tuple[str, str], list[PlannedFile]] = {}
        self.names: dict[str, str] = {}
        self.wrapnum = 0
        self.jobnum = 0

    def block(self, number: int, block: Block) -> tuple[PlannedJob, ...]:
        jobs: dict[tuple[str, ...], list[PlannedWrapper]] = {}
        maker: dict[int, tuple[str, ...]] = {}
        for module in block.modules:
            for wrapper in self.module(module):
                key = tuple(wrapper.keys.get(k, "") for k in block.divide_jobs_by)
                _same_job(wrapper, key, maker, block)
                maker[wrapper.wrapnum] = key
                jobs.setdefault(key, []).append(wrapper)
        planned = []
        for key, wrappers in jobs.items():
            self.jobnum += 1
            keys = ",".join(f"{k}={v}" for k, v in zip(block.divide_jobs_by, key, strict=True))
            planned.append(PlannedJob(self.jobnum, number, keys, _running_order(wrappers)))
        return tuple(planned)

    def module(self, module: Module) -> Iterator[PlannedWrapper]:
        sources = {f.name: self.source(module, f) for f in module.inputs}
        if module.noop:
            for f in module.inputs:
                self.made[module.name, f.name] = list(sources[f.name])
            return
        pickers = [_Picker(module, f, sources[f.name]) for f in module.inputs]
        outputs = [(f, self.name_of(module, f), self.directory_of(f)) for f in module.outputs]
        for f in module.outputs:
            self.made[module.name, f.name] = []
        lists = {one.name: one for one in module.lists}
        for keys, carried in self.loop(module, sources):
            self.wrapnum += 1
            inputs = {p.name: p.pick(keys) for p in pickers}
            if not module.loop:
                carried = _agreed(row.row for files in inputs.values() for row in files)
            made: dict[str, PlannedFile] = {}
            scope = {**self.base, **carried, **keys}
            for fileset, name, directory in outputs:
                made[fileset.name] = self.output(module, fileset, name, directory, scope, {**carried, **keys})
            yield PlannedWrapper(self.wrapnum, module, {**carried, **keys}, inputs, made, lists)

    def source(self, module: Module, fileset: FileSet) -> list[PlannedFile]:
        """The files that an input's picker picks from: of an earlier module, of the archive, or named."""
        if fileset.depends:
            maker, _, name = fileset.depends.partition(".")
            name = name.removeprefix("file.").removeprefix("list.")
            if (maker, name) not in self.made:
                raise PlanError(
                    f"module {module.name}, file {fileset.name}: it depends on {fileset.depends}, "
                    "which no earlier module makes"
                )
            return self.made[maker, name]
        if fileset.filename and not fileset.query:
            name = self.fill(Template(fileset.filename), self.base, module, fileset)
            rows = self.found.get((module.name, fileset.name), ())
            files = [_stored(row, fileset) for row in rows]
            if not files and not fileset.optional:
                raise PlanError(f"module {module.name}, file {fileset.name}: {name} is not in the archive")
            return files
        return [_stored(row, fileset) for row in self.found.get((module.name, fileset.name), ())]

    def loop(
        self, module: Module, sources: Mapping[str, Sequence[PlannedFile]]
    ) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """Loop values of each wrapper, with what the rows of its loop object agree in."""
        if not module.loop:
            yield {}, {}
            return
        if module.loopobj:
            name = module.loopobj.removeprefix("file.").removeprefix("list.")
            if name not in sources:
                raise PlanError(f"module {module.name}: loopobj {module.loopobj} is none of its inputs")
            files = sources[name]
            # A key that no row has, but a setting (a raw exposure's CCDs), is looped over within each row's values.
            more = [
                k for k in module.loop if all(f.row.get(k) is None for f in files) and self.setting(module, k)
            ]
            groups: dict[tuple[str, ...], list[Row]] = {}
            for file in files:
                values = tuple("" if k in more else _value(file.row.get(k)) for k in module.loop)
                if any(v == "" and k not in more for k, v in zip(module.loop, values, strict=True)):
                    lacking = next(k for k in module.loop if k not in more and not _value(file.row.get(k)))
                    raise PlanError(f"module {module.name}: {file.filename} has no {lacking} to loop over")
                groups.setdefault(values, []).append(file.row)
            lists = [[_value(v) for v in split_range(self.setting(module, k))] for k in more]
            for values, rows in groups.items():
                for extra in product(*lists):
                    keys = {
                        **dict(zip(module.loop, values, strict=True)),
                        **dict(zip(more, extra, strict=True)),
                    }
                    yield keys, {k: v for k, v in _agreed(rows).items() if k not in keys}
            return
        lists = []
        for key in module.loop:
            text = module.settings.get(key, self.base.get(key))
            if not isinstance(text, str) or not text:
                raise PlanError(f"module {module.name} loops over {key}, which has no value; set {key}=…")
            lists.append([_value(v) for v in split_range(text)])
        # What the whole run is of (its night, its band), every wrapper is of; a key that modules loop over is a list
        # of values, even where it has but one.
        looped = {k for _, m in self.pipeline.modules() if not m.loopobj for k in m.loop}
        shared = {
            k: v
            for k in CARRIED
            if k not in module.loop and k not in looped and (v := self.base.get(k, "")) and "," not in v
        }
        for values in product(*lists):
            yield dict(zip(module.loop, values, strict=True)), dict(shared)

    def setting(self, module: Module, key: str) -> str:
        """The text of a loop key's setting; empty if there is none."""
        text = module.settings.get(key, self.base.get(key))
        return text if isinstance(text, str) else ""

    def name_of(self, module: Module, fileset: FileSet) -> Template:
        if fileset.filename:
            return Template(fileset.filename)
        if fileset.filepat not in self.pipeline.filename_patterns:
            known = ", ".join(self.pipeline.filename_patterns) or "none"
            raise PlanError(
                f"module {module.name}, file {fileset.name}: no filename pattern {fileset.filepat!r}; "
                f"known: {known}"
            )
        return Template(self.pipeline.filename_patterns[fileset.filepat])

    def directory_of(self, fileset: FileSet) -> Template:
        if fileset.dirpat:
            pattern = self.pipeline.directory_patterns.get(fileset.dirpat)
            if pattern is None:
                raise PlanError(f"file {fileset.name}: no directory pattern {fileset.dirpat!r}")
            return Template(pattern)
        return Template(f"${{ops_run_dir}}/{fileset.filetype}")

    def output(
        self,
        module: Module,
        fileset: FileSet,
        name: Template,
        directory: Template,
        scope: dict[str, str],
        carried: dict[str, str],
    ) -> PlannedFile:
        scope = {**scope, "flabel": fileset.flabel, "fsuffix": fileset.fsuffix}
        filename = self.fill(name, scope, module, fileset)
        if filename in self.names:
            raise PlanError(
                f"{filename} would be made twice, by {self.names[filename]} and by {module.name}; "
                "give the name pattern the keys that tell them apart"
            )
        self.names[filename] = module.name
        row = {k: v for k, v in carried.items() if k in CARRIED or k in module.loop}
        file = PlannedFile(
            filename,
            fileset.filetype,
            self.fill(directory, scope, module, fileset),
            row,
            self.wrapnum,
            fileset.optional,
            fileset.savefiles,
        )
        self.made[module.name, fileset.name].append(file)
        return file

    @staticmethod
    def fill(template: Template, scope: Mapping[str, str], module: Module, fileset: FileSet) -> str:
        try:
            return template.fill(scope)
        except WCLError as err:
            raise PlanError(f"module {module.name}, file {fileset.name}: {err.message}") from err


def _running_order(wrappers: Sequence[PlannedWrapper]) -> tuple[PlannedWrapper, ...]:
    """Wrappers of one job, given module by module: modules in a row that loop over the same keys run value by value.

    A CCD goes through all of them before the next one starts, so that few images are under way at a time. A module that
    reads what another value's wrapper makes waits until all of them are done.
    """
    order: list[PlannedWrapper] = []
    chains: dict[tuple[str, ...], list[PlannedWrapper]] = {}
    maker: dict[int, tuple[str, ...]] = {}
    loop: tuple[str, ...] = ()
    for _, group in groupby(wrappers, key=lambda w: w.module.name):
        mine = [(tuple(w.keys.get(k, "") for k in w.module.loop), w) for w in group]
        keys = mine[0][1].module.loop
        apart = any(
            maker.get(file.wrapnum, values) != values
            for values, wrapper in mine
            for files in wrapper.inputs.values()
            for file in files
        )
        if apart or keys != loop:
            order += chain.from_iterable(chains.values())
            chains, maker, loop = {}, {}, keys
        for values, wrapper in mine:
            maker[wrapper.wrapnum] = values
            chains.setdefault(values, []).append(wrapper)
    return (*order, *chain.from_iterable(chains.values()))


class _Picker:
    """Picks the files of one input for each wrapper, by an index over the keys that they share."""

    def __init__(self, module: Module, fileset: FileSet, files: Sequence[PlannedFile]) -> None:
        self.module, self.fileset, self.name = module, fileset, fileset.name
        self.files = tuple(files)
        self.match: tuple[str, ...] = ()
        if not fileset.whole and files:
            self.match = fileset.match or tuple(
                k for k in module.loop if any(f.row.get(k) is not None for f in files)
            )
        self.index: dict[tuple[str, ...], list[PlannedFile]] = {}
        if self.match:
            for file in files:
                values = tuple(_value(file.row.get(k)) for k in self.match)
                self.index.setdefault(values, []).append(file)

    def pick(self, keys: Mapping[str, str]) -> tuple[PlannedFile, ...]:
        picked = self.files
        if self.match:
            picked = tuple(self.index.get(tuple(keys.get(k, "") for k in self.match), ()))
        if not picked and not self.fileset.optional:
            where = ", ".join(f"{k}={v}" for k, v in keys.items()) or "the whole run"
            raise PlanError(
                f"module {self.module.name}: no file for input {self.name} of {where} "
                f"({self.fileset.filetype or self.fileset.depends or self.fileset.filename}); "
                "register it, or mark the input optional"
            )
        return picked


def _stored(row: Row, fileset: FileSet) -> PlannedFile:
    filetype = str(row.get("filetype", fileset.filetype))
    return PlannedFile(str(row["filename"]), filetype, str(row["path"]), row)


def _value(value: Any) -> str:
    # 34, "34" and "034" are one CCD: loop values are compared as the numbers that they are.
    if value is None:
        return ""
    text = str(value)
    return str(int(text)) if text.isdecimal() else text


def _agreed(rows: Iterable[Row]) -> dict[str, str]:
    seen: dict[str, str] = {}
    clash: set[str] = set()
    for row in rows:
        for key in CARRIED:
            value = row.get(key)
            if value is None or key in clash:
                continue
            text = _value(value)
            if seen.setdefault(key, text) != text:
                clash.add(key)
    return {k: v for k, v in seen.items() if k not in clash}


def _same_job(
    wrapper: PlannedWrapper, key: tuple[str, ...], maker: Mapping[int, tuple[str, ...]], block: Block
) -> None:
    for name, files in wrapper.inputs.items():
        for file in files:
            if maker.get(file.wrapnum, key) != key:
                raise PlanError(
                    f"block {block.name}, module {wrapper.module.name}: input {name} is made in another job "
                    "of the same block; put the module into a later block, or change divide_jobs_by"
                )
