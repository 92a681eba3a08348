"""Acts of people at every moment of a plan: exclusions, verdicts and marks change while attempts are planned and run.

A plan is stopped before one of its statements, drawn from a seed; then people act on one or two exposures in threads of
their own, and the plan goes on when they have ended or wait for it. The acts that had ended before the plan was committed
must be obeyed by it, and the next plan obeys all; an attempt that was planned before an act is told to be so.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, combinations

from sqlalchemy import Connection, event, func, insert, select

from desdm.archive.archive import Archive
from desdm.archive.model import Scope
from desdm.archive.store import attempts_tagged
from desdm.config import Config
from desdm.framework import store
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.submit import submit
from desdm.operations.acceptance import (
    accepted_tag,
    exclude_exposure,
    lift_exclusion,
    refresh_tags_of_exposures,
    set_verdict,
    withdraw_verdict,
)
from desdm.operations.clock import machine_time
from desdm.operations.effect import effect_of_exposure
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.processes import process_start
from desdm.quality.qa.contents import evaluation
from desdm.quality.qa.flags import read_flags
from desdm.schema import exclude_list, firstcut_eval, pfw_wrapper, qa_mark
from desdm.schema.database import Database
from desdm.schema.operationstates import Mark
from desdm.schema.states import RunClass, Verdict
from tests.archive.test_find import attempt, put

__all__ = ["Interleavings", "Report"]

NITE = "20121120"
EXPOSURES = tuple(range(1, 7))
SCOPE = Scope("OPS", "C1", (RunClass.SURVEY,))
WHO = "mary"
#: Numbers of the rows that are there from the beginning; the database draws smaller ones.
_FIRST = 1_000_000
#: Seconds for which a plan waits for acts that do not end, as they wait for it.
_PATIENCE = 0.02
#: Statements of a plan, among which it is stopped; a number beyond its last one: after its end.
_STATEMENTS = 90
#: Every so many interleavings the effect is asked, and the next plan is made; both cost more than a plan.
_ASKED = 10


@dataclass(frozen=True, slots=True)
class _Facts:
    """What people have said of an exposure; a plan takes it if it is accepted, not excluded, and not defective."""

    excluded: bool = False
    verdict: Verdict | None = None
    defective: bool = False

    @property
    def usable(self) -> bool:
        """Whether a plan must take it."""
        return not self.excluded and not self.defective and self.verdict is not Verdict.REJECTED


@dataclass(frozen=True, slots=True)
class _Act:
    """An act on an exposure: what it makes of the facts, and how it is done."""

    name: str
    expnum: int
    after: _Facts
    do: Callable[[Connection], object]


@dataclass(slots=True)
class Report:
    """What the interleavings came to.

    Attributes
    ----------
    plans, acts
        Plans that were made, and acts by name.
    before, after, waited
        Plans that were committed before all their acts, after all of them, and acts that waited for a plan.
    disobeyed
        Plans that do not obey an act that had ended before they were committed, or obey one in part.
    not_listed
        Attempts planned before an act that are not told to be so.
    lost
        Acts of which a row, a tag or the effect is not there at the end.
    """

    plans: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    before: int = 0
    after: int = 0
    waited: int = 0
    disobeyed: list[str] = field(default_factory=list)
    not_listed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        return [*self.disobeyed, *self.not_listed, *self.lost]


class Interleavings:
    """A night of six exposures in a database, and a pipeline that takes those that are accepted.

    Parameters
    ----------
    database, archive
        Empty, with a current schema.
    config
        Of an installation whose runs directory may be written.
    seed
        Of acts and moments.
    """

    def __init__(self, database: Database, archive: Archive, config: Config, seed: int) -> None:
        self.database, self.archive = database, archive
        self.config = replace(config, project=SCOPE.project, campaign=SCOPE.campaign)
        self.draw = random.Random(seed)
        self.facts = dict.fromkeys(EXPOSURES, _Facts())
        self.report = Report()
        self._fill()

    def _fill(self) -> None:
        """Enter the exposures with their runs and verdicts, and files in the archive."""
        folder = self.archive.root / "d"
        folder.mkdir(parents=True, exist_ok=True)
        with self.database.write() as conn:
            for n in EXPOSURES:
                unit = f"D{n:08d}"
                attempt(
                    conn,
                    _FIRST + n,
                    unit=unit,
                    pipeline="firstcut",
                    campaign=SCOPE.campaign,
                    run_class="survey",
                )
                put(conn, _FIRST + 10 + n, f"{unit}_raw.fits", filetype="raw", expnum=n, nite=NITE, band="r")
                name = f"{unit}_r1p01_immask.fits"
                put(conn, _FIRST + 20 + n, name, _FIRST + n, expnum=n, ccdnum=1, nite=NITE, band="r")
                (folder / name).touch()
                row = {
                    "exposurename": unit,
                    "expnum": n,
                    "nite": NITE,
                    "band": "r",
                    "accepted": "True",
                    "t_eff": 0.9,
                }
                conn.execute(
                    insert(firstcut_eval), {"id": _FIRST + n, **evaluation(row), "pfw_attempt_id": _FIRST + n}
                )
            refresh_tags_of_exposures(conn, SCOPE, EXPOSURES, who="desdm", reason="processed")

    def run(self, count: int) -> Report:
        """Make so many plans, each with acts in its midst, and compare the end."""
        for number in range(count):
            self._interleave(number)
        self._compare_end()
        return self.report

    # -- one interleaving

    def _interleave(self, number: int) -> None:
        """Make a plan that is stopped for acts, and compare it."""
        acts = [self._draw_act(n) for n in self.draw.sample(EXPOSURES, self.draw.choice((1, 1, 2)))]
        moment = self.draw.randrange(_STATEMENTS)
        ended: set[int] = set()
        threads = [threading.Thread(target=self._act, args=(i, act, ended)) for i, act in enumerate(acts)]
        committed: set[int] = set()
        with _stopped(self.database, moment, threads, lambda: committed.update(ended)):
            run = submit(
                self.config, self.database, self.archive, _PIPELINE, {"unitname": "S1", "nite": NITE}, who="queue",
                again=True,
            ).run  # fmt: skip
        for thread in threads:
            if thread.ident is None:
                thread.start()
            thread.join(60)
        self.report.plans += 1
        self.report.acts.update(act.name for act in acts)
        if len(ended) < len(acts):
            self.report.lost.append(f"plan {number}, {run}: an act did not end")
        self._compare_plan(number, run, acts, committed)
        for act in acts:
            self.facts[act.expnum] = act.after
        if number % _ASKED == 0:
            self._compare_next(number)

    def _draw_act(self, expnum: int) -> _Act:
        """Draw an act on an exposure that changes what is said of it."""
        now = self.facts[expnum]
        subject, why = f"D{expnum:08d}_r1p01", f"act {self.report.plans}"
        people = {"reason": why, "who": WHO, "scope": SCOPE}

        def mark(verdict: Mark) -> Callable[[Connection], object]:
            order = MarkOrder(verdict, why, own=True)
            return lambda conn: mark_subject(conn, subject, order, who=WHO, scope=SCOPE, now=machine_time())

        def judge(verdict: Verdict) -> Callable[[Connection], object]:
            return lambda conn: set_verdict(conn, "firstcut", expnum, verdict, **people)  # type: ignore[arg-type]

        choices = []
        if now.excluded:
            choices.append(_Act("lift", expnum, replace(now, excluded=False),
                                lambda conn: lift_exclusion(conn, expnum, 0, **people)))  # type: ignore[arg-type]  # fmt: skip
        else:
            choices.append(_Act("exclude", expnum, replace(now, excluded=True),
                                lambda conn: exclude_exposure(conn, expnum, 0, **people)))  # type: ignore[arg-type]  # fmt: skip
        if now.defective:
            choices.append(_Act("withdraw mark", expnum, replace(now, defective=False), mark(Mark.WITHDRAWN)))
        else:
            choices.append(_Act("mark defective", expnum, replace(now, defective=True), mark(Mark.DEFECTIVE)))
            if now.verdict is None:
                rejected = replace(now, verdict=Verdict.REJECTED)
                choices.append(_Act("verdict False", expnum, rejected, judge(Verdict.REJECTED)))
            else:
                choices.append(_Act("withdraw verdict", expnum, replace(now, verdict=None),
                                    lambda conn: withdraw_verdict(conn, "firstcut", expnum, **people)))  # type: ignore[arg-type]  # fmt: skip
        return self.draw.choice(choices)

    def _act(self, number: int, act: _Act, ended: set[int]) -> None:
        """Do an act in a transaction, and note that it has ended."""
        with self.database.write() as conn:
            act.do(conn)
        ended.add(number)

    def _compare_plan(self, number: int, run: str, acts: Sequence[_Act], committed: set[int]) -> None:
        """Compare what a plan takes with the acts that had ended when it was committed, and what is told of it."""
        with self.database.read() as conn:
            planned = store.attempt_by_name(conn, run)
            keys = conn.execute(
                select(pfw_wrapper.c.wrapkeys).where(pfw_wrapper.c.pfw_attempt_id == planned.id)
            ).scalars()
            used = {int(key.split("expnum=")[1].split(",")[0]) for key in keys if "expnum=" in key}
        all_acts = range(len(acts))
        subsets = chain.from_iterable(combinations(all_acts, size) for size in range(len(acts) + 1))
        fitting = [
            set(obeyed) for obeyed in subsets
            if committed <= set(obeyed) and used == self._usable([acts[i] for i in obeyed])
        ]  # fmt: skip
        what = ", ".join(
            f"{act.name} {act.expnum}{' (ended)' if i in committed else ''}" for i, act in enumerate(acts)
        )
        if not fitting:
            self.report.disobeyed.append(f"plan {number}, {run} takes {sorted(used)} after {what}")
            return
        self.report.before += not committed
        self.report.after += len(committed) == len(acts)
        self.report.waited += len(acts) - len(committed)
        missed = [act for i, act in enumerate(acts) if all(i not in obeyed for obeyed in fitting)]
        if missed and self.draw.random() < 0.3:
            self._compare_effect(number, run, missed)

    def _compare_effect(self, number: int, run: str, missed: Sequence[_Act]) -> None:
        """Let an attempt run that was planned before acts, and see that it is listed as such."""
        with self.database.write() as conn:
            planned = store.attempt_by_name(conn, run)
            pid = os.getpid()
            store.claim_attempt(
                conn, planned, secrets.token_hex(8), pid, process_start(pid), "queue", f"{run} started"
            )
        for act in missed:
            with self.database.read() as conn:
                effect = effect_of_exposure(conn, self.config.releases, act.expnum)
            (listed,) = [a for a in effect.attempts if a.run == run] or [None]
            if listed is None or not listed.outdated or listed.state != "running":
                self.report.not_listed.append(
                    f"plan {number}, {run} was made before {act.name} {act.expnum}: {listed}"
                )

    def _usable(self, acts: Sequence[_Act] = ()) -> set[int]:
        """Return the exposures that a plan must take after some acts."""
        facts = self.facts | {act.expnum: act.after for act in acts}
        return {n for n, one in facts.items() if one.usable}

    def _compare_next(self, number: int) -> None:
        """Compare the next plan, which nobody disturbs."""
        planned = submit(
            self.config, self.database, self.archive, _PIPELINE, {"unitname": "S1", "nite": NITE}, who="queue",
            again=True, dry_run=True,
        )  # fmt: skip
        used = {i.expnum for i in planned.inputs}
        if used != self._usable():
            self.report.disobeyed.append(
                f"the plan after {number} takes {sorted(used, key=str)}, not {sorted(self._usable())}"
            )

    # -- the end

    def _compare_end(self) -> None:
        """Look for acts whose rows, tags or effects are lost."""
        acts = self.report.acts
        persons = firstcut_eval.c.program != "assess"
        with self.database.read() as conn:
            rows = {
                "exclude": _count(conn, select(func.count()).select_from(exclude_list)),
                "lift": _count(conn, select(func.count()).where(exclude_list.c.lifted_at.is_not(None))),
                "verdict": _count(conn, select(func.count()).where(persons)),
                "mark": _count(conn, select(func.count()).select_from(qa_mark)),
            }
            tagged = {number - _FIRST for number in attempts_tagged(conn, accepted_tag(NITE))}
            flags = read_flags(conn, EXPOSURES)
            again = read_flags(conn, EXPOSURES)
        done = {
            "exclude": acts["exclude"],
            "lift": acts["lift"],
            "verdict": acts["verdict False"] + acts["withdraw verdict"],
            "mark": acts["mark defective"] + acts["withdraw mark"],
        }
        self.report.lost += [
            f"{rows[name]} rows of {name}, {count} acts"
            for name, count in done.items()
            if rows[name] != count
        ]
        if tagged != self._usable() or flags != again:
            self.report.lost.append(
                f"runs {sorted(tagged)} are tagged as accepted, not {sorted(self._usable())}"
            )


_PIPELINE = Pipeline(
    "stack",
    "a picture of each accepted exposure of a night",
    (
        Block(
            "one",
            (
                Module(
                    "picture",
                    "tests.support.toycodes.upper",
                    loop=("expnum",),
                    loopobj="images",
                    inputs=(
                        FileSet(
                            "images",
                            "red_immask",
                            query={"filetype": "red_immask", "nite": "${nite}", "assessment": "accepted"},
                            optional=True,
                        ),
                    ),
                    outputs=(FileSet("picture", "misc", filename="${run}_${expnum}.txt"),),
                ),
                Module(
                    "list",
                    "tests.support.toycodes.chatter",
                    outputs=(FileSet("talk", "misc", filename="${run}_list.txt"),),
                ),
            ),
        ),
    ),
    unit="unitname",
    settings={"nite": "", "use_qcf": "false"},
)


def _count(conn: Connection, query: object) -> int:
    """Return the number that a query counts."""
    return int(conn.execute(query).scalar_one())  # type: ignore[call-overload]


@contextmanager
def _stopped(
    database: Database, moment: int, threads: Sequence[threading.Thread], committing: Callable[[], object]
) -> Iterator[None]:
    """Stop this thread before its statement of that number until other threads have ended or wait; tell of its commits."""
    left, mine = moment, threading.get_ident()

    def before(*_: object) -> None:
        nonlocal left
        if threading.get_ident() != mine:
            return
        left -= 1
        if left == -1:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(_PATIENCE)

    def commit(_: object) -> None:
        if threading.get_ident() == mine:
            committing()

    event.listen(database.engine, "before_cursor_execute", before)
    event.listen(database.engine, "commit", commit)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
        event.remove(database.engine, "commit", commit)
