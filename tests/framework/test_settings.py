"""Settings that a run knows: a misspelt one is refused, since it would give a run with other science."""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import desdm.codes
from desdm import wcl
from desdm.errors import UsageError
from desdm.facility import Facility
from desdm.framework.keywords import keyword_sections
from desdm.framework.settings import KnownSettings
from desdm.framework.submit import submit
from desdm.pipelines import get

CODES = Path(desdm.codes.__file__).parent


@pytest.mark.parametrize(
    ("pipeline", "key", "hint"),
    [
        ("coadd", "tile_szie", "did you mean tile_size?"),
        ("coadd", "bands", "bands follows from the images of the run"),  # show lists it
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
        ("firstcut", "detrend.lightbulbs.first.radus", "known there are detrend.lightbulbs.NAME.ccdnum"),
        ("firstcut", "detrend.lightbulbs.radius", "known there are detrend.lightbulbs.NAME.ccdnum"),
        (
            "firstcut",
            "detrend.overscan.window",
            "did you mean detrend.overscan_window?",
        ),  # that of calibrations
        (
            "firstcut",
            "zeropoint.colour_terms.ps1.g.bas",
            "known there are zeropoint.colour_terms.NAME.NAME.base",
        ),
        ("precal", "minibias.overscan.windw", "known there are minibias.overscan.form"),
        ("firstcut", "psfex.exec.psfex.progam", "did you mean psfex.exec.psfex.program?"),
        ("coadd", "detection.swarp_keys.CLIP_SIGMA", "has no such setting"),  # a section that no code reads
        ("coadd", "swarp.further_keys", "has no such setting"),
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


_SECTIONS = [
    ("coadd", "swarp.swarp_keys", "CLIP_WRITELOG", "CLIP_SIGMAA", "CLIP_SIGMA"),
    ("coadd", "coaddcat.sextractor_keys", "BACK_PEARSON", "DETECT_TRESH", "DETECT_THRESH"),
    ("finalcut", "catalog.background_keys", "BACKPHOTO_THICK", "BACK_SZIE", "BACK_SIZE"),
    ("firstcut", "psfex.psfex_keys", "BADPIXEL_NMAX", "PSFVAR_DEGRES", "PSFVAR_DEGREES"),
    ("firstcut", "scamp.scamp_keys", "ELLIPTICITY_KEYS", "CROSID_RADIUS", "CROSSID_RADIUS"),
    ("firstcut", "scamp.scamp_retry", "MATCH_NMAX", "MATCH_RESOLV", "MATCH_RESOL"),
]


@pytest.mark.parametrize(("pipeline", "section", "other", "wrong", "meant"), _SECTIONS)
def test_keywords_of_a_program_are_those_that_it_prints(
    pipeline: str, section: str, other: str, wrong: str, meant: str
) -> None:
    known = KnownSettings(get(pipeline))
    (program,) = {one.program for name, one in known.programs().items() if name == section}
    printed = subprocess.run([program, "-dd"], capture_output=True, text=True, check=True).stdout
    has = re.search(rf"^\*?{other}\s", printed, re.MULTILINE) is not None
    assert known.contains(f"{section}.{other}") == has
    with pytest.raises(UsageError, match=rf"{program} has no such keyword; did you mean {section}.{meant}\?"):
        known.check([f"{section}.{wrong}"])
    with pytest.raises(UsageError, match=f"{program} has no such keyword; {program} -dd prints them all"):
        known.check([f"{section}.QQQ"])


def test_every_keyword_of_the_codes_is_known_to_its_program() -> None:
    """A keyword that the program does not have is only a warning in its log."""
    wrong, sections = [], 0
    for path in sorted(CODES.glob("*/config.wcl")):
        tree = wcl.read(path).tree
        for module, body in tree.items():
            for name, one in keyword_sections(
                {**body, "exec": tree.get("exec", {})} if isinstance(body, dict) else {}
            ).items():
                keywords = one.keywords()
                assert keywords, f"{one.program} {one.flag} prints no keyword"
                sections += 1
                wrong += [(path.parent.name, module, name, key) for key in body[name] if key not in keywords]
    assert (wrong, sections) == (
        [],
        sum(
            p.read_text().count("_keys>\n") + p.read_text().count("_retry>\n")
            for p in CODES.glob("*/config.wcl")
        )
        // 2,
    )


def test_a_program_that_is_not_installed_refuses_no_keyword(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    KnownSettings(get("coadd")).check(["swarp.swarp_keys.ANY"])


def test_no_program_is_started_for_keywords_that_the_config_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "run", started)
    known = KnownSettings(get("coadd"))
    known.check(["swarp.swarp_keys.CLIP_SIGMA", "tile_ra", "swarp.clip_least"])


def test_a_submit_wcl_with_a_keyword_that_the_program_lacks_is_refused() -> None:
    coadd = get("coadd")
    blocks = tuple(
        replace(
            b,
            modules=tuple(
                replace(m, settings={"swarp_keys": {"clip_sgima": "4"}}) if m.name == "swarp" else m
                for m in b.modules
            ),
        )
        for b in coadd.blocks
    )
    wrong = replace(coadd, blocks=blocks)
    with pytest.raises(
        UsageError, match=r"module swarp.swarp_keys.clip_sgima: SWarp has no such keyword; did you mean"
    ):
        KnownSettings(wrong).check_modules(wrong)
    KnownSettings(coadd).check_modules(coadd)


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
    gaps = []  # left_out is the plan's own
    for path in sorted(CODES.glob("*/wrapper.py")):
        config = path.parent / "config.wcl"
        tree = wcl.read(config).tree if config.is_file() else {}
        functions = {n.name: n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
        for name in functions:
            section = tree.get(name)
            if not isinstance(section, dict):
                continue
            added = {
                k.split(".")[0] for t in (tree, section) for k in str(t.get("further_keys", "")).split(",")
            }
            have = {*section, *(k for k, v in tree.items() if isinstance(v, str)), "exec", *added, "left_out"}
            gaps += [(path.parent.name, name, key) for key in _read_by(name, functions) - have]
    assert gaps == []


def _read_by(
    name: str, functions: dict[str, ast.FunctionDef], seen: frozenset[str] = frozenset()
) -> set[str]:
    """Keys of task.number, task.text, task.section and task.keywords in a function and in those that it names."""
    found: set[str] = set()
    for node in ast.walk(functions[name]):
        if isinstance(node, ast.Name) and node.id in functions and node.id not in seen | {name}:
            found |= _read_by(node.id, functions, seen | {name})
        match node:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="task"), attr="number" | "text" | "section" | "keywords"
                ),
                args=[ast.Constant(value=str(key)), *_],
            ):
                found.add(key)
    return found


@pytest.mark.parametrize(
    ("key", "text", "refused"),
    [
        ("swarp.sky_mesh", "banana", True),
        ("swarp.sky_mesh", "nan", True),
        ("swarp.sky_mesh", "", True),
        ("swarp.sky_mesh", "128", False),
        ("swarp.sky_mesh", "${mesh}", False),
        (
            "swarp.swarp_keys.CLIP_SIGMA",
            "banana",
            False,
        ),  # a keyword of a program, which knows its own values
        ("tile_size", "abc", False),  # of the tile, which reads it itself
    ],
)
def test_a_text_is_refused_where_the_code_has_a_number(key: str, text: str, refused: bool) -> None:
    known = KnownSettings(get("coadd"))
    if refused:
        with pytest.raises(UsageError, match=f"--set {key}={text}: a number is needed"):
            known.check_values({key: text})
    else:
        known.check_values({key: text})
