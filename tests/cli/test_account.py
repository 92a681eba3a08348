"""desdm account: people and tokens from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from desdm.accounts import people, tokens
from desdm.facility import Facility, initialise

PROGRAM = Path(sys.executable).parent / "desdm"


def desdm(home: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), "--home", str(home), "account", *words],
        capture_output=True,
        text=True,
        input=typed,
        timeout=60,
    )


def test_a_person_is_made_gets_a_token_and_loses_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(home)
    assert (
        desdm(
            home, "add", "jane", "--role", "operator", "--password-stdin", typed="correct horse battery\n"
        ).returncode
        == 0
    )
    made = desdm(home, "token", "jane", "--name", "notebook", "--scope", "read", "--days", "1")
    secret = made.stdout.strip()
    facility = Facility.open(home)
    with facility.database.read() as conn:
        assert (
            people.check_password(facility.database, "jane", "correct horse battery").role.value == "operator"
        )
        assert tokens.authenticate(conn, secret)[0].login == "jane"
    facility.close()
    listed = desdm(home, "tokens", "--json").stdout
    assert secret not in listed
    assert [(t["login"], t["name"], t["scopes"]) for t in json.loads(listed)] == [
        ("jane", "notebook", ["read"])
    ]
    assert desdm(home, "revoke", "jane").stdout == "jane: 1 revoked\n"
    wrong = desdm(home, "token", "jane", "--scope", "people")
    assert wrong.returncode == 2
    assert "operator may not: people" in wrong.stderr
    wrong = desdm(home, "grant", "jane", "Y9.objects")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no release 'Y9'" in wrong.stderr
