"""Drives a simulated month: its deliveries in order of arrival, under a moved clock, through real processes alone.

Files are copied into a drop directory step by step; ``desdm dts watch`` takes them, ``desdm queue run`` processes them. The
driver itself does only what the month's truth asks of it: it kills a worker, and cuts the database off. With kills it also
ends the runner of the queue, or the watcher, at random moments by SIGKILL, and starts it again.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.postgres import Cluster
from tests.support.wait import until

__all__ = ["Drive", "Installation", "MonthError", "Options", "drive", "environment", "stopped"]

#: A process that takes longer has hung, seconds.
LIMIT = 540.0
#: Share of the kills that end the watcher instead of the queue's runner.
_WATCHERS = 0.25
#: Seconds after its start within which a process is killed.
_KILL_RUNNER, _KILL_WATCHER = (0.8, 7.0), (0.4, 1.8)
#: Part of the month's steps in which kills are drawn; the others are for those that came too late.
_LAST_KILL = 0.9


class MonthError(Exception):
    """A command ended otherwise than it must, or hung."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the month is driven.

    Attributes
    ----------
    kills, seed
        How often runner or watcher are killed, and the seed of the moments.
    step
        Exposures that follow each other within this time arrive together.
    joined
        The calibration frames of a night arrive with its first exposures.
    cut
        Seconds for which the database is cut off.
    """

    kills: int = 0
    seed: int = 1
    step: timedelta = timedelta(minutes=30)
    joined: bool = False
    cut: float = 60.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of the manifest."""

    arrival: datetime
    file: str
    nite: str
    expnum: int


@dataclass(slots=True)
class Drive:
    """What was done to the month.

    Attributes
    ----------
    steps
        Steps of deliveries.
    killed
        Kills by program: ``queue`` and ``watch``.
    workers_killed
        Workers killed, by number of the trouble.
    cuts
        Seconds for which the database was cut off, by number of the trouble.
    before_arrival
        Of each file that comes nights later: whether it was told as late, and as missing, before it came.
    seconds
        How long the month took.
    missed_kills
        Kills for which no program ran any more.
    remarks
        Programs that did not go on.
    """

    steps: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    workers_killed: Counter[int] = field(default_factory=Counter)
    cuts: dict[int, float] = field(default_factory=dict)
    before_arrival: dict[int, tuple[bool, bool]] = field(default_factory=dict)
    seconds: float = 0.0
    missed_kills: int = 0
    remarks: list[str] = field(default_factory=list)


class Installation:
    """An installation, used by its commands alone.

    Parameters
    ----------
    home
        Its directory.
    cutter
        Context manager that cuts the database off while it is open; None: SQLite, whose file is locked.
    password
        Of the database, for the environment of the commands.
    """

    def __init__(self, home: Path, cutter: Callable[[], Any] | None = None, password: str = "") -> None:
        self.home, self.environment = home, environment(password)
        self.cutter = cutter or self._locked

    def command(self, *words: object) -> list[str]:
        """Return the command line of a command."""
        return [sys.executable, "-m", "desdm.cli.main", "--home", str(self.home), *map(str, words)]

    def run(self, *words: object, statuses: tuple[int, ...] = (0,)) -> str:
        """Run a command to its end, and return its standard output."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            env=self.environment,
        )
        if done.returncode not in statuses:
            raise MonthError(
                f"desdm {' '.join(map(str, words))} ended with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout

    def ask(self, *words: object) -> Any:
        """Return the JSON document of a command."""
        return json.loads(self.run(*words, "--json", statuses=(0, 1)))

    def start(self, *words: object) -> Running:
        """Start a command."""
        return Running(self.command(*words), self.home / "month.log", self.environment)

    def set_up(self, month: Path, database: str = "") -> None:
        """Make the installation, and do what the month needs before its first night.

        Parameters
        ----------
        month
            The month's directory.
        database
            URL of the database; empty: SQLite.
        """
        self.run("init", *(("--database", database) if database else ()), self.home)
        setup = json.loads((month / "setup.json").read_text("utf-8"))
        for words in setup["commands"]:
            self.run(*(word.replace("DIR", str(month)) for word in words))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the SQLite database against readers and writers."""
        conn = sqlite3.connect(self.home / "desdm.sqlite", timeout=60.0, isolation_level=None)
        try:
            conn.execute("BEGIN EXCLUSIVE")
            yield
            conn.execute("ROLLBACK")
        finally:
            conn.close()


