"""One served installation for the tests of the web: two small releases, a proprietary one, people of each role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from desdm.accounts import people, rights, tokens
from desdm.facility import Facility
from desdm.schema.database import Database
from desdm.schema.states import Role
from tests.support.footprintrelease import coadds, footprint_release
from tests.support.pages import Browser, browser
from tests.support.release import demo_release, small_release
from tests.support.server import served

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """A served installation.

    Attributes
    ----------
    url
        Its base URL, without a slash at the end.
    database
        Its database, to look and to meddle.
    state
        The service's own database.
    token
        A token with all scopes, by role; and of ``granted``, a collaborator with a right to P1.
    """

    url: str
    home: Path
    database: Database
    state: Database
    token: dict[str, str]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """D1 has objects and images, F1 images and a footprint, P1 is proprietary."""
    folder = tmp_path_factory.mktemp("site")
    home = folder / "home"
    demo_release(home, "D1")
    (folder / "coadds").mkdir()
    footprint_release(home, coadds(folder / "coadds"), "F1")
    small_release(home, "P1", 200, proprietary=True)
    facility = Facility.open(home)
    given = {}
    with facility.database.write() as conn:
        for role in (Role.COLLABORATOR, Role.OPERATOR, Role.ADMIN):
            person = people.add(conn, role.value[:5], role, who="boss", name=f"An {role.value}")
            people.set_password(conn, person.login, PASSWORD, who="boss")
            given[role.value] = tokens.make(conn, person, scopes=tokens.actions_of(role))
        granted = people.add(conn, "granted", Role.COLLABORATOR, who="boss")
        given["granted"] = tokens.make(conn, granted)
        rights.grant(conn, "granted", "P1", "objects", who="boss")
    with served(home) as url:
        yield Site(str(url), home, facility.database, facility.service, given)
    facility.close()


@pytest.fixture(scope="session")
def chromium(site: Site) -> Iterator[Browser]:
    """A browser that keeps book of what it hears and sends."""
    with browser(site.url) as opened:
        yield opened
