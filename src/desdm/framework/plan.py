"""Plan an attempt with a pure function: pipeline, settings and archive files in, jobs of wrappers out.

Nothing here reads a database or a file, so that the same pipeline, settings and files always give the same
plan; the planner of DESDM (``begblock``) did the same inside each block, with the database at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, product
from typing import NamedTuple

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError, WCLError
from desdm.framework.filenames import NamePattern, base_name, directory_pattern, expand_value, name_pattern
from desdm.framework.model import Columns
from desdm.framework.picking import (
    FileLookup,
    KeyPicker,
    NamePicker,
    NewNamePicker,
    Picker,
    PlannedFile,
    archived_file,
    excluded_ccds,
    expand_names,
    text_of,
)
from desdm.framework.pipeline import Block, FileSet, ListSet, Module, Pipeline
from desdm.framework.sections import Settings
from desdm.schema.runname import RunName
from desdm.wcl import split_range

__all__ = [
    "Plan",
    "PlannedFile",
    "PlannedInput",
    "PlannedJob",
    "PlannedWrapper",
    "make_plan",
]

#: Columns that a product inherits from its input rows, where these agree.
CARRIED = ("expnum", "ccdnum", "band", "nite", "tilename")


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
        keys = self.keys
        return ",".join([f"{k}={keys[k]}" for k in self.module.loop])


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """Wrappers that share one work folder, in running order; jobs of a block are independent."""

    jobnum: int
    blknum: int
    jobkeys: str
    wrappers: tuple[PlannedWrapper, ...]


class PlannedInput(NamedTuple):
    """A file of the archive that a plan takes, with its exposure and CCD where it has them."""

    filename: str
    expnum: int | None
    ccdnum: int | None


def _planned_input(file: PlannedFile, keys: Mapping[str, str]) -> PlannedInput:
    """The input as a plan lists it; a file of several CCDs is of the wrapper's CCD."""
    expnum, ccdnum = text_of(file.columns.get("expnum")), text_of(file.columns.get("ccdnum"))
    if not ccdnum and expnum:
        ccdnum = keys.get("ccdnum", "")
    return PlannedInput(
        file.filename,
        int(expnum) if expnum.isdecimal() else None,
        int(ccdnum) if ccdnum.isdecimal() else None,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of each block, in running order."""

    blocks: tuple[tuple[PlannedJob, ...], ...]

    @property
    def jobs(self) -> Iterator[PlannedJob]:
        """Every job."""
        for block in self.blocks:
            yield from block

    def inputs(self) -> list[PlannedInput]:
        """Return what the wrappers take from the archive: each file, or each CCD of a file of several, once."""
        inputs: dict[PlannedInput, None] = {}
        for job in self.jobs:
            for wrapper in job.wrappers:
                for files in wrapper.inputs.values():
                    for file in files:
                        if not file.wrapnum:
                            inputs[_planned_input(file, wrapper.keys)] = None
        return sorted(inputs, key=lambda i: (i.filename, i.ccdnum or 0))


def make_plan(
    pipeline: Pipeline,
    identity: RunName,
    settings: Settings,
    files_by_input: Mapping[tuple[str, str], Sequence[CatalogFile]],
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
    files_by_input
        Files of the archive for each external file set, by (module, file set).
    run_dir
        Directory of the attempt in the archive; an output that names no directory goes below it, by file type.

    Raises
    ------
    PlanError
        If a needed input is missing, a loop has no values, a name stands twice, or a module reads what
        another job of its own block makes.
    """
    planner = _Planner(pipeline, identity, settings, files_by_input, run_dir)
    return Plan(tuple(planner.plan_block(number, block) for number, block in enumerate(pipeline.blocks, 1)))


class _Planner:
    """Plans the blocks of a pipeline in order; each module sees the files of those before it."""

    def __init__(
        self,
        pipeline: Pipeline,
        identity: RunName,
        settings: Settings,
        files_by_input: Mapping[tuple[str, str], Sequence[CatalogFile]],
        run_dir: str,
    ) -> None:
        self.pipeline, self.files_by_input = pipeline, files_by_input
        self.base: dict[str, str] = {k: v for k, v in settings.items() if isinstance(v, str)}
        self.base |= {
            "unitname": identity.unitname,
            "reqnum": str(identity.reqnum),
            "attnum": str(identity.attnum),
            "run": identity.text,
            "pipeline": pipeline.name,
            "ops_run_dir": run_dir,
        }
        self.files_by_module: dict[tuple[str, str], list[PlannedFile]] = {}
        self.names: dict[str, str] = {}
        #: every file that the attempt makes, by its name
        self.files: dict[str, PlannedFile] = {}
        self.wrapnum = 0
        self.jobnum = 0

    def plan_block(self, number: int, block: Block) -> tuple[PlannedJob, ...]:
        """Return the jobs of a block; `PlanError` if it is divided by a key that no wrapper has."""
        jobs: dict[tuple[str, ...], list[PlannedWrapper]] = {}
        job_of_wrapper: dict[int, tuple[str, ...]] = {}
        for module in block.modules:
            for wrapper in self.plan_module(module):
                key = tuple([wrapper.keys.get(k, "") for k in block.divide_jobs_by])
                _check_same_job(wrapper, key, job_of_wrapper, block)
                job_of_wrapper[wrapper.wrapnum] = key
                jobs.setdefault(key, []).append(wrapper)
        for index, name in enumerate(block.divide_jobs_by):
            if jobs and not any(key[index] for key in jobs):
                available = sorted(
                    {k for wrappers in jobs.values() for w in wrappers for k, v in w.keys.items() if v}
                )
                raise PlanError(
                    f"block {block.name}: divide_jobs_by = {name}: no wrapper of the block has this key; "
                    f"they have {', '.join(available) or 'none'}"
                )
        jobs_of_block = []
        for key, wrappers in jobs.items():
            self.jobnum += 1
            keys = ",".join(f"{k}={v}" for k, v in zip(block.divide_jobs_by, key, strict=True))
            jobs_of_block.append(PlannedJob(self.jobnum, number, keys, _running_order(wrappers)))
        return tuple(jobs_of_block)

    def plan_module(self, module: Module) -> Iterator[PlannedWrapper]:
        """Yield the wrappers of a module, one for each combination of its loop values."""
        base = {**self.base, **{k: v for k, v in module.settings.items() if isinstance(v, str)}}
        sources: dict[str, Sequence[PlannedFile]] = {}
        for f in module.inputs:
            sources[f.name] = self.source(module, f, base, sources)
        if module.noop:
            for f in module.inputs:
                self.files_by_module[module.name, f.name] = list(sources[f.name])
            return
        pickers = [self.picker(module, f, sources) for f in module.inputs]
        outputs = [
            (
                f,
                self.name_of(module, f),
                self.directory_of(module, f),
                self.newname_source(module, f, sources),
            )
            for f in module.outputs
        ]
        for f in module.outputs:
            self.files_by_module[module.name, f.name] = []
        lists = {one.name: one for one in module.lists}
        for keys, carried in self.loop(module, sources):
            self.wrapnum += 1
            scope = {**base, **carried, **keys}
            inputs = {p.name: p.pick(keys, scope) for p in pickers}
            if not module.loop:
                carried = _common_values(file.columns for files in inputs.values() for file in files)
                scope = {**base, **carried}
            planned_outputs: dict[str, PlannedFile] = {}
            columns = {**carried, **keys}
            for fileset, name, directory, source in outputs:
                planned_outputs |= self.plan_outputs(module, fileset, name, directory, source, scope, columns)
            yield PlannedWrapper(self.wrapnum, module, columns, inputs, planned_outputs, lists)
        for f in module.inputs:
            # A later module may depend on what a list of this one reads.
            self.files_by_module.setdefault((module.name, f.name), list(sources[f.name]))

    def source(
        self,
        module: Module,
        fileset: FileSet,
        base: Mapping[str, str],
        sources: Mapping[str, Sequence[PlannedFile]],
    ) -> Sequence[PlannedFile]:
        """Return the files from which the picker of an input selects.

        Parameters
        ----------
        module, fileset
            The input.
        base
            Settings of run and module.
        sources
            Files of the inputs before this one, by name.
        """
        if fileset.depends:
            return self.files_of_dependency(module, fileset, fileset.depends, {})
        if fileset.own_attempt:
            filetypes = fileset.query.get("filetype", fileset.filetype).split(",")
            return [f for f in self.files.values() if f.filetype in filetypes]
        if not fileset.by_name and not fileset.newname:
            return [archived_file(file) for file in self.files_by_input.get((module.name, fileset.name), ())]
        lookup = self.lookup(module, fileset)
        pattern = self.name_of(module, fileset)
        if fileset.newname:
            scopes = [
                {**base, **{k: str(v) for k, v in f.columns.items() if v is not None}}
                for f in self.files_of_dependency(module, fileset, fileset.newname, sources)
            ]
        else:
            scopes = [dict(base)]
        files: list[PlannedFile] = []
        for scope in scopes:
            labels = {"flabel": fileset.flabel, "fsuffix": fileset.fsuffix}
            try:
                several = pattern.all_names({**scope, **labels})
            except WCLError:  # only a wrapper knows its name
                continue
            named = ((lookup.get(base_name(path)), values) for path, values in several)
            # The values in a name are columns of the file, too.
            files += [
                replace(f, columns={**values, **f.columns}) if values else f for f, values in named if f
            ]
        return files

    def files_of_dependency(
        self,
        module: Module,
        fileset: FileSet,
        text: str,
        inputs_of_module: Mapping[str, Sequence[PlannedFile]],
    ) -> Sequence[PlannedFile]:
        """Return the files of ``module.file``.

        Parameters
        ----------
        module, fileset
            The file set that depends on them.
        text
            The dependency: a file of an earlier module, or an input of this one.
        inputs_of_module
            Inputs of this module by name.

        Raises
        ------
        PlanError
            No earlier module makes such files.
        """
        maker, _, name = text.partition(".")
        name = name.removeprefix("file.").removeprefix("list.")
        if maker == module.name and name in inputs_of_module:
            return inputs_of_module[name]
        if (maker, name) not in self.files_by_module:
            raise PlanError(
                f"module {module.name}, file {fileset.name}: it depends on {text}, which no earlier module makes"
            )
        return self.files_by_module[maker, name]

    def lookup(self, module: Module, fileset: FileSet) -> FileLookup:
        """The files that a name of an input may mean."""
        archived = self.files_by_input.get((module.name, fileset.name), ())
        return FileLookup(self.files, {file.filename: archived_file(file) for file in archived})

    def picker(
        self, module: Module, fileset: FileSet, sources: Mapping[str, Sequence[PlannedFile]]
    ) -> Picker:
        """Return the picker of an input.

        Parameters
        ----------
        module, fileset
            The input.
        sources
            Files of the module's inputs, by name.
        """
        if fileset.by_name:
            pattern = self.name_of(module, fileset)
            return NamePicker(module, fileset, pattern, self.lookup(module, fileset))
        source = self.newname_source(module, fileset, sources)
        if source is not None:
            pattern = self.name_of(module, fileset)
            return NewNamePicker(module, fileset, pattern, self.lookup(module, fileset), source)
        return KeyPicker(module, fileset, sources[fileset.name])

    def newname_source(
        self, module: Module, fileset: FileSet, sources: Mapping[str, Sequence[PlannedFile]]
    ) -> KeyPicker | None:
        """Return the picker of the files that name those of a ``depends-newname``; None for other file sets.

        Parameters
        ----------
        module, fileset
            The file set.
        sources
            Files of the module's inputs, by name.
        """
        if not fileset.newname:
            return None
        return KeyPicker(module, fileset, self.files_of_dependency(module, fileset, fileset.newname, sources))

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
                k
                for k in module.loop
                if all(f.columns.get(k) is None for f in files) and self.setting(module, k)
            ]
            groups: dict[tuple[str, ...], list[Columns]] = {}
            for file in files:
                values = tuple("" if k in more else text_of(file.columns.get(k)) for k in module.loop)
                if any(v == "" and k not in more for k, v in zip(module.loop, values, strict=True)):
                    lacking = next(
                        k for k in module.loop if k not in more and not text_of(file.columns.get(k))
                    )
                    raise PlanError(f"module {module.name}: {file.filename} has no {lacking} to loop over")
                groups.setdefault(values, []).append(file.columns)
            lists = [[text_of(v) for v in split_range(self.setting(module, k))] for k in more]
            for values, group in groups.items():
                banned = excluded_ccds(group)
                for extra in product(*lists):
                    keys = {
                        **dict(zip(module.loop, values, strict=True)),
                        **dict(zip(more, extra, strict=True)),
                    }
                    if keys.get("ccdnum") in banned:
                        continue
                    yield keys, {k: v for k, v in _common_values(group).items() if k not in keys}
            return
        lists = []
        for key in module.loop:
            text = self.setting(module, key)
            if not text:
                raise PlanError(f"module {module.name} loops over {key}, which has no value; set {key}=…")
            lists.append([text_of(v) for v in split_range(text)])
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
        if not isinstance(text, str):
            return ""
        try:
            return expand_value(text, self.base)
        except WCLError as err:
            raise PlanError(f"module {module.name} loops over {key} = {text}: {err.message}") from err

    def name_of(self, module: Module, fileset: FileSet) -> NamePattern:
        """The pattern of a file set's names."""
        try:
            return name_pattern(self.pipeline, fileset)
        except WCLError as err:
            raise PlanError(f"module {module.name}, file {fileset.name}: {err.message}") from err

    def directory_of(self, module: Module, fileset: FileSet) -> NamePattern:
        """The pattern of the directory in the archive that an output goes to."""
        try:
            return directory_pattern(self.pipeline, fileset)
        except WCLError as err:
            raise PlanError(f"module {module.name}, file {fileset.name}: {err.message}") from err

    def plan_outputs(
        self,
        module: Module,
        fileset: FileSet,
        pattern: NamePattern,
        directory: NamePattern,
        source: KeyPicker | None,
        scope: Mapping[str, str],
        carried: Mapping[str, str],
    ) -> dict[str, PlannedFile]:
        """Plan the files of one output of a wrapper: ``F``, and ``F.2`` … if the name stands for several.

        Parameters
        ----------
        module, fileset
            The output.
        pattern, directory
            Patterns of its name and its directory.
        source
            Selects the files that give the names; None: the wrapper's values do.
        scope
            Values by name.
        carried
            Columns that the outputs inherit.

        Returns
        -------
        dict
            Planned files by name in the wrapper.
        """
        scopes: list[tuple[Mapping[str, str], Columns]] = [(scope, {})]
        if source is not None:
            scopes = [
                ({**scope, **{k: str(v) for k, v in f.columns.items() if v is not None}}, f.columns)
                for f in source.pick(carried, scope)
            ]
        files: dict[str, PlannedFile] = {}
        for values, columns in scopes:
            for path, extra in expand_names(pattern, values, module, fileset):
                key = fileset.name if not files else f"{fileset.name}.{len(files) + 1}"
                values_of_file = {**carried, **extra} if extra else carried
                shared = {k: v for k, v in values_of_file.items() if k in CARRIED or k in module.loop}
                # A file that gives the name knows its own better than the wrapper, which may be of many.
                known = {**shared, **columns} if columns else shared
                files[key] = self.add_planned_file(
                    module, fileset, path, directory, {**values, **extra} if extra else values, known
                )
        return files

    def add_planned_file(
        self,
        module: Module,
        fileset: FileSet,
        path: str,
        directory: NamePattern,
        scope: Mapping[str, str],
        columns: Columns,
    ) -> PlannedFile:
        """Add a file that the current wrapper will write.

        Parameters
        ----------
        module, fileset
            The output.
        path
            Path in the work folder.
        directory
            Pattern of its directory in the archive.
        scope
            Values by name.
        columns
            What is known of the file.

        Raises
        ------
        PlanError
            Another wrapper has the same name, or a value of the directory is missing.
        """
        filename = base_name(path)
        if filename in self.names:
            raise PlanError(
                f"{filename} would be made twice, by {self.names[filename]} and by {module.name}; "
                "give the name pattern the keys that tell them apart"
            )
        self.names[filename] = module.name
        try:
            folder = directory.fill(scope)
        except WCLError as err:
            raise PlanError(f"module {module.name}, file {fileset.name}: {err.message}") from err
        file = PlannedFile(
            filename,
            fileset.filetype,
            folder,
            columns,
            self.wrapnum,
            fileset.optional,
            fileset.savefiles,
            path if path != filename else "",
        )
        self.files_by_module[module.name, fileset.name].append(file)
        self.files[filename] = file
        return file


