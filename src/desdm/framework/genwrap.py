"""The generic wrapper: runs a module's execs as their command lines in WCL say, with no Python of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from desdm.errors import UsageError
from desdm.framework.sections import Settings, Tree, section
from desdm.framework.wrapper import Task
from desdm.wcl import Resolver

__all__ = ["genwrap"]

#: How an option of one letter or more is written, by ``cmd_hyphen``.
_HYPHENS = {"allsingle": ("-", "-"), "alldouble": ("--", "--"), "mixed_gnu": ("-", "--")}


def genwrap(task: Task) -> None:
    """Run every ``exec_N`` of the module's settings in order."""
    numbers = sorted(int(k[5:]) for k in task.settings if k.startswith("exec_") and k[5:].isdecimal())
    if not numbers:
        raise UsageError(f"{task.name}: the module has no <exec_1>, so there is nothing to run")
    resolver = Resolver(_scope(task))
    for number in numbers:
        spec = task.section(f"exec_{number}")
        name = str(spec.get("execname", ""))
        if not name:
            raise UsageError(f"{task.name}: exec_{number} has no execname")
        programs = {**task.section("exec")}
        programs.setdefault(
            name, {k: v for k, v in spec.items() if k.startswith("version_")} | {"program": name}
        )
        task.settings = {**task.settings, "exec": programs}
        task.run(name, list(arguments(spec, resolver)))


def arguments(spec: Settings, resolver: Resolver) -> Iterator[str]:
    """The command line of one exec: positional ``_01_x``, options, bare options (``_flag``)."""
    style = str(spec.get("cmd_hyphen", "allsingle"))
    if style not in _HYPHENS:
        raise UsageError(f"cmd_hyphen = {style}: one of {', '.join(_HYPHENS)}")
    single, double = _HYPHENS[style]
    for key, value in section(spec, "cmdline").items():
        text = resolver.replace(str(value))
        if key.startswith("_") and key[1:3].isdecimal():
            yield text
            continue
        option = (single if len(key) == 1 else double) + key
        if text == "_flag":
            yield option
        elif style == "alldouble" or (style == "mixed_gnu" and len(key) > 1):
            yield f"{option}={text}"
        else:
            yield option
            yield text


def _scope(task: Task) -> Tree:
    """Return the values that command lines may name: settings, loop values, and files and lists by their names."""
    files: Tree = {}
    lists: Tree = {}
    for name, paths in task.inputs.items():
        target = lists if name.startswith("list.") else files
        target[name.removeprefix("list.")] = _file_names(paths)
    outputs: dict[str, tuple[Path, ...]] = {}
    for name, path in task.outputs.items():
        # An output whose name stands for several comes as F, F.2, F.3 …
        stem = name.partition(".")[0]
        outputs[stem] = (*outputs.get(stem, ()), path)
    files |= {name: _file_names(paths) for name, paths in outputs.items()}
    return {**task.settings, **task.keys, "file": files, "list": lists}


def _file_names(paths: tuple[Path, ...]) -> Tree:
    """Return paths and names of files as comma lists."""
    return {"fullname": ",".join(map(str, paths)), "filename": ",".join(p.name for p in paths)}
