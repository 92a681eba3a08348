"""What a family of injected faults came to, and the table of families."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.testbed import Testbed

__all__ = ["FAMILIES", "Family", "Fault", "Outcome", "family"]


class Fault(StrEnum):
    """How an invariant can be broken; the values are the keys of the JSON line."""

    LOST = "lost"
    TWICE = "twice"
    HANG = "hangs"
    FALSE = "false"
    WRONG = "wrong"


@dataclass
class Outcome:
    """Counts of one family.

    Attributes
    ----------
    tried
        Injected faults, or requests and inputs that were tried.
    lost, twice
        Files, rows, jobs or runs that are gone, or there more than once.
    hangs
        Processes, requests or jobs that did not end in their time, and processes left over.
    damaged, found
        What was damaged on purpose, and how much of it the program named.
    false
        False alarms: what is good and was called damaged or refused.
    wrong
        Everything else that must not be: a traceback, a wrong exit status, a wrong or leaked answer.
    details
        One line for each broken invariant, and for what could not be tried.
    skipped
        Why the family was not tried; empty: it was.
    """

    family: str
    tried: int = 0
    lost: int = 0
    twice: int = 0
    hangs: int = 0
    damaged: int = 0
    found: int = 0
    false: int = 0
    wrong: int = 0
    seconds: float = 0.0
    details: list[str] = field(default_factory=list)
    skipped: str = ""

    def broken(self, fault: Fault, text: str) -> None:
        """Count a broken invariant and tell it on standard error."""
        setattr(self, fault.value, getattr(self, fault.value) + 1)
        self.note(f"{fault.value}: {text}")

    def expect(self, good: bool, fault: Fault, text: str) -> bool:
        """Count a broken invariant unless ``good``; returns ``good``."""
        if not good:
            self.broken(fault, text)
        return good

    def damage(self, found: bool, text: str) -> None:
        """Count one thing that was damaged on purpose, and whether the program named it."""
        self.damaged += 1
        self.found += found
        if not found:
            self.note(f"not found: {text}")

    def note(self, text: str) -> None:
        """Keep a line about the family and tell it on standard error."""
        self.details.append(text)
        sys.stderr.write(f"{self.family}: {text}\n")
        sys.stderr.flush()

    @property
    def good(self) -> bool:
        """Whether every invariant held."""
        return not any(getattr(self, fault.value) for fault in Fault) and self.found == self.damaged

    def line(self) -> str:
        """The line of JSON."""
        keys = ("family", "tried", "lost", "twice", "hangs", "found", "false", "damaged", "wrong")
        row = {key: getattr(self, key) for key in keys} | {"seconds": round(self.seconds, 1)}
        if self.skipped:
            row["skipped"] = self.skipped
        return json.dumps(row)


@dataclass(frozen=True, slots=True)
class Family:
    """One family of faults: ``text`` says in the table of the documents what is injected."""

    name: str
    text: str
    inject: Callable[[Testbed, Outcome], None]

    def run(self, testbed: Testbed) -> Outcome:
        """Inject the faults; an error of the family itself counts as wrong and does not stop the others."""
        import traceback

        outcome, begun = Outcome(self.name), time.monotonic()
        try:
            self.inject(testbed, outcome)
        except Exception:  # noqa: BLE001 - counted and told; the other families go on
            outcome.broken(Fault.WRONG, traceback.format_exc())
        outcome.seconds = time.monotonic() - begun
        if not (outcome.tried or outcome.skipped or outcome.wrong):
            outcome.broken(Fault.WRONG, "nothing was tried")
        return outcome


#: Every family by its name, in the order in which the modules of ``families`` define them.
FAMILIES: dict[str, Family] = {}


def family(name: str, text: str) -> Callable[[Callable[[Testbed, Outcome], None]], Family]:
    """Register a function as the family of that name."""

    def enter(inject: Callable[[Testbed, Outcome], None]) -> Family:
        FAMILIES[name] = Family(name, text, inject)
        return FAMILIES[name]

    return enter
