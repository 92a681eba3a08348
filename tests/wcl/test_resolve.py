"""Substitution, expansion and the order of lookup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fitsio
import numpy as np
import pytest

from desdm.errors import WCLError
from desdm.wcl import Resolver, Template, Tree, columns, loads, split_range, truth

TREE: Tree = {
    "camsym": "D",
    "expnum": "229686",
    "band": "g,r",
    "ccdnum": "(1:3,5)",
    "one_band": "r",
    "rms_r": "4.2",
    "unitname": "${camsym}${expnum:8}",
    "reqnum": "4055",
    "attnum": "1",
    "file": {"raw": {"fullname": "raw/x.fits"}},
    "list": {"cats": {"fullname": "list/cats.list"}},
}


def values(resolver: Resolver, text: str, **keywords: object) -> list[str]:
    return [one.value for one in resolver.expand(text, **keywords)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${camsym}", "D"),
        ("${CamSym}", "D"),
        ("${expnum:8}", "00229686"),
        ("${attnum:2}", "01"),
        ("${expnum:2}", "229686"),
        ("${unitname}_r${reqnum}p${attnum:2}", "D00229686_r4055p01"),
        ("${rms_${one_band}}", "4.2"),
        ("x$opt{flabel}y", "xy"),
        ("x$OPT{attnum:3}y", "x001y"),
        ("$opt{missing:3}", ""),
        ("$opt{rms_${one_band}}", "4.2"),
        ("${file.raw.fullname}", "raw/x.fits"),
        ("${FILE.RAW.FullName}", "raw/x.fits"),
        ("@${list.cats.fullname}", "@list/cats.list"),
        ("${band}", "g,r"),
        ("${ccdnum:2}", "(1:3,5)"),
        ("$FMT{%07.3f,red.col}", "$FMT{%07.3f,red.col}"),
        ("$HOME and $5", "$HOME and $5"),
    ],
)
def test_references(text: str, result: str) -> None:
    for compat in (False, True):
        assert Resolver(TREE, compat=compat).replace(text) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${missing}", r"no value for \$\{missing\}"),
        ("${rms_${missing}}", "no value for"),
        ("${camsym:2}", "'D' is not an integer"),
        ("${expnum:x}", "width"),
        ("${expnum:999}", "width"),
        ("${file.raw.none}", "no value"),
        ("${file.raw.fullname.deeper}", "no value"),
        ("${file.raw}", "names a section"),
        ("$RNMLST{x}", "no longer part of WCL"),
        ("$rnmlst{${camsym}}", "no longer part of WCL"),
        ("$HEAD{file}", "names no key"),
    ],
)
def test_references_that_fail_are_typed(text: str, said: str) -> None:
    for compat in (False, True):
        with pytest.raises(WCLError, match=said):
            Resolver(TREE, compat=compat).replace(text)


def test_what_is_not_closed_stands_in_compat_and_fails_in_strict() -> None:
    for text in ("${}", "${camsym", "a ${"):
        assert Resolver(TREE, compat=True).replace(text) == text
        with pytest.raises(WCLError, match="empty or not closed"):
            Resolver(TREE).replace(text)


@pytest.mark.parametrize(
    "tree",
    [
        {"a": "${a}"},
        {"a": "${b}", "b": "x${a}"},
        {"a": "${a}${a}"},
        {"a": "${a:2}"},
        {"a": "1${b:2}", "b": "${a:2}"},
    ],
)
def test_circles_end_in_an_error(tree: Tree) -> None:
    for multiple in (Resolver(tree).replace, Resolver(tree).expand):
        with pytest.raises(WCLError, match="circle"):
            multiple("${a}")


def test_a_hundred_steps_are_still_resolved_but_not_more() -> None:
    chain: Tree = {f"v{i}": f"${{v{i + 1}}}" for i in range(200)}
    chain["v98"] = "end"
    assert Resolver(chain).replace("${v0}") == "end"
    chain["v98"] = "${v99}"
    with pytest.raises(WCLError, match="circle"):
        Resolver(chain).replace("${v0}")


def test_more_than_a_hundred_references_in_one_text_are_no_circle() -> None:
    assert Resolver(TREE).replace("${camsym}" * 500) == "D" * 500


# --- expansion


def test_two_lists_in_the_order_of_the_original() -> None:
    resolver = Resolver(TREE, compat=True)
    expected = [f"{band}_{ccd:02d}" for band in "rg" for ccd in (1, 2, 3, 5)]
    assert values(resolver, "${band}_${ccdnum:2}") == expected


def test_three_lists_in_the_order_of_the_original() -> None:
    tree: Tree = {"a": "1,2", "b": "x,y", "c": "p,q"}
    expected = [a + b + c for a in "21" for b in "yx" for c in "pq"]
    assert values(Resolver(tree, compat=True), "${a}${b}${c}") == expected


def test_strict_runs_every_list_forward_the_first_slowest_unless_told() -> None:
    resolver = Resolver(TREE)
    forward = [f"{band}_{ccd:02d}" for band in "gr" for ccd in (1, 2, 3, 5)]
    assert values(resolver, "${band}_${ccdnum:2}") == forward
    turned = [f"{band}_{ccd:02d}" for ccd in (1, 2, 3, 5) for band in "gr"]
    assert values(resolver, "${band}_${ccdnum:2}", order=["ccdnum", "band"]) == turned
    with pytest.raises(WCLError, match="reqnum"):
        resolver.expand("${band}", order=["reqnum"])


def test_the_values_used_come_with_each_result_unpadded() -> None:
    first, *_ = Resolver(TREE).expand("${unitname}_${band}_c${ccdnum:2}")
    assert first.value == "D00229686_g_c01"
    assert first.variables == {
        "unitname": "D00229686",
        "camsym": "D",
        "expnum": "229686",
        "band": "g",
        "ccdnum": "1",
    }


def test_one_variable_twice_has_one_value_in_strict_and_loops_twice_in_compat() -> None:
    tree: Tree = {"ccdnum": "1,2"}
    assert values(Resolver(tree), "${ccdnum}_${ccdnum:2}") == ["1_01", "2_02"]
    assert values(Resolver(tree, compat=True), "${ccdnum}_${ccdnum:2}") == ["2_01", "2_02", "1_01", "1_02"]
    for compat in (False, True):
        assert values(Resolver(tree, compat=compat), "${ccdnum}_${ccdnum}") == ["1_1", "2_2"]


def test_a_list_that_is_handed_on_still_loops_and_pads() -> None:
    tree: Tree = {"expnum": "${flat_expnum}", "flat_expnum": "7,${last}", "last": "9"}
    for compat in (False, True):
        resolver = Resolver(tree, compat=compat)
        assert values(resolver, "D${expnum:4}") == ["D0007", "D0009"]
        assert [one.variables["expnum"] for one in resolver.expand("D${expnum:4}")] == ["7", "9"]
        assert values(resolver, "D${expnum}") == ["D7", "D9"]


def test_expansion_without_lists_gives_one_result() -> None:
    assert Resolver(TREE).expand("a") == [("a", {})]
    assert values(Resolver(TREE), "${camsym}") == ["D"]


def test_a_bare_range_with_padding_fails_as_in_the_original() -> None:
    for compat in (False, True):
        resolver = Resolver({"ccdnum": "1:3"}, compat=compat)
        with pytest.raises(WCLError, match="not an integer"):
            resolver.expand("${ccdnum:2}")
        assert values(resolver, "${ccdnum}") == ["1:3"]


def test_a_list_item_that_cannot_be_padded_fails() -> None:
    with pytest.raises(WCLError, match="'g' is not an integer"):
        Resolver(TREE).expand("${band:2}")


def test_too_many_results_fail_before_they_are_made() -> None:
    tree: Tree = dict.fromkeys("abcd", "(1:1000)")
    with pytest.raises(WCLError, match="more than"):
        Resolver(tree).expand("${a}${b}${c}${d}")


def test_a_padded_value_that_has_to_be_resolved_first_leaves_the_rest_to_be_replaced() -> None:
    tree: Tree = {"a": "${b:3}", "b": "7", "c": "${a}", "d": "${c:2}"}
    for compat in (False, True):
        resolver = Resolver(tree, compat=compat)
        assert resolver.replace("${d}_${a:2}") == "07_07"
        assert resolver.expand("$opt{d}$OPT{a:2}") == [
            ("0707", {"d": "07", "c": "007", "a": "007", "b": "7"})
        ]


def test_compat_pads_whatever_python_reads_as_an_integer() -> None:
    tree: Tree = {"a": "1_7"}
    assert Resolver(tree, compat=True).replace("${a:4}") == "0017"
    with pytest.raises(WCLError, match="not an integer"):
        Resolver(tree).replace("${a:4}")


# --- functions and headers


def header(file: str, keys: Sequence[str]) -> list[object]:
    return [f"{file}:{key}" for key in keys]


def test_head_joins_the_values_of_its_keys() -> None:
    resolver = Resolver(TREE, header=header)
    assert (
        resolver.replace("$HEAD{${file.raw.fullname},FWHM,PIXSCAL1}") == "raw/x.fits:FWHM,raw/x.fits:PIXSCAL1"
    )


def test_head_reads_the_primary_header_of_a_fits_file(tmp_path: Path) -> None:
    file = tmp_path / "a.fits"
    fitsio.write(file, np.zeros((2, 2)), header={"FWHM": 3.5, "BAND": "g"})
    resolver = Resolver({"file": {"a": {"fullname": str(file)}}})
    assert resolver.replace("$HEAD{${file.a.fullname},FWHM,band}") == "3.5,g"
    with pytest.raises(WCLError, match="no key SEEING"):
        resolver.replace(f"$HEAD{{{file},SEEING}}")
    with pytest.raises(WCLError, match="HEAD"):
        resolver.replace("$HEAD{/nowhere.fits,FWHM}")


def test_func_gets_a_list_after_all_else_is_replaced() -> None:
    seen: list[list[str]] = []

    def arcsec(arguments: list[str]) -> float:
        seen.append(arguments)
        return float(arguments[0]) * 0.263

    resolver = Resolver(
        {"fwhm": "4", "file": {"ref": {"fullname": "r"}}},
        functions={"qa.seeing.arcsec": arcsec},
        header=lambda file, keys: [2 for _ in keys],
    )
    assert resolver.replace("$FUNC{qa.seeing.arcsec, ${fwhm}, $HEAD{${file.ref.fullname},A,B}}") == "1.052"
    assert seen == [["4", "2", "2"]]


def test_func_imports_what_it_is_not_given() -> None:
    assert Resolver({"a": "x"}).replace("$FUNC{posixpath.join,${a},y}") == "x/y"
    assert Resolver({}).replace("$FUNC{operator.concat,a,b}") == "ab"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("posixpath.nothing,a", "no function nothing"),
        ("not_a_package.f,a", "cannot be imported"),
        ("join,a", "not a dotted name"),
        ("posixpath.sep,a", "not a function"),
        ("operator.truediv,a,b", "TypeError"),
    ],
)
def test_func_failures_are_typed(call: str, said: str) -> None:
    with pytest.raises(WCLError, match=said):
        Resolver({}).replace(f"$FUNC{{{call}}}")


def test_a_header_of_each_file_of_a_list() -> None:
    resolver = Resolver({"ccdnum": "1,2"}, header=header)
    assert values(resolver, "$HEAD{c${ccdnum:2}.fits,GAIN}") == ["c01.fits:GAIN", "c02.fits:GAIN"]


# --- lookup


KINDS = ["file", "list", "exec", "job", "module", "block", "archive", "site"]


def test_the_order_of_lookup() -> None:
    tree: Tree = {"key": "top", "current": {"key": "current section"}}
    current: dict[str, object] = {"key": "passed"}
    for kind in KINDS:
        tree[kind] = {"mine": {"key": kind}}
        current["curr_" + kind] = "mine"
    searchobj: dict[str, object] = {"key": "searchobj"}

    def winner() -> object:
        return Resolver(tree).get("KEY", current=current, searchobj=searchobj)

    assert winner() == "passed"
    del current["key"]
    assert winner() == "current section"
    tree["current"] = {}
    assert winner() == "searchobj"
    searchobj.clear()
    for kind in KINDS:
        assert winner() == kind
        tree[kind]["mine"].pop("key")  # type: ignore[index,union-attr]
    assert winner() == "top"
    del tree["key"]
    with pytest.raises(WCLError, match="no value for KEY"):
        winner()
    assert Resolver(tree).get("key", default=None) is None


def test_the_current_instance_may_stand_in_section_current_and_passed_values_win() -> None:
    tree = loads(
        "<module a>\nk = 1\n</module>\n<module b>\nk = 2\n</module>\n<current>\ncurr_module = a\n</current>"
    ).tree
    assert Resolver(tree).get("k") == "1"
    assert Resolver(tree).get("k", current={"curr_module": "b"}) == "2"
    assert Resolver(tree).get("k", current={"curr_module": "B"}) == "2"
    assert Resolver(tree).get("k", current={"curr_module": None}, default="none") == "none"


def test_each_named_section_has_its_name() -> None:
    tree = loads("<module detrend>\n</module>\n<block se>\n</block>").tree
    current = {"curr_module": "detrend", "curr_block": "se"}
    assert Resolver(tree).replace("${modulename}/${blockname}", current=current) == "detrend/se"
    assert Resolver(tree).replace("${module.detrend.modulename}") == "detrend"


def test_a_dotted_name_is_an_exact_path_without_scopes() -> None:
    tree = loads("<module a>\n<file raw>\nfullname = inside\n</file>\n</module>").tree
    with pytest.raises(WCLError, match="no value"):
        Resolver(tree).replace("${file.raw.fullname}", current={"curr_module": "a"})
    assert Resolver(tree).replace("${module.a.file.raw.fullname}") == "inside"


def test_lookup_says_who_gave_the_value() -> None:
    tree = loads("<module a>\nk = 1\n</module>\nt = 2").tree
    resolver = Resolver(tree)
    hit = resolver.lookup("k", current={"curr_module": "a"})
    assert hit is not None and (hit.value, hit.scope, hit.path) == ("1", "module a", ("module", "a", "k"))
    top = resolver.lookup("t")
    assert top is not None and (top.scope, top.path) == ("top", ("t",))


# --- ranges, truths, columns, templates


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("(1,4:6,8)", ["1", "4", "5", "6", "8"]),
        ("1,4:6,8", ["1", "4", "5", "6", "8"]),
        ("g, r,i", ["g", "r", "i"]),
        ("12:30", [str(i) for i in range(12, 31)]),
        ("(01:03)", ["1", "2", "3"]),
        ("x:y", ["x:y"]),
        ("12:30:00", ["12:30:00"]),
        ("one", ["one"]),
        ("", [""]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_split_range(text: str, items: list[str]) -> None:
    assert split_range(text) == items


@pytest.mark.parametrize("text", ["3:1", "1:99999999", "1:" + "9" * 5000])
def test_ranges_that_cannot_be_opened(text: str) -> None:
    with pytest.raises(WCLError, match="range"):
        split_range(text)


def test_truth() -> None:
    assert all(map(truth, ["y", "Yes", "TRUE", "1", " true ", "2", "-1"]))
    assert not any(map(truth, ["n", "No", "FALSE", "0"]))
    for text in ("", "maybe", "1.0", "none"):
        with pytest.raises(WCLError, match="neither true nor false"):
            truth(text)


def test_columns_of_a_list() -> None:
    name, fwhm, ccd = columns("red.fullname,$FMT{%07.3f,red.fwhm}, $FMT{%02d,red.ccdnum}")
    assert (name.name, name.format) == ("red.fullname", None)
    assert (fwhm.name, fwhm.text("3.25"), ccd.text("7"), name.text("a.fits")) == (
        "red.fwhm",
        "003.250",
        "07",
        "a.fits",
    )
    with pytest.raises(WCLError, match="does not fit"):
        ccd.text("x")
    for bad in ("$FMT{%d}", "$FMT{%d,a", "$FOO{%d,a}"):
        with pytest.raises(WCLError):
            columns(bad)
    (odd,) = columns("$FMT{%d%s%999999999d,a}")
    with pytest.raises(WCLError, match="not a %-format"):
        odd.text(1)


def test_template_fills_as_the_resolver_replaces() -> None:
    text = "100%/${camsym}${expnum:8}_${one_band}_r${reqnum}p${attnum:2}$opt{flabel}$opt{attnum:3}.fits"
    template = Template(text)
    flat = {key: value for key, value in TREE.items() if isinstance(value, str)}
    assert template.fill(flat) == Resolver(TREE).replace(text) == "100%/D00229686_r_r4055p01001.fits"
    assert template.fill({**flat, "flabel": "_cat", "expnum": 5}) == "100%/D00000005_r_r4055p01_cat001.fits"
    assert template.names == ("camsym", "expnum", "one_band", "reqnum", "attnum", "flabel")
    assert template.optional == ("flabel",)
    assert Template("none").fill({}) == "none"
    assert Template("${A}").fill({"a": "%s"}) == "%s"


def test_template_errors_are_typed() -> None:
    with pytest.raises(WCLError, match=r"no value for \$\{a\} in x\$\{a\}"):
        Template("x${a}").fill({})
    with pytest.raises(WCLError, match=r"no value for \$\{a\}"):
        Template("${a:2}").fill({})
    with pytest.raises(WCLError, match="not an integer"):
        Template("${a:2}").fill({"a": "x"})
    for text in ("${a_${b}}", "$HEAD{f,K}", "$FUNC{a.b}", "${a", "${}"):
        with pytest.raises(WCLError, match="Resolver"):
            Template(text)
