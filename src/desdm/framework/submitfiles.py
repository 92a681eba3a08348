"""Files and lists of a module as a submit WCL describes them (``<file F>`` and ``<list L>``)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from desdm import wcl
from desdm.errors import WCLError
from desdm.framework.headerupdates import PREFIX, header_updates
from desdm.framework.pipeline import LIST_FORMATS, FileSet, ListSet
from desdm.framework.sections import Settings, section

__all__ = [
    "FILE_KEYS",
    "LIST_KEYS",
    "Links",
    "ListSpec",
    "fileset",
    "list_source",
    "list_specs",
    "listset",
    "names",
]

FILE_KEYS = frozenset(
    {
        "filetype",
        "filepat",
        "flabel",
        "fsuffix",
        "filename",
        "fullname",
        "dirpat",
        "ops_enddir",
        "query_fields",
        "depends",
        "depends-newname",
        "exec",
        "args",
        "match",
        "whole",
        "optional",
        "listonly",
        "savefiles",
        "calibration",
        "fallback",
        "text",
        "name",
    }
)
LIST_KEYS = frozenset(
    {
        "columns",
        "format",
        "filename",
        "divide_by",
        "div_list_by_col",
        "sortkey",
        "allow_missing",
        "match",
        "depends",
        "depends-newname",
        "exec",
        "args",
        "filetype",
        "query_fields",
        "text",
    }
)
#: What makes a list bring its own files.
_ORIGINS = ("depends", "depends-newname", "query_fields", "exec")


def names(text: str) -> list[str]:
    """The words of a comma list, lower-cased; the list may be in parentheses."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    return [n.strip().lower() for n in text.split(",") if n.strip()]


@dataclass(frozen=True, slots=True)
class ListSpec:
    """One list to be written: a ``<list L>``, or one of the lists of its ``<div_list_by_col>``."""

    name: str
    #: the ``<list>`` section that contains it
    parent: str
    spec: Settings

    @property
    def nickname(self) -> str:
        """Name of the files in it."""
        return _nickname(self.name, self.spec)

    @property
    def has_source(self) -> bool:
        """Whether it brings its files by itself."""
        return any(key in self.spec for key in _ORIGINS)


def list_specs(lists: Settings) -> list[ListSpec]:
    """The lists of a module, those of ``div_list_by_col`` one by one."""
    specs = []
    for name, spec in lists.items():
        if not isinstance(spec, dict):
            continue
        parts = spec.get("div_list_by_col")
        if not isinstance(parts, dict):
            specs.append(ListSpec(name, name, spec))
            continue
        shared = {k: v for k, v in spec.items() if k != "div_list_by_col"}
        specs += [ListSpec(k, name, {**shared, **v}) for k, v in parts.items() if isinstance(v, dict)]
    return specs


class Links:
    """What the ``depends`` of a submit WCL mean: a list of a module stands for the files in it."""

    def __init__(self, modules: Settings) -> None:
        self._nicknames: dict[tuple[str, str], str] = {}
        self._dependency_names: dict[tuple[str, str], dict[str, None]] = {}
        for module, body in modules.items():
            if not isinstance(body, dict):
                continue
            for list_spec in list_specs(section(body, "list")):
                self._nicknames.setdefault((module, list_spec.parent), list_spec.nickname)
                self._nicknames.setdefault((module, list_spec.name), list_spec.nickname)
            for spec in _file_sections(body):
                for key in ("depends", "depends-newname"):
                    maker, kind, name, nick = _split_reference(str(spec.get(key, "")))
                    if kind == "list" and nick:
                        self._dependency_names.setdefault((maker, name), {})[nick] = None

    def target(self, text: str) -> str:
        """``module.file`` for a ``depends``; empty for an empty one."""
        maker, kind, name, nick = _split_reference(text)
        if kind == "list":
            name = nick or self._nicknames.get((maker, name), name)
        return f"{maker}.{name}" if maker else ""

    def nickname(self, module: str, name: str) -> str:
        """Name of the files in a list of a module."""
        return self._nicknames.get((module, name), name)

    def nicknames_of(self, module: str, list_spec: ListSpec) -> list[str]:
        """Names of the files that a list brings: that of its columns, and those that other modules depend on."""
        return list(
            dict.fromkeys([list_spec.nickname, *self._dependency_names.get((module, list_spec.parent), {})])
        )


