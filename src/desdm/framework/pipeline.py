"""The record of a pipeline: blocks, modules, files, lists and execs, as a value one reads aloud.

The same record is written in Python (``desdm/pipelines/<name>.py``) or in a submit WCL
(``framework/submitwcl.py``); everything after it, from planning to provenance, sees only this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from desdm.wcl import Tree

__all__ = ["LIST_FORMATS", "Block", "Exec", "FileSet", "ListSet", "Module", "Pipeline", "Tree", "texts"]


#: How the columns of a list are written: format → what separates them.
LIST_FORMATS = {"textsp": " ", "texttab": "\t", "textcsv": ","}


@dataclass(frozen=True, slots=True)
class FileSet:
    """One ``<file F>`` of a module: a set of files that its wrappers read or write.

    An input says where it comes from: from the archive (``query``), from an earlier module
    (``depends``), from a query program (``program``), or by its name (``filename``, or ``filepat`` with ``flabel``
    and ``fsuffix``), an earlier output of the attempt or archived. An output says its ``filetype`` and its name.
    """

    name: str
    filetype: str = ""
    #: name of one of the pipeline's filename patterns
    filepat: str = ""
    flabel: str = ""
    fsuffix: str = "fits"
    #: a name (may hold ``${}``, a comma list, and directories of the work folder) instead of a pattern
    filename: str = ""
    #: name of one of the pipeline's directory patterns; empty: the file type's own directory
    dirpat: str = ""
    #: column → value in DESDM's query syntax (``a,b`` in, ``%`` like, ``!v`` not …)
    query: Mapping[str, str] = field(default_factory=dict)
    #: ``module.file`` or ``module.list`` that makes these files earlier in the same attempt
    depends: str = ""
    #: loop keys by which a wrapper's files are picked out; empty: every loop key that the rows have
    match: tuple[str, ...] = ()
    #: True: every wrapper gets the whole set, whatever its loop values
    whole: bool = False
    #: a missing file is no error; the wrapper sees an empty input
    optional: bool = False
    #: only used through a list, not handed to the wrapper by itself
    listonly: bool = False
    #: outputs: whether the file goes into the archive
    savefiles: bool = True
    #: True: the archive chooses the calibration of this file type: epoch table, nearest good night, tag
    calibration: bool = False
    #: True: a calibration that is read only where the run makes none of its own; it does not make it other work
    fallback: bool = False
    #: ``module.file`` whose rows give the names of these files, one name each (``depends-newname``)
    newname: str = ""
    #: program that finds the files when the run is submitted, and its arguments (``exec``, ``args`` of a file or list)
    program: str = ""
    args: str = ""
    #: directory below the run's, instead of the file type's (``ops_enddir``)
    enddir: str = ""
    #: outputs: header updates by the name of their section, see `desdm.framework.headerupdates`
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def own_attempt(self) -> bool:
        """Whether its query selects the attempt's own outputs: ``pfw_attempt_id`` without a value of its own."""
        return self.query.get("pfw_attempt_id") == "${pfw_attempt_id}"

    @property
    def by_name(self) -> bool:
        """Whether an input is selected by its name alone, which each wrapper fills with its own values."""
        elsewhere = self.depends or self.query or self.calibration or self.newname or self.program
        return bool(self.filename or self.filepat) and not elsewhere


@dataclass(frozen=True, slots=True)
class ListSet:
    """One ``<list L>`` of a module: a text file that names files, one line each.

    ``files`` names the file sets of the same module whose rows make the lines; ``columns`` are
    ``nick.fullname`` or ``nick.column`` or ``$FMT{%fmt,nick.column}``.
    """

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    filename: str = ""
    #: loop keys by which the list is cut into one list a wrapper
    divide_by: tuple[str, ...] = ()
    #: (column, numeric, reverse)
    sortkey: tuple[str, bool, bool] | None = None
    #: one of `LIST_FORMATS`
    format: str = "textsp"
    allow_missing: bool = False


@dataclass(frozen=True, slots=True)
class Exec:
    """One ``<exec_N>``: a program, its command line, and which files of the module it reads and writes.

    ``cmdline`` holds option → value in order; ``_01_x`` is positional, the value ``_flag`` a bare option.
    """

    execname: str
    cmdline: Mapping[str, str] = field(default_factory=dict)
    #: allsingle, alldouble or mixed_gnu
    cmd_hyphen: str = "allsingle"
    #: comma list of ``file.F`` and ``list.L`` (empty: all inputs, all outputs)
    used: str = ""
    was_generated_by: str = ""
    #: ``parent:child`` pairs, comma separated (empty: every output from every input)
    ancestry: str = ""
    #: argument that makes the program tell its version; empty: it is never started for that
    version_flag: str = ""
    version_pattern: str = r"(\d+(?:\.\d+)+)"


@dataclass(frozen=True, slots=True)
class Module:
    """One ``<module M>``: a code, run once for each combination of its loop values.

    ``wrapper`` is the dotted name of a function ``(Task) -> None`` (``desdm.codes.psf.wrapper.psfex``)
    or ``genwrap``, which runs the module's execs as their command lines say.
    """

    name: str
    wrapper: str
    text: str = ""
    #: loop keys; none: one wrapper
    loop: tuple[str, ...] = ()
    #: name of the input file set whose rows give the loop values; empty: WCL values and ranges
    loopobj: str = ""
    inputs: tuple[FileSet, ...] = ()
    outputs: tuple[FileSet, ...] = ()
    lists: tuple[ListSet, ...] = ()
    execs: tuple[Exec, ...] = ()
    #: further keys and sections of the module; they overlay the code's ``config.wcl``
    settings: Tree = field(default_factory=dict)
    #: True: the module only queries, for other modules to depend on
    noop: bool = False
    #: True: a file that its code cannot use is a finding; wrappers that need its outputs are left out, the run goes on
    tolerant: bool = False

    def fileset(self, name: str) -> FileSet | None:
        """The input or output of that name, or None."""
        return next((f for f in (*self.inputs, *self.outputs) if f.name == name), None)


@dataclass(frozen=True, slots=True)
class Block:
    """One ``<block B>``: modules that run in order; its jobs are independent of each other.

    ``divide_jobs_by`` are loop keys: wrappers that agree in them form one job (none: one job).
    """

    name: str
    modules: tuple[Module, ...]
    divide_jobs_by: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline: blocks in series, name patterns, and default settings.

    ``inclfunc`` is the dotted name of a function ``(find, settings) -> dict`` called at submission, as the
    DESDM's ``<<inclfunc>>``: it may look up files with ``find(query) -> files`` and adds settings
    (for instance a tile's geometry).
    """

    name: str
    text: str
    blocks: tuple[Block, ...]
    version: str = "1"
    #: what one unit of it is: exposure, nite, tile …
    unit: str = "tile"
    filename_patterns: Mapping[str, str] = field(default_factory=dict)
    directory_patterns: Mapping[str, str] = field(default_factory=dict)
    settings: Tree = field(default_factory=dict)
    inclfunc: str = ""

    def modules(self) -> Iterator[tuple[Block, Module]]:
        """Every module with its block, in running order."""
        for block in self.blocks:
            for module in block.modules:
                yield block, module


def texts(value: object) -> Iterator[str]:
    """Give every text in a section of WCL or a record of a pipeline."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from texts(inner)
    elif is_dataclass(value):
        for attribute in fields(value):
            yield from texts(getattr(value, attribute.name))
