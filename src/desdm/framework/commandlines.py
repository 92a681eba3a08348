"""Check the command lines of a plan: a value that no job could fill is reported before anything is queued."""

from __future__ import annotations

import re
from collections.abc import Mapping

from desdm.errors import PlanError, WCLError
from desdm.framework.plan import Plan, PlannedWrapper
from desdm.framework.sections import Settings, Tree
from desdm.wcl import Resolver

__all__ = ["check_command_lines"]

#: Keys of which each wrapper has its own value, so that one wrapper stands for all.
_KEYS_OF_WRAPPER = ("expnum", "ccdnum", "tilename")
#: What reads a file or calls a function is left to the job; the names within are looked up all the same.
_CALLS = re.compile(r"\$(?:HEAD|FUNC)\{", re.IGNORECASE)


def check_command_lines(
    plan: Plan, run: Settings, configs: Mapping[str, Settings], top: Mapping[str, str]
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
    checked: set[tuple[object, ...]] = set()
    for job in plan.jobs:
        for wrapper in job.wrappers:
            if not wrapper.module.execs:
                continue
            kind = (
                wrapper.module.name,
                *((k, v) for k, v in wrapper.keys.items() if k not in _KEYS_OF_WRAPPER),
            )
            if kind not in checked:
                checked.add(kind)
                _check_wrapper(
                    wrapper, {**run, **configs.get(wrapper.module.name, {}), **top, **wrapper.keys}
                )


def _check_wrapper(wrapper: PlannedWrapper, scope: Settings) -> None:
    """Look up the names in the command lines of one wrapper."""
    module = wrapper.module
    names_of_file: Tree = {"fullname": "FILE", "filename": "FILE"}
    files = [*(f.name for f in (*module.inputs, *module.outputs)), *wrapper.inputs, *wrapper.outputs]
    of_files: Tree = dict.fromkeys(files, names_of_file)
    of_lists: Tree = dict.fromkeys((program.name for program in module.lists), names_of_file)
    resolver = Resolver({**scope, "file": of_files, "list": of_lists})
    for number, program in enumerate(module.execs, 1):
        for option, value in program.cmdline.items():
            try:
                resolver.replace(_CALLS.sub("{", str(value)))
            except WCLError as err:
                raise PlanError(
                    f"module {module.name}, exec_{number}: {option} = {value}: {err.message}; set it, or correct the "
                    "command line"
                ) from err
