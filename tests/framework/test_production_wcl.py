"""Submit WCLs as production wrote them: every construct is read, planned, run, or named as without effect.

The constructs are those of the assemblers' language (docs/wcl.md); names of products are as public releases show them.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from desdm import pipelines, wcl
from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError, WCLError
from desdm.facility import Facility
from desdm.framework.plan import Plan, make_plan
from desdm.framework.submitwcl import describe_ignored_keys, from_wcl, ignored_keys, to_wcl
from desdm.framework.tileinfo import tile_info
from desdm.schema.runname import RunName
from tests.support.catalogfile import catalog_file
from tests.support.toy import arrive

HEAD = """
pipeline = se
pipeprod = finalcut
pipever = Y6A1+1
project = OPS
campaign = Y6A1
reqnum = 4055
jira_id = DESOPS-1
camsym = D
expnum = 229686
band = g
nite = 20130901
ccdnum = (1:3)
tilename = DES2157-5248
unitname = ${camsym}${expnum:8}
basket = ${nite}
ops_run_dir = ${project}/${pipeline}/${campaign}/${basket}-r${reqnum}/${unitname}/p${attnum:2}
request_memory = 8000
blocklist = one
"""
CCD = """
    <file>
        <raw>
            filename = DECam_${expnum:8}.fits.fz
            dirpat = raw
        </raw>
        <red>
            filetype = red
            filepat = ccdnum_band
            flabel = red
            fsuffix = fits
            dirpat = se
            rundir = red
            ops_enddir = red
        </red>
    </file>
    <exec_1>
        execname = detrend
        used = file.raw
        was_generated_by = file.red
        <cmdline>
            _01_in = ${file.raw.fullname}
            _02_out = ${file.red.fullname}
        </cmdline>
    </exec_1>
"""
RAW = catalog_file("DECam_00229686.fits.fz", expnum=229686, nite="20130901")


def text(*modules: tuple[str, str], head: str = HEAD) -> str:
    """A submit WCL of one block with these modules."""
    names = ", ".join(name for name, _ in modules)
    body = "".join(
        f"<module>\n<{name}>\nwrappername = genwrap.py\n{one}</{name}>\n</module>\n" for name, one in modules
    )
    return f"{head}<block>\n<one>\nmodulelist = {names}\n</one>\n</block>\n{body}"


def planned(source: str, found: dict[tuple[str, str], list[CatalogFile]]) -> Plan:
    """The plan of a submit WCL for given files of the archive."""
    pipeline, top = from_wcl(wcl.loads(source, compat=True).tree)
    again, _ = from_wcl(wcl.loads(wcl.dumps(to_wcl(pipeline)), compat=True).tree)
    assert again == pipeline  # written as WCL it is the same pipeline
    return make_plan(pipeline, RunName("D00229686", 4055, 1), top, found, "OPS/x")


def inputs(plan: Plan, module: str) -> list[dict[str, list[str]]]:
    """Names of the inputs of each wrapper of a module."""
    return [
        {k: [f.filename for f in files] for k, files in w.inputs.items()}
        for job in plan.jobs
        for w in job.wrappers
        if w.module.name == module
    ]


DETREND = ("detrend", "wrapperloop = ccdnum\n" + CCD)


def test_an_input_by_name_is_what_an_earlier_module_made() -> None:
    sky = """
    wrapperloop = ccdnum
    <file>
        <red>
            filetype = red
            filepat = ccdnum_band
            flabel = red
            dirpat = se
            ops_enddir = red
        </red>
        <bkg>
            filetype = bkg
            filepat = ccdnum_band
            flabel = bkg
            dirpat = se
            ops_enddir = bkg
        </bkg>
        <spare>
            filetype = cat
            filepat = ccdnum_band
            flabel = never
            dirpat = se
        </spare>
    </file>
    <exec_1>
        execname = sky
        used = file.red
        was_generated_by = file.bkg
    </exec_1>