@contextmanager
def stopped(server: Cluster) -> Iterator[None]:
    """Stop a PostgreSQL server at once, and start it again."""
    server.crash()
    try:
        yield
    finally:
        server.start()


class Running:
    """A process whose output goes to a file, with what it has written so far."""

    def __init__(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self._begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                words, stdout=out, stderr=out, env=environment, start_new_session=True
            )
        self.begun = time.monotonic()

    @property
    def output(self) -> str:
        """What this process, and those that write to the same file, have written since it began."""
        with self.log.open("rb") as lines:
            lines.seek(self._begin)
            return lines.read().decode("utf-8", "replace")

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self.process.poll() is not None

    def kill(self) -> bool:
        """End it by SIGKILL; False: it had ended by itself."""
        if self.ended():
            return False
        self.process.kill()
        self.process.wait()
        return True

    def finish(self, statuses: tuple[int, ...] = (0,)) -> None:
        """Wait for its end."""
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise MonthError(f"{' '.join(self.process.args[4:])} hung: {self.output[-2000:]}") from None  # type: ignore[index]
        if status not in statuses:
            raise MonthError(f"{' '.join(self.process.args[4:])} ended with {status}: {self.output[-2000:]}")  # type: ignore[index]


def environment(password: str = "") -> dict[str, str]:
    """Return the environment of a command: no installation of the caller's, but the password of a database."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DESDM_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | ({"DESDM_DB_PASSWORD": password} if password else {})


def drive(
    month: Path,
    installation: Installation,
    options: Options,
    say: Callable[[str], object] = lambda text: None,
) -> Drive:
    """Play a month into an installation.

    Parameters
    ----------
    month
        Directory of ``desdm simulate month``.
    installation
        Set up, without deliveries.
    options
        Steps and kills.
    say
        Takes a line of text for each step.

    Returns
    -------
    Drive
        What was done.
    """
    driver = _Driver(month, installation, options, say)
    begin = time.monotonic()
    driver.run()
    driver.done.seconds = time.monotonic() - begin
    return driver.done


def steps_of(
    deliveries: Sequence[Delivery],
    step: timedelta,
    calibrations: Container[int] = (),
    *,
    joined: bool = False,
) -> list[list[Delivery]]:
    """Return the deliveries in groups that arrive together.

    Parameters
    ----------
    deliveries
        In order of arrival.
    step
        The exposures of a group arrive within this time.
    calibrations
        Numbers of calibration frames: those of a night arrive together, as the queue waits until no more of them come.
    joined
        They arrive with the first exposures of the night.
    """
    groups: list[list[Delivery]] = []
    for one in deliveries:
        group = groups[-1] if groups else []
        exposures = [d for d in group if d.expnum not in calibrations]
        waiting = bool(group) and not exposures and group[-1].nite == one.nite
        if waiting:
            together = joined or one.expnum in calibrations
        else:
            together = bool(exposures) and one.arrival - exposures[0].arrival <= step
        if together:
            group.append(one)
        else:
            groups.append([one])
    return groups


class _Driver:
    """Drives one month."""

    def __init__(
        self, month: Path, installation: Installation, options: Options, say: Callable[[str], object]
    ) -> None:
        self.month, self.installation, self.options, self.say = month, installation, options, say
        self.drop = installation.home / "drop"
        with (month / "manifest.csv").open(encoding="utf-8", newline="") as lines:
            self.deliveries = [
                Delivery(datetime.fromisoformat(r["arrival"]), r["file"], r["nite"], int(r["expnum"]))
                for r in csv.DictReader(lines)
            ]
        self.troubles: list[dict[str, Any]] = json.loads(
            (month / "truth" / "troubles.json").read_text("utf-8")
        )
        night = json.loads((month / "truth" / "night.json").read_text("utf-8"))
        exposures = {e["expnum"] for e in night["exposures"] if e["kind"] == "object"}
        self.calibrations = {e["expnum"] for e in night["exposures"]} - exposures
        #: Exposures that must be processed.
        self.processed = exposures - {t["expnum"] for t in self.troubles if not t["processed"]}
        self.draw = random.Random(options.seed)
        self.done = Drive()
        self.time = self.deliveries[0].arrival
        self.moved = time.monotonic()
        #: Step and program of each kill that is due; one that finds its program ended is due in the next step.
        self.kills: list[tuple[int, str]] = []

    # -- the clock

    def clock(self) -> str:
        """Return the moved time as an option has it; it goes on with real time."""
        now = self.time + timedelta(seconds=time.monotonic() - self.moved)
        return now.isoformat(timespec="seconds")

    def move(self, moment: datetime) -> None:
        """Move the clock to a time, never backwards."""
        now = self.time + timedelta(seconds=time.monotonic() - self.moved)
        self.time, self.moved = max(now, moment), time.monotonic()

    # -- the month

    def run(self) -> None:
        """Play the deliveries."""
        self.drop.mkdir()
        options = self.options
        groups = steps_of(self.deliveries, options.step, self.calibrations, joined=options.joined)
        self.done.steps = len(groups)
        first = max(1, int(_LAST_KILL * len(groups)))
        self.kills = sorted(
            (step, "watch" if self.draw.random() < _WATCHERS else "queue")
            for step in self.draw.choices(range(first), k=self.options.kills)
        )
        lists = sorted((self.month / "expected").iterdir())
        duties = self._duties(groups)
        late = {t["expnum"] for t in self.troubles if t["kind"] == "nights_late"}
        for number, group in enumerate(groups):
            self.move(group[-1].arrival)
            while lists and lists[0].stem <= group[0].nite:
                self.installation.run("dts", "expect", lists.pop(0), "--clock", self.clock())
            self._ask_of_late([d for d in group if d.expnum in late])
            kinds = duties.get(number, {})
            if "database_cut" in kinds:
                self._cut_step(group, kinds["database_cut"], kinds.get("worker_killed"))
            else:
                self._send(group)
            self._watch(number)
            self._process(number, None if "database_cut" in kinds else kinds.get("worker_killed"))
            self.say(
                f"step {number + 1} of {len(groups)}, {self.clock()}: {len(group)} files of night {group[0].nite}"
                + (f"; {', '.join(kinds)}" if kinds else "")
            )
        self.done.missed_kills = len(self.kills)

    def _duties(self, groups: Sequence[Sequence[Delivery]]) -> dict[int, dict[str, int]]:
        """Return what the driver has to do in each step, with the number of the trouble.

        A night's duty falls into its step with most exposures; a second one of the same night into another step.
        """
        duties: dict[int, dict[str, int]] = {}
        for trouble in self.troubles:
            if not trouble["driver"]:
                continue
            sizes = [
                0
                if duties.get(i)
                else sum(d.nite == trouble["nite"] and d.expnum in self.processed for d in group)
                for i, group in enumerate(groups)
            ]
            best = max(range(len(groups)), key=lambda i: sizes[i])
            if not sizes[best]:
                # A night with one step: its duties share it.
                best = next(
                    i for i, group in enumerate(groups)
                    if any(d.nite == trouble["nite"] and d.expnum in self.processed for d in group)
                )  # fmt: skip
            duties.setdefault(best, {})[trouble["kind"]] = trouble["number"]
        return duties

    def _ask_of_late(self, deliveries: Sequence[Delivery]) -> None:
        """Ask what is told of files that come nights later, before they come."""
        for one in deliveries:
            status = self.installation.ask("dts", "status", "--nite", one.nite, "--clock", self.clock())
            (told,) = [e for e in status["expected"] if e["expnum"] == one.expnum]
            self.done.before_arrival[one.expnum] = (told["late"], told["missing"])

    def _send(self, group: Sequence[Delivery]) -> None:
        """Copy files into the drop directory, each announced by its md5."""
        for one in group:
            source, target = self.month / one.file, self.drop / one.file
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            shutil.copyfile(source, part)
            # Never without its announcement, which is not older than the file.
            shutil.copyfile(f"{source}.md5", f"{target}.md5")
            part.rename(target)

    # -- programs

    def _watch(self, number: int) -> None:
        """Let the watcher take what was sent."""
        self._until_idle(
            number, ("dts", "watch", self.drop, "--until-idle", "--interval", "0.2"), "watch", _KILL_WATCHER
        )

    def _process(self, number: int, killing: int | None) -> None:
        """Let the queue process what has arrived; kill a worker for the trouble of that number."""
        words = ("queue", "run", "--until-idle", "--pause", "2")
        if killing is not None:
            runner = self.installation.start(*words, "--clock", self.clock())
            self.done.workers_killed[killing] += self._kill_worker(runner, killing)
            runner.finish()
        self._until_idle(number, words, "queue", _KILL_RUNNER)

    def _until_idle(
        self, number: int, words: Sequence[object], name: str, moments: tuple[float, float]
    ) -> None:
        """Run a program to its end, killed and started again as often as this step has kills for it."""
        while True:
            running = self.installation.start(*words, "--clock", self.clock())
            if self._killed(number, name, running, moments):
                continue
            running.finish()
            return

    def _killed(self, number: int, name: str, running: Running, moments: tuple[float, float]) -> bool:
        """Kill a program if a kill is due and meant for it; False: none is, or it has ended before."""
        due = next((kill for kill in self.kills if kill[0] <= number and kill[1] == name), None)
        if due is None:
            return False
        end = time.monotonic() + self.draw.uniform(*moments)
        while time.monotonic() < end and not running.ended():
            time.sleep(0.02)
        if not running.kill():
            return False
        self.kills.remove(due)
        self.done.killed[name] += 1
        return True

    def _kill_worker(self, runner: Running, trouble: int) -> bool:
        """Kill a worker of the queue's runner while it runs a job of First Cut of the trouble's night."""
        names = tuple(f"D{n:08d}_" for n in self._exposures_of(trouble))
        end = time.monotonic() + 240.0
        while time.monotonic() < end and not runner.ended():
            for child in _children(runner.process.pid):
                if any(name in path for path in _open_files(child) for name in names):
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                        return True
            time.sleep(0.02)
        return False

    def _exposures_of(self, trouble: int) -> set[int]:
        """Return the exposures of the night of a trouble that must be processed."""
        nite = next(t["nite"] for t in self.troubles if t["number"] == trouble)
        return self.processed & {d.expnum for d in self.deliveries if d.nite == nite}

    def _cut_step(self, group: Sequence[Delivery], trouble: int, killing: int | None) -> None:
        """Cut the database off while watcher and runner work; the rest of the files arrives meanwhile."""
        exposures = self._exposures_of(trouble)
        first = next(i for i, d in enumerate(group) if d.expnum in exposures) + 1
        self._send(group[:first])
        watcher = self.installation.start(
            "dts", "watch", self.drop, "--interval", "0.2", "--clock", self.clock()
        )
        until(lambda: watcher.output.count("\ndelivery") + 1 >= first or watcher.ended(), 120.0)
        runner = self.installation.start(
            "queue", "run", "--until-idle", "--pause", "2", "--clock", self.clock()
        )
        if killing is not None:
            self.done.workers_killed[killing] += self._kill_worker(runner, killing)
        until(lambda: "firstcut D" in runner.output or runner.ended(), 240.0)
        begin = time.monotonic()
        with self.installation.cutter():
            self._send(group[first:])
            time.sleep(self.options.cut)
        self.done.cuts[trouble] = time.monotonic() - begin
        runner.finish()
        if watcher.ended():
            self.done.remarks.append(
                f"the watcher ended while the database was cut off: {watcher.output[-500:]}"
            )
        watcher.process.terminate()
        watcher.process.wait()


def _children(pid: int) -> list[int]:
    """Return the children of a process."""
    with suppress(OSError):
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    return []


def _open_files(pid: int) -> list[str]:
    """Return the paths of the files that a process has open, with its working directory."""
    paths = []
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                paths.append(str(link.readlink()))
    return paths