def _running_order(wrappers: Sequence[PlannedWrapper]) -> tuple[PlannedWrapper, ...]:
    """Order the wrappers of a job: successive modules that loop over the same keys run value by value.

    A CCD goes through all of them before the next one starts, so that few images are under way at a time. A module that
    reads what another value's wrapper makes waits until all of them are done.
    """
    order: list[PlannedWrapper] = []
    chains: dict[tuple[str, ...], list[PlannedWrapper]] = {}
    maker: dict[int, tuple[str, ...]] = {}
    loop: tuple[str, ...] = ()
    for _, group in groupby(wrappers, key=lambda w: w.module.name):
        of_module = [(tuple([w.keys.get(k, "") for k in w.module.loop]), w) for w in group]
        keys = of_module[0][1].module.loop
        must_wait = bool(maker) and any(
            maker.get(file.wrapnum, values) != values
            for values, wrapper in of_module
            for files in wrapper.inputs.values()
            for file in files
        )
        if must_wait or keys != loop:
            order += chain.from_iterable(chains.values())
            chains, maker, loop = {}, {}, keys
        for values, wrapper in of_module:
            maker[wrapper.wrapnum] = values
            chains.setdefault(values, []).append(wrapper)
    return (*order, *chain.from_iterable(chains.values()))


def _common_values(columns_of_files: Iterable[Columns]) -> dict[str, str]:
    """Return the columns in which all files agree."""
    values: dict[str, str] = {}
    different: set[str] = set()
    for columns in columns_of_files:
        for key in CARRIED:
            value = columns.get(key)
            if value is None or key in different:
                continue
            text = text_of(value)
            if values.setdefault(key, text) != text:
                different.add(key)
    return {k: v for k, v in values.items() if k not in different}


def _check_same_job(
    wrapper: PlannedWrapper, key: tuple[str, ...], maker: Mapping[int, tuple[str, ...]], block: Block
) -> None:
    """Raise `PlanError` if a wrapper reads a file of another job of its block."""
    for name, files in wrapper.inputs.items():
        for file in files:
            if maker.get(file.wrapnum, key) != key:
                raise PlanError(
                    f"block {block.name}, module {wrapper.module.name}: input {name} is made in another job "
                    "of the same block; put the module into a later block, or change divide_jobs_by"
                )
