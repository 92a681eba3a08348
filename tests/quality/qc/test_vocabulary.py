"""Quality controls as they are written: in WCL, in the database, in the file of a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, insert, select

from desdm.errors import WCLError
from desdm.quality.qc import (
    Action,
    Controls,
    Filter,
    Ignore,
    Level,
    Matcher,
    Pattern,
    from_wcl,
    load_controls,
    matcher_from_file,
    read_controls,
    save_controls,
    scanners_from_file,
    to_wcl,
    write_patterns,
)
from desdm.schema import ops_message_filter, ops_message_ignore, ops_message_pattern
from desdm.wcl import dumps, loads

CODES = Path(__file__).parents[3] / "src" / "desdm" / "codes"

TEXT = """\
<qcf>
    <patterns>
        <nomatch>
            pattern = WARNING: Not enough (?!stars)
            lvl = 2
            execname = scamp
            number_of_lines = 2
            action = flag
        </nomatch>
        <broken>
            pattern = \\*Error\\*
            priority = 5
            only_matched = true
        </broken>
        <unused>
            pattern = x
            used = n
        </unused>
    </patterns>
    <excludes>
        <harmless>
            pattern = 0 warnings
            exec = swarp
        </harmless>
    </excludes>
    <filter>
        <escape>
            replace_pattern = chr(27)
        </escape>
        <path>
            replace_pattern = /a\\x20b
            with_pattern = ~
        </path>
    </filter>