"""
    plan = planned(text(DETREND, ("sky", sky)), {("detrend", "raw"): [RAW]})
    assert inputs(plan, "detrend")[0] == {"raw": ["DECam_00229686.fits.fz"]}
    assert [i["red"] for i in inputs(plan, "sky")] == [
        [f"D00229686_g_c{n:02d}_r4055p01_red.fits"] for n in (1, 2, 3)
    ]


def test_a_list_brings_what_its_file_section_only_names() -> None:
    combine = """
    <list>
        <reds>
            depends detrend.file.red
            divide_by = expnum
            sortkey = (ccdnum, True, True)
            columns = red.fullname, $FMT{%s[0], red.fullname}
            filepat = exposure
            flabel = reds
            fsuffix = list
            dirpat = se
            rundir = list
        </reds>
    </list>
    <file>
        <red>
            listonly = True
            dirpat = se
            rundir = red
        </red>
        <full>
            filetype = cat_full
            filepat = exposure
            flabel = full
            dirpat = se
            ops_enddir = cat
        </full>
    </file>
    <exec_1>
        execname = combine
        used = list.reds.red
        was_generated_by = file.full
        ancestry = list.reds.red:file.full
    </exec_1>
"""
    plan = planned(text(DETREND, ("combine", combine)), {("detrend", "raw"): [RAW]})
    (one,) = inputs(plan, "combine")
    assert one == {"red": [f"D00229686_g_c{n:02d}_r4055p01_red.fits" for n in (1, 2, 3)]}
    (wrapper,) = [w for job in plan.jobs for w in job.wrappers if w.module.name == "combine"]
    assert wrapper.outputs["full"].filename == "D00229686_g_r4055p01_full.fits"
    assert wrapper.outputs["full"].directory == "OPS/x/cat"


def test_div_list_by_col_makes_a_list_for_each_column() -> None:
    swarp = """
    wrapperloop = band
    loopobj = list.imgs
    <list>
        <imgs>
            depends detrend.file.red
            divide_by = band
            <div_list_by_col>
                <sci>
                    columns = $FMT{%s[0], red.fullname}
                </sci>
                <wgt>
                    columns = $FMT{%s[2], red.fullname}
                </wgt>
            </div_list_by_col>
        </imgs>
    </list>
    <file>
        <red>
            listonly = True
        </red>
        <coadd>
            filetype = coadd
            filepat = tile_band
            flabel = sci
            dirpat = mepoch
            ops_enddir = coadd
        </coadd>
    </file>
    <exec_1>
        execname = swarp
        used = list.sci.red, list.wgt.red
        was_generated_by = file.coadd
        <cmdline>
            _01_sci = @${list.sci.fullname}
            WEIGHT_IMAGE = @${list.wgt.fullname}
        </cmdline>
    </exec_1>
"""
    plan = planned(text(DETREND, ("swarp", swarp)), {("detrend", "raw"): [RAW]})
    (wrapper,) = [w for job in plan.jobs for w in job.wrappers if w.module.name == "swarp"]
    assert list(wrapper.lists) == ["sci", "wgt"]
    assert len(wrapper.inputs["red"]) == 3
    assert wrapper.outputs["coadd"].filename == "DES2157-5248_r4055p01_g_sci.fits"


def test_new_names_follow_the_rows_of_other_files_one_by_one() -> None:
    split = """
    wrapperloop = expnum,band
    loopobj = file.red
    <list>
        <heads>
            depends-newname detrend.file.red
            divide_by = expnum,band
            columns = head.fullname
        </heads>
    </list>
    <file>
        <red>
            depends = detrend.file.red
            match = expnum,band
        </red>
        <head>
            listonly = True
            filetype = head
            filepat = ccdnum_band
            flabel = scamp
            fsuffix = head
            dirpat = se
            ops_enddir = aux
            savefiles = false
        </head>
    </file>
    <exec_1>
        execname = split_head
        used = file.red
        was_generated_by = list.heads.head
    </exec_1>
"""
    use = """
    wrapperloop = ccdnum
    <file>
        <head>
            depends split.list.heads
            match = ccdnum
        </head>
        <out>
            filetype = red
            filepat = ccdnum_band
            flabel = wcs
            dirpat = se
            ops_enddir = red
        </out>
    </file>
    <exec_1>
        execname = use
        used = file.head
        was_generated_by = file.out
    </exec_1>
