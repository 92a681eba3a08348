"""Checks the command lines of a plan: a value that no job could fill is told before anything is queued."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from desdm.errors import PlanError, WCLError
from desdm.framework.plan import Plan, PlannedWrapper
from desdm.wcl import Resolver, Tree

__all__ = ["check_command_lines"]

#: Keys of which each wrapper has its own value, so that one wrapper stands for all.
_OF_ONE = ("expnum", "ccdnum", "tilename")
#: What reads a file or calls a function is left to the job; the names within are looked up all the same.
_CALLS = re.compile(r"\$(?:HEAD|FUNC)\{", re.IGNORECASE)


def check_command_lines(
    plan: Plan, run: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]], top: Mapping[str, str]
) -> None:
    """Look up the names in the command lines of a plan's programs, as the jobs will.

    Parameters
    ----------
    plan
        The plan.
    run, configs, top
        Settings of the run, of each module's code, and what says which attempt it is.

    Raises
    ------
    PlanError
        A name has no value, or values name each other in a circle.
    """
    seen: set[tuple[object, ...]] = set()
    for job in plan.jobs:
        for wrapper in job.wrappers:
            if not wrapper.module.execs:
                continue
            kind = (wrapper.module.name, *((k, v) for k, v in wrapper.keys.items() if k not in _OF_ONE))
            if kind not in seen:
                seen.add(kind)
                _check(wrapper, {**run, **configs.get(wrapper.module.name, {}), **top, **wrapper.keys})


def _check(wrapper: PlannedWrapper, scope: Mapping[str, Any]) -> None:
    """Look up the names in the command lines of one wrapper."""
    module = wrapper.module
    named: Tree = {"fullname": "FILE", "filename": "FILE"}
    files = [*(f.name for f in (*module.inputs, *module.outputs)), *wrapper.inputs, *wrapper.outputs]
    of_files: Tree = dict.fromkeys(files, named)
    of_lists: Tree = dict.fromkeys((one.name for one in module.lists), named)
    resolver = Resolver({**scope, "file": of_files, "list": of_lists})
    for number, one in enumerate(module.execs, 1):
        for option, value in one.cmdline.items():
            try:
                resolver.replace(_CALLS.sub("{", str(value)))
            except WCLError as err:
                raise PlanError(
                    f"module {module.name}, exec_{number}: {option} = {value}: {err.message}; set it, or correct the "
                    "command line"
                ) from err