def _file_sections(body: Settings) -> Iterator[Settings]:
    """Every file and list section of a module."""
    for kind in ("file", "list"):
        for spec in section(body, kind).values():
            if isinstance(spec, dict):
                yield spec


def _split_reference(text: str) -> tuple[str, str, str, str]:
    """Module, kind (file, list or neither), name and nick of a ``depends``."""
    module, _, rest = text.strip().lower().partition(".")
    kind = next((k for k in ("file", "list") if rest.startswith(f"{k}.")), "")
    name, _, nick = rest.removeprefix(f"{kind}.").partition(".")
    return module, kind, name, nick


def fileset(name: str, spec: Settings, module: Settings, links: Links, where: str) -> FileSet:
    """A ``<file F>`` section.

    Parameters
    ----------
    name
        Its name.
    spec
        The section.
    module
        The module's keys, which a query may use.
    links
        What its ``depends`` means.
    where
        File and module, for errors.

    Raises
    ------
    WCLError
        A flag is neither true nor false.
    """
    text = {k: v for k, v in spec.items() if isinstance(v, str)}
    query: dict[str, str] = {}
    for field in names(text.get("query_fields", "")):
        key = field.rpartition(".")[2]
        query[key] = text.get(key, str(module.get(key, f"${{{key}}}")))
    if "depends" in text or "exec" in text:
        query = {}
    # A column of the query is not a key of the file set; a single file type in it is also the type of the files.
    filetype = text.get("filetype", "")
    if "filetype" in query and not query["filetype"].replace("_", "").isalnum():
        filetype = ""
    try:
        flags = {
            key: wcl.truth(text.get(key, default))
            for key, default in (
                ("whole", "false"),
                ("optional", "false"),
                ("listonly", "false"),
                ("savefiles", "true"),
                ("calibration", "false"),
                ("fallback", "false"),
            )
        }
    except WCLError as err:
        raise WCLError(f"file {name}: {err.message}", where) from err
    return FileSet(
        name=text.get("name", name),
        filetype=filetype,
        filepat=text.get("filepat", ""),
        flabel=text.get("flabel", ""),
        fsuffix=text.get("fsuffix", "fits"),
        filename="" if "filename" in query else text.get("filename", text.get("fullname", "")),
        dirpat=text.get("dirpat", ""),
        query=query,
        depends=links.target(text.get("depends", "")),
        match=tuple(names(text.get("match", ""))),
        newname=links.target(text.get("depends-newname", "")),
        program=text.get("exec", ""),
        args=text.get("args", ""),
        enddir=text.get("ops_enddir", ""),
        headers=header_updates(name, spec, where),
        **flags,
    )


