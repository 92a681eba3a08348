"""A proprietary release is had by those with a right to it, each only what the right names; a denial is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from desdm.accounts import people, rights, tokens
from desdm.facility import Facility
from desdm.schema.states import Role
from tests.services.bulk.conftest import Site

IMAGE = "images/DES0000+0000/DES0000+0000_g.fits.fz"
TABLE = "tables/objects/partition_info.csv"


def desdm(site: Site, *arguments: str) -> str:
    program = str(Path(sys.executable).parent / "desdm")
    done = subprocess.run(
        [program, "--home", str(site.home), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.fixture(scope="module")
def keys(site: Site) -> dict[str, str]:
    """Tokens of a stranger without a right, a member with a right to all, and one with a right to a table."""
    made = {"nobody": ""}
    facility = Facility.open(site.home)
    with facility.database.write() as conn:
        for login, table in (("stranger", None), ("member", "*"), ("reader", "objects")):
            person = people.add(conn, login, Role.COLLABORATOR, who="tester")
            if table is not None:
                rights.grant(conn, login, "P1", table, who="tester")
            made[login] = tokens.make(conn, person)
    facility.close()
    return made


def status(site: Site, path: str, token: str) -> int:
    sent = ["-H", f"Authorization: Bearer {token}"] if token else []
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *sent, f"{site.url}{path}"]
    return int(subprocess.run(command, capture_output=True, timeout=60).stdout)


def body(site: Site, path: str, token: str) -> str:
    sent = ["-H", f"Authorization: Bearer {token}"] if token else []
    return subprocess.run(
        ["curl", "-s", *sent, f"{site.url}{path}"], capture_output=True, timeout=60, text=True
    ).stdout


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        (f"/files/P1/{IMAGE}", (404, 404, 200, 404)),
        (f"/files/P1/{TABLE}", (404, 404, 200, 200)),
        ("/files/P1/manifest.json", (404, 404, 200, 200)),
        ("/files/P1/MANIFEST.sha256", (404, 404, 200, 200)),
        ("/files/P1/", (404, 404, 200, 200)),
        ("/files?release=P1", (404, 404, 200, 200)),
        ("/api/releases/P1", (404, 404, 200, 200)),
        ("/api/releases/P1/files", (404, 404, 200, 200)),
        (f"/files/T1/{IMAGE}", (200, 200, 200, 200)),
    ],
)
def test_who_may_have_what(site: Site, keys: dict[str, str], path: str, statuses: tuple[int, ...]) -> None:
    found = tuple(status(site, path, keys[who]) for who in ("nobody", "stranger", "member", "reader"))
    assert found == statuses


def test_lists_show_only_what_may_be_had(site: Site, keys: dict[str, str]) -> None:
    def releases(token: str) -> set[str]:
        return {r["name"] for r in json.loads(body(site, "/api/releases", token))["releases"]}

    assert releases("") == releases(keys["stranger"]) == {"T1"}
    assert releases(keys["member"]) == releases(keys["reader"]) == {"T1", "P1"}
    assert "P1" not in body(site, "/files?limit=1000", keys["stranger"])
    for path in ("/files/P1/manifest.json", "/files?release=P1"):
        paths = {f["path"] for f in json.loads(body(site, path, keys["reader"]))["files"]}
        assert paths
        assert all(p.startswith("tables/objects/") for p in paths)
    assert any(
        f["path"] == IMAGE for f in json.loads(body(site, "/files?release=P1", keys["member"]))["files"]
    )


def test_a_proprietary_file_stays_out_of_shared_caches(site: Site, keys: dict[str, str]) -> None:
    sent = ["-H", f"Authorization: Bearer {keys['member']}"]
    answer = subprocess.run(
        ["curl", "-s", "-I", *sent, f"{site.url}/files/P1/{IMAGE}"], capture_output=True, timeout=60
    ).stdout.lower()
    assert b"cache-control: private" in answer


def test_a_denial_is_kept_and_a_false_token_is_no_public_caller(site: Site, keys: dict[str, str]) -> None:
    assert status(site, f"/files/T1/{IMAGE}", "x" + keys["member"][1:]) == 401
    kept = desdm(site, "account", "denials", "--json")
    assert IMAGE in kept
