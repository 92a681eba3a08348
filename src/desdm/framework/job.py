"""Run one job: read its WCL, run its wrappers in order, write its receipt. No database is used.

A wrapper that fails ends the job; the results before it stay in the receipt and are registered. If a wrapper of a
tolerant module cannot use a file, it is recorded as failed, wrappers that need its outputs are omitted, and the job
continues.
"""

from __future__ import annotations

import gc
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import TracebackType

from desdm import wcl
from desdm.archive.verify import Expected, Verifier, read_digests
from desdm.errors import CorruptFile, FileTypeError, ProgramFailed, StorageFull, UsageError
from desdm.framework.allocator import SpareFiles, retain_freed_memory
from desdm.framework.jobwcl import JobFile, JobSpec, ModuleSpec, WrapperSpec, read_job
from desdm.framework.memory import forget_peak, own_peak
from desdm.framework.objectstore import HOLD_MEMORY, ObjectStore, budget
from desdm.framework.outcome import OutcomeWriter, OutputRecord, WrapperOutcome
from desdm.framework.pipeline import LIST_FORMATS
from desdm.framework.sections import Tree
from desdm.framework.shortpaths import ShortPaths
from desdm.framework.software import Software, folder_software, system_software
from desdm.framework.wrapper import ExecRecord, Finding, LogTee, Scanner, Task, Wrapper
from desdm.modes import make_private
from desdm.schema.states import JobState, WrapperState

__all__ = ["JobRequest", "WorkerCache", "run_job"]

#: Formats of list files and what parts their columns.


@dataclass(frozen=True, slots=True)
class JobRequest:
    """Order to run a job, as an engine passes it to a worker.

    Attributes
    ----------
    wcl
        The job's WCL.
    workdir
        Private work folder of this try, created by the worker.
    token
        Identifies the try; it goes into the receipt.
    skip
        Numbers of wrappers that are done already.
    earlier
        Work folders of earlier tries, where outputs of skipped wrappers may lie.
    hold_memory
        MB of images that may stay in memory between modules, unless the run's settings say another number.
    digests
        File with the registered size and digest of each input that lies in the archive; empty: nothing is registered.
    """

    wcl: str
    workdir: str
    token: str
    skip: tuple[int, ...] = ()
    earlier: tuple[str, ...] = ()
    hold_memory: int = HOLD_MEMORY
    digests: str = ""


@dataclass(slots=True)
class WorkerCache:
    """State that a worker keeps from job to job: loaded codes, program versions, scanners, verified files."""

    versions: dict[str, str] = field(default_factory=dict)
    wrappers: dict[str, Wrapper] = field(default_factory=dict)
    #: scanner factories of the quality controls by the digest of their pattern file
    scanners: dict[str, Callable[[str], Scanner]] = field(default_factory=dict)
    #: number of wrappers when their imports were last excluded from garbage collection
    frozen_wrappers: int = 0
    #: which files of the archive were hashed and are sound
    verifier: Verifier = field(default_factory=Verifier)
    #: files in memory of images that were handed to programs; who has nothing to do closes them
    spares: SpareFiles = field(default_factory=SpareFiles)

    #: path and content of the file of digests that was read last; the jobs of a block share one
    digests: tuple[str, Mapping[str, Expected]] = field(default_factory=lambda: ("", {}))

    def digests_of(self, path: str) -> Mapping[str, Expected]:
        """Registered sizes and digests of the inputs, from that file."""
        if self.digests[0] != path:
            self.digests = (path, read_digests(Path(path)))
        return self.digests[1]

    def wrapper(self, name: str) -> Wrapper:
        """The wrapper function of that dotted name."""
        if name not in self.wrappers:
            module, _, function = (
                "desdm.framework.genwrap.genwrap" if name == "genwrap" else name
            ).rpartition(".")
            try:
                code = getattr(import_module(module), function)
            except (ImportError, AttributeError, ValueError) as err:
                raise UsageError(f"wrapper {name} cannot be found: {err}") from err
            self.wrappers[name] = code
        return self.wrappers[name]

    def scanner(self, pattern_file: str) -> Callable[[str], Scanner] | None:
        """Scanner factory for the patterns in a file; None when there is no file.

        Each run has a file of its own, and most have the same patterns.
        """
        if not pattern_file:
            return None
        from desdm.quality.qc import scanners_from_file

        try:
            content = sha256(Path(pattern_file).read_bytes()).hexdigest()
        except OSError:
            return scanners_from_file(Path(pattern_file))  # says what is wrong with it
        if content not in self.scanners:
            self.scanners[content] = scanners_from_file(Path(pattern_file))
        return self.scanners[content]

    def freeze_imports(self) -> None:
        """Leave what was imported for a job to the end of the process: the garbage collector need not walk it again.

        It is some hundred thousand objects; at every collection of a later job they would be looked at in vain.
        """
        if len(self.wrappers) > self.frozen_wrappers:
            self.frozen_wrappers = len(self.wrappers)
            gc.collect()
            gc.freeze()


