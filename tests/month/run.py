"""Let the queue alone run a simulated month with troubles, and compare what it came to with the month's truth.

The month is played undisturbed; with --kills once more, with the runner of the queue and the watcher killed by SIGKILL at
random moments, and both must come to the same end. One line of JSON a month goes to standard output, and each fault in
words to standard error. Exit status 1: a trouble was not found, something was false, twice or lost, or the ends differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.month.driver import Drive, Installation, Options, drive, environment, stopped
from tests.month.judge import Judgement, contents, differences, judge
from tests.month.table import write_tables
from tests.support.postgres import Cluster, cluster

__all__ = ["Played", "main", "play"]


@dataclass(frozen=True, slots=True)
class Played:
    """A month that was played: where, what was done, what it came to, and how it differs from the one without kills."""

    installation: Installation
    drive: Drive
    judgement: Judgement
    differences: tuple[str, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What is not as it must be."""
        missed = [f"{self.drive.missed_kills} kills were not done"] if self.drive.missed_kills else []
        return [*self.judgement.faults, *self.differences, *missed]

    def document(self) -> dict[str, object]:
        """Return it as it is printed."""
        judgement, done = self.judgement, self.drive
        return {
            "kills": dict(done.killed),
            "deliveries": judgement.deliveries,
            "troubles": len(judgement.lines),
            "found": judgement.found,
            "wrong_ends": len(judgement.wrong_ends),
            "false": len(judgement.false),
            "twice": len(judgement.twice),
            "lost": len(judgement.lost),
            "verdicts": len(judgement.minutes),
            "p95_minutes": round(judgement.p95, 1),
            "after_dusk": len(judgement.after_dusk),
            "differences": len(self.differences),
            "steps": done.steps,
            "seconds": round(done.seconds),
        }


def play(month: Path, installation: Installation, options: Options, *, database: str = "") -> Played:
    """Play a month into an installation, and judge it.

    Parameters
    ----------
    month
        Directory of the month.
    installation
        Where the installation is made.
    options
        How the month is driven.
    database
        URL of its database; empty: SQLite.
    """
    installation.set_up(month, database)
    done = drive(month, installation, options, say)
    return Played(installation, done, judge(month, installation, done))


def say(text: str) -> None:
    """Write a line on what goes on."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main(words: list[str] | None = None) -> int:
    """Make a month, play it, and print what it came to; the exit status."""
    parser = argparse.ArgumentParser(prog="make month", description=__doc__)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--troubles", type=int, default=45)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, default=0, help="play it again with so many kills")
    parser.add_argument("--ccds", default="1,2", help="CCDs of the mini camera; empty: all")
    parser.add_argument("--bands", default="g,r")
    parser.add_argument("--exposures", type=int, default=3, help="a band and night")
    parser.add_argument(
        "--step", type=float, default=3.0, help="minutes within which deliveries arrive together"
    )
    parser.add_argument("--cut", type=float, default=60.0, help="seconds for which the database is cut off")
    parser.add_argument(
        "--postgresql", action="store_true", help="on a PostgreSQL server of its own, which is stopped"
    )
    parser.add_argument(
        "--parallel", action="store_true", help="play the month with and without kills at once"
    )
    parser.add_argument("--scratch", type=Path, help="folder (default: a temporary one, removed at the end)")
    parser.add_argument("--table", type=Path, help="the document whose tables are written")
    given = parser.parse_args(words)
    scratch = given.scratch or Path(tempfile.mkdtemp(prefix="desdm-month-"))
    try:
        months = _play_all(given, scratch)
    finally:
        if given.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    for played in months:
        for fault in played.faults:
            say(fault)
    if given.table is not None:
        command = "make month MONTH_ARGS='" + " ".join(_words_of(given)) + "'"
        write_tables(given.table, command, [(p.judgement, p.document()) for p in months])
    return 1 if any(played.faults for played in months) else 0


def _words_of(given: argparse.Namespace) -> list[str]:
    """Return the options that say what was played."""
    words = [
        f"--{k} {getattr(given, k)}" for k in ("nights", "troubles", "seed", "kills", "bands", "ccds", "step")
    ]
    return words + [f"--{k}" for k in ("parallel", "postgresql") if getattr(given, k)]


def _play_all(given: argparse.Namespace, scratch: Path) -> list[Played]:
    """Make the month, and play it without kills and with them."""
    month = scratch / "month"
    words: list[object] = ["simulate", "month", "--out", month, "--threads", 2, "--json"]
    for name in ("nights", "seed", "troubles", "exposures", "bands", "ccds"):
        words += [f"--{name}", getattr(given, name)]
    if not (month / "manifest.csv").exists():
        argv = [sys.executable, "-m", "desdm.cli.main", *map(str, words)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment())
    say(f"{given.nights} nights are made")
    numbers = (0, given.kills) if given.kills else (0,)
    with ExitStack() as stack:
        servers = [stack.enter_context(cluster()) if given.postgresql else None for _ in numbers]
        at_once = len(numbers) if given.parallel else 1
        with ThreadPoolExecutor(at_once) as threads:
            played = list(
                threads.map(lambda one: _play_one(given, month, *one), zip(numbers, servers, strict=True))
            )
        ends = [contents(one.installation) for one in played] if len(played) > 1 else [{}]
    months = [
        replace(one, differences=tuple(differences(ends[0], end)))
        for one, end in zip(played, ends, strict=True)
    ]
    for one in months:
        sys.stdout.write(json.dumps(one.document()) + "\n")
    return months


def _play_one(given: argparse.Namespace, month: Path, kills: int, server: Cluster | None) -> Played:
    """Play the month with so many kills."""
    options = Options(kills, given.seed, timedelta(minutes=given.step), given.cut)
    home, url = month.parent / f"kills{kills}", ""
    if server is None:
        installation = Installation(home)
    else:
        installation = Installation(home, partial(stopped, server), server.password)
        url = f"postgresql+psycopg://desdm@127.0.0.1:{server.port}/{server.database()}"
    return play(month, installation, options, database=url)


if __name__ == "__main__":
    sys.exit(main())
