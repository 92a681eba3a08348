"""Scanners: messages from bytes, however they are cut."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desdm import wcl
from desdm.errors import UsageError
from desdm.quality.qc import (
    Action,
    Controls,
    Filter,
    Ignore,
    Level,
    Matcher,
    Message,
    Pattern,
    Scanner,
    from_wcl,
    replay,
)
from desdm.quality.qc.matcher import MAX_LINE
from desdm.quality.qc.scan import MAX_TEXT
from desdm.quality.qc.store import BASE

CONTROLS = Controls(
    (
        Pattern("traceback", r"^Traceback \(most recent", Level.ERROR, 1),
        Pattern("fatal", "fatal", Level.ERROR, 2, action=Action.STOP),
        Pattern("error", r"\berror\b", Level.ERROR, 3),
        Pattern("three", "gather", Level.WARNING, 4, number_of_lines=3, action=Action.FLAG),
        Pattern("part", r"chi2 = \d+", Level.INFO, 5, only_matched=True),
        Pattern("late", "z$", Level.INFO, 6, execname="scamp"),
    ),
    (Ignore("0 error"),),
    (Filter("\x1b[0m"), Filter("/very/long/path", "~")),
)


def scan(text: str | bytes, controls: Controls = CONTROLS, execname: str = "swarp") -> list[Message]:
    scanner = Scanner(Matcher(controls), execname)
    data = text.encode() if isinstance(text, str) else text
    return scanner.feed(data) + scanner.close()


def brief(messages: list[Message]) -> list[tuple[str, int, str]]:
    return [(one.pattern, one.line, one.text) for one in messages]


def test_a_message_says_all_of_its_pattern() -> None:
    (one,) = scan("ok\n2026-01-02 03:04:05.678 gather\na\nb\nc\n")
    assert one == Message(
        Level.WARNING,
        "three",
        Action.FLAG,
        2,
        "2026-01-02 03:04:05.678 gather\na\nb",
        datetime(2026, 1, 2, 3, 4, 5, 678000),
    )
    assert one.action == "flag" and one.level == 2
    assert (one.level.text, one.action.text) == (
        "warning",
        "the message is kept and the run is marked for a look",
    )


def test_lines_count_from_one_and_the_last_may_lack_its_end() -> None:
    assert brief(scan("error one\nnothing\n\nerror four\n0 error\nerror six")) == [
        ("error", 1, "error one"),
        ("error", 4, "error four"),
        ("error", 6, "error six"),
    ]


def test_a_program_has_its_own_patterns() -> None:
    assert brief(scan("xyz\n", execname="scamp")) == [("late", 1, "xyz")]
    assert scan("xyz\n") == []


def test_only_the_matched_part_is_kept() -> None:
    (one,) = scan("2026/02/03 04:05:06 fit: CHI2 = 17, chi2 = 9\n")
    assert (one.text, one.time) == ("CHI2 = 17", datetime(2026, 2, 3, 4, 5, 6))


def test_a_traceback_grows_to_the_line_that_says_what_happened() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n    error()\n  File "b.py", line 2, in error\n    1 / 0\n'
        "ZeroDivisionError: division by zero\nerror after\n"
    )
    first, second = scan(text)
    assert (first.pattern, first.line, first.text.splitlines()[-1]) == (
        "traceback",
        1,
        "ZeroDivisionError: division by zero",
    )
    assert len(first.text.splitlines()) == 6
    assert (second.pattern, second.line) == ("error", 7)


def test_a_long_traceback_keeps_its_head_and_its_last_line() -> None:
    text = "Traceback (most recent call last):\n" + "    deeper and deeper\n" * 600 + "ValueError: why\n"
    (one,) = scan(text)
    assert len(one.text) <= MAX_TEXT
    assert one.text.startswith("Traceback") and one.text.endswith("…\nValueError: why")


def test_a_line_that_ends_in_a_colon_announces_one_more() -> None:
    assert brief(scan("an error occurred:\ndisk full\nnext\n")) == [
        ("error", 1, "an error occurred:\ndisk full")
    ]
    assert brief(scan("fatal:\nnext\n")) == [("fatal", 1, "fatal:")]


def test_lines_that_a_message_takes_are_no_messages_unless_they_are_worse() -> None:
    assert brief(scan("gather\ngather\nchi2 = 1\nchi2 = 2\n")) == [
        ("three", 1, "gather\ngather\nchi2 = 1"),
        ("part", 4, "chi2 = 2"),
    ]
    assert brief(scan("gather\nfatal\nmore\n")) == [("three", 1, "gather"), ("fatal", 2, "fatal")]


def test_a_message_at_the_end_is_given_as_far_as_it_came() -> None:
    assert brief(scan("gather\nlast")) == [("three", 1, "gather\nlast")]


def test_filters_work_on_what_is_matched_and_kept() -> None:
    assert brief(scan("er\x1b[0mror in /very/long/path/x\n")) == [("error", 1, "error in ~/x")]


def test_bytes_that_are_no_text() -> None:
    (one,) = scan(b"\xff\xfe error \x00 caf\xc3\xa9\r\n")
    assert one.text == "�� error � café"
    rnd = random.Random(5)
    junk = bytes(rnd.randrange(256) for _ in range(200_000))
    assert all("\0" not in one.text for one in scan(junk))


def test_times_that_are_none() -> None:
    for text in ("error", "2026-13-40 25:61:61 error", "12:00:01 error"):
        (one,) = scan(text)
        assert one.time is None


def test_a_line_without_end_costs_bounded_time_and_memory() -> None:
    scanner = Scanner(Matcher(CONTROLS))
    begun = time.process_time()
    piece = b"x" * 1_000_000
    (one,) = scanner.feed(b"error " + piece)
    assert (one.pattern, one.line, len(one.text)) == ("error", 1, MAX_TEXT)
    for _ in range(100):
        assert scanner.feed(piece) == []
    (one,) = scanner.feed(b" fatal\nerror\n")[:1]
    assert (one.pattern, one.line) == ("fatal", 1)
    assert "fatal" in one.text
    assert len(one.text) <= MAX_TEXT
    assert time.process_time() - begun < 20
    assert brief(scan(b"error " + piece * 20 + b"\nfatal\n"))[1] == ("fatal", 2, "fatal")


@pytest.mark.parametrize("length", [MAX_LINE - 6, MAX_LINE - 5, MAX_LINE - 4, MAX_LINE + 40_000])
def test_what_stands_far_behind_in_a_long_line_is_found_once(length: int) -> None:
    line = b"x" * (length - 1) + b" error\r\nok\n"
    seen = {tuple(brief(cut(line, [at]))) for at in (0, 1, length, length + 3, length + 6, len(line))}
    assert len(seen) == 1
    ((one,),) = seen
    assert one[:2] == ("error", 1)
    assert one[2].endswith("error")


def terminal(text: str) -> str:
    """A progress bar of 45 kB, each state after a carriage return, and then the text."""
    bar = "".join(f"\rmatching {i:4d}/1000 [{'#' * (i // 20):<50}] eta {1000 - i:4d} s" for i in range(600))
    return f"begin\n{bar}{text}"


@pytest.mark.parametrize(
    "before",
    [
        "\r",
        "\n",
        "\b\b\b",
        "\x1b[2K\r",
        "\x1b[1G",
        "\r\n",
        "\x1b[1;31m",
        "\x1b]0;title\x07\x1b[0m",
        "\r\x1b[K",
        # What `TERM=xterm tput sgr0` writes (terminfo(5)): the character set of ECMA-35, 14.3.2, and SGR.
        "\x1b(B\x1b[m",
        "\x1b[1;1H",
        "\x1b[10d",
        "\x1b[D",
        "\x1b[u",
        "\x1b7",
        "\x1b8",
        "\x1b=",
        "\x1b>",
        "\x1bc",
        "\x1bE",
        "\x1bP1$r0m\x1b\\",
        "\x1b_application\x1b\\",
        "\x9b31m",
        "\x85",
        "\v",
        "\f",
        "\ufeff",
    ],
    ids=ascii,
)
def test_what_a_terminal_shows_at_the_beginning_of_a_line_begins_a_line(before: str) -> None:
    """ECMA-48 8.3: CR and the cursor sequences move to a new place, SGR only colours."""
    matcher = Matcher(Controls((Pattern("tb", r"^Traceback", number_of_lines=2),)))
    moves = (
        "\x1b[1G",
        "\x1b[2K\r",
        "\x1b[1;1H",
        "\x1b[10d",
        "\x1b[D",
        "\x1b[u",
        "\x1b8",
        "\x1bc",
        "\x1bE",
        "\x85",
    )
    start = "10 %" if before[0] in "\r\n\b\v\f" or before in moves else ""
    log = f"one\n{start}{before}Traceback (most recent call last):\x1b[0m\n  deep\nend\n".encode()
    whole = list(Scanner(matcher).feed(log))
    assert [(m.pattern, m.line) for m in whole] == [("tb", 2 + (before[-1:] == "\n"))]
    assert whole[0].text.startswith("Traceback (most recent call last):\n  deep")
    byte_wise = Scanner(matcher)
    assert [m for n in range(len(log)) for m in byte_wise.feed(log[n : n + 1])] == whole


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("out of\x1b(B\x1b[m memory", "out of memory"),
        ("out of\x1b[0;31m memory", "out of memory"),
        ("out of\x1b[1Cmemory", "out of memory"),
        ("\ufeffout of memory", "out of memory"),
    ],
)
def test_sequences_within_a_line_hide_no_words(shown: str, text: str) -> None:
    """ECMA-48 8.3.20: CUF moves to the right, and leaves a gap."""
    matcher = Matcher(Controls((Pattern("memory", r"\bout of memory\b"),)))
    assert [(m.pattern, m.text) for m in Scanner(matcher).feed(f"{shown}\n".encode())] == [("memory", text)]


def test_an_error_behind_a_long_bar_is_found_with_its_physical_line() -> None:
    log = terminal("\rfatal: half was not matched\nfatal again\n").encode()
    assert brief(scan(log)) == [("fatal", 2, "fatal: half was not matched"), ("fatal", 3, "fatal again")]


@pytest.mark.parametrize(
    "at", [MAX_LINE - 8, MAX_LINE - 3, MAX_LINE - 1, MAX_LINE, 2 * MAX_LINE - 2050, 100_000]
)
def test_a_match_across_the_cut_of_a_long_line_is_found_once(at: int) -> None:
    log = b"." * at + b" fatal " + b"." * 50_000 + b"\n"
    assert [m[:2] for m in brief(scan(log))] == [("fatal", 1)]


MATCHER = Matcher(CONTROLS)


def cut(data: bytes, borders: list[int]) -> list[Message]:
    scanner = Scanner(MATCHER)
    found: list[Message] = []
    for start, end in zip([0, *borders], [*borders, len(data)], strict=True):
        found += scanner.feed(data[start:end])
    return found + scanner.close()


logs = st.lists(
    st.sampled_from(
        [b"error", b"0 error", b"fatal", b"gather", b"Traceback (most recent call last):", b"  File x", b"ok", b"",
         b"error:", b"chi2 = 5", b"er\x1b[0mror", b"\xff", b"\0", b"2026-01-01 00:00:00 error", b"x" * 300]
    ) | st.binary(max_size=6),
    max_size=15,
)  # fmt: skip


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(logs, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.data())
def test_the_answer_does_not_depend_on_how_the_bytes_arrive(
    parts: list[bytes], end: bytes, ended: bool, data: st.DataObject
) -> None:
    log = end.join(parts) + (end if ended else b"")
    whole = cut(log, [])
    borders = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))
    assert cut(log, borders) == whole
    assert cut(log, list(range(1, len(log), 3))) == whole


def test_a_replayed_log_gives_what_the_live_one_gave(tmp_path: Path) -> None:
    rnd = random.Random(1)
    kinds = [
        b"ok",
        b"error",
        b"gather",
        b"Traceback (most recent call last):",
        b"  File x",
        b"fatal",
        b"0 error",
    ]
    data = b"".join(rnd.choice(kinds) + b" %d\n" % at for at in range(20_000))
    file = tmp_path / "log"
    file.write_bytes(data)
    matcher, live, at = Matcher(CONTROLS), [], 0
    scanner = Scanner(matcher, "swarp")
    while at < len(data):
        step = rnd.randrange(1, 5000)
        live += scanner.feed(data[at : at + step])
        at += step
    live += scanner.close()
    assert list(replay(matcher, file, "swarp", chunk=777)) == live
    assert len(live) > 1000
    with pytest.raises(UsageError, match="cannot be read"):
        list(replay(matcher, tmp_path / "none"))


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/x/eg.py", line 7, in <module>
  |     f()
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Exception Group Traceback (most recent call last):
    |   File "/x/eg.py", line 2, in f
    | ExceptionGroup: inner (1 sub-exception)
    +-+---------------- 1 ----------------
      | Traceback (most recent call last):
      |   File "/x/eg.py", line 1, in g
      | ValueError: a
      +------------------------------------
    +---------------- 2 ----------------
    | KeyError: 'b'
    +------------------------------------
"""


