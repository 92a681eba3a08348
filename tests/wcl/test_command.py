"""desdm wcl at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click.testing
import pytest

from desdm.cli.context import CommandContext
from desdm.cli.wcl import command
from desdm.errors import WCLError

DATA = Path(__file__).parent / "data"

SITE = """\
camsym = D
expnum = 77
unitname = ${camsym}${expnum:8}
<module catalog>
    band = g
    <file>
        <cat>
            band = q,r
            filename = ${unitname}_${band}_${modulename}_${attnum:2}.fits
        </cat>
    </file>
</module>
<<include late.wcl>>
"""


@pytest.fixture
def site(tmp_path: Path) -> str:
    (tmp_path / "late.wcl").write_text("expnum = 78\n")
    file = tmp_path / "site.wcl"
    file.write_text(SITE)
    return str(file)


def run(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        command, arguments, obj=CommandContext(None), standalone_mode=False
    )


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_read_gives_one_json_document_of_all_files_with_nothing_substituted(site: str) -> None:
    document = answer("read", site, str(DATA / "catalog.wcl"))
    assert list(document) == [site, str(DATA / "catalog.wcl")]
    assert document[site]["unitname"] == "${camsym}${expnum:8}"
    assert document[site]["expnum"] == "78"
    assert list(document[site]) == ["camsym", "expnum", "unitname", "module"]


def test_read_writes_wcl_for_people(site: str) -> None:
    result = run("read", site)
    assert result.stdout.startswith("camsym = D\nexpnum = 78\n")


def test_read_compat_warns_aside_and_strict_refuses(tmp_path: Path) -> None:
    file = tmp_path / "old.des"
    file.write_text("a=b=c\nstray\n")
    result = run("read", "--compat", "--json", str(file))
    assert json.loads(result.stdout) == {str(file): {"a=b": "c"}}
    assert f"{file}:2: the line is not WCL" in result.stderr
    assert isinstance(run("read", str(file)).exception, WCLError)


def test_check_ends_with_0_1_or_2(tmp_path: Path, site: str) -> None:
    assert run("check", site).return_value == 0
    (tmp_path / "dup.wcl").write_text("a = 1\na = 2\n")
    (tmp_path / "cut.wcl").write_text("stray\n<a>\n")
    found = run("check", str(tmp_path / "dup.wcl"))
    assert found.return_value == 1
    assert found.stdout.startswith(f"{tmp_path}/dup.wcl:2: error: the key stands twice")
    broken = run("check", "--json", str(tmp_path / "cut.wcl"), site, str(tmp_path / "none"))
    assert broken.return_value == 2
    findings = json.loads(broken.stdout)["findings"]
    assert [(Path(one["file"]).name, one["line"], one["kind"]) for one in findings] == [
        ("cut.wcl", 1, "ignored"),
        ("cut.wcl", 2, "unreadable"),
        ("none", None, "unreadable"),
    ]
    assert run("check", "--compat", str(tmp_path / "dup.wcl")).return_value == 1


def test_expand_substitutes_in_the_scope_of_each_value(site: str) -> None:
    document = answer("expand", site)
    assert document["values"]["unitname"] == ["D00000078"]
    assert "no value for ${attnum}" in document["unresolved"]["module.catalog.file.cat.filename"]
    assert run("expand", site).return_value == 1
    assert run("expand", site, "unitname").stdout == "unitname = D00000078\n"
    with Path(site).open("a") as stream:
        stream.write("attnum = 3\n")
    values = answer("expand", site, "module.catalog.file")["values"]
    assert values["module.catalog.file.cat.filename"] == [
        "D00000078_q_catalog_03.fits",
        "D00000078_r_catalog_03.fits",
    ]


def test_explain_says_where_a_value_and_its_references_came_from(site: str) -> None:
    (key,) = answer("explain", site, "expnum")["keys"]
    assert (key["value"], Path(key["file"]).name, key["line"]) == ("78", "late.wcl", 1)
    assert key["overrode"] == [{"file": site, "line": 2, "value": "77"}]
    (name,) = answer("explain", site, "module.catalog.file.cat.filename")["keys"]
    met = {one["name"]: (one["value"], one["scope"], one["line"]) for one in name["references"]}
    assert met["band"] == ("q,r", "searchobj", 8)
    assert met["unitname"] == ("${camsym}${expnum:8}", "top", 3)
    assert met["modulename"] == ("catalog", "module catalog", 4)
    assert met["attnum"] == ("", "", None)
    assert "attnum" in name["problem"]
    assert [one["key"] for one in answer("explain", site)["keys"]][:2] == ["camsym", "expnum"]
    text = run("explain", site, "unitname").stdout
    assert f"${{expnum}} = 78  (top, {Path(site).parent}/late.wcl:1)" in text
    assert text.endswith("    = D00000078\n")
    assert isinstance(run("explain", site, "nokey").exception, WCLError)


def test_reading_wcl_loads_no_library_of_arrays_images_or_tables() -> None:
    program = (
        "import sys, desdm.wcl; "
        "print([m for m in ('numpy', 'fitsio', 'astropy', 'sqlalchemy', 'inspect') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