class _ErrorCapture:
    """Context that catches the error of a wrapper's code, writes it to the log and fails only this wrapper.

    Codes are foreign to the framework: no error of theirs may lose the job's receipt.
    """

    def __init__(self, log: LogTee) -> None:
        self.log = log
        self.error = ""
        #: the data are at fault, not the machine or the code
        self.tolerable = False

    def __enter__(self) -> _ErrorCapture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        if not isinstance(error, Exception):
            return False
        if isinstance(error, ProgramFailed | CorruptFile | UsageError | StorageFull):
            text = f"ERROR: {error}"
        else:
            text = "".join(traceback.format_exception(kind, error, tb)).rstrip()
        self.log.write(text.encode("utf-8", "replace") + b"\n")
        self.error = f"{type(error).__name__}: {error}"[:2000]
        self.tolerable = isinstance(error, ProgramFailed | CorruptFile | FileTypeError)
        return True


@retain_freed_memory()
def run_job(
    request: JobRequest,
    cache: WorkerCache,
    report: Callable[[WrapperState, WrapperSpec], None] = lambda event, wrapper: None,
) -> JobState:
    """Run a job to its end and return its state, DONE or FAILED.

    Parameters
    ----------
    request
        What to run and where.
    cache
        Kept by the worker from job to job.
    report
        Called for each wrapper with RUNNING when it starts and with its state when it ends.
    """
    spec = read_job(Path(request.wcl))
    workdir = Path(request.workdir)
    make_private(workdir)
    forget_peak()
    runner = _Runner(spec, request, cache, workdir)
    skip = set(request.skip) - runner.wrappers_to_repeat(set(request.skip))
    todo = [w for w in spec.wrappers if w.wrapnum not in skip]
    runner.set_reading_order(todo)
    receipt = OutcomeWriter(workdir / "outcome.jsonl", spec.attempt, spec.jobnum, request.token)
    state = JobState.DONE
    for wrapper in todo:
        report(WrapperState.RUNNING, wrapper)
        outcome = runner.run(wrapper)
        receipt.wrapper(outcome)
        report(outcome.state, wrapper)
        if outcome.state is WrapperState.FAILED and not runner.tolerated:
            state = JobState.FAILED
            break
    runner.close()
    receipt.end(state)
    cache.freeze_imports()
    return state


