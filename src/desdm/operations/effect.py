"""The effect of an exclusion: attempts that used an exposure or were planned before a change, their tags, releases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.framework import store
from desdm.quality.qa.flags import read_flags
from desdm.release.holders import Holder, holders_of_exposure

__all__ = ["AffectedAttempt", "Effect", "effect_of_exposure"]


@dataclass(frozen=True, slots=True)
class AffectedAttempt:
    """An attempt that an exclusion concerns.

    Attributes
    ----------
    run, pipeline, state, data_state
        As ``desdm show`` prints them.
    used
        Whether files of it are of the exposure, or derive from it.
    outdated
        Whether exclusions or verdicts of its exposures have changed since its plan; None: it was planned without a record.
    tags
        Tags that it carries.
    """

    run: str
    pipeline: str
    state: str
    data_state: str
    used: bool
    outdated: bool | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What the exclusions of an exposure concern: attempts in the order in which they were planned, and releases."""

    expnum: int
    attempts: tuple[AffectedAttempt, ...]
    releases: tuple[Holder, ...]


def effect_of_exposure(conn: Connection, releases: Path, expnum: int, ccdnum: int = 0) -> Effect:
    """Return the attempts and releases that an exclusion of an exposure concerns, whether it is excluded or not.

    Parameters
    ----------
    conn
        The database.
    releases
        The directory of all releases.
    expnum, ccdnum
        Numbers of exposure and CCD; CCD 0: the whole exposure.
    """
    own = archive_store.files_of_exposure(conn, expnum)
    files = {*own, *archive_store.reached(conn, own, up=False)} if own else set()
    used = set(archive_store.attempts_of(conn, sorted(files))) if files else set()
    plans = {plan.attempt_id: plan for plan in store.plans_of_exposure(conn, expnum)}
    numbers = sorted({*used, *plans})
    facts = archive_store.attempt_facts(conn, numbers)
    tags = archive_store.tags_of_attempts(conn, numbers)
    attempts = tuple(
        AffectedAttempt(
            facts[number].run,
            facts[number].pipeline,
            facts[number].state.value,
            facts[number].data_state.value,
            number in used,
            _outdated(conn, plans.get(number)),
            tuple(tags.get(number, ())),
        )
        for number in numbers
    )
    return Effect(expnum, attempts, tuple(holders_of_exposure(conn, releases, expnum, ccdnum)))


def _outdated(conn: Connection, plan: store.FlagsOfPlan | None) -> bool | None:
    """Tell whether the verdicts and exclusions that a plan read have changed; None without a record of them."""
    if plan is None:
        return None
    return read_flags(conn, plan.expnums, plan.own).digest != plan.digest
