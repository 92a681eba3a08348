"""How fast the quality controls read logs: lines a second on one core, with 1,000 and 5,000 patterns."""

from __future__ import annotations

import random
import re
import string

from common import clock, emit
from desdm.quality.qc import Controls, Level, Matcher, Pattern, Scanner

LINES = 200_000
CHUNK = 65_536


def patterns(number: int) -> list[Pattern]:
    """Patterns as operators write them, each with words of its own."""
    rnd = random.Random(7)
    made = []
    for i in range(number):
        a, b = (word(rnd, n) for n in (6, 5))
        expression = [
            rf"ERROR.*{a}",
            rf"{a} {b} failed",
            rf"^\s*{a}:\s+\d+ {b}",
            rf"(fatal|abort).*{a}\s+\d+",
            rf"{a}(ed|ing)? {b}$",
        ][i % 5]
        made.append(Pattern(f"p{i}", expression, Level(1 + i % 3), i))
    return made


def log(number: int, some: list[Pattern]) -> bytes:
    """A log in which one line of a hundred is a message."""
    rnd = random.Random(8)
    lines = []
    for i in range(number):
        if i % 100:
            lines.append(
                f"2026-01-01 02:03:04 INFO step {i} of image {word(rnd, 8)} took {i / 7:.4f} s, sky {i * 3}"
            )
        else:
            lines.append(saying(some[rnd.randrange(len(some))].pattern))
    return ("\n".join(lines) + "\n").encode()


def saying(expression: str) -> str:
    """A line that a pattern of ``patterns`` matches."""
    for written, said in [
        (".*", " in "),
        (r"^\s*", ""),
        (r"\s+\d+", " 12"),
        ("(fatal|abort)", "fatal"),
        ("(ed|ing)?", "ed"),
        ("$", ""),
    ]:
        expression = expression.replace(written, said)
    return expression


def word(rnd: random.Random, length: int) -> str:
    """A word that means nothing."""
    return "".join(rnd.choice(string.ascii_lowercase) for _ in range(length))


def scan(matcher: Matcher, data: bytes) -> int:
    """Feed a log in chunks, as a running program writes it."""
    scanner = Scanner(matcher)
    count = sum(len(scanner.feed(data[at : at + CHUNK])) for at in range(0, len(data), CHUNK))
    return count + len(scanner.close())


def chunked_re(some: list[Pattern], data: bytes) -> float:
    """Lines a second of alternations of 99 groups, tried on each line until one matches."""
    chunks = [
        re.compile(
            "(" + ")|(".join(one.pattern for one in some[at : at + 99]) + ")", re.IGNORECASE | re.DOTALL
        )
        for at in range(0, len(some), 99)
    ]
    lines = data.decode().splitlines()[:300]
    with clock() as spent:
        for line in lines:
            for chunk in chunks:
                if chunk.search(line):
                    break
    return len(lines) / spent.cpu


def main() -> None:
    """Print the figures."""
    for number in (1000, 5000):
        name = f"logscan.{number}patterns"
        some = patterns(number)
        with clock() as compiling:
            matcher = Matcher(Controls(tuple(some)))
        compiled = matcher.dump()
        with clock() as restoring:
            Matcher(Controls(tuple(some)), compiled)
        emit(f"{name}.compile", compiling.cpu, "s", number, floor=restoring.cpu, wall=compiling.wall)
        peer = chunked_re(some, log(2000, some))
        for scale in (1, 10):
            data = log(LINES * scale // 2, some)
            total = data.count(b"\n")
            with clock() as spent:
                found = scan(matcher, data)
            if found != total // 100:
                raise SystemExit(f"{found} messages found, {total // 100} are there")
            with clock() as bare:
                sum(1 for _ in data.splitlines())
            emit(
                name if scale == 1 else f"{name}.x10",
                total / spent.cpu,
                "lines/s",
                total,
                peer=round(peer, 1),
                floor=total / bare.cpu,
                wall=spent.wall,
            )


if __name__ == "__main__":
    main()