@pytest.mark.parametrize("width", [1, 10_000])
def test_the_traceback_of_an_exception_group_is_one_message(width: int) -> None:
    """Written by Python 3.11 (PEP 654); base.wcl finds it, and what follows its frame is another message."""
    base = from_wcl(wcl.read(BASE).tree)
    scanner = Scanner(Matcher(base))
    data = (GROUP + "bash: swarp: command not found\n").encode()
    found = [m for at in range(0, len(data), width) for m in scanner.feed(data[at : at + width])]
    found += scanner.close()
    assert [(m.pattern, m.line) for m in found] == [("python_traceback", 1), ("missing_program", 17)]
    assert found[0].text.splitlines() == GROUP.splitlines()


def test_python_writes_an_exception_group_as_the_pattern_says(tmp_path: Path) -> None:
    """The interpreter itself is the truth."""
    done = subprocess.run(
        [sys.executable, "-c", "raise ExceptionGroup('two', [ValueError('a'), KeyError('b')])"],
        capture_output=True,
        check=False,
    )
    scanner = Scanner(Matcher(from_wcl(wcl.read(BASE).tree)))
    (one,) = scanner.feed(done.stderr + b"going on\n") + scanner.close()
    assert one.pattern == "python_traceback"
    assert "ExceptionGroup: two (2 sub-exceptions)" in one.text
    assert "KeyError: 'b'" in one.text
    assert "going on" not in one.text
