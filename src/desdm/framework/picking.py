"""Which files of an input go to which wrapper: by the values that they share, by name, or by the names of other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError, WCLError
from desdm.framework.filenames import NamePattern, base_name
from desdm.framework.model import Columns
from desdm.framework.pipeline import FileSet, Module

__all__ = [
    "InputError",
    "KeyPicker",
    "NamePicker",
    "NewNamePicker",
    "Picker",
    "PlannedFile",
    "archived_file",
    "excluded_ccds",
    "expand_names",
    "text_of",
]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that a wrapper will make (or, from the archive, reads), with what is known of it."""

    filename: str
    filetype: str
    directory: str
    columns: Columns
    #: number of the wrapper that makes it; 0: it lies in the archive already
    wrapnum: int = 0
    optional: bool = False
    save: bool = True
    #: where the program writes it in the work folder, if not by its name at the top
    workpath: str = ""


class Picker(Protocol):
    """Picks the files of one input for each wrapper."""

    name: str

    def pick(self, keys: Mapping[str, str], scope: Mapping[str, str]) -> tuple[PlannedFile, ...]:
        """The files for a wrapper's loop values; ``scope`` holds every value by which names are filled."""


@dataclass(frozen=True, slots=True)
class FileLookup:
    """Files by name: planned earlier in the attempt, or in the archive."""

    planned: Mapping[str, PlannedFile]
    archived: Mapping[str, PlannedFile] = field(default_factory=dict)

    def get(self, name: str) -> PlannedFile | None:
        """The file of that name."""
        return self.planned.get(name) or self.archived.get(name)


def archived_file(file: CatalogFile) -> PlannedFile:
    """Return the file of a plan that lies in the archive."""
    columns = file.columns()
    return PlannedFile(file.filename, str(columns["filetype"]), file.path, columns)


def excluded_ccds(columns_of_files: Iterable[Columns]) -> frozenset[str]:
    """Return the CCDs that every one of these files says must not be used."""
    sets = [
        frozenset(str(columns.get("excluded_ccds") or "").split(",")) - {""} for columns in columns_of_files
    ]
    return frozenset.intersection(*sets) if sets else frozenset()


def text_of(value: object) -> str:
    """A loop value as text: 34, "34" and "034" are one CCD, so numbers are compared as the numbers that they are."""
    if value is None:
        return ""
    text = str(value)
    return str(int(text)) if text.isdecimal() else text


def expand_names(
    pattern: NamePattern, scope: Mapping[str, str], module: Module, fileset: FileSet
) -> list[tuple[str, dict[str, str]]]:
    """Return the names of a file set for a wrapper.

    Parameters
    ----------
    pattern
        Pattern of the names.
    scope
        Values by name: settings and loop values.
    module, fileset
        Whose names they are; label and suffix of the file set are values too.

    Returns
    -------
    list
        Each name with the values of the variables that have more than one.

    Raises
    ------
    PlanError
        A value is missing.
    """
    try:
        return pattern.all_names({**scope, "flabel": fileset.flabel, "fsuffix": fileset.fsuffix})
    except WCLError as err:
        raise PlanError(f"module {module.name}, file {fileset.name}: {err.message}") from err


class InputError(PlanError):
    """A wrapper has no file of an input.

    Parameters
    ----------
    message
        Which wrapper and input.
    advice
        What helps where no file was left out.
    filetypes
        File types of the input.
    keys
        Loop values of the wrapper.
    """

    def __init__(self, message: str, advice: str, filetypes: frozenset[str], keys: Mapping[str, str]) -> None:
        self.message, self.filetypes, self.keys = message, filetypes, keys
        super().__init__(f"{message}; {advice}")


