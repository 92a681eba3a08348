"""A served installation with people of each office, for tests of the pages of the desk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import requests

from desdm.accounts import offices, people, tokens
from desdm.facility import Facility
from desdm.schema.operationstates import Office
from desdm.schema.states import Role
from tests.support.deskdata import DeskData
from tests.support.server import served

__all__ = ["PASSWORD", "DeskSite", "Visitor", "desk_site"]

PASSWORD = "correct horse battery"
#: Login → role, office and working group.
PEOPLE: dict[str, tuple[Role, Office | None, str]] = {
    "colla": (Role.COLLABORATOR, None, ""),
    "kim": (Role.COLLABORATOR, Office.OPERATOR, ""),
    "pat": (Role.COLLABORATOR, Office.QA, ""),
    "lee": (Role.COLLABORATOR, Office.PROD_SCI, ""),
    "mem": (Role.COLLABORATOR, Office.WG_MEMBER, "clusters"),
}


class Visitor:
    """A person who is logged in, without a browser: what pages show and forms do."""

    def __init__(self, url: str, login: str) -> None:
        self.url, self.login = url, login
        self.session = requests.Session()
        if login:
            answer = self.session.post(f"{url}/login", {"login": login, "password": PASSWORD}, timeout=60)
            assert answer.status_code == 200, answer.text[:300]

    def get(self, path: str, **options: object) -> requests.Response:
        """Load a page."""
        headers = {"Accept": "text/html"}
        return self.session.get(self.url + path, headers=headers, timeout=60, **options)  # type: ignore[arg-type]

    def text(self, path: str) -> str:
        """The text of a page, without its markup."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        body = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", answer.text.replace("<wbr>", ""))
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    @property
    def csrf(self) -> str:
        """The token of forms."""
        found = re.search(r'<meta name="csrf" content="([^"]+)"', self.get("/account").text)
        assert found
        return found[1]

    def post(self, path: str, **fields: str | list[str]) -> requests.Response:
        """Send a form as a browser does; the answer itself, no page after it."""
        data = {name.rstrip("_"): value for name, value in fields.items()}
        return self.session.post(
            self.url + path,
            {"csrf": self.csrf, **data},
            headers={"Accept": "text/html", "Origin": self.url},
            timeout=120,
            allow_redirects=False,
        )


@dataclass(frozen=True)
class DeskSite:
    """The served installation; its database is for tests to look and to meddle."""

    url: str
    home: Path
    facility: Facility
    token: dict[str, str]
    made: DeskData | None = None

    def visitor(self, login: str) -> Visitor:
        """A person who is logged in."""
        return Visitor(self.url, login)


@contextmanager
def desk_site(home: Path, made: DeskData | None = None) -> Iterator[DeskSite]:
    """Add the people to an installation, and serve it; ``made``: what its record holds, if a bench made it."""
    facility = Facility.open(home)
    token = {}
    with facility.database.write() as conn:
        for login, (role, office, group) in PEOPLE.items():
            person = people.add(conn, login, role, who="boss", name=login.title())
            people.set_password(conn, login, PASSWORD, who="boss")
            if office is not None:
                offices.give(conn, login, office, group, who="boss", reason="season 1")
            token[login] = tokens.make(conn, person)
    with served(home) as url:
        yield DeskSite(str(url), home, facility, token, made)
    facility.close()