"""
    source = text(DETREND, ("split", split), ("use", use), head=HEAD + "detrend_expnum = 1\n")
    source = source.replace("wrapperloop = ccdnum\n" + CCD, "wrapperloop = expnum,ccdnum,band\n" + CCD)
    plan = planned(source, {("detrend", "raw"): [RAW]})
    (wrapper,) = [w for job in plan.jobs for w in job.wrappers if w.module.name == "split"]
    assert {k: f.filename for k, f in wrapper.outputs.items()} == {
        "head": "D00229686_g_c01_r4055p01_scamp.head",
        "head.2": "D00229686_g_c02_r4055p01_scamp.head",
        "head.3": "D00229686_g_c03_r4055p01_scamp.head",
    }
    assert not any(f.save for f in wrapper.outputs.values())
    assert [i["head"] for i in inputs(plan, "use")] == [[f.filename] for f in wrapper.outputs.values()]


def test_a_fullname_stands_for_files_in_folders_of_the_work_folder() -> None:
    scamp = """
    <file>
        <qa>
            filetype = qa_scamp
            fullname = ${prefix}_astr_1.ps,${prefix}_distortion_1.ps
            dirpat = se
            rundir = qa
            ops_enddir = qa
        </qa>
        <config>
            fullname = ${confignite}_default.scamp
            dirpat = se
            rundir = config
        </config>
    </file>
    <exec_1>
        execname = scamp
        used = file.config
        was_generated_by = file.qa
    </exec_1>
"""
    head = HEAD + "prefix = qa/${camsym}${expnum:8}_r${reqnum}p${attnum:2}\nconfignite = 20150101\n"
    file = catalog_file("20150101_default.scamp", path="config", filetype="config", table="miscfile")
    plan = planned(text(("scamp", scamp), head=head), {("scamp", "config"): [file]})
    (wrapper,) = [w for job in plan.jobs for w in job.wrappers]
    assert {k: (f.filename, f.workpath) for k, f in wrapper.outputs.items()} == {
        "qa": ("D00229686_r4055p01_astr_1.ps", "qa/D00229686_r4055p01_astr_1.ps"),
        "qa.2": ("D00229686_r4055p01_distortion_1.ps", "qa/D00229686_r4055p01_distortion_1.ps"),
    }
    assert inputs(plan, "scamp") == [{"config": ["20150101_default.scamp"]}]


def test_a_query_for_the_own_attempt_finds_what_it_made() -> None:
    flat = """
    wrapperloop = ccdnum
    loopobj = list.reds
    <list>
        <reds>
            query_table = image
            query_fields = filetype,pfw_attempt_id
            output_fields = filename,ccdnum
            filetype = red
            divide_by = ccdnum
            columns = red.fullname
        </reds>
    </list>
    <file>
        <red>
            listonly = true
        </red>
        <flat>
            filetype = cal_dflatcor
            filepat = nite_ccdnum_band
            flabel = dflatcor
            dirpat = precal
            ops_enddir = dflatcor
        </flat>
    </file>
    <exec_1>
        execname = mkflatcor
        used = list.reds.red
        was_generated_by = file.flat
    </exec_1>
