"""Settings that a run knows: a misspelt one is refused, since it would give a run with other science."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import desdm.codes
from desdm import wcl
from desdm.errors import UsageError
from desdm.facility import Facility
from desdm.framework.settings import KnownSettings
from desdm.framework.submit import submit
from desdm.pipelines import get

CODES = Path(desdm.codes.__file__).parent


@pytest.mark.parametrize(
    ("pipeline", "key", "hint"),
    [
        ("coadd", "tile_szie", "did you mean tile_size?"),
        ("coadd", "bogus", "known are assessment"),
        ("coadd", "swarp.bogus", "known are swarp.clip_least, swarp.sky_mesh"),
        ("coadd", "clip_least", "it is one of a module: swarp.clip_least"),
        ("coadd", "assesment", "did you mean assessment?"),
        ("coadd", "inputs.campagin", "did you mean inputs.campaign?"),
        (
            "coadd",
            "bands",
            "has no such setting",
        ),  # found out from the images; a value of the operator's had no effect
        ("coadd", "calibration.cal_biascor", "has no such setting"),  # it takes no calibrations
        ("firstcut", "psf_cod", "did you mean psfex.psf_code?"),
        ("firstcut", "calibration.cal_biascorr", "did you mean calibration.cal_biascor?"),
        ("precal", "nitemax_", "did you mean nitemax?"),
    ],
)
def test_an_unknown_setting_is_refused_with_what_was_meant(pipeline: str, key: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"--set {key}: pipeline {pipeline} has no such setting") as caught:
        KnownSettings(get(pipeline)).check([key])
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("pipeline", "keys"),
    [
        ("coadd", "tilename TILE_RA tile_dec tile_size tile_naxis tile_pixscale image_tag assessment unitname reqnum"),
        ("coadd", "swarp.swarp_keys.CLIP_SIGMA swarp.clip_least color.color_scale.VR inputs.run_class hold_memory"),
        ("firstcut", "expnum ccdnum psfex.psf_code calibration.cal_biascor calibration_tag calibration_nights campaign"),
        ("firstcut", "detrend.lightbulbs.first.x zeropoint.colour_terms.sdss.g.base psfex.exec.psfex.program"),
        ("precal", "nite exclude band ccdnum max_frames minibias.overscan.window jira_id run_class"),
        ("supercal", "nitemin nitemax unitname mkbpm.hot"),
        ("finalcut", "expnum calibration_tag catalog.background_keys.BACK_SIZE qcf.mine.pattern ops_run_dir"),
    ],
)  # fmt: skip
def test_settings_of_the_documents_are_known(pipeline: str, keys: str) -> None:
    KnownSettings(get(pipeline)).check(keys.split())


def test_no_plan_is_made_with_an_unknown_setting(facility: Facility) -> None:
    with pytest.raises(UsageError, match="did you mean tile_size"):
        submit(
            facility.config,
            facility.database,
            facility.archive,
            get("coadd"),
            {"tile_szie": "0.1"},
            who="test",
        )


def test_values_at_the_top_of_a_submit_wcl_are_known() -> None:
    KnownSettings(get("coadd"), top=("camsym",)).check(["camsym"])
    with pytest.raises(UsageError, match="camsim"):
        KnownSettings(get("coadd"), top=("camsym",)).check(["camsim"])


def test_every_setting_that_a_code_reads_stands_in_its_config() -> None:
    """What a wrapper reads and its config.wcl lacks would be refused although it has an effect."""
    open_sections = {
        "overscan",
        "lightbulbs",
        "left_out",
    }  # users make their keys up; left_out is the plan's own
    gaps = []
    for path in sorted(CODES.glob("*/wrapper.py")):
        config = path.parent / "config.wcl"
        tree = wcl.read(config).tree if config.is_file() else {}
        functions = {n.name: n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
        for name in functions:
            section = tree.get(name)
            if not isinstance(section, dict):
                continue
            have = {*section, *(k for k, v in tree.items() if isinstance(v, str)), "exec", *open_sections}
            gaps += [(path.parent.name, name, key) for key in _read_by(name, functions) - have]
    assert gaps == []


def _read_by(
    name: str, functions: dict[str, ast.FunctionDef], seen: frozenset[str] = frozenset()
) -> set[str]:
    """Keys of task.number, task.text and task.section in a function and in those that it names."""
    found: set[str] = set()
    for node in ast.walk(functions[name]):
        if isinstance(node, ast.Name) and node.id in functions and node.id not in seen | {name}:
            found |= _read_by(node.id, functions, seen | {name})
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="task"), attr="number" | "text" | "section"),
                args=[ast.Constant(value=str(key)), *_],
            ):
                found.add(key)
    return found