def list_source(
    nick: str, list_spec: ListSpec, file: Settings, module: Settings, links: Links, where: str
) -> FileSet:
    """The files that a list brings by itself; the ``<file>`` section of their name says what they are called.

    Parameters
    ----------
    nick
        Name of the files.
    list_spec
        The list.
    file
        The ``<file>`` section of that name; may be empty.
    module, links, where
        As for `fileset`.
    """
    query_columns = {field.rpartition(".")[2] for field in names(str(list_spec.spec.get("query_fields", "")))}
    source_keys = {*_ORIGINS, *query_columns, "args", "filetype"}
    origin = {k: v for k, v in list_spec.spec.items() if k in source_keys or k not in LIST_KEYS | FILE_KEYS}
    name_keys = {
        k: file[k]
        for k in ("filepat", "flabel", "fsuffix", "filename", "filetype", "dirpat", "ops_enddir", "savefiles")
        if k in file
    } | {k: v for k, v in file.items() if k.startswith(PREFIX)}
    spec = {**name_keys, **origin} if "query_fields" in origin else {**origin, **name_keys}
    if "depends" in origin or "exec" in origin:
        # The names are those of the rows; patterns are for new names only.
        spec = {k: v for k, v in spec.items() if k not in ("filepat", "filename")}
    match = str(list_spec.spec.get("match", list_spec.spec.get("divide_by", "")))
    allowed = str(list_spec.spec.get("allow_missing", file.get("optional", "false")))
    flags = {"listonly": "true", "optional": allowed, "whole": "false" if match else "true", "match": match}
    return fileset(nick, {**spec, **flags}, module, links, where)


def columns(spec: Settings) -> tuple[str, ...]:
    """The columns of a list, split at the commas outside braces."""
    parts: list[str] = []
    depth, column = 0, ""
    for char in str(spec.get("columns", "")):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            parts.append(column.strip())
            column = ""
        else:
            column += char
    return tuple(p for p in (*parts, column.strip()) if p)


def _owner(column: str) -> str:
    """The files that a column is of: ``red`` of ``red.fullname`` and of ``$FMT{%7.3f, red.fwhm}``."""
    inner = column[5:-1].partition(",")[2] if column.startswith("$FMT{") else column
    return inner.strip().rpartition(".")[0].rpartition(".")[2].strip().lower()


def _nickname(list_name: str, spec: Settings) -> str:
    """Return the name of the files in a list: that of the first column that has one."""
    return next((owner for column in columns(spec) if (owner := _owner(column))), list_name)


def listset(list_spec: ListSpec, files: Collection[str], where: str) -> ListSet:
    """A list to be written for each wrapper.

    Parameters
    ----------
    list_spec
        The list.
    files
        Names of the module's files.
    where
        File and module, for errors.

    Raises
    ------
    WCLError
        It names files that the module does not have, or its sort key is not one.
    """
    spec = list_spec.spec
    cells = columns(spec) or (f"{list_spec.nickname}.fullname",)
    nicks = dict.fromkeys(_owner(c) or list_spec.name for c in cells)
    if not list_spec.has_source:
        missing = [n for n in nicks if n not in files]
        if missing:
            raise WCLError(
                f"list {list_spec.name} names {missing[0]}, which is not a file of the module", where
            )
    return ListSet(
        name=list_spec.name,
        files=tuple(nicks),
        columns=cells,
        filename=str(spec.get("filename", "")),
        divide_by=tuple(names(str(spec.get("divide_by", "")))),
        sortkey=_sortkey(str(spec.get("sortkey", "")), where),
        format=_list_format(str(spec.get("format", "textsp")), f"{where}, list {list_spec.name}"),
        allow_missing=wcl.truth(str(spec.get("allow_missing", "false"))),
    )


def _list_format(text: str, where: str) -> str:
    """Return the format of a list in lower case; `WCLError` if it is not known."""
    name = text.strip().lower()
    if name not in LIST_FORMATS:
        raise WCLError(f"format = {text}: known are {', '.join(LIST_FORMATS)}", where)
    return name


def _sortkey(text: str, where: str) -> tuple[str, bool, bool] | None:
    """Return column, numeric and reverse of a sort key; None for an empty one."""
    if not text:
        return None
    parts = [p.strip() for p in text.strip("() ").split(",")]
    if len(parts) > 3:
        raise WCLError(f"sortkey = {text}: (column, numeric, reverse)", where)
    try:
        flags = [wcl.truth(p) for p in parts[1:]] + [False, False]
    except WCLError as err:
        raise WCLError(f"sortkey = {text}: {err.message}", where) from err
    return parts[0].rpartition(".")[2].lower(), flags[0], flags[1]