"""
    plan = planned(text(DETREND, ("flat", flat)), {("detrend", "raw"): [RAW]})
    outputs = [w.outputs["flat"].filename for j in plan.jobs for w in j.wrappers if w.module.name == "flat"]
    assert outputs == [f"D_n20130901_g_c{n:02d}_r4055p01_dflatcor.fits" for n in (1, 2, 3)]


def test_every_key_without_effect_is_named() -> None:
    source = text(DETREND).replace(
        "wrappername = genwrap.py", "wrappername = genwrap.py\nmodnamepat = ${nite}\nmax_fwthreads = 4"
    )
    source = source.replace("dirpat = raw\n", "dirpat = raw\n<hdrupd_flag>\nscampflg = 1\n</hdrupd_flag>\n")
    source += "<site>\n<fermigrid>\nx = 1\n</fermigrid>\n</site>\n<module>\n<left>\nnoop = true\n</left>\n</module>\n"
    notes = "\n".join(describe_ignored_keys(wcl.loads(source, compat=True).tree))
    for said in (
        "request_memory", "site", "module.left", "module.detrend.modnamepat", "module.detrend.max_fwthreads",
        "module.detrend.file.red.rundir is not acted upon: a job has one work folder",
        "module.detrend.file.raw.hdrupd_flag",
    ):  # fmt: skip
        assert said in notes, said
    for heeded in ("camsym", "expnum", "basket", "ops_run_dir", "wrapperloop", "flabel", "cmdline"):
        assert heeded not in notes.replace("module.detrend", ""), heeded


def ignored(source: str) -> set[str]:
    """Paths of the keys that a submit WCL is said to have without effect."""
    return {".".join(path) for path in ignored_keys(wcl.loads(source, compat=True).tree)}


def test_unknown_keys_of_blocks_and_unknown_sections_are_named() -> None:
    source = text(
        DETREND, head=HEAD + "<nosuchsection>\nx = 1\n</nosuchsection>\n<psf>\ndegree = 2\n</psf>\n"
    )
    source = source.replace(
        "modulelist = detrend",
        "modulelist = detrend\ntext = a block\ndivide_jobs_by = ccdnum\ntolerant = true\nbogus_block_key = 1\n"
        "use_home_archive_input = never\nspeed = 3\nrequest_cpus = 2\n<nosuchinner>\ny = 1\n</nosuchinner>\n"
        "<job_environment>\nomp_num_threads = 1\n</job_environment>",
    )
    source = source.replace(
        "_02_out =", "_03_speed = ${speed}\n_04_degree = ${psf.degree}\n_02_out ="
    ).replace("wrappername = genwrap.py", "wrappername = genwrap.py\n<lonely>\nz = 1\n</lonely>")
    assert ignored(source) == {
        "request_memory", "nosuchsection", "block.one.bogus_block_key", "block.one.use_home_archive_input",
        "block.one.request_cpus", "block.one.nosuchinner", "module.detrend.lonely", "module.detrend.file.red.rundir",
    }  # fmt: skip


def test_what_the_code_of_a_module_reads_is_named_nowhere() -> None:
    """Names are those of ``codes/detrend/config.wcl``, whose further keys are sections that a run may add."""
    head = HEAD.replace("request_memory = 8000\n", "")
    head += "<detrend>\nsteps = bias\n</detrend>\n<lightbulbs>\n<one>\nccdnum = 7\n</one>\n</lightbulbs>\n"
    head += (
        "<qcf>\n</qcf>\n<inputs>\ncampaign = Y5\n</inputs>\n<calibration>\nbias = D_r1p01\n</calibration>\n"
    )
    head += "<filename_pattern>\nx = y\n</filename_pattern>\n<job_environment>\na = b\n</job_environment>\n"
    source = text(DETREND, head=head).replace("genwrap.py", "desdm.codes.detrend.wrapper.detrend")
    source = source.replace("rundir = red\n", "")
    source = source.replace("modulelist = detrend", "modulelist = detrend\ngain_min = 1\nthreads = 2")
    source = source.replace("wrapperloop = ccdnum", "wrapperloop = ccdnum\noverscan = row\noverscna = row")
    assert ignored(source) == {"block.one.gain_min", "module.detrend.overscna"}


@pytest.mark.parametrize("name", ["precal", "supercal", "firstcut", "finalcut", "coadd"])
def test_a_pipeline_of_our_own_has_no_key_without_effect(name: str) -> None:
    assert list(ignored_keys(to_wcl(pipelines.get(name)))) == []


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        (
            "filename = DECam",
            "filename = Nowhere",
            PlanError,
            "Nowhere_00229686.fits.fz is not in the archive",
        ),
        ("filepat = ccdnum_band", "filepat = unheard", PlanError, "no filename pattern 'unheard'"),
        (
            "filename = DECam_${expnum:8}.fits.fz",
            "text = no origin",
            WCLError,
            "neither what it is nor where",
        ),
    ],
)
def test_what_is_missing_is_said(old: str, new: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        planned(text(DETREND).replace(old, new), {})


def test_tile_info_is_the_gnomonic_grid_of_the_tile() -> None:
    """Corners from astropy.wcs for 10000 pixels of 0.263 arcsec about the centre; across RA 0 the range wraps."""
    from astropy.coordinates import SkyCoord

    row = {
        "tilename": "T", "ra_cent": 0.1, "dec_cent": -52.8, "naxis1": 10000, "naxis2": 10000, "pixelscale": 0.263,
    }  # fmt: skip
    info = tile_info(row)
    assert (info["tilename"], info["naxis1"], info["pixelscale"], info["crossra0"]) == (
        "T",
        "10000",
        "0.263",
        "Y",
    )
    centre = SkyCoord(0.1, -52.8, unit="deg")
    corners = SkyCoord(
        [float(info[f"rac{n}"]) for n in (1, 2, 3, 4)],
        [float(info[f"decc{n}"]) for n in (1, 2, 3, 4)],
        unit="deg",
    )
    # Half the diagonal of the tangent plane: atan(sqrt(2) * 4999.5 * 0.263").
    assert centre.separation(corners).deg == pytest.approx([0.5164783] * 4, abs=1e-4)
    assert float(info["racmin"]) > 359.0
    assert float(info["racmax"]) < 1.5


def desdm(facility: Facility, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(facility.config.home), *args]
    return subprocess.run(command, capture_output=True, text=True)


RUN = """
pipeline = words
unitname = ${camsym}_${tilename}
camsym = D
project = TEST
campaign = Y0
label = trial
blocklist = one
<<inclfunc mepipelineappintg.mepochmisc.get_tile_info(submit_des_services, tilename)>>
<block one>
    modulelist = go
