"""An installation with a simulated night that was processed, people with offices, and entries in the review queue."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from desdm.accounts import offices, people
from desdm.accounts.clock import now
from desdm.facility import Facility
from desdm.quality.qa.review import sample_reviews
from desdm.schema.operationstates import Office
from desdm.schema.states import Role
from desdm.simulate.plan import plan_night
from tests.support.night import processed_once
from tests.support.pages import Browser, Tab, browser
from tests.support.server import served

__all__ = [
    "PASSWORD",
    "PEOPLE",
    "Desk",
    "desk",
    "desk_browser",
    "desk_night",
    "enter",
    "people_with_offices",
    "served_desk",
]

PASSWORD = "correct horse battery"
#: Login → role, office, working group.
PEOPLE: dict[str, tuple[Role, Office | None, str]] = {
    "ann": (Role.COLLABORATOR, Office.QA, ""),
    "ben": (Role.COLLABORATOR, Office.QA, ""),
    "otto": (Role.COLLABORATOR, Office.OPERATOR, ""),
    "pia": (Role.COLLABORATOR, Office.PROD_SCI, ""),
    "wim": (Role.COLLABORATOR, Office.WG_MEMBER, "weak-lensing"),
    "sue": (Role.COLLABORATOR, Office.WG_MEMBER, "supernovae"),
    "carl": (Role.COLLABORATOR, None, ""),
    "ada": (Role.ADMIN, None, ""),
}


def people_with_offices(facility: Facility) -> None:
    """Add `PEOPLE`, all with one password."""
    with facility.database.write() as conn:
        for login, (role, office, group) in PEOPLE.items():
            people.add(conn, login, role, who="boss", name=login.title())
            people.set_password(conn, login, PASSWORD, who="boss")
            if office is not None:
                offices.give(conn, login, office, group, who="boss", reason="for the tests")


def desk_night(factory: pytest.TempPathFactory, home: Path) -> Path:
    """Copy a processed night of 21 exposures to ``home``; 20 of them are put up as a sample, one is an outlier."""
    base = factory.getbasetemp()
    base = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "nights"
    plan = plan_night(23, program="demo", bands=("g", "r"), biases=7, flats=6, exposures=10)
    made = processed_once(base, "review", plan)
    shutil.copytree(made.home, home)
    facility = Facility.open(home)
    people_with_offices(facility)
    with facility.database.write() as conn:
        sample_reviews(
            conn,
            30,
            1,
            pipeline="firstcut",
            who="ann",
            reason="first look",
            scope=facility.production,
            now=now(),
        )
    facility.close()
    return home


@dataclass(frozen=True)
class Desk:
    """A served installation: its address, and the opened installation, to look and to act beside the pages."""

    url: str
    facility: Facility


@contextmanager
def served_desk(factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Serve a copy of the processed night."""
    home = desk_night(factory, factory.mktemp("desk") / "home")
    facility = Facility.open(home)
    with served(home) as url:
        yield Desk(str(url), facility)
    facility.close()


def enter(tab: Tab, login: str) -> None:
    """Log in."""
    page = tab.go("/login")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", PASSWORD)
    page.click("form[action='/login'] button")
    page.wait_for_url(tab.base + "/")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """21 exposures in g and r, a review queue with 24 entries, served."""
    with served_desk(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def desk_browser(desk: Desk) -> Iterator[Browser]:
    """A browser of the desk."""
    with browser(desk.url) as opened:
        yield opened