class _Runner:
    """Runs the wrappers of one job in one work folder."""

    def __init__(self, spec: JobSpec, request: JobRequest, cache: WorkerCache, workdir: Path) -> None:
        self.paths = ShortPaths(workdir)
        self.spec, self.cache, self.workdir = spec, cache, self.paths.workdir
        self.root = Path(spec.top["archive_root"])
        self.earlier = [Path(p) for p in request.earlier]
        self.digests = cache.digests_of(request.digests) if request.digests else None
        #: inputs in the archive that this job has verified
        self.verified: set[str] = set()
        name = f"{spec.attempt}_J{spec.jobnum:04d}_{request.token[:8]}"
        self.log = LogTee(workdir / f"{name}.log", cache.scanner(spec.top.get("qcf", "")))
        self.host = socket.gethostname()
        self.own_outputs = {f.filename: f for w in spec.wrappers for f in w.outputs.values()}
        self.parents_of_unsaved: dict[str, tuple[str, ...]] = {}
        self.provenance: Tree = {}
        self.tolerated = False
        self.run_dir = spec.top.get("ops_run_dir", "?") + "/"
        capacity = budget(spec.run, request.hold_memory) << 20
        self.objects = ObjectStore(capacity, self._next_use, cache.spares)
        #: where in the running order each file is read, ascending; and where the job is
        self.readers: dict[str, list[int]] = {}
        self.position = -1

    def set_reading_order(self, todo: Sequence[WrapperSpec]) -> None:
        """Learn which wrappers will run, in their order, and so when each file is read."""
        for place, wrapper in enumerate(todo):
            for name in _input_names(wrapper):
                self.readers.setdefault(name, []).append(place)

    def _next_use(self, name: str) -> int:
        """How many wrappers from now a file is read next; more than there are: never again."""
        later = (place - self.position for place in self.readers.get(name, ()) if place >= self.position)
        return next(later, len(self.spec.wrappers))

    def wrappers_to_repeat(self, skip: set[int]) -> set[int]:
        """Return wrappers that are done but whose outputs were lost with the memory of their try: they run again."""
        maker = {f.filename: w.wrapnum for w in self.spec.wrappers for f in w.outputs.values()}
        again: set[int] = set()
        for wrapper in reversed(self.spec.wrappers):
            if wrapper.wrapnum in skip and wrapper.wrapnum not in again:
                continue
            for paths in wrapper.inputs.values():
                for path in paths:
                    number = maker.get(path.rpartition("/")[2])
                    if number in skip and self._path_of(path) is None:
                        again.add(number)
        return again

    def close(self) -> None:
        """Write the output WCL, and close log, objects and links."""
        self.objects.close()
        software = system_software()
        ran = {
            "attempt": self.spec.attempt,
            "jobnum": str(self.spec.jobnum),
            "software": {software.name: {"version": software.version, "digest": software.digest}},
            "run": self.spec.run,
            "module": {name: module.section for name, module in self.spec.modules.items()},
        }
        wcl.write(self.workdir / f"{self.log.path.stem}_out.wcl", {**ran, **self.provenance})
        self.log.close()
        self.paths.close()

    def run(self, wrapper: WrapperSpec) -> WrapperOutcome:
        """Run one wrapper and return its outcome."""
        start = time.time()
        self.position += 1
        module = self.spec.modules[wrapper.modname]
        keys = ",".join(f"{k}={v}" for k, v in wrapper.keys.items())
        head = f"=== {wrapper.modname} (wrapper {wrapper.wrapnum}) {keys}\n"
        self.log.write(head.encode())
        task: Task | None = None
        outputs: tuple[OutputRecord, ...] = ()
        self.tolerated = False
        omission = self._missing_input(wrapper, module)
        if omission:
            self.log.write(f"left out: {omission}\n".encode())
            self._drop_objects(wrapper)
            return self._outcome_of_omitted(wrapper, start, omission)
        with _ErrorCapture(self.log) as capture, self.log.reader(wrapper.modname):
            task = self._task(wrapper, module)
            name = module.wrappername
            code = self.cache.wrapper(name)
            cpu_start = time.process_time()
            code(task)
            if not task.execs:
                task.execs.append(_code_exec(name, start, time.process_time() - cpu_start))
            if self.log.stop is not None:
                raise ProgramFailed(
                    f"stopped by quality control, {self.log.stop.pattern}: {self.log.stop.text}"
                )
            outputs = self._outputs(wrapper, task)
        self.log.stop = None
        self.tolerated = capture.tolerable and module.tolerant
        self._drop_objects(wrapper)
        used = _used_files(task, outputs) if task else ()
        outcome = WrapperOutcome(
            wrapnum=wrapper.wrapnum,
            modname=wrapper.modname,
            state=WrapperState.FAILED if capture.error else WrapperState.DONE,
            start_time=start,
            end_time=time.time(),
            host=self.host,
            log=self.log.path.name,
            comment=capture.error,
            used=self._archived_parents(used),
            made=() if capture.error else outputs,
            execs=tuple(task.execs) if task else (),
            findings=tuple(self._findings(wrapper, capture.error)),
            metrics=tuple(task.metrics) if task else (),
        )
        self._add_provenance(outcome)
        return outcome

    def _drop_objects(self, wrapper: WrapperSpec) -> None:
        """Drop objects in memory that no later wrapper of the job reads."""
        for name in [*_input_names(wrapper), *(file.filename for file in wrapper.outputs.values())]:
            readers = self.readers.get(name)
            if not readers or readers[-1] <= self.position:
                self.objects.drop(name)

    def _missing_input(self, wrapper: WrapperSpec, module: ModuleSpec) -> str:
        """Return which input prevents a wrapper of a tolerant module from running; empty if none does."""
        if not module.tolerant:
            return ""
        for name, paths in wrapper.inputs.items():
            if (
                f"in.{name}" not in wrapper.optional
                and all(map(self._is_from_attempt, paths))
                and not any(map(self._path_of, paths))
            ):
                return f"input {name}: {paths[0].rpartition('/')[2]} was not made"
        return ""

    def _outcome_of_omitted(self, wrapper: WrapperSpec, start: float, why: str) -> WrapperOutcome:
        """Return the outcome of a wrapper that is not run, with the reason."""
        outcome = WrapperOutcome(
            wrapnum=wrapper.wrapnum,
            modname=wrapper.modname,
            state=WrapperState.LEFT,
            start_time=start,
            end_time=time.time(),
            host=self.host,
            log=self.log.path.name,
            comment=f"left out: {why}",
        )
        self._add_provenance(outcome)
        return outcome

    def _findings(self, wrapper: WrapperSpec, error: str) -> list[Finding]:
        """Return the messages of a wrapper, with its error as one of level 1."""
        findings = self.log.drain()
        if error:
            # The reason of a failure is always a message of level 1, whether a pattern knows it or not.
            findings.append(Finding(1, error, self.log.lines, f"{wrapper.modname}.failed"))
        return findings

    def _task(self, wrapper: WrapperSpec, module: ModuleSpec) -> Task:
        """Return the task of a wrapper: its files, settings and keys; `ProgramFailed` if an input is missing."""
        inputs: dict[str, tuple[Path, ...]] = {}
        for name, paths in wrapper.inputs.items():
            optional = f"in.{name}" in wrapper.optional
            available = []
            for relpath in paths:
                path = self._verified(relpath)
                may_lack = optional or (module.tolerant and self._is_from_attempt(relpath))
                if path is None and not may_lack:
                    raise ProgramFailed(f"{wrapper.modname}: input {name}: {relpath} is not there")
                if path is not None:
                    available.append(path)
            inputs[name] = tuple(available)
        outputs = {name: self._workpath(file) for name, file in wrapper.outputs.items()}
        settings: Tree = wcl.merge({}, self.spec.run)
        settings = wcl.merge(settings, module.settings)
        top = self.spec.top
        keys = (
            {k: top[k] for k in ("unitname", "reqnum", "attnum")} | {"run": self.spec.attempt} | wrapper.keys
        )
        inputs |= self._write_lists(wrapper, module)
        return Task(
            wrapper.modname,
            keys,
            settings,
            inputs,
            outputs,
            self.workdir,
            self.log,
            self.cache.versions,
            wrapper.excluded,
            objects=self.objects,
            later_inputs=frozenset(
                name for name in _input_names(wrapper) if self.readers[name][-1] > self.position
            ),
            archived_outputs=frozenset(name for name, file in wrapper.outputs.items() if file.save),
            paths=self.paths,
        )

    def _workpath(self, file: JobFile) -> Path:
        """Where a program is to write an output; its folder is there."""
        path = self.workdir / (file.workpath or file.filename)
        if file.workpath:
            if ".." in path.parts or not path.is_relative_to(self.workdir):
                raise UsageError(
                    f"output {file.workpath} lies outside the work folder; give a relative fullname"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _is_from_attempt(self, relpath: str) -> bool:
        """Whether this attempt makes the file: here, or in an earlier block."""
        return relpath.rpartition("/")[2] in self.own_outputs or relpath.startswith(self.run_dir)

    def _path_of(self, relpath: str) -> Path | None:
        """Return the path by which programs reach a file; None if it is nowhere."""
        path = self._locate(relpath)
        return None if path is None else self.paths.file(path)

    def _locate(self, relpath: str) -> Path | None:
        """Where a file lies: in the work folder, the archive or the folder of an earlier try; None: nowhere."""
        name = relpath.rpartition("/")[2]
        places = [self.root / relpath]
        if name in self.own_outputs:
            if self.objects.has(name):
                return self.workdir / name
            # What lay in the memory of an earlier try is lost with it: the link may lead to a file of another process now.
            earlier = (folder / name for folder in self.earlier if not (folder / name).is_symlink())
            places = [self.workdir / name, *places, *earlier]
        return next((p for p in places if p.is_file()), None)

    def _verified(self, relpath: str) -> Path | None:
        """The same as `_find`, and what is read from the archive has its registered digest."""
        path, archived = self._locate(relpath), self.root / relpath
        if self.digests is not None and relpath not in self.verified:
            expected = self.digests.get(relpath)
            if expected is not None and path in (None, archived):
                self.cache.verifier.check(archived, expected)
                self.verified.add(relpath)
            elif path == archived:
                raise CorruptFile(
                    f"{path.name} is not registered, so that its bytes cannot be verified ({path}); "
                    "run: desdm audit, then ingest it"
                )
        return None if path is None else self.paths.file(path)

    def _write_lists(self, wrapper: WrapperSpec, module: ModuleSpec) -> dict[str, tuple[Path, ...]]:
        """Write the list files of a wrapper and return their paths."""
        lists: dict[str, tuple[Path, ...]] = {}
        for name, rows in wrapper.listrows.items():
            path = self.workdir / f"{wrapper.modname}_{wrapper.wrapnum}_{name}.list"
            separator = LIST_FORMATS[module.list_formats.get(name, "textsp")]
            lines = [separator.join(self._cell_text(c) for c in row) for row in rows]
            path.write_text("\n".join(lines) + "\n", "utf-8")
            lists[f"list.{name}"] = (path,)
        return lists

    def _cell_text(self, text: str) -> str:
        """Return the text of a cell of a list, with files as full paths."""
        if text.startswith("form:"):
            size, _, rest = text[5:].partition(":")
            return rest[: int(size)].replace("%s", self._cell_text(rest[int(size) :]), 1)
        if text.startswith("make:"):
            return str(self.workdir / text[5:])
        if not text.startswith("file:"):
            return text
        path = self._verified(text[5:])
        if path is None:
            raise ProgramFailed(f"list: {text[5:]} is not there")
        return str(path)

    def _outputs(self, wrapper: WrapperSpec, task: Task) -> tuple[OutputRecord, ...]:
        """Check the outputs of a wrapper and return their records with parentage."""
        parents = self._archived_parents(
            p.name for name, files in task.inputs.items() for p in files if not name.startswith("list.")
        )
        outputs = []
        for name, file in wrapper.outputs.items():
            path = task.outputs[name]
            if file.workpath and path.is_file():
                path = path.replace(self.workdir / file.filename)
            in_memory = not file.save and self.objects.has(path.name)
            if not in_memory and not path.is_file():
                if f"out.{name}" in wrapper.optional:
                    continue
                raise ProgramFailed(f"{wrapper.modname}: output {name}, {file.filename}, was not made")
            if path.is_file():
                self._update_headers(wrapper, name, path, task)
            declared = task.parents.get(file.filename)
            own_parents = parents if declared is None else self._archived_parents(declared)
            if not file.save:
                self.parents_of_unsaved[file.filename] = own_parents
            size = self.objects.size(path.name) if in_memory else path.stat().st_size
            outputs.append(self._output_record(file, size, own_parents, wrapper))
        return tuple(outputs)

    def _update_headers(self, wrapper: WrapperSpec, name: str, path: Path, task: Task) -> None:
        """Write into an output's headers what its file section in the submit WCL says."""
        updates = self.spec.modules[wrapper.modname].header_updates.get(name.partition(".")[0])
        if updates:
            from desdm.framework.headerupdates import update_headers

            resolver = wcl.Resolver({**task.settings, **task.keys})
            values = {s: {k: resolver.replace(v) for k, v in body.items()} for s, body in updates.items()}
            update_headers(path, values)

    @staticmethod
    def _output_record(
        file: JobFile, size: int, parents: tuple[str, ...], wrapper: WrapperSpec
    ) -> OutputRecord:
        """Return the record of one output."""
        return OutputRecord(
            file.filename,
            file.filetype,
            file.directory,
            size,
            file.save,
            parents,
            wrapper.keys,
        )

    def _archived_parents(self, names: Iterable[str]) -> tuple[str, ...]:
        """Replace files that are not archived by the files they came from, so that lineage has no gap."""
        # A file that is not archived stands for the files it came from, so that lineage has no gap.
        names_of_parents: dict[str, None] = {}
        for name in names:
            for parent in self.parents_of_unsaved.get(name, (name,)):
                names_of_parents[parent] = None
        return tuple(n for n in names_of_parents if not n.endswith(".list"))

    def _add_provenance(self, outcome: WrapperOutcome) -> None:
        """Add a wrapper to the output WCL: what ran, with which version, its inputs and outputs."""
        # The output WCL of DESDM: what ran, with which version, inputs and outputs.
        tree: Tree = {
            "wrapper": {"wrapnum": str(outcome.wrapnum), "modname": outcome.modname, "state": outcome.state}
        }
        for program in outcome.execs:
            tree[f"exec_{program.execnum}"] = {
                "execname": program.name,
                "version": program.version,
                **({"digest": program.digest} if program.digest else {}),
                "task_info": {
                    "status": str(program.status),
                    "start": f"{program.start_time:.3f}",
                    "end": f"{program.end_time:.3f}",
                },
                "procinfo": {
                    "ru_utime": f"{program.utime:.3f}",
                    "ru_stime": f"{program.stime:.3f}",
                    "ru_maxrss": str(program.maxrss),
                },
            }
        provenance: Tree = {}
        if outcome.used:
            provenance["used"] = {"exec_1": ",".join(outcome.used)}
        if outcome.made:
            provenance["was_generated_by"] = {"exec_1": ",".join(m.filename for m in outcome.made)}
            derived: Tree = {
                f"derived_{i}": {"child": m.filename, "parents": ",".join(m.parents)}
                for i, m in enumerate(outcome.made, 1)
                if m.parents
            }
            if derived:
                provenance["was_derived_from"] = derived
        if provenance:
            tree["provenance"] = provenance
        self.provenance[f"wrapper_{outcome.wrapnum}"] = tree


def _input_names(wrapper: WrapperSpec) -> set[str]:
    """Names of the files that a wrapper reads."""
    return {path.rpartition("/")[2] for paths in wrapper.inputs.values() for path in paths}


def _used_files(task: Task, outputs: Sequence[OutputRecord]) -> Sequence[str]:
    """Return the inputs of a wrapper, without those that its code declares unused."""
    # A code that says of each output what it came from has looked at its other inputs and left them.
    if outputs and all(m.filename in task.parents for m in outputs):
        return tuple(dict.fromkeys(name for parents in task.parents.values() for name in parents))
    return tuple(p.name for files in task.inputs.values() for p in files)


def _code_exec(name: str, start: float, cpu: float) -> ExecRecord:
    """Return the exec record of a code that starts no program: its version is that of its package."""
    # A code that starts no program is its own exec; its version is the package's, with the digest of its files.
    software = _own_software(name)
    return ExecRecord(
        1,
        name[:64],
        software.version[:48],
        "",
        0,
        start,
        time.time(),
        utime=cpu,
        maxrss=own_peak(),
        digest=software.digest,
    )


@lru_cache(maxsize=256)
def _own_software(wrapper: str) -> Software:
    """The identity of a wrapper's code as this process has it loaded."""
    module = wrapper.rpartition(".")[0] or "desdm.framework.genwrap"
    version = str(getattr(import_module(module.partition(".")[0]), "__version__", "unknown"))
    origin = import_module(module).__file__
    return folder_software(module, Path(origin).parent, version) if origin else Software(module, version, "")


def workdirs(jobroot: str) -> Sequence[Path]:
    """Work folders of a job's tries, newest first."""
    return sorted(Path(jobroot).glob("try*"), key=lambda p: p.name, reverse=True)