</qcf>
"""


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        for table in (ops_message_pattern, ops_message_ignore, ops_message_filter):
            table.create(connection)
        yield connection
    engine.dispose()


def test_controls_are_read_from_wcl() -> None:
    controls = from_wcl(loads(TEXT).tree)
    assert controls.patterns == (
        Pattern(
            "nomatch", "WARNING: Not enough (?!stars)", Level.WARNING, 200, "scamp", 2, False, Action.FLAG
        ),
        Pattern("broken", r"\*Error\*", Level.ERROR, 5, only_matched=True),
    )
    assert controls.ignores == (Ignore("0 warnings", "swarp", "harmless"),)
    assert controls.filters == (Filter("\x1b", name="escape"), Filter("/a b", "~", name="path"))
    assert not controls.override
    inner = loads(TEXT).tree["qcf"]
    assert isinstance(inner, dict) and from_wcl(inner) == controls
    assert from_wcl({}) == Controls()


def test_filters_are_read_from_their_own_section() -> None:
    """DESDM read the excludes where it meant the filters."""
    controls = from_wcl(loads("<qcf>\n<excludes>\n<a>\npattern = x\n</a>\n</excludes>\n</qcf>").tree)
    assert controls.filters == () and len(controls.ignores) == 1


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("lvl = 2", "lvl = 7"), 5, "'7' is not known"),
        (("lvl = 2", "lvl = two"), 5, "'two' is not known"),
        (("number_of_lines = 2", "number_of_lines = 0"), 4, "number_of_lines = 0"),
        (("action = flag", "action = panic"), 8, "'panic' is not known"),
        (("action = flag", "action = stop"), 4, "keeps one line"),
        (("only_matched = true", "only_matched = maybe"), 13, "neither true nor false"),
        (("priority = 5", "prioritee = 5"), 12, "does not know prioritee"),
        (("pattern = \\*Error\\*", "pattern = *Error"), 11, "not a regular expression"),
        (("pattern = \\*Error\\*", "execname = x"), 10, "has no pattern"),
        (("pattern = 0 warnings", "pattern = ("), 22, "exclude harmless"),
        (("replace_pattern = chr(27)", "with_pattern = x"), 27, "has no replace_pattern"),
        (("replace_pattern = chr(27)", "replace_pattern = chr(10)"), 27, "no line break"),
        (("<excludes>", "<exclude>"), 20, "does not know exclude"),
    ],
)
def test_errors_name_the_pattern_the_file_and_the_line(
    tmp_path: Path, change: tuple[str, str], line: int, said: str
) -> None:
    assert change[0] in TEXT
    text = TEXT.replace(*change)
    if change[1] == "<exclude>":
        text = text.replace("</excludes>", "</exclude>")
    file = tmp_path / "qc.wcl"
    file.write_text(text)
    with pytest.raises(WCLError, match=said) as caught:
        read_controls(file)
    assert (caught.value.file, caught.value.line) == (str(file), line)


def test_two_patterns_of_one_name_are_refused_unless_they_are_the_same() -> None:
    same = Controls((Pattern("a", "x", file="one.wcl", line=1),))
    assert Controls.joined([same, Controls((Pattern("a", "x"), Pattern("b", "y")))]).patterns == (
        same.patterns[0],
        Pattern("b", "y"),
    )
    with pytest.raises(WCLError, match=r"pattern a is defined twice \(one\.wcl:1\)"):
        Controls.joined([same, Controls((Pattern("a", "z"),))])


def test_the_patterns_of_every_code_are_sound() -> None:
    files = sorted(CODES.glob("**/qc.wcl"))
    assert files
    Matcher(Controls.joined(read_controls(file) for file in files))


@pytest.mark.parametrize("never", [r"#\b#", r"a\bb"])
def test_a_pattern_that_no_line_can_match_stops_nothing(never: str) -> None:
    # Between two letters there is no border of a word, and none between two signs.
    controls = Controls((Pattern("never", never), Pattern("always", "hello")), (), ())
    first = Matcher(controls)
    assert first.idle == ["never"]
    for matcher in (first, Matcher(controls, first.dump())):
        named = [pattern.name for pattern in matcher.patterns]
        told = matcher.select("global")
        assert [told.match(line) for line in (b"##", b"# #", b"ab", b"a b")] == [None] * 4
        assert told.match(b"say hello") == named.index("always")


expressions = st.text(st.sampled_from("ab#\\ .x[]()\t\x01é"), min_size=1, max_size=10) | st.just(
    "a<<include b>>"
)
filters = st.builds(Filter, st.text(min_size=1, max_size=8).filter(lambda t: "\n" not in t and t.isprintable())
                    | st.sampled_from(["#", " ", "\\", "chr(27)", "\x1b[0m", "\\x20", " a ", "<<incl", "<<include x>>"]),
                    st.sampled_from(["", "#", " ", "\\t", "x"]))  # fmt: skip


@settings(max_examples=800, deadline=None, derandomize=True)
@given(st.lists(expressions, max_size=3), st.lists(filters, max_size=3))
def test_what_is_written_means_the_same_when_read(texts: list[str], some: list[Filter]) -> None:
    try:
        controls = Controls(tuple(Pattern(f"p{at}", one) for at, one in enumerate(texts)), (), tuple(some))
    except WCLError:
        return
    again = from_wcl(loads(dumps(to_wcl(controls))).tree)
    assert [(one.replace, one.put) for one in again.filters] == [(one.replace, one.put) for one in some]
    lines = [
        b"",
        b"a",
        b"#",
        b"a#b",
        b" a",
        b"a ",
        b"\\",
        b"x\t",
        b"\x01",
        "é".encode(),
        b"ab.x",
        b"\\#",
        b"a \\",
    ]
    one, two = Matcher(controls).select("global"), Matcher(again).select("global")
    assert [one.match(line) for line in lines] == [two.match(line) for line in lines]


def test_controls_survive_the_database(conn: Connection) -> None:
    controls = from_wcl(loads(TEXT).tree)
    save_controls(conn, controls)
    save_controls(conn, controls)
    stored = load_controls(conn)
    assert {one.name: (one.pattern, one.level, one.priority, one.action) for one in stored.patterns} == {
        one.name: (one.pattern, one.level, one.priority, one.action) for one in controls.patterns
    }
    assert [one.name for one in stored.patterns] == ["broken", "nomatch"]
    assert [(one.pattern, one.execname) for one in stored.ignores] == [("0 warnings", "swarp")]
    assert [(one.replace, one.put) for one in stored.filters] == [("\x1b", ""), ("/a b", "~")]
    save_controls(conn, Controls((Pattern("broken", "new"),)))
    assert {one.name: one.pattern for one in load_controls(conn).patterns}["broken"] == "new"


def test_rows_out_of_use_are_left_out(conn: Connection) -> None:
    row = {
        "lvl": 1,
        "priority": 1,
        "execname": "global",
        "only_matched": False,
        "number_of_lines": 1,
        "action": "none",
    }
    conn.execute(insert(ops_message_pattern).values(name="a", pattern="x", used=False, **row))
    conn.execute(insert(ops_message_ignore).values(pattern="x", execname="global", used=False))
    assert load_controls(conn) == Controls()
    conn.execute(insert(ops_message_pattern).values(name="b", pattern="(", used=True, **row))
    with pytest.raises(WCLError, match="ops_message_pattern:2: pattern b"):
        load_controls(conn)


def test_the_file_of_a_run_holds_base_files_and_database(conn: Connection, tmp_path: Path) -> None:
    save_controls(conn, Controls((Pattern("kept", "from the database"),)))
    (tmp_path / "qc.wcl").write_text(TEXT)
    target = tmp_path / "qcf.wcl"
    write_patterns(conn, [tmp_path / "qc.wcl"], target)
    scanner = scanners_from_file(target)
    data = b"x from the database\n*error* 1\nTraceback (most recent call last):\n  x\nKeyError: 1\n"
    found = scanner("other").feed(data)
    assert [one.pattern for one in found] == ["kept", "broken", "python_traceback"]
    assert [one.pattern for one in scanner("scamp").feed(b"warning: not enough x\ny\n")] == ["nomatch"]
    (tmp_path / "qc.wcl").write_text(TEXT.replace("<qcf>\n", "<qcf>\noverride = true\n"))
    write_patterns(conn, [tmp_path / "qc.wcl"], target)
    assert [one.pattern for one in scanners_from_file(target)("other").feed(data)] == [
        "broken",
        "python_traceback",
    ]
    assert len(conn.execute(select(ops_message_pattern)).all()) == 1


def test_a_large_set_is_compiled_once_and_a_spoilt_copy_does_no_harm(
    conn: Connection, tmp_path: Path
) -> None:
    save_controls(conn, Controls(tuple(Pattern(f"p{i}", f"word{i}end") for i in range(300))))
    target = tmp_path / "qcf.wcl"
    write_patterns(conn, [], target)
    compiled = tmp_path / "qcf.hs"
    assert matcher_from_file(target).dump() == compiled.read_bytes()
    for spoilt in (b"", b"junk", compiled.read_bytes()[:1000]):
        compiled.write_bytes(spoilt)
        found = scanners_from_file(target)("x").feed(b"word299end\n")
        assert [one.pattern for one in found] == ["p299"]
    compiled.unlink()
    assert matcher_from_file(target).patterns


def test_scanning_needs_no_database() -> None:
    program = (
        "import sys\nfrom desdm.quality.qc import scanners_from_file\n"
        "print([m for m in ('sqlalchemy', 'numpy') if m in sys.modules])\n"
        "from desdm.quality.qc import write_patterns\nprint(write_patterns.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "write_patterns"]
