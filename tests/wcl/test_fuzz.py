"""Whatever comes in, only a tree or a WCLError comes out."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desdm.errors import WCLError
from desdm.wcl import Resolver, check, dumps, loads, read

DATA = Path(__file__).parent / "data"

words = st.sampled_from(
    [
        "a",
        "B",
        "cmdline",
        "replace",
        "module",
        "<a>",
        "</a>",
        "<a",
        "b>",
        "<a",
        "b",
        "c>",
        "<A>",
        "</b>",
        "<cmdline>",
        "</cmdline>",
        "<module",
        "x>",
        "</module>",
        "=",
        "==",
        "#",
        "\\",
        "<<include",
        "x>>",
        "<<include",
        "${a}>>",
        "<<include",
        "~nobody_at_all/x>>",
        "<<include",
        ">>",
        "<<inclfunc",
        "a.b(c)>>",
        "<<inclfunc",
        "x>>",
        "<<inclfunc",
        "os.path.join(a)>>",
        "${a}",
        "${a:2}",
        "${${a}}",
        "$opt{b}",
        "$HEAD{a,b}",
        "$FUNC{a.b}",
        "$RNMLST{x}",
        "(1:3,5)",
        "'q",
        '"',
        ",",
        "\x00",
        "\ufeff",
        "\x85",
        "\u2028",
        "\x1c",
        "</>",
        "<>",
        "<",
        ">",
        "${",
    ]
)
breaks = st.sampled_from([" ", " ", "\n", "\n", "\n", "\t", "", "\r", "\r\n", "\\\n", " = "])
documents = st.lists(st.tuples(words | st.text(max_size=4), breaks), max_size=25).map(
    lambda pairs: "".join(word + between for word, between in pairs)
)


def come_through(text: str) -> None:
    for compat in (False, True):
        try:
            document = loads(text, compat=compat)
        except WCLError as err:
            assert err.file is not None
            continue
        assert compat or document.warnings == []
        resolver = Resolver(document.tree, compat=compat)
        for value in list(document.tree.values())[:3]:
            if isinstance(value, str):
                for deed in (resolver.replace, resolver.expand):
                    with suppress(WCLError):
                        deed(value)
        try:
            text = dumps(document.tree)
        except WCLError:
            continue
        assert loads(text).tree == document.tree


@settings(max_examples=4000, deadline=None, derandomize=True)
@given(documents)
def test_documents_of_words(text: str) -> None:
    come_through(text)


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_documents_of_any_text(text: str) -> None:
    come_through(text)


lines = st.sampled_from(
    ["a = 1", "A=2", "k v", "<m x>", "</m>", "</x>", "<f>", "</f>", "<cmdline>", "</cmdline>", "Opt = _f", "b = ${a}",
     "c = (1:3)", "d = ${c}_${b:2}", "# note", "e = 1 \\", "f = 'a # b'", "", "g = ${d}", "h = ${m.x.a}"]
)  # fmt: skip


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(st.lists(lines, max_size=20).map("\n".join))
def test_documents_of_production_lines(text: str) -> None:
    come_through(text)


@pytest.mark.parametrize("part", range(4))
def test_files_of_broken_bytes(tmp_path: Path, part: int) -> None:
    good = (DATA / "catalog.wcl").read_bytes()
    rnd = random.Random(part)
    for i in range(50):
        raw = bytearray(good)
        for _ in range(rnd.randint(1, 8)):
            at = rnd.randrange(len(raw))
            what = rnd.randrange(5)
            if what == 0:
                raw[at] = rnd.randrange(256)
            elif what == 1:
                del raw[at : at + rnd.randrange(200)]
            elif what == 2:
                raw[at:at] = rnd.choice(
                    [b"\0", b"\xff\xfe", b"\r", b"\\\n", b"#", b"<<include /no>>", b"<", b"\n</"]
                )
            elif what == 3:
                raw[at:at] = raw[: rnd.randrange(300)]
            else:
                raw[at:at] = rnd.choice([b"x", b"<", b"=", b"\\", b"' "]) * 100_000
        file = tmp_path / f"{i}.wcl"
        file.write_bytes(raw)
        for compat in (False, True):
            try:
                read(file, compat=compat)
            except WCLError as err:
                assert err.file is not None
            check(file, compat=compat)
