"""What is written is what is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from desdm.errors import UsageError, WCLError
from desdm.wcl import Tree, dumps, loads, merge, read, write

DATA = Path(__file__).parent / "data"

keys = st.from_regex(r"[a-z_0-9.-]{1,6}", fullmatch=True) | st.sampled_from(["cmdline", "replace", "k"])
odd_keys = st.text(min_size=1, max_size=5)
texts = st.from_regex(r"[A-Za-z0-9$={}(),:%_/@'\" -]{1,12}", fullmatch=True) | st.text(max_size=12)
trees = st.recursive(
    st.dictionaries(keys | odd_keys, texts, max_size=4),
    lambda inner: st.dictionaries(keys | odd_keys, texts | inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(trees)
@example({"a": "= x", "b": '"# y"', "cmdline": {"Opt": "_f", "sub": {"KEY": "v"}}})
@example({"a": "x\\"})
@example({"a": "'x #"})
@example({"a\\": "x"})
@example({"a": "x\u2028y"})
@example({"\ufeffa": "x"})
@example({"a": "<<include /etc/hostname>>"})
def test_a_tree_is_read_back_or_refused(tree: Tree) -> None:
    try:
        text = dumps(tree)
    except WCLError:
        return
    assert loads(text).tree == tree
    assert loads(dumps(tree, sort=True)).tree == tree
    assert text.isascii() or text.encode()


plain = st.recursive(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,4}", fullmatch=True),
        st.from_regex(r"\w[\w ,=]*\w", fullmatch=True),
        max_size=4,
    ),
    lambda inner: st.dictionaries(st.from_regex(r"[f-z]{3,9}", fullmatch=True), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(plain)
def test_plain_trees_are_read_back_alike_in_both_modes_and_in_order(tree: Tree) -> None:
    try:
        text = dumps(tree)
    except WCLError as err:
        assert "name of its parent" in str(err)
        return
    for compat in (False, True):
        document = loads(text, compat=compat)
        assert repr(document.tree) == repr(tree)
        assert document.warnings == []


def test_the_form() -> None:
    tree = {
        "b": "1",
        "m": {"z": {"k": 1, "none": None}, "cmdline": {"Z": "1", "A": "2"}},
        "a": 2.5,
        "t": True,
        "e": {},
    }
    assert dumps(tree) == (
        "b = 1\n<m>\n    <z>\n        k = 1\n    </z>\n    <cmdline>\n        Z = 1\n        A = 2\n"
        "    </cmdline>\n</m>\na = 2.5\nt = True\n<e>\n</e>\n"
    )
    assert dumps(tree, sort=True) == (
        "a = 2.5\nb = 1\n<e>\n</e>\n<m>\n    <cmdline>\n        Z = 1\n        A = 2\n    </cmdline>\n"
        "    <z>\n        k = 1\n    </z>\n</m>\nt = True\n"
    )
    assert dumps({}) == ""


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"a": ""}, "a is empty.*leave the key out"),
        ({"a": " x"}, "begins or ends with white space; remove it"),
        ({"a": "x\ny"}, r"cannot hold '\\n'"),
        ({"a": "x\rb = 1"}, "cannot hold"),
        ({"a": "x\x00"}, "cannot hold"),
        ({"a": "x # y"}, "begins a comment"),
        ({"a": "x#y"}, "begins a comment"),
        ({"a": "x\\"}, "cannot hold"),
        ({"a": "<<include b>>"}, "cannot hold"),
        ({"a": "\ud800"}, "followed by a lone surrogate"),
        ({"A": "x"}, "would be read back as a"),
        ({"m": {"x y": "1"}}, "in <m> cannot be a key"),
        ({"a=b": "1"}, "cannot be a key"),
        ({"<a": "1"}, "cannot be a key"),
        ({"#a": "1"}, "cannot be a key"),
        ({"": "1"}, "cannot be a key"),
        ({3: "1"}, "cannot be a key"),
        ({"M": {}}, "name of a section"),
        ({"a b": {}}, "name of a section"),
        ({"cmdline": {"Sub": {}}}, "name of a section"),
        ({"m": {"m": {}}}, "name of its parent"),
        ({"__topwcl__": {}}, "name of its parent"),
        ({"a": ["x"]}, "is a list"),
        ({"m": {"k": b"x"}}, "m.k is a bytes"),
    ],
)
def test_what_wcl_cannot_hold_is_refused(tree: Tree, said: str) -> None:
    with pytest.raises(WCLError, match=said):
        dumps(tree)


def test_deep_trees_are_refused() -> None:
    tree: Tree = {}
    for i in range(5000):
        tree = {f"s{i}": tree}
    for deed in (dumps, lambda deep: merge({}, deep)):
        with pytest.raises(WCLError, match="deep"):
            deed(tree)
    while tree:  # take it apart by hand: its own repr and comparison would recurse
        (tree,) = tree.values()  # type: ignore[assignment]


def test_the_production_module_survives_both_ways() -> None:
    tree = read(DATA / "catalog.wcl").tree
    assert loads(dumps(tree)).tree == tree
    assert loads(dumps(tree), compat=True).tree == tree
    assert loads(dumps(tree, sort=True)).tree == tree


def test_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "job.wcl"
    write(file, {"a": "ü"})
    assert file.read_bytes() == "a = ü\n".encode()
    with pytest.raises(WCLError):
        write(file, {"a": "x\ny"})
    with pytest.raises(UsageError, match=r"none/job\.wcl: No such file or directory"):
        write(tmp_path / "none" / "job.wcl", {"a": "1"})
    assert [path.name for path in tmp_path.iterdir()] == ["job.wcl"]
    assert read(file).tree == {"a": "ü"}


def test_merge_joins_sections_and_the_later_value_wins() -> None:
    into: Tree = {"a": "1", "m": {"x": {"k": "1", "l": "2"}}, "s": {"t": "1"}}
    other: Tree = {"m": {"x": {"k": "9"}, "y": {"k": "3"}}, "b": "2", "s": "value"}
    assert merge(into, other) is into
    assert into == {"a": "1", "m": {"x": {"k": "9", "l": "2"}, "y": {"k": "3"}}, "s": "value", "b": "2"}
    other["m"]["y"]["k"] = "changed"  # type: ignore[index,call-overload]
    assert into["m"]["y"]["k"] == "3"  # type: ignore[index,call-overload]
    with pytest.raises(WCLError, match="meets the value"):
        merge({"a": "1"}, {"a": {"b": "c"}})