class KeyPicker:
    """Picks by an index over the keys that files and wrappers share."""

    def __init__(self, module: Module, fileset: FileSet, files: Sequence[PlannedFile]) -> None:
        self.module, self.fileset, self.name = module, fileset, fileset.name
        self.files = tuple(files)
        self.has_exclusions = any(f.columns.get("excluded_ccds") for f in files)
        self.match: tuple[str, ...] = ()
        if not fileset.whole and files:
            # What no file says of itself cannot part them.
            keys = fileset.match or module.loop
            self.match = tuple(k for k in keys if any(f.columns.get(k) is not None for f in files))
        #: for some of the keys: values → files; an index is built at its first use
        self.indexes: dict[tuple[str, ...], dict[tuple[str, ...], tuple[PlannedFile, ...]]] = {}

    def pick(self, keys: Mapping[str, str], scope: Mapping[str, str]) -> tuple[PlannedFile, ...]:
        """The files whose values are the wrapper's."""
        picked = self.files
        if self.match:
            values = tuple(text_of(keys.get(k, scope.get(k, ""))) for k in self.match)
            picked = self.with_values(self.match, values) or self.with_some_values(values)
        ccdnum = keys.get("ccdnum")
        if self.has_exclusions and ccdnum:
            # A file of several CCDs serves all of them but those that are excluded.
            picked = tuple(f for f in picked if ccdnum not in excluded_ccds((f.columns,)))
        if not picked and not self.fileset.optional:
            where = ", ".join(f"{k}={v}" for k, v in keys.items()) or "the whole run"
            raise InputError(
                f"module {self.module.name}: no file for input {self.name} of {where} "
                f"({self.fileset.filetype or self.fileset.depends or self.fileset.filename})",
                "register it, or mark the input optional",
                frozenset((self.fileset.query.get("filetype") or self.fileset.filetype).split(",")),
                keys,
            )
        return picked

    def with_some_values(self, values: Sequence[str]) -> tuple[PlannedFile, ...]:
        """The files that agree in those values that a wrapper has; a wrapper of several exposures gets all of theirs."""
        usable = [
            (k, v) for k, v in zip(self.match, values, strict=True) if v and v.replace("_", "").isalnum()
        ]
        return self.with_values(tuple(k for k, _ in usable), tuple(v for _, v in usable))

    def with_values(self, keys: tuple[str, ...], values: tuple[str, ...]) -> tuple[PlannedFile, ...]:
        """The files that have these values of these keys, in their order."""
        if keys not in self.indexes:
            index: dict[tuple[str, ...], list[PlannedFile]] = {}
            for file in self.files:
                index.setdefault(tuple(text_of(file.columns.get(k)) for k in keys), []).append(file)
            self.indexes[keys] = {of: tuple(files) for of, files in index.items()}
        return self.indexes[keys].get(values, ())


class NamePicker:
    """Picks by name, filled with the wrapper's values: a file planned earlier in the attempt, or one in the archive."""

    def __init__(self, module: Module, fileset: FileSet, pattern: NamePattern, lookup: FileLookup) -> None:
        self.module, self.fileset, self.name = module, fileset, fileset.name
        self.pattern, self.lookup = pattern, lookup

    def pick(self, keys: Mapping[str, str], scope: Mapping[str, str]) -> tuple[PlannedFile, ...]:
        """The files of these names."""
        return tuple(_files_of_names(self.pattern, scope, self.module, self.fileset, self.lookup))


class NewNamePicker:
    """Picks the files whose names contain the values of other files (``depends-newname``)."""

    def __init__(
        self, module: Module, fileset: FileSet, pattern: NamePattern, lookup: FileLookup, source: KeyPicker
    ) -> None:
        self.module, self.fileset, self.name = module, fileset, fileset.name
        self.pattern, self.lookup, self.source = pattern, lookup, source

    def pick(self, keys: Mapping[str, str], scope: Mapping[str, str]) -> tuple[PlannedFile, ...]:
        """One file for each file of the source."""
        files: list[PlannedFile] = []
        for source in self.source.pick(keys, scope):
            values = {**scope, **{k: str(v) for k, v in source.columns.items() if v is not None}}
            files += _files_of_names(self.pattern, values, self.module, self.fileset, self.lookup)
        return tuple(files)


def _files_of_names(
    pattern: NamePattern, values: Mapping[str, str], module: Module, fileset: FileSet, lookup: FileLookup
) -> Iterator[PlannedFile]:
    """The files of the names that values make; `PlanError` if one is not known and may not lack."""
    for path, _ in expand_names(pattern, values, module, fileset):
        name = base_name(path)
        file = lookup.get(name)
        if file is not None:
            yield file
        elif not fileset.optional:
            raise PlanError(
                f"module {module.name}, file {fileset.name}: {name} is not in the archive, and no earlier module makes "
                "it; ingest it, or mark the input optional"
            )
