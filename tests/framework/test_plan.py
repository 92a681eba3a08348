"""Planning: what becomes of a pipeline's blocks, loops and name patterns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError
from desdm.framework.jobwcl import JobRenderer, read_job
from desdm.framework.pipeline import Block, FileSet, ListSet, Module, Pipeline
from desdm.framework.plan import make_plan
from desdm.schema.runname import RunName
from tests.support.catalogfile import catalog_file

WHO = RunName("D00229686", 4055, 1)
PATTERN = {"ccd": "D${expnum:8}_${band}_c${ccdnum:2}_r${reqnum}p${attnum:2}_${flabel}.${fsuffix}"}


def rows(*pairs: tuple[int, int], filetype: str = "raw") -> list[CatalogFile]:
    return [
        catalog_file(f"{filetype}_{e}_{c}.fits", filetype=filetype, expnum=e, ccdnum=c, band="g", fwhm=4.25)
        for e, c in pairs
    ]


def detrend(**changes: object) -> Module:
    module = Module(
        "detrend",
        "genwrap",
        loop=("expnum", "ccdnum"),
        loopobj="raw",
        inputs=(FileSet("raw", "raw", query={"filetype": "raw"}),),
        outputs=(FileSet("red", "red", filepat="ccd", flabel="red"),),
    )
    return dataclasses.replace(module, **changes)  # type: ignore[arg-type]


def pipe(*blocks: Block) -> Pipeline:
    return Pipeline("se", "test", blocks, filename_patterns=PATTERN)


def test_names_are_filled_from_loop_values_and_what_the_rows_agree_in() -> None:
    found = {("detrend", "raw"): rows((229686, 1), (229686, 2))}
    plan = make_plan(pipe(Block("se", (detrend(),))), WHO, {}, found, "OPS/se")
    [job] = plan.jobs
    names = [w.outputs["red"].filename for w in job.wrappers]
    assert names == [f"D00229686_g_c0{n}_r4055p01_red.fits" for n in (1, 2)]
    assert job.wrappers[0].outputs["red"].directory == "OPS/se/red"
    assert [f.filename for f in job.wrappers[1].inputs["raw"]] == ["raw_229686_2.fits"]


def test_jobs_are_divided_by_keys_and_later_modules_stay_with_their_files() -> None:
    catalog = Module(
        "catalog",
        "genwrap",
        loop=("expnum", "ccdnum"),
        loopobj="red",
        inputs=(FileSet("red", depends="detrend.red"),),
        outputs=(FileSet("cat", "cat", filepat="ccd", flabel="cat"),),
    )
    found = {("detrend", "raw"): rows((1, 1), (1, 2), (2, 1))}
    block = Block("se", (detrend(), catalog), divide_jobs_by=("expnum",))
    jobs = list(make_plan(pipe(block), WHO, {}, found, "OPS").jobs)
    assert [(j.jobkeys, [w.module.name for w in j.wrappers]) for j in jobs] == [
        ("expnum=1", ["detrend", "catalog", "detrend", "catalog"]),
        ("expnum=2", ["detrend", "catalog"]),
    ]
    assert jobs[1].wrappers[1].inputs["red"][0].wrapnum == jobs[1].wrappers[0].wrapnum


def test_a_ccd_goes_through_its_modules_before_the_next_one_starts() -> None:
    ccd = ("expnum", "ccdnum")

    def module(name: str, *inputs: FileSet, loop: tuple[str, ...] = ccd) -> Module:
        pattern = FileSet("out", "red", filepat="ccd" if loop == ccd else "exp", flabel=name)
        return Module(name, "genwrap", loop=loop, loopobj=inputs[0].name, inputs=inputs, outputs=(pattern,))

    def of(name: str, *, whole: bool = False) -> FileSet:
        return FileSet(name, depends=f"{name}.{'red' if name == 'detrend' else 'out'}", whole=whole)

    modules = (
        detrend(),
        module("find", of("detrend")),
        module("solve", of("find", whole=True), loop=("expnum",)),
        module("sky", of("detrend"), of("solve", whole=True)),
        module("mask", of("sky")),
        # It looks at what its neighbours made, so that it waits for all of them.
        module("compare", of("mask"), of("sky", whole=True)),
        module("catalog", of("compare")),
    )
    found = {("detrend", "raw"): rows((1, 1), (1, 2))}
    patterns = {**PATTERN, "exp": "D${expnum:8}_${flabel}.${fsuffix}"}
    value = Pipeline("se", "test", (Block("se", modules, ("expnum",)),), filename_patterns=patterns)
    (job,) = make_plan(value, WHO, {}, found, "OPS").jobs
    order = [f"{w.module.name}{w.keys.get('ccdnum', '')}" for w in job.wrappers]
    assert order == [
        "detrend1", "find1", "detrend2", "find2", "solve", "sky1", "mask1", "sky2", "mask2",
        "compare1", "catalog1", "compare2", "catalog2",
    ]  # fmt: skip
    # Numbers stay those of the modules' order, and nobody reads what is not yet made.
    assert [w.wrapnum for w in job.wrappers][:4] == [1, 3, 2, 4]
    done = {0}
    for wrapper in job.wrappers:
        assert {f.wrapnum for files in wrapper.inputs.values() for f in files} <= done
        done.add(wrapper.wrapnum)


def test_a_module_cannot_read_what_another_job_of_its_block_makes() -> None:
    gather = Module(
        "gather",
        "genwrap",
        inputs=(FileSet("red", depends="detrend.red", whole=True),),
        outputs=(FileSet("sky", "misc", filename="sky.txt"),),
    )
    found = {("detrend", "raw"): rows((1, 1), (2, 1))}
    with pytest.raises(PlanError, match="made in another job of the same block"):
        make_plan(pipe(Block("se", (detrend(), gather), divide_jobs_by=("expnum",))), WHO, {}, found, "OPS")
    late = make_plan(
        pipe(Block("se", (detrend(),), ("expnum",)), Block("sky", (gather,))), WHO, {}, found, "OPS"
    )
    assert len(late.blocks[1][0].wrappers[0].inputs["red"]) == 2


def test_ranges_and_padded_numbers_are_one_and_the_same_ccd() -> None:
    module = detrend(loopobj="", loop=("expnum", "ccdnum"))
    found = {("detrend", "raw"): rows((7, 1), (7, 2), (7, 3), (7, 5))}
    settings = {"expnum": "0000007", "ccdnum": "(1:3,05)", "band": "g"}
    plan = make_plan(pipe(Block("se", (module,))), WHO, settings, found, "OPS")
    assert [w.keys["ccdnum"] for j in plan.jobs for w in j.wrappers] == ["1", "2", "3", "5"]


@pytest.mark.parametrize(
    ("module", "settings", "says"),
    [
        (detrend(loopobj="", loop=("ccdnum",)), {}, "loops over ccdnum, which has no value"),
        (detrend(loopobj="sky"), {}, "loopobj sky is none of its inputs"),
        (detrend(loop=("nite",)), {}, "has no nite to loop over"),
        (detrend(loop=("band",)), {}, r"file red: no value for \$\{ccdnum\}"),
        (
            detrend(outputs=(FileSet("red", "red", filename="same.fits"),)),
            {},
            "same.fits would be made twice, by detrend and by detrend",
        ),
        (
            detrend(outputs=(FileSet("red", "red", filepat="tile"),)),
            {},
            "no filename pattern 'tile'; known: ccd",
        ),
        (
            detrend(inputs=(FileSet("raw", depends="flat.x"),)),
            {},
            "depends on flat.x, which no earlier module makes",
        ),
    ],
)
def test_a_pipeline_that_is_not_sound_is_told_by_module_and_file(
    module: Module, settings: dict[str, str], says: str
) -> None:
    found = {("detrend", "raw"): rows((1, 1), (1, 2))}
    with pytest.raises(PlanError, match=says):
        make_plan(pipe(Block("se", (module,))), WHO, settings, found, "OPS")


def test_a_missing_input_names_the_exposure_and_an_optional_one_does_not_matter() -> None:
    mask = FileSet("mask", "mask", query={"filetype": "mask"})
    found = {("detrend", "raw"): rows((1, 1), (1, 2)), ("detrend", "mask"): rows((1, 1), filetype="mask")}
    module = detrend(inputs=(*detrend().inputs, mask))
    with pytest.raises(PlanError, match=r"no file for input mask of expnum=1, ccdnum=2"):
        make_plan(pipe(Block("se", (module,))), WHO, {}, found, "OPS")
    module = detrend(inputs=(*detrend().inputs, dataclasses.replace(mask, optional=True)))
    plan = make_plan(pipe(Block("se", (module,))), WHO, {}, found, "OPS")
    assert [len(w.inputs["mask"]) for j in plan.jobs for w in j.wrappers] == [1, 0]


def test_a_list_has_its_columns_in_order_and_format() -> None:
    raw = FileSet("raw", "raw", query={"filetype": "raw"}, whole=True)
    cats = ListSet("cats", ("raw",), ("raw.fullname", "$FMT{%7.3f,raw.fwhm}"), sortkey=("ccdnum", True, True))
    module = Module(
        "psf", "genwrap", inputs=(raw,), outputs=(FileSet("o", "misc", filename="o.txt"),), lists=(cats,)
    )
    found = {("psf", "raw"): rows((1, 1), (1, 2))}
    plan = make_plan(pipe(Block("se", (module,))), WHO, {}, found, "OPS")
    [job] = plan.jobs
    text = JobRenderer(WHO, {"archive_root": "/a"}, {}, {}).render(job, "se")
    rows_written = [line.strip() for line in text.splitlines() if line.strip().startswith("r")][-2:]
    assert rows_written == ["r1 = file:raw/raw_1_2.fits|  4.250", "r2 = file:raw/raw_1_1.fits|  4.250"]


def test_the_plan_is_a_pure_function() -> None:
    found = {("detrend", "raw"): rows((1, 1), (1, 2))}
    one, two = (make_plan(pipe(Block("se", (detrend(),))), WHO, {}, found, "OPS") for _ in range(2))
    assert one == two


def _mosaics(**excluded: tuple[int, ...]) -> list[CatalogFile]:
    """Two raw files of several CCDs, exposures 1 and 2; ``e1=(3,)`` excludes CCD 3 of exposure 1."""
    return [
        catalog_file(f"raw_{e}.fits", expnum=e, band="g", excluded_ccds=excluded.get(f"e{e}", ()))
        for e in (1, 2)
    ]


def test_an_excluded_ccd_of_a_mosaic_is_not_looped_over() -> None:
    found = {("detrend", "raw"): _mosaics(e1=(3,), e2=(1, 2))}
    plan = make_plan(pipe(Block("se", (detrend(),))), WHO, {"ccdnum": "1:3"}, found, "OPS")
    [job] = plan.jobs
    assert {(w.keys["expnum"], w.keys["ccdnum"]) for w in job.wrappers} == {
        ("1", "1"),
        ("1", "2"),
        ("2", "3"),
    }
    assert [tuple(i) for i in plan.inputs()] == [
        ("raw_1.fits", 1, 1),
        ("raw_1.fits", 1, 2),
        ("raw_2.fits", 2, 3),
    ]


def test_an_excluded_ccd_of_a_mosaic_is_not_combined() -> None:
    combine = Module(
        "combine",
        "genwrap",
        loop=("ccdnum",),
        inputs=(FileSet("raw", "raw", query={"filetype": "raw"}),),
        outputs=(FileSet("bias", "bias", filename="bias_${ccdnum:2}.fits"),),
    )
    found = {("combine", "raw"): _mosaics(e1=(3,))}
    plan = make_plan(pipe(Block("se", (combine,))), WHO, {"ccdnum": "1:3"}, found, "OPS")
    [job] = plan.jobs
    taken = {w.keys["ccdnum"]: [f.filename for f in w.inputs["raw"]] for w in job.wrappers}
    both = ["raw_1.fits", "raw_2.fits"]
    assert taken == {"1": both, "2": both, "3": ["raw_2.fits"]}


def test_a_wrapper_of_a_whole_mosaic_is_told_which_ccds_are_excluded(tmp_path: Path) -> None:
    """A mini focal plane is made of all CCDs of an exposure at once: there the loop cannot leave one out."""
    mini = Module(
        "mini",
        "genwrap",
        loop=("expnum",),
        loopobj="raw",
        inputs=(FileSet("raw", "raw", query={"filetype": "raw"}),),
        outputs=(FileSet("mini", "mini", filename="mini_${expnum:8}.fits"),),
    )
    combine = Module(
        "combine", "genwrap", loop=("ccdnum",), inputs=mini.inputs,
        outputs=(FileSet("bias", "bias", filename="bias_${ccdnum:2}.fits"),),
    )  # fmt: skip
    rows_ = _mosaics(e1=(3, 12))
    found = {("mini", "raw"): rows_, ("combine", "raw"): rows_}
    plan = make_plan(pipe(Block("se", (mini, combine))), WHO, {"ccdnum": "1"}, found, "OPS")
    [job] = plan.jobs
    path = tmp_path / "job.wcl"
    path.write_text(JobRenderer(WHO, {"archive_root": "/a"}, {}, {}).render(job, "se"))
    told = [w.excluded for w in read_job(path).wrappers]
    assert told == [{"raw_1.fits": frozenset({3, 12})}, {}, {}]
