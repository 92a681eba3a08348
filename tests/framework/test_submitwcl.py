"""The pipeline assemblers' own language: a submit WCL is read, run, and written again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from desdm import wcl
from desdm.archive import catalog
from desdm.errors import PlanError, WCLError
from desdm.facility import Facility
from desdm.framework.pipeline import Pipeline
from desdm.framework.submit import Submission, submit
from desdm.framework.submitwcl import describe_ignored_keys, from_wcl, read_submit, to_wcl
from desdm.framework.tileinfo import TILE_KEYS, tile_info
from tests.support.toy import arrive, text_pipeline

SUBMIT = """
pipeline = words
pipever = 2
project = TEST
campaign = Y0
unitname = W1
blocklist = count, gather
use_qcf = false
n = 1:3

<filename_pattern>
    part = ${unitname}_r${reqnum}p${attnum:2}_n${n:2}_$opt{flabel}.${fsuffix}
</filename_pattern>
<directory_pattern>
    <words>
        ops = ${project}/words/${unitname}/p${attnum:2}
        runtime = words
    </words>
</directory_pattern>

<block count>
    modulelist = head
    divide_jobs_by = n
</block>
<block gather>
    modulelist = paste
</block>

<module head>
    wrappername = genwrap.py
    wrapperloop = n
    <file>
        <raw>
            query_fields = filename
            filename = raw.txt
            whole = true
        </raw>
        <top>
            filetype = misc
            filepat = part
            dirpat = words
            flabel = top
            fsuffix = txt
        </top>
    </file>
    <exec_1>
        execname = sh
        used = file.raw
        was_generated_by = file.top
        ancestry = file.raw:file.top
        <cmdline>
            c = "head -c ${n} ${file.raw.fullname} > ${file.top.fullname}"
        </cmdline>
    </exec_1>
</module>

<module paste>
    wrappername = genwrap.py
    <list>
        <tops>
            depends head.file.top
            columns = top.fullname,$FMT{%03d,top.n}
            sortkey = (n, True, True)
            format = textsp
        </tops>
    </list>
    <file>
        <all>
            filename = ${unitname}_r${reqnum}p${attnum:2}_all.txt
            filetype = misc
        </all>
    </file>
    <exec_1>
        execname = cp
        used = list.tops
        was_generated_by = file.all
        <cmdline>
            _01_list = ${list.tops.fullname}
            _02_out = ${file.all.fullname}
        </cmdline>
    </exec_1>
