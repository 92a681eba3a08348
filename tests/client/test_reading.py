"""What is typed into the shell: where a statement ends, where its answer goes, which words a command has."""

from __future__ import annotations

from pathlib import Path

import pytest

from desdm.client.shell.parser import Line, complete, read, statements
from desdm.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "done"),
    [
        ("SELECT 1", False), ("SELECT 1;", True), ("select 1\nfrom t", False), ("  with a as (select 1)", False),
        ("SELECT ';' FROM t", False), ("SELECT ';' FROM t;", True), ("SELECT 1 -- no; end", False),
        ('SELECT "a;b"', False), ("help", True), ("describe_table x", True), ("", True), ("@f.sql", True),
        ("/* why */ SELECT 1", False),
    ],
)  # fmt: skip
def test_a_statement_goes_on_until_its_semicolon_and_a_command_ends_with_its_line(
    typed: str, done: bool
) -> None:
    assert complete(typed) is done


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("SELECT 1;", Line("query", adql="SELECT 1")),
        ("SELECT 1", Line("query", adql="SELECT 1")),
        ("SELECT a\nFROM t ; > out.fits", Line("query", adql="SELECT a\nFROM t", target=Path("out.fits"))),
        ("SELECT a FROM t WHERE b > 3;", Line("query", adql="SELECT a FROM t WHERE b > 3")),
        (
            "SELECT ';>x' FROM t; > 'a b.csv';",
            Line("query", adql="SELECT ';>x' FROM t", target=Path("a b.csv")),
        ),
        ("@f.sql", Line("@", ("f.sql",))),
        ("@f.sql > o.csv", Line("@", ("f.sql",), target=Path("o.csv"))),
        ("Describe_Table T1.objects with %mag%", Line("describe_table", ("T1.objects", "with", "%mag%"))),
        ("explain SELECT 'a  b';", Line("explain", ("SELECT 'a  b'",))),
        ("EXPLAIN PLAN FOR SELECT 1;", Line("explain", ("SELECT 1",))),
        ("\\x", Line("\\x")),
        ("\\! ls -l", Line("!", ("ls -l",))),
        ("\\i my.sql", Line("loadsql", ("my.sql",))),
        ("load_table 'my file.csv' mine;", Line("load_table", ("my file.csv", "mine"))),
    ],
)
def test_lines_are_understood(typed: str, line: Line) -> None:
    assert read(typed) == line


@pytest.mark.parametrize(
    "typed", ["", "load_table 'a", "SELECT 1; SELECT 2;", "SELECT 1; > a b", "SELECT 1; >"]
)
def test_what_cannot_be_understood_is_said(typed: str) -> None:
    with pytest.raises(UsageError):
        read(typed)


def test_a_file_holds_statements_with_comments_and_targets_between() -> None:
    text = "-- first; really\nSELECT 1; > a.csv\n\n/* two; */ SELECT ';'\nFROM t;\n-- end\nSELECT 3\n"
    parts = statements(text)
    assert [read(p).target for p in parts] == [Path("a.csv"), None, None]
    assert [read(p).adql.splitlines()[-1] for p in parts] == ["SELECT 1", "FROM t", "SELECT 3"]
    assert statements("  \n-- nothing\n;") == []
    mixed = "whoami\nSELECT 1\nFROM t; > 'a b.csv'\nfind_tables %x%;\n\nSELECT 2; SELECT 3;"
    assert [read(p).command for p in statements(mixed)] == [
        "whoami",
        "query",
        "find_tables",
        "query",
        "query",
    ]
