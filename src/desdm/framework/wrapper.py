"""The interface between the framework and a code: one Task with inputs, outputs, settings, log and programs.

The contract, after DESDM's generic wrapper: inputs are checked before the code starts,
the version of each program is recorded and its resources are measured (``wait4``), its log is read by the quality
controls while it is written, outputs are checked after, and all of this goes into the outcome with parentage.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar, cast

from desdm.errors import ProgramFailed, StorageFull, UsageError
from desdm.framework.memory import PeakMemory
from desdm.framework.objectstore import ObjectStore
from desdm.framework.programs import package_of
from desdm.framework.sections import Settings, Tree, section, texts_of
from desdm.framework.shortpaths import ShortPaths, is_portable
from desdm.framework.software import cached_file_digest
from desdm.wcl import Resolver

__all__ = ["ExecRecord", "Finding", "LogTee", "Message", "Metric", "Scanner", "Task", "Wrapper"]

#: Version of a program for which no call that tells it is declared.
NO_VERSION = "not declared"

#: Bytes: where a program failed and less is left on the disk of its work folder, the disk is why. Few programs say so.
_MIN_FREE = 1 << 20
#: Bytes of a program's output, at its end, in which its `write_error` is looked for.
_TAIL_BYTES = 4096


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExecRecord:
    """One program that ran: what it was, how it ended and what it took (``getrusage(2)``)."""

    execnum: int
    name: str
    version: str
    cmdargs: str
    status: int
    start_time: float
    end_time: float
    utime: float = 0.0
    stime: float = 0.0
    maxrss: int = 0
    minflt: int = 0
    majflt: int = 0
    inblock: int = 0
    oublock: int = 0
    nvcsw: int = 0
    nivcsw: int = 0
    #: sha-256 of the code's files, or of the program's
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One QA number of a wrapper, with its unit and what it is of."""

    name: str
    value: float
    unit: str = ""
    band: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an operator should know: level 1 error, 2 warning, 3 info."""

    level: int
    text: str
    line: int = 0
    pattern: str = ""
    action: str = "none"


class Message(Protocol):
    """What a scanner of ``quality/qc`` finds in a log."""

    @property
    def level(self) -> int:
        """1 error, 2 warning, 3 info."""

    @property
    def pattern(self) -> str:
        """Name of the pattern that matched."""

    @property
    def action(self) -> str:
        """none, flag or stop."""

    @property
    def line(self) -> int:
        """Line within what the scanner was fed, from 1."""

    @property
    def text(self) -> str:
        """The text captured."""


class Scanner(Protocol):
    """Reads a log while it is written."""

    def feed(self, data: bytes) -> Sequence[Message]:
        """Read the next bytes; return the messages in them."""

    def close(self) -> Sequence[Message]:
        """End the log of this program; return the messages that were not complete."""


class LogTee:
    """The job's log: bytes go to the file and, while they are written, to the quality controls.

    Parameters
    ----------
    path
        The log file; appended to.
    scanners
        Gives the scanner for a program or module by its name, or None: quality control is off.
    """

    def __init__(self, path: Path, scanners: Callable[[str], Scanner] | None = None) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._scanners = scanners
        self._scanner: Scanner | None = None
        self._base = 0
        self.lines = 0
        #: lines that are findings already, so that no pattern makes a second message of them
        self._own_lines: set[int] = set()
        self.findings: list[Finding] = []
        self.stop: Finding | None = None

    @contextmanager
    def reader(self, name: str) -> Iterator[None]:
        """What is written within comes from program or module ``name``."""
        outer, base, first_line = self._scanner, self._base, self.lines
        self._scanner = self._scanners(name) if self._scanners else None
        self._base = first_line
        try:
            yield
        finally:
            if self._scanner is not None:
                self._add_messages(self._scanner.close())
            # The outer scanner did not read these lines, so its own numbers are lower by as many.
            self._scanner, self._base = outer, base + self.lines - first_line

    def write(self, data: bytes) -> None:
        """Append ``data`` and look at it; a pattern with the action ``stop`` sets ``self.stop``."""
        self._file.write(data)
        self.lines += data.count(b"\n")
        if self._scanner is not None:
            self._add_messages(self._scanner.feed(data))

    def add_finding(self, finding: Finding) -> None:
        """Add a finding of a code itself, and write it into the log."""
        text = " ".join(finding.text.split())
        self._own_lines.add(self.lines + 1)
        self.findings.append(replace(finding, line=self.lines + 1))
        word = ("", "ERROR", "WARNING", "INFO")[finding.level]
        self.write(f"{word}: {text}\n".encode("utf-8", "replace"))

    def _add_messages(self, messages: Iterable[Message]) -> None:
        """Add the messages of a scanner to the findings; one with the action stop ends the program."""
        for message in messages:
            finding = Finding(
                int(message.level),
                message.text,
                self._base + message.line,
                message.pattern,
                str(message.action),
            )
            if finding.line in self._own_lines:
                continue
            self.findings.append(finding)
            if finding.action == "stop" and self.stop is None:
                self.stop = finding

    def drain(self) -> list[Finding]:
        """Return the findings since the last call."""
        findings, self.findings = self.findings, []
        return findings

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(slots=True)
class Task:
    """One wrapper's work, handed to its code.

    ``settings`` is the code's ``config.wcl`` overlaid by the module's own keys, values as strings, sections
    as dictionaries; ``keys`` are the loop values (``expnum``, ``band`` …) and the run's identity.
    """

    name: str
    keys: Mapping[str, str]
    settings: Settings
    inputs: Mapping[str, tuple[Path, ...]]
    outputs: Mapping[str, Path]
    workdir: Path
    log: LogTee
    #: program version by path; a worker reuses them from job to job
    versions: dict[str, str] = field(default_factory=dict)
    #: CCDs that must not be used, of input files of several CCDs, by the file's name
    excluded: Mapping[str, frozenset[int]] = field(default_factory=dict)
    execs: list[ExecRecord] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    objects: ObjectStore = field(default_factory=ObjectStore)
    #: names of files that a later wrapper of the job reads too
    later_inputs: frozenset[str] = frozenset()
    #: outputs that go into the archive
    archived_outputs: frozenset[str] = frozenset()
    #: gives programs paths that they can take
    paths: ShortPaths | None = None
    #: the end of what the last program wrote
    _last_output: bytes = field(default=b"", init=False, repr=False)

    # -- files

    def input(self, name: str) -> Path:
        """Return the file of input ``name``; `ProgramFailed` unless there is exactly one."""
        files = self.inputs.get(name, ())
        if len(files) != 1:
            raise ProgramFailed(f"{self.name}: input {name!r} should be one file, not {len(files)}")
        return files[0]

    def optional(self, name: str) -> Path | None:
        """Return the file of input ``name``; None if it is missing."""
        return self.input(name) if self.inputs.get(name) else None

    def output(self, name: str) -> Path:
        """Return the path to which output ``name`` must be written."""
        if name not in self.outputs:
            raise ProgramFailed(
                f"{self.name}: no output {name!r} is declared; known: {', '.join(self.outputs)}"
            )
        return self.outputs[name]

    def read_input(self, name: str, read: Callable[[Path], T]) -> T:
        """Return the content of input ``name``: the object of an earlier module of the job, or read from disk.

        The caller may change the object.
        """
        return self._read(self.input(name), read)

    def read_inputs(self, name: str, read: Callable[[Path], T]) -> list[T]:
        """Return the contents of an input of several files, in their order; see `read_input`."""
        return [self._read(path, read) for path in self.inputs.get(name, ())]

    def _read(self, path: Path, read: Callable[[Path], T]) -> T:
        """Return the object of a file from memory, else read the file."""
        if self.objects.has(path.name):
            return cast(T, self.objects.get(path.name, last=path.name not in self.later_inputs))
        return read(path)

    def view_input(self, path: Path, read: Callable[[Path], T]) -> T:
        """Return the content of one file of an input without copying it: the caller must not change it."""
        if self.objects.has(path.name):
            return cast(T, self.objects.get(path.name, last=True))
        return read(path)

    def write_output(self, name: str, value: T, write: Callable[[Path, T], object]) -> None:
        """Store output ``name`` in memory for later modules.

        Parameters
        ----------
        name
            The output.
        value
            The object.
        write
            Writes its file, ``write(path, value)``: at once if it goes into the archive, else when a program needs it
            (`input_on_disk`) or memory is short.
        """
        self.objects.put(self.output(name), value, write, now=name in self.archived_outputs)

    def input_on_disk(self, name: str) -> Path:
        """Return the path of the one file of input ``name``, written if it is in memory only: for programs."""
        path = self.input(name)
        self.objects.write_file(path.name)
        return path

    def inputs_on_disk(self, name: str) -> tuple[Path, ...]:
        """Return the paths of the files of input ``name``, all written: for programs."""
        for path in self.inputs.get(name, ()):
            self.objects.write_file(path.name)
        return self.inputs.get(name, ())

    def set_parents(self, output: str, parents: Iterable[Path]) -> None:
        """Declare from which input files ``output`` was derived (default: all).

        If this is declared for every output, the wrapper has used these files only: optional ones that it
        has read and not used do not enter the lineage.
        """
        self.parents[self.output(output).name] = tuple(p.name for p in parents)

    # -- settings

    def section(self, *path: str) -> Tree:
        """A section of the settings; empty if it is not there."""
        return dict(section(self.settings, *path))

    def keywords(self, *path: str) -> dict[str, str]:
        """Return the values of a section of the settings, without the sections in it; empty if it is missing."""
        return texts_of(section(self.settings, *path))

    def text(self, key: str, default: str | None = None) -> str:
        """A setting as text; `UsageError` if it is missing and there is no default."""
        value = self.settings.get(key, default)
        if not isinstance(value, str):
            raise UsageError(
                f"{self.name}: setting {key!r} is missing; add it to the module or to config.wcl"
            )
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A setting as a number; `UsageError` if it is not one."""
        value = self.text(key, None if default is None else repr(default))
        try:
            return float(value)
        except ValueError as err:
            raise UsageError(f"{self.name}: setting {key} = {value!r} is not a number") from err

    # -- what it says

    def write_log(self, text: str) -> None:
        """Write a line into the log, where the quality controls read it."""
        self.log.write(text.encode("utf-8", "replace").rstrip(b"\n") + b"\n")

    def finding(self, level: int, text: str) -> None:
        """Record something for the operator: level 1 error, 2 warning, 3 info; it is in the log too."""
        self.log.add_finding(Finding(level, text, pattern=f"{self.name}.finding"))

    def metric(self, name: str, value: float, unit: str = "", band: str = "", text: str = "") -> None:
        """Record a QA number; one that is not finite is logged and not recorded.

        Parameters
        ----------
        name, value
            Name and value.
        unit
            Unit, such as arcsec or mag; empty: none.
        band
            Band; empty: that of the wrapper.
        text
            What the number means.
        """
        if not math.isfinite(value):
            self.write_log(f"metric {name} is not finite and is not recorded")
            return
        self.metrics.append(Metric(name, float(value), unit, band or self.keys.get("band", ""), text))

    # -- programs

    def run(self, execname: str, args: Sequence[str | Path], *, check: bool = True) -> int:
        """Run a program of the settings' ``exec`` section in the work folder, under the quality controls.

        Parameters
        ----------
        execname
            Its name in ``settings["exec"]``: keys ``program``, ``version_flag``, ``version_pattern``, ``write_error``.
            Without ``version_flag`` it is never started to ask for its version; the digest of its file identifies it.
            ``write_error``: how it says that it could not write a file (some programs remove what they wrote, so that
            there is room again when they end).
        args
            Its arguments; no shell sees them.
        check
            Raise `ProgramFailed` when it ends with another status than 0, `StorageFull` when its disk is full then.

        Returns
        -------
        int
            Exit status; negative: ended by that signal.
        """
        spec = self.keywords("exec", execname)
        program = str(spec.get("program", execname))
        path = shutil.which(program)
        if path is None:
            raise ProgramFailed(
                f"{self.name}: program {program} is not installed (Debian package {package_of(program)})"
            )
        version = self._version(path, spec)
        argv = [path, *(self._argument(str(argument)) for argument in args)]
        self.write_log("$ " + " ".join([program, *argv[1:]]))
        with self.log.reader(execname):
            record = self._run_measured(argv, execname, version)
        self.execs.append(record)
        if self.log.stop is not None:
            stop = self.log.stop
            raise ProgramFailed(f"{self.name}: stopped by quality control, {stop.pattern}: {stop.text}")
        if check and record.status != 0:
            ending = f"status {record.status}" if record.status > 0 else f"signal {-record.status}"
            failed = f"{self.name}: {program} ended with {ending}"
            free, write_error = (
                shutil.disk_usage(self.workdir).free,
                str(spec.get("write_error", "")).encode(),
            )
            if free < _MIN_FREE or (write_error and write_error in self._last_output):
                raise StorageFull(
                    f"{failed}, and {self.workdir} has room for {free} bytes only; make room and try again"
                )
            raise ProgramFailed(f"{failed}; its log is {self.log.path.name}")
        return record.status

    def _argument(self, text: str) -> str:
        """Return an argument; a file path that the program could not read is replaced by a link."""
        if (
            self.paths is None
            or not text.startswith("/")
            or is_portable(Path(text))
            or not Path(text).is_file()
        ):
            return text
        return str(self.paths.file(Path(text)))

    def _run_measured(self, argv: Sequence[str], execname: str, version: str) -> ExecRecord:
        """Run a program, read its output as it comes, and return its record with times and resources."""
        start = time.time()
        self._last_output = b""
        process = subprocess.Popen(
            argv,
            cwd=self.workdir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
        )
        peak = PeakMemory()
        assert process.stdout is not None
        fd = process.stdout.fileno()
        for _ in peak.ready(process.pid, fd):
            chunk = os.read(fd, 1 << 16)
            if not chunk:
                break
            self.log.write(chunk)
            self._last_output = self._last_output[-_TAIL_BYTES:] + chunk
            if self.log.stop is not None:
                process.kill()
                break
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return ExecRecord(
            execnum=len(self.execs) + 1,
            name=execname,
            version=version,
            cmdargs=" ".join(argv[1:]),
            status=process.returncode,
            start_time=start,
            end_time=time.time(),
            utime=usage.ru_utime,
            stime=usage.ru_stime,
            maxrss=peak.of(usage),
            minflt=usage.ru_minflt,
            majflt=usage.ru_majflt,
            inblock=usage.ru_inblock,
            oublock=usage.ru_oublock,
            nvcsw=usage.ru_nvcsw,
            nivcsw=usage.ru_nivcsw,
            digest=cached_file_digest(Path(argv[0])),
        )

    def _environment(self) -> dict[str, str] | None:
        """Return the environment of programs: section ``job_environment``, in capitals; None: the worker's."""
        variables = self.keywords("job_environment")
        if not variables:
            return None
        resolver = Resolver({**self.settings, **self.keys})
        return {**os.environ, **{k.upper(): resolver.replace(v) for k, v in variables.items()}}

    def _version(self, path: str, spec: Mapping[str, str]) -> str:
        """Return the version of a program; one without a declared call is not started for it."""
        flag = str(spec.get("version_flag", ""))
        if not flag:
            return NO_VERSION
        # The file's time and size are part of the key, so that a running worker notices an upgrade.
        stat = Path(path).stat()
        key = f"{path} {stat.st_mtime_ns} {stat.st_size} {flag}"
        if key not in self.versions:
            output = subprocess.run(
                [path, *flag.split()],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
            match = re.search(
                str(spec.get("version_pattern", r"(\d+(?:\.\d+)+)")), output.stdout + output.stderr
            )
            self.versions[key] = match.group(match.lastindex or 0) if match else "unknown"
        return self.versions[key]


Wrapper: TypeAlias = Callable[[Task], None]