</module>
"""


def desdm(facility: Facility, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(facility.config.home), *args]
    return subprocess.run(command, capture_output=True, text=True)


def dry_run(facility: Facility, pipeline: Pipeline, top: Mapping[str, str]) -> Submission:
    """Plan a submit WCL and check it; nothing is written."""
    return submit(
        facility.config, facility.database, facility.archive, pipeline, {}, who="test", top=top, dry_run=True
    )


def test_a_submit_wcl_runs_from_the_command_line(facility: Facility, tmp_path: Path) -> None:
    path = tmp_path / "words.wcl"
    path.write_text(SUBMIT.replace('"head -c', "head -c").replace('fullname}"', "fullname}"))
    done = desdm(facility, "submit", str(path), "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["attempt"] == "W1_r1p01"
    assert json.loads(done.stdout)["state"] == "done"
    with facility.database.read() as conn:
        tops = [catalog.by_name(conn, f"W1_r1p01_n0{n}_top.txt") for n in (1, 2, 3)]
        listed = catalog.by_name(conn, "W1_r1p01_all.txt")
    assert [facility.archive.path(t).read_text() for t in tops if t] == ["h", "he", "hel"]
    assert tops[0] is not None
    assert tops[0].path == "TEST/words/W1/p01"
    assert listed is not None
    lines = facility.archive.path(listed).read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["003", "002", "001"]
    assert all(line.split()[0].endswith(f"_n{line.split()[1][1:]}_top.txt") for line in lines)


def test_a_pipeline_written_as_wcl_is_the_same_pipeline_when_read(tmp_path: Path) -> None:
    tree = wcl.loads(SUBMIT).tree
    once, top = from_wcl(tree)
    again, _ = from_wcl(wcl.loads(wcl.dumps(to_wcl(once))).tree)
    assert again == once
    assert top["unitname"] == "W1"
    assert [m.name for _, m in once.modules()] == ["head", "paste"]


@pytest.mark.parametrize("name", ["coadd", "text"])
def test_the_shipped_pipelines_survive_the_journey_too(name: str) -> None:
    from desdm.pipelines import get

    pipeline: Pipeline = text_pipeline() if name == "text" else get(name)
    read, _ = from_wcl(wcl.loads(wcl.dumps(to_wcl(pipeline))).tree)
    assert [m.name for _, m in read.modules()] == [m.name for _, m in pipeline.modules()]
    for (_, ours), (_, theirs) in zip(pipeline.modules(), read.modules(), strict=True):
        assert theirs == ours, ours.name
    assert read.blocks == pipeline.blocks


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        ("blocklist = count, gather", "needs blocklist"),
        ("<block gather>\n    modulelist = paste\n</block>", "there is no <block gather>"),
        ("    modulelist = head\n", "block count has no modulelist"),
    ],
)
def test_what_is_missing_in_a_submit_wcl_is_told(tmp_path: Path, cut: str, says: str) -> None:
    path = tmp_path / "bad.wcl"
    path.write_text(SUBMIT.replace(cut, ""))
    with pytest.raises(WCLError, match=says) as told:
        read_submit(path)
    assert str(path) in str(told.value)


def test_a_module_that_no_section_describes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.wcl"
    path.write_text(SUBMIT.replace("modulelist = paste", "modulelist = paste, glue"))
    with pytest.raises(WCLError, match="no <module glue>"):
        read_submit(path)


@pytest.mark.parametrize("value", ["wcl", "parquet"])
def test_a_format_of_lists_that_is_not_written_is_refused(value: str) -> None:
    with pytest.raises(WCLError, match=f"format = {value}: known are textsp, texttab, textcsv") as told:
        from_wcl(wcl.loads(SUBMIT.replace("format = textsp", f"format = {value}")).tree)
    assert "list tops" in str(told.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "sortkey = (n, True, True)",
            "sortkey = nosuchkey",
            "list tops: sortkey nosuchkey: .* has no such column",
        ),
        (
            "divide_jobs_by = n\n",
            "divide_jobs_by = nosuch\n",
            "divide_jobs_by = nosuch: no wrapper .* they have n",
        ),
        ("_01_list = ", "X = ${nosuchvar}\n_01_list = ", "module paste, exec_1: X = .*nosuchvar"),
        ("_01_list = ", "X = ${aa}\n_01_list = ", "module paste, exec_1: X = .*circle"),
        ("_01_list = ", "X = $HEAD{${list.nolist.fullname},A}\n_01_list = ", "list.nolist.fullname"),
    ],
)
def test_a_value_that_no_job_could_follow_is_refused_before_anything_is_queued(
    facility: Facility, tmp_path: Path, old: str, new: str, says: str
) -> None:
    arrive(facility, tmp_path)
    text = SUBMIT.replace("use_qcf = false", "use_qcf = false\naa = ${bb}\nbb = ${aa}")
    assert old in text
    pipeline, top = from_wcl(wcl.loads(text.replace(old, new)).tree)
    with pytest.raises(PlanError, match=says):
        dry_run(facility, pipeline, top)


def test_what_a_command_line_may_name_is_accepted(facility: Facility, tmp_path: Path) -> None:
    """Headers and functions are left to the job; ``$opt{}`` may be empty; a value may be composed of the loop's."""
    arrive(facility, tmp_path)
    options = "A = $HEAD{${file.raw.fullname},EXPTIME}\nB = x$opt{nosuch}y\nD = ${rms_${band}}\nE = ${unitname}_${attnum:2}"
    text = SUBMIT.replace("            c = ", f"{options}\n            c = ")
    pipeline, top = from_wcl(
        wcl.loads(text.replace("use_qcf = false", "band = r\nrms_r = 7\nuse_qcf = false")).tree
    )
    assert dry_run(facility, pipeline, top).jobs == 4


def test_what_get_tile_info_brings_is_no_key_without_effect() -> None:
    row = {
        "tilename": "T1",
        "ra_cent": 10.0,
        "dec_cent": -20.0,
        "naxis1": 100,
        "naxis2": 100,
        "pixelscale": 0.263,
    }
    brought = tile_info(row)
    assert set(brought) == TILE_KEYS
    tree = wcl.loads(SUBMIT).tree
    assert describe_ignored_keys({**tree, **brought}) == describe_ignored_keys(tree)
