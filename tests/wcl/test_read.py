"""The line grammar: what each line means to the original (compat) and to us (strict)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from desdm.errors import WCLError
from desdm.wcl import Surprise, check, loads, read

DATA = Path(__file__).parent / "data"


def strict(text: str) -> object:
    return loads(text).tree


def compat(text: str) -> object:
    return loads(text, compat=True).tree


def kinds(text: str) -> list[Surprise]:
    return [finding.kind for finding in loads(text, compat=True).warnings]


def refusal(text: str) -> WCLError:
    with pytest.raises(WCLError) as caught:
        loads(text, name="x.wcl")
    assert caught.value.file == "x.wcl"
    return caught.value


# Every construct that both modes read alike, with what it says.
ALIKE = [
    ("", {}),
    ("\n  \n# only a comment\n", {}),
    ("key = value", {"key": "value"}),
    ("  key = value  ", {"key": "value"}),
    ("key=value", {"key": "value"}),
    ("key= value", {"key": "value"}),
    ("key =value", {"key": "value"}),
    ("key\t=\tvalue", {"key": "value"}),
    ("key value", {"key": "value"}),
    ("depends mod.file.x", {"depends": "mod.file.x"}),
    ("join t1.c=t2.c", {"join": "t1.c=t2.c"}),
    ("join t1.c = t2.c", {"join": "t1.c = t2.c"}),
    ("ancestry = a:b, c:d", {"ancestry": "a:b, c:d"}),
    ("opt = x=1", {"opt": "x=1"}),
    ("query = = 3", {"query": "= 3"}),
    ("KEY = Value", {"key": "Value"}),
    ("MyKey value", {"mykey": "value"}),
    ("a = 1 # comment", {"a": "1"}),
    ("a = 1 # comment # more", {"a": "1"}),
    ("a = alpha, \\\n    beta", {"a": "alpha, beta"}),
    ("a = al\\\npha\\\n   bet", {"a": "alphabet"}),
    ("a = 1\r\nb = 2\rc = 3", {"a": "1", "b": "2", "c": "3"}),
    ("a = x\x0cy".replace("\x0c", " "), {"a": "x y"}),
    ("<one>\n</one>", {"one": {}}),
    ("<One>\nK = v\n</ONE>", {"one": {"k": "v"}}),
    ("<one> # why\nk = v\n</one> # end", {"one": {"k": "v"}}),
    ("<one >\n</ one >", {"one": {}}),
    ("<module catalog>\nk = v\n</module>", {"module": {"catalog": {"k": "v"}}}),
    ("<module catalog>\nk = v\n</catalog>\n</module>", {"module": {"catalog": {"k": "v"}}}),
    ("<module a>\n</a>\nk = v\n</module>", {"module": {"a": {}, "k": "v"}}),
    ("<a>\n<b>\nk = 1\n</b>\n</a>\n<a>\n<b>\nk = 2\nl = 3\n</b>\n</a>", {"a": {"b": {"k": "2", "l": "3"}}}),
    (
        "<module a>\nk = 1\n</module>\n<module b>\nk = 2\n</module>",
        {"module": {"a": {"k": "1"}, "b": {"k": "2"}}},
    ),
    (
        "<cmdline>\nOPT = _flag\n_01_x = ${a}\n</cmdline>\nK = v",
        {"cmdline": {"OPT": "_flag", "_01_x": "${a}"}, "k": "v"},
    ),
    ("<replace>\nNoise = x\n</replace>", {"replace": {"Noise": "x"}}),
    ("<cmdline>\n<Sub>\nKey = v\n</Sub>\n</cmdline>", {"cmdline": {"sub": {"Key": "v"}}}),
    ("1 = 2", {"1": "2"}),
    ("a.b = c", {"a.b": "c"}),
    ("= x", {"=": "x"}),
]


@pytest.mark.parametrize(("text", "tree"), ALIKE[:-1], ids=[repr(text)[:50] for text, _ in ALIKE[:-1]])
def test_both_modes_read_what_the_grammar_offers(text: str, tree: object) -> None:
    assert strict(text) == tree
    assert compat(text) == tree


# Where the original surprises: text, what it reads, what it is called.
SURPRISES = [
    ("url = http://x/#top", {"url": "http://x/"}, [Surprise.HASH_CUTS]),
    ("colour = #ff0000", {"colour": ""}, None),
    ("a = 1# c", {"a": "1"}, [Surprise.HASH_CUTS]),
    ("key =", {}, [Surprise.EMPTY]),
    ("key=", {}, [Surprise.EMPTY]),
    ("key = # note", {"key": ""}, [Surprise.EMPTY]),
    ("key # note", {}, [Surprise.IGNORED]),
    ("key  # note", {"key": ""}, [Surprise.EMPTY]),
    ("key  =", {"key": "="}, [Surprise.EMPTY]),
    ("word", {}, [Surprise.IGNORED]),
    ("=x", {}, [Surprise.IGNORED]),
    ("<>", {}, [Surprise.IGNORED]),
    ("a=b=c", {"a=b": "c"}, [Surprise.AMBIGUOUS]),
    ("a=b = c", {"a=b": "c"}, [Surprise.AMBIGUOUS]),
    ("a=b=", {"a": "b="}, []),
    ("a = 1\na = 2", {"a": "2"}, [Surprise.DUPLICATE]),
    ("a = 1\nA = 2", {"a": "2"}, [Surprise.DUPLICATE]),
    ("<a b c>", {"<a": "b c>"}, [Surprise.NOT_A_SECTION]),
    ("< a>", {"<": "a>"}, [Surprise.NOT_A_SECTION]),
    ("<a b >", {"<a": "b >"}, [Surprise.NOT_A_SECTION]),
    ("<a x=1>\n</a>", {"a": {"x=1": {}}}, [Surprise.ODD_SECTION]),
    ("<a>x>\n</a>x>", {"a>x": {}}, [Surprise.ODD_SECTION]),
    ("<a a>\n</a>\n</a>", {"a": {"a": {}}}, [Surprise.SAME_LABEL]),
    ("<exec cmdline>\nOpt = 1\n</exec>", {"exec": {"cmdline": {"opt": "1"}}}, [Surprise.CASE_LOST]),
    (
        "<cmdline>\n<replace>\n</replace>\nOpt = 1\n</cmdline>",
        {"cmdline": {"replace": {}, "opt": "1"}},
        [Surprise.CASE_LOST],
    ),
    ("<a>\n</a>\na = 1", {"a": "1"}, [Surprise.VALUE_OVER_SECTION]),
    ("# dropped \\\na = 1", {}, [Surprise.COMMENT_CONTINUES]),
    ("a = 1\\", {"a": "1"}, [Surprise.ENDS_IN_BACKSLASH]),
    ("a = 1 \\ # c\nb = 2", {"a": "1 \\", "b": "2"}, [Surprise.BACKSLASH_KEPT]),
    ("a = x\x01y", {"a": "x\x01y"}, [Surprise.CONTROL]),
    ("\ufeffa = 1", {"\ufeffa": "1"}, [Surprise.CONTROL]),
    ("a = 1\x0bb = 2", {"a": "1\x0bb = 2"}, [Surprise.CONTROL]),
    (
        "<<include  two blanks>>",
        {"<<include": "two blanks>>"},
        [Surprise.NOT_AN_INCLUDE, Surprise.NOT_A_SECTION],
    ),
]


@pytest.mark.parametrize(
    ("text", "tree", "called"), SURPRISES, ids=[repr(text)[:50] for text, _, _ in SURPRISES]
)
def test_compat_reads_as_the_original_and_names_the_surprise(
    text: str, tree: object, called: list[Surprise] | None
) -> None:
    assert compat(text) == tree
    if called is not None:
        assert kinds(text) == called


@pytest.mark.parametrize(
    "text", [text for text, _, called in SURPRISES if called], ids=lambda text: repr(text)[:50]
)
def test_strict_refuses_every_surprise(text: str) -> None:
    # Two of them strict reads as the rule is meant: sub-labels and nested sections keep the case.
    if text.startswith(("<exec", "<cmdline")):
        assert "Opt" in repr(strict(text))
        return
    assert refusal(text).line is not None


def test_the_warning_says_where(tmp_path: Path) -> None:
    file = tmp_path / "a.des"
    file.write_text("a = 1\n\nstray\n")
    (finding,) = read(file, compat=True).warnings
    assert (finding.kind, finding.file, finding.line, finding.text) == (
        Surprise.IGNORED,
        str(file),
        3,
        "stray",
    )
    with pytest.raises(WCLError, match=r"a\.des:3: the line is not WCL"):
        read(file)


def test_strict_keeps_a_hash_inside_quotes() -> None:
    assert strict("a = 'x # y' # note") == {"a": "'x # y'"}
    assert strict('a = f("#1", 2)') == {"a": 'f("#1", 2)'}
    assert compat("a = 'x # y' # note") == {"a": "'x"}
    assert kinds("a = 'x # y'") == [Surprise.HASH_IN_QUOTES]
    assert strict("a = don't # it's a note") == {"a": "don't"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("<a>\nk = v\n", 2, "<a>, opened on line 1, is not closed"),
        ("<a>\n<b>\n</a>", 3, "</b> is expected"),
        ("<m a>\n</b>", 2, "</m> is expected"),
        ("k = v\n</a>", 2, "not open"),
        ("<a>\n<a>", 2, "is the '/' of a closing missing"),
        ("<a>\n\n<A x>", 3, "is the '/' of a closing missing"),
        ("<__topwcl__>\n</__topwcl__>", 1, "opens inside"),
        ("a = 1\n<a>\nb = 2\n</a>", 2, "meets the value"),
        ("a = 1 \\\n 2\n</x>", 3, "not open"),
    ],
)
def test_errors_of_structure_name_file_and_line_in_both_modes(text: str, line: int, said: str) -> None:
    for mode in (False, True):
        with pytest.raises(WCLError) as caught:
            loads(text, name="x.wcl", compat=mode)
        assert caught.value.file == "x.wcl"
        assert said in str(caught.value) or mode
        if not mode:
            assert caught.value.line == line


def test_a_section_over_a_value_fails_in_compat_only_when_something_is_put_in() -> None:
    assert compat("a = 1\n<a>\n</a>") == {"a": "1"}
    with pytest.raises(WCLError, match="but a is a value"):
        compat("a = 1\n<a>\nb = 2\n</a>")


def test_nesting_is_bounded() -> None:
    deep = "".join(f"<s{i}>\n" for i in range(5000))
    for mode in (False, True):
        with pytest.raises(WCLError, match="deep"):
            loads(deep, compat=mode)


def test_the_order_of_the_file_is_kept_and_a_reopened_section_keeps_its_place() -> None:
    tree = loads("z = 1\n<m>\n</m>\na = 2\n<m>\nk = v\n</m>\n").tree
    assert list(tree) == ["z", "m", "a"]


# --- origins


def test_origin_says_where_the_winner_stands_and_what_it_overrode(tmp_path: Path) -> None:
    (tmp_path / "base.wcl").write_text("<m x>\nk = base\nonly = here\n</m>\n")
    (tmp_path / "top.wcl").write_text("\n<<include base.wcl>>\n<m x>\nk = mine\n</m>\n")
    document = read(tmp_path / "top.wcl")
    origin = document.origin("m", "x", "k")
    assert origin is not None
    assert [(Path(o.file).name, o.line, o.value) for o in origin.history()] == [
        ("top.wcl", 4, "mine"),
        ("base.wcl", 2, "base"),
    ]
    only = document.origin("m", "x", "only")
    assert only is not None and only.overrode is None
    opened = document.origin("m")
    assert opened is not None and (Path(opened.file).name, opened.line) == ("base.wcl", 1)
    assert document.origin("m", "y") is None
    assert document.origin("m", "x", "k", "deeper") is None


def test_origin_of_an_include_that_overrides_earlier_lines(tmp_path: Path) -> None:
    (tmp_path / "late.wcl").write_text("a = late\n")
    (tmp_path / "top.wcl").write_text("a = early\n<<include late.wcl>>\n")
    origin = read(tmp_path / "top.wcl").origin("a")
    assert origin is not None and [o.value for o in origin.history()] == ["late", "early"]


# --- includes


def test_the_snippets_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    monkeypatch.setattr(sys, "path", [str(DATA), *sys.path])
    for mode in (False, True):
        site = read("site.wcl", compat=mode)
        assert site.warnings == []
        assert site.tree["project"] == "OPS"
        assert site.tree["long_arg"] == "alpha, beta"
        assert site.tree["ccdnum"] == "(1:3,5)"
        assert site.tree["ra_cent"] == "329.5"
        assert site.tree["tile"] == {"corner": {"ra": "329.1"}}
        assert "unknown" not in site.tree
        assert site.tree["block"] == {"se": {"modulelist": "detrend, catalog", "divide_jobs_by": "expnum"}}
        pattern = site.tree["filename_pattern"]
        assert isinstance(pattern, dict)
        assert list(pattern) == ["ccd", "nite"]
        assert str(pattern["ccd"]).startswith("${camsym}${expnum:8}_")
        catalog = read("catalog.wcl", compat=mode).tree
        module = catalog["module"]["catalog"]  # type: ignore[index]
        assert module["list"]["cats"]["depends"] == "detrend.file.red"  # type: ignore[index,call-overload]
        assert list(module["exec_1"]["cmdline"]) == ["_01_list", "SEEING_FWHM", "v"]  # type: ignore[index,call-overload]


def test_an_include_takes_variables_home_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in_g.wcl").write_text("x = 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", str(tmp_path))
    for path in ("~/in_${band}.wcl", "$WHERE/in_${BAND}.wcl", f"{tmp_path}/in_${{band}}$opt{{none}}.wcl"):
        for mode in (False, True):
            assert loads(f"band = g\n<<include {path}>>", compat=mode).tree == {"band": "g", "x": "1"}


def test_only_values_already_read_at_the_top_level_count(tmp_path: Path) -> None:
    (tmp_path / "a.wcl").write_text("x = 1\n")
    include = f"<<include {tmp_path}/${{name}}.wcl>>\n"
    for text in (include + "name = a\n", "<s>\nname = a\n</s>\n" + include):
        with pytest.raises(WCLError, match="no value for"):
            loads(text)
        with pytest.raises(WCLError, match="no value for"):
            loads(text, compat=True)
    (tmp_path / "top.wcl").write_text(include)
    assert read(tmp_path / "top.wcl", top={"name": "a"}).tree == {"x": "1"}


def test_compat_merges_an_include_into_the_top_level_even_from_inside_a_section(tmp_path: Path) -> None:
    (tmp_path / "in.wcl").write_text("x = 1\n<s>\ny = 2\n</s>\n")
    text = f"<s>\na = 0\n<<include {tmp_path}/in.wcl>>\nb = 3\n</s>"
    document = loads(text, compat=True)
    assert document.tree == {"s": {"a": "0", "y": "2", "b": "3"}, "x": "1"}
    assert [finding.kind for finding in document.warnings] == [Surprise.INCLUDE_IN_SECTION]
    assert "merges into the top level" in refusal(text).message


def test_compat_drops_text_around_an_include(tmp_path: Path) -> None:
    (tmp_path / "in.wcl").write_text("x = 1\n")
    text = f"lost = yes <<include {tmp_path}/in.wcl>> too"
    assert compat(text) == {"x": "1"}
    assert kinds(text) == [Surprise.INCLUDE_IN_TEXT]
    refusal(text)


def test_an_included_value_that_takes_the_place_of_an_open_section_loses_what_follows(tmp_path: Path) -> None:
    (tmp_path / "in.wcl").write_text("s = value\n")
    text = f"<s>\n<<include {tmp_path}/in.wcl>>\nb = 3\n</s>"
    assert compat(text) == {"s": "value"}
    refusal(text)


def test_an_included_section_never_takes_the_place_of_a_value(tmp_path: Path) -> None:
    (tmp_path / "in.wcl").write_text("<s>\n</s>\n")
    for mode in (False, True):
        with pytest.raises(WCLError, match="meets the value"):
            loads(f"s = 1\n<<include {tmp_path}/in.wcl>>", compat=mode)


def test_included_files_are_whole_documents(tmp_path: Path) -> None:
    (tmp_path / "open.wcl").write_text("<s>\n")
    for mode in (False, True):
        with pytest.raises(WCLError, match="not closed") as caught:
            loads(f"<<include {tmp_path}/open.wcl>>\n</s>", compat=mode)
        assert caught.value.file == f"{tmp_path}/open.wcl"


def test_case_is_kept_in_what_a_cmdline_includes(tmp_path: Path) -> None:
    (tmp_path / "in.wcl").write_text("OPT = 1\n")
    assert compat(f"<cmdline>\n<<include {tmp_path}/in.wcl>>\n</cmdline>") == {"cmdline": {}, "OPT": "1"}


def test_relative_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "top.wcl").write_text("<<include in.wcl>>\n")
    (tmp_path / "sub" / "in.wcl").write_text("from = beside\n")
    monkeypatch.chdir(tmp_path)
    assert read("sub/top.wcl").tree == {"from": "beside"}
    lone = read("sub/top.wcl", compat=True)
    assert lone.tree == {"from": "beside"}
    assert [finding.kind for finding in lone.warnings] == [Surprise.INCLUDE_BESIDE]
    (tmp_path / "in.wcl").write_text("from = here\n")
    assert read("sub/top.wcl").tree == {"from": "beside"}
    assert read("sub/top.wcl", compat=True).tree == {"from": "here"}


@pytest.mark.parametrize("mode", [False, True])
def test_includes_that_cannot_be_read(tmp_path: Path, mode: bool) -> None:
    (tmp_path / "loop.wcl").write_text(f"<<include {tmp_path}/loop2.wcl>>\n")
    (tmp_path / "loop2.wcl").write_text(f"<<include {tmp_path}/loop.wcl>>\n")
    (tmp_path / "latin.wcl").write_bytes(b"a = 1\nb = \xe9\n")
    for i in range(60):
        (tmp_path / f"n{i}.wcl").write_text(f"<<include {tmp_path}/n{i + 1}.wcl>>\n")
        (tmp_path / f"b{i}.wcl").write_text(f"<<include {tmp_path}/b{i + 1}.wcl>>\n" * 2)
    (tmp_path / "b30.wcl").write_text("k = v\n")
    for name, said in [
        ("missing.wcl", "cannot read"),
        ("loop.wcl", "includes itself"),
        ("latin.wcl", "not UTF-8"),
        (".", "not a regular file"),
        ("n0.wcl", "50 deep"),
        ("b0.wcl", "more than 10000 files"),
    ]:
        with pytest.raises(WCLError, match=said) as caught:
            loads(f"\n<<include {tmp_path}/{name}>>", name="top", compat=mode)
        assert caught.value.file is not None and caught.value.line is not None


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WCLError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(WCLError, match="directory"):
        read(tmp_path)
    (tmp_path / "latin.wcl").write_bytes(b"a = 1\nb = \xe9\n")
    with pytest.raises(WCLError, match=r"latin\.wcl:2: byte 0xe9 is not UTF-8"):
        read(tmp_path / "latin.wcl", compat=True)


# --- inclfunc


def test_inclfunc_failures_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DATA), *sys.path])
    for call, said in [
        ("wcl_lookup.geometry", "not of the form"),
        ("geometry(a)", "not a dotted name"),
        ("no.such.module(a)", "cannot be imported"),
        ("wcl_lookup.none(a)", "has no function none"),
        ("wcl_lookup.broken(a)", "ZeroDivisionError: no tiles"),
        ("wcl_lookup.tree(a)", "list, not a dictionary"),
    ]:
        for mode in (False, True):
            with pytest.raises(WCLError, match=said) as caught:
                loads(f"a = 1\n<<inclfunc {call}>>", compat=mode)
            assert caught.value.line == 2


def test_inclfunc_hands_on_expanded_values_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []

    def record(values: dict[str, object]) -> dict[str, str]:
        seen.append(values)
        return {}

    monkeypatch.setattr("textwrap.record", record, raising=False)
    text = "a = ${b}\nb = 7\nc = (1:2)\nd = x_${c}\n<<inclfunc textwrap.record(a,d,none)>>"
    assert [finding.kind for finding in loads(text, compat=True).warnings] == [Surprise.NO_ARGUMENT]
    assert seen == [{"a": "7", "d": ["x_1", "x_2"], "none": None}]
    assert "none" in refusal(text).message


# --- check


def test_check_goes_on_to_the_end(tmp_path: Path) -> None:
    file = tmp_path / "a.wcl"
    file.write_text("a = 1\na = 2\nstray\nb =\n</x>\nnever = read\n")
    findings, error = check(file)
    assert [(one.kind, one.line) for one in findings] == [
        (Surprise.DUPLICATE, 2),
        (Surprise.IGNORED, 3),
        (Surprise.EMPTY, 4),
    ]
    assert error is not None and error.line == 5
    file.write_text("a = 1\n")
    assert check(file) == ([], None)