</block>
<qcf>
    <patterns>
        <own>
            lvl = 2
            pattern = odd weather
        </own>
    </patterns>
</qcf>
<psf>
    degree = 2
</psf>
<module go>
    wrappername = genwrap.py
    <file>
        <raw>
            fullname = raw.txt
        </raw>
        <all>
            fullname = qa/${unitname}_r${reqnum}p${attnum:2}_all.txt
            filetype = misc
            ops_enddir = texts
        </all>
    </file>
    <exec_1>
        execname = PROGRAM
        used = file.raw
        was_generated_by = file.all
        <cmdline>
            _01_in = ${file.raw.fullname}
            _02_out = ${file.all.fullname}
            _03_ra = ${ra_cent}
        </cmdline>
    </exec_1>
</module>
"""
PROGRAM = """#!/bin/sh
echo called >> CALLS
case "$1" in *" "*) echo "Too many input images"; exit 1;; esac
[ ${#1} -le 255 ] || { echo "path too long"; exit 1; }
echo "odd weather"
{ cat "$1"; echo " $3"; } > "$2"
"""


def test_a_production_wcl_runs_and_its_record_holds_what_ran(tmp_path: Path) -> None:
    """In a deep folder with a blank, which no program of the survey's could take as it is."""
    from desdm.facility import initialise

    home = tmp_path / "sp ace é" / ("deep" * 20) / ("er" * 40) / "home"
    home.parent.mkdir(parents=True)
    initialise(home, None)
    program = tmp_path / "prog.sh"
    program.write_text(PROGRAM.replace("CALLS", str(tmp_path / "calls")))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = tmp_path / "words.des"
    source = RUN.replace("PROGRAM", str(program)).replace(
        "camsym = D\n", "camsym = D\ntilename = DES0000-5248\n", 1
    )
    source = source.replace("blocklist = one\n", "blocklist = one\nsubmit_des_services = x\n", 1)
    path.write_text(source)
    facility = Facility.open(home)
    arrive(facility, tmp_path / "arrive")
    refused = desdm(facility, "submit", str(path), "--compat", "--dry-run")
    assert refused.returncode != 0
    assert "DES0000-5248 is not in table coaddtile_geom" in refused.stderr
    assert desdm(facility, "tile", "add", "DES0000-5248", "0.25", "--", "-52.8").returncode == 0
    done = desdm(facility, "submit", str(path), "--compat", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)["attempt"]
    assert run == "D_DES0000-5248_r1p01"
    shown = json.loads(desdm(facility, "show", run, "--json").stdout)
    assert shown["settings"]["psf"] == {"degree": "2"}
    assert [m["text"] for m in shown["messages"]] == ["odd weather"]
    # A program without a declared version call runs once and never to ask for a version.
    assert (tmp_path / "calls").read_text() == "called\n"
    (own,) = [s for s in shown["software"] if s["name"] == str(program)]
    import hashlib

    assert own["digest"] == hashlib.sha256(program.read_bytes()).hexdigest()
    (system,) = [s for s in shown["software"] if s["name"] == "desdm"]
    assert len(system["digest"]) == 64
    assert system["version"].startswith(f"0.1.0+{system['digest'][:12]}")
    root = facility.archive.root
    (text_,) = root.rglob("D_DES0000-5248_r1p01_all.txt")
    assert text_.read_text() == "hello 0.25000000\n"
    assert text_.parent.name == "texts"
    (out,) = root.rglob("*_out.wcl")
    tree = wcl.read(out).tree
    assert tree["run"]["psf"] == {"degree": "2"}  # type: ignore[index]
    import gzip

    (jobs,) = root.rglob("*_jobs.wcl.gz")
    kept = wcl.loads(gzip.decompress(jobs.read_bytes()).decode()).tree
    assert list(kept) == ["job_0001"]
    other = desdm(facility, "submit", str(path), "--compat", "--wait", "--json", "--set", "psf.degree=3")
    second = json.loads(desdm(facility, "show", json.loads(other.stdout)["attempt"], "--json").stdout)
    assert second["fingerprint"] != shown["fingerprint"]
    assert second["settings"]["psf"] == {"degree": "3"}
    facility.close()
