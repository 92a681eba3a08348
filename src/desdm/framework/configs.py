"""The settings of a pipeline's modules: the ``config.wcl`` of their codes, their own keys, and the operator's over them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from desdm import wcl
from desdm.errors import PlanError
from desdm.framework.pipeline import Pipeline
from desdm.framework.sections import Settings, Tree
from desdm.framework.software import folder_digest

__all__ = ["FURTHER", "code_config", "code_folder", "is_program", "module_configs", "overlay_settings"]

#: The key of a ``config.wcl`` that lists further keys, separated by commas; in them ``*`` stands for any name.
FURTHER = "further_keys"


def module_configs(pipeline: Pipeline) -> tuple[dict[str, Tree], dict[Path, str]]:
    """Return the settings of each module, and the digest of each code's folder.

    A code's ``config.wcl`` holds values for all its wrappers, its programs (``<exec>``), and a section for each
    wrapper that has values of its own; the module's keys overlay them.
    """
    configs: dict[str, Tree] = {}
    codes: dict[Path, str] = {}
    trees: dict[Path, Tree] = {}
    for _, module in pipeline.modules():
        folder = code_folder(module.wrapper)
        if folder is None:
            configs[module.name] = wcl.merge({}, dict(module.settings))
            continue
        if folder not in codes:
            codes[folder] = folder_digest(folder)
            path = folder / "config.wcl"
            trees[folder] = wcl.read(path).tree if path.is_file() else {}
        configs[module.name] = wcl.merge(_of_wrapper(trees[folder], module.wrapper), dict(module.settings))
    return configs, codes


def code_config(wrapper: str) -> Tree | None:
    """Return what the ``config.wcl`` of a wrapper's code says for it; None for a program or the generic wrapper."""
    folder = code_folder(wrapper)
    if folder is None:
        return None
    path = folder / "config.wcl"
    return _of_wrapper(dict(wcl.read(path).tree) if path.is_file() else {}, wrapper)


def _of_wrapper(tree: Settings, wrapper: str) -> Tree:
    """The values of a ``config.wcl`` for all wrappers, its programs, and the wrapper's own section over them."""
    overrides = tree.get(wrapper.rpartition(".")[2], {})
    base = wcl.merge({}, {k: v for k, v in tree.items() if k == "exec" or isinstance(v, str)})
    return wcl.merge(base, overrides if isinstance(overrides, dict) else {})


def overlay_settings(base: Mapping[str, Settings], run: Settings) -> dict[str, Tree]:
    """Return the modules' settings with the operator's (``--set module.key=…``) over them."""
    configs: dict[str, Tree] = {}
    for name, config in base.items():
        overrides = run.get(name)
        configs[name] = wcl.merge(
            wcl.merge({}, dict(config)), overrides if isinstance(overrides, dict) else {}
        )
    return configs


def code_folder(wrapper: str) -> Path | None:
    """Return the folder of a wrapper's code; None for a program or the generic wrapper."""
    module = wrapper.rpartition(".")[0]
    if not module or is_program(wrapper):
        return None
    try:
        spec = find_spec(module)
    except (ImportError, ValueError) as err:
        raise PlanError(f"wrapper {wrapper} cannot be found: {err}") from err
    if spec is None or spec.origin is None:
        raise PlanError(f"wrapper {wrapper} cannot be found; its module {module} does not exist")
    return Path(spec.origin).parent


def is_program(wrapper: str) -> bool:
    """Say whether a wrapper is a program of the original's kind (``runX.py``) instead of a function of a package."""
    return wrapper.endswith(".py") and wrapper.count(".") == 1
