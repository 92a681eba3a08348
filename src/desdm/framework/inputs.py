"""Find the inputs of a submission in the archive: by name, and with query programs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from desdm import wcl
from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError, WCLError
from desdm.framework.filenames import NamePattern, expand_value, name_pattern, query_name
from desdm.framework.pipeline import FileSet, Module, Pipeline
from desdm.framework.scope import InputFinder
from desdm.framework.sections import Settings

__all__ = ["IDENTITY", "find_by_name", "find_by_program", "query_value", "resolved_identity"]

#: Settings that say which run it is; they may be composed of others (``unitname = ${camsym}${expnum:8}``).
IDENTITY = (
    "unitname",
    "tilename",
    "expnum",
    "nite",
    "band",
    "project",
    "campaign",
    "jira_id",
    "reqnum",
    "label",
)
_SECONDS = 600


def resolved_identity(run: Settings) -> dict[str, str]:
    """The settings that say which run it is, with the values of others put in.

    Raises
    ------
    PlanError
        One names a setting that has no value.
    """
    values = {}
    for key in IDENTITY:
        text = run.get(key)
        if isinstance(text, str) and "$" in text:
            try:
                values[key] = expand_value(text, run)
            except WCLError as err:
                raise PlanError(f"{key} = {text}: {err.message}; set it: --set KEY=VALUE") from err
    return values


def query_value(key: str, text: str, scope: Settings) -> str:
    """Return the value of a query: names with ``%`` for variables of several values, ranges as lists.

    Parameters
    ----------
    key
        Column of the query.
    text
        Its value, with references.
    scope
        Values by name.

    Raises
    ------
    WCLError
        A setting in it has no value.
    """
    if key == "filename" and "$" in text:
        return query_name(NamePattern.of(text), scope)
    value = expand_value(text, scope)
    if value[:1] == "(" or re.fullmatch(r"[\d\s,]*\d:\d[\d\s,:]*", value):
        return ",".join(wcl.split_range(value))
    return value


def find_by_name(
    finder: InputFinder,
    pipeline: Pipeline,
    module: Module,
    fileset: FileSet,
    run: Settings,
) -> tuple[str, list[CatalogFile]]:
    """Files of the archive that an input by name may mean; none is no error, since the attempt itself may make it.

    Parameters
    ----------
    finder
        Finds files in the scope of the run, and notes those that must not be used.
    pipeline, module, fileset
        Whose input it is.
    run
        Settings of the run; what they do not say, a wrapper's loop values do.

    Returns
    -------
    tuple
        The query as text, and the files.

    Raises
    ------
    PlanError
        Hardly anything of the name is known.
    """
    # Loop values and the attempt's number are not known yet.
    unknown = {*module.loop, "attnum", "reqnum", "flabel", "fsuffix"}
    scope = {k: v for k, v in {**run, **module.settings}.items() if k not in unknown}
    scope |= {"flabel": fileset.flabel, "fsuffix": fileset.fsuffix}
    try:
        name = query_name(name_pattern(pipeline, fileset), scope)
    except WCLError as err:
        raise PlanError(f"module {module.name}, input {fileset.name}: {err.message}") from err
    files: list[CatalogFile] = []
    for part in name.split(","):
        files += finder.find_named(part, finder.scope)[0]
    return f"filename = {name}", files


def find_by_program(
    finder: InputFinder, module: Module, fileset: FileSet, run: Settings
) -> tuple[str, list[CatalogFile]]:
    """Run the query program of a file set and read its result.

    The program writes a WCL file to ``${qoutfile}``: each section with a ``filename`` is a file, and its other keys
    (and those of the section around it) are known of it. Every file must be in the archive; one that must not be used
    because of a mark or an exclusion is left out.

    Parameters
    ----------
    finder
        Finds files, and notes those that must not be used.
    module, fileset
        Whose input it is.
    run
        Settings of the run, for its arguments.

    Raises
    ------
    PlanError
        It is not installed, fails, or names a file that the archive does not have.
    """
    where = f"module {module.name}, input {fileset.name}"
    path = shutil.which(fileset.program)
    if path is None:
        raise PlanError(f"{where}: its query program {fileset.program} is not on the PATH; install it")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "query.wcl"
        scope = {**run, **module.settings, "qoutfile": str(output)}
        try:
            arguments = shlex.split(expand_value(fileset.args, scope))
        except (WCLError, ValueError) as err:
            raise PlanError(f"{where}: args = {fileset.args}: {err}") from err
        try:
            process = subprocess.run(
                [path, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            raise PlanError(f"{where}: query program {fileset.program}: {err}") from err
        if process.returncode != 0 or not output.is_file():
            message = (process.stderr or process.stdout).strip()[-500:]
            raise PlanError(f"{where}: {fileset.program} ended with status {process.returncode}: {message}")
        try:
            tree = wcl.read(output, compat=True).tree
        except WCLError as err:
            raise PlanError(f"{where}: the answer of {fileset.program} is not WCL: {err.message}") from err
    return f"{fileset.program} {fileset.args}", _catalogue_files(
        finder, list(_file_sections(tree, fileset.name, {})), where
    )


def _file_sections(tree: Settings, nick: str, around: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Every section of an answer that names a file: that of the nick where a line has several."""
    values = {**around, **{k: v for k, v in tree.items() if isinstance(v, str)}}
    if "filename" in tree or "fullname" in tree:
        yield values
        return
    sections = {k: v for k, v in tree.items() if isinstance(v, dict)}
    for inner in [sections[nick]] if nick in sections else sections.values():
        yield from _file_sections(inner, nick, values)


def _catalogue_files(
    finder: InputFinder, sections: Sequence[Mapping[str, str]], where: str
) -> list[CatalogFile]:
    """The archive's records of the files, with what the program says of them on top."""
    files: list[CatalogFile] = []
    for values in sections:
        name = values.get("filename", values.get("fullname", "")).rpartition("/")[2]
        name += values.get("compression", "")
        matches, omitted = finder.find_named(name, None)
        if not matches and omitted:
            continue
        if not matches:
            raise PlanError(f"{where}: {name} is not in the archive; ingest it")
        overrides = {k: v for k, v in values.items() if k not in ("filename", "fullname", "path")}
        files.append(replace(matches[0], overrides=overrides))
    return files
