"""Keys that say what a pipeline is made of are looked up with substitution, as all keys are (docs/wcl.md)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from desdm import wcl
from desdm.cli.main import desdm
from desdm.errors import WCLError
from desdm.framework.submitwcl import describe_ignored_keys, from_wcl, read_submit
from tests.framework.test_submitwcl import SUBMIT

#: What stands in the file → name of the variable that is to hold it.
STRUCTURE = [
    ("blocklist = count, gather", "blocklist"),
    ("modulelist = head", "modulelist"),
    ("divide_jobs_by = n", "divide_jobs_by"),
    ("wrapperloop = n", "wrapperloop"),
    ("sortkey = (n, True, True)", "sortkey"),
    ("format = textsp", "format"),
    ("query_fields", "query_fields"),
    ("depends", "depends"),
    ("columns", "columns"),
    ("used", "used"),
    ("was_generated_by", "was_generated_by"),
]


def with_variable(text: str, key: str) -> str:
    """The file with a variable at its top that holds the first value of a key, and the key naming it."""
    line = re.compile(rf"^(\s*){key}(?:\s*=\s*|\s+)(.+)$", re.MULTILINE)
    match = line.search(text)
    assert match is not None
    changed = f"{text[: match.start()]}{match[1]}{key} = ${{v_{key}}}{text[match.end() :]}"
    return f"v_{key} = {match[2].strip()}\n{changed}"


@pytest.mark.parametrize("key", [k for line, k in STRUCTURE if line in SUBMIT])
def test_a_structural_key_may_name_a_variable(key: str) -> None:
    text = with_variable(SUBMIT, key)
    assert f"${{v_{key}}}" in text
    pipeline, _ = from_wcl(wcl.loads(text).tree)
    assert pipeline == from_wcl(wcl.loads(SUBMIT).tree)[0]
    # Neither the variable nor anything that it brings in is a key without effect.
    assert describe_ignored_keys(wcl.loads(text).tree) == describe_ignored_keys(wcl.loads(SUBMIT).tree)


def test_the_nearest_value_of_a_variable_counts() -> None:
    """File, module, block, top: the first that has it (the order of look-up in docs/wcl.md)."""
    text = SUBMIT.replace("wrapperloop = n", "wrapperloop = ${loopkey}", 1)
    top, module = f"loopkey = nosuch\n{text}", text.replace("wrapperloop", "loopkey = n\nwrapperloop", 1)
    assert next(from_wcl(wcl.loads(top).tree)[0].modules())[1].loop == ("nosuch",)
    both = f"loopkey = nosuch\n{module}"
    assert next(from_wcl(wcl.loads(both).tree)[0].modules())[1].loop == ("n",)


def test_the_operators_value_comes_before_that_at_the_top() -> None:
    text = f"loopkey = nosuch\n{SUBMIT.replace('wrapperloop = n', 'wrapperloop = ${loopkey}', 1)}"
    pipeline, _ = from_wcl(wcl.loads(text).tree, settings={"loopkey": "n"})
    assert next(pipeline.modules())[1].loop == ("n",)


@pytest.mark.parametrize("value", ["(n, band)", "(n,band)", "n, band"])
def test_a_list_of_keys_may_stand_in_parentheses(value: str) -> None:
    pipeline, _ = from_wcl(wcl.loads(SUBMIT.replace("divide_jobs_by = n", f"divide_jobs_by = {value}")).tree)
    assert pipeline.blocks[0].divide_jobs_by == ("n", "band")


def test_jobs_are_divided_as_the_top_says_where_the_block_does_not() -> None:
    text = "divide_jobs_by = n\n" + SUBMIT.replace("    divide_jobs_by = n\n", "")
    pipeline, top = from_wcl(wcl.loads(text).tree)
    assert pipeline.blocks[0].divide_jobs_by == ("n",)
    assert "divide_jobs_by" not in top


@pytest.mark.parametrize("flag", ["maybe", "${which}", "2x"])
@pytest.mark.parametrize("anchor", ["use_qcf = false", "wrapperloop = n", "sortkey = (n, True, True)"])
def test_a_flag_that_is_neither_true_nor_false_is_refused_with_file_key_and_line(
    anchor: str, flag: str, tmp_path: Path
) -> None:
    key = {"use": "use_qcf", "wra": "noop", "sor": "allow_missing"}[anchor[:3]]
    lines = [line for line in SUBMIT.splitlines() if key not in line or key == "use_qcf"]
    at = next(i for i, line in enumerate(lines) if line.strip() == anchor)
    if key == "use_qcf":
        lines[at] = f"use_qcf = {flag}"
    else:
        at += 1
        lines.insert(at, f"{key} = {flag}")
    path = tmp_path / "flag.wcl"
    path.write_text("which = maybe\n" + "\n".join(lines) + "\n")
    with pytest.raises(WCLError, match="neither true nor false") as refusal:
        read_submit(path)
    assert f"{path}:{at + 2}: " in str(refusal.value)
    assert f"{key} = {flag}" in str(refusal.value)


def test_a_variable_without_a_value_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "lacking.wcl"
    path.write_text(SUBMIT.replace("divide_jobs_by = n", "divide_jobs_by = ${nosuch}"))
    line = path.read_text().splitlines().index("    divide_jobs_by = ${nosuch}") + 1
    with pytest.raises(WCLError, match="nosuch") as refusal:
        read_submit(path)
    assert str(refusal.value).startswith(f"{path}:{line}: block.count.divide_jobs_by = ${{nosuch}}")


def test_a_repeated_key_is_told_by_submit_with_file_and_lines(tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "twice.des"
    run = CliRunner()
    assert run.invoke(desdm, ["init", str(home)]).exit_code == 0
    path.write_text(
        "pipeline = p\nproject = OPS\nproject = TEST\nreqnum = 1\nunitname = U1\nblocklist = b\nuse_qcf = false\n"
        "<block b>\nmodulelist = m\n</block>\n<module m>\nwrappername = genwrap.py\n<exec_1>\nexecname = true\n</exec_1>\n"
        "</module>\n"
    )
    arguments = ["--home", str(home), "submit", str(path), "--compat", "--dry-run"]
    for more in ([], ["--json"]):
        done = run.invoke(desdm, [*arguments, *more])
        assert done.exit_code == 0, done.output
        assert f"{path}:3: the key stands twice" in done.stderr
        assert "before in line 2" in done.stderr
    [note] = [n for n in json.loads(done.stdout)["notes"] if "twice" in n]
    assert f"{path}:3: " in note and "before in line 2" in note
    # Without --compat it is an error, as every deviation is.
    assert isinstance(run.invoke(desdm, [*arguments[:-2], "--dry-run"]).exception, WCLError)
