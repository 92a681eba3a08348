"""The demo ends with its night on the desk: entries to review, an account with offices, a password that is shown once."""

from __future__ import annotations

import re
from pathlib import Path

from desdm.accounts import sessions, store
from desdm.accounts.clock import now
from desdm.cli.context import CommandContext
from desdm.cli.demo import put_on_desk
from desdm.facility import Facility, initialise
from desdm.quality.qa import store as qa
from desdm.schema.service import prepare
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import judge


def test_the_night_is_put_up_and_its_account_can_log_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(home)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        for number in (1, 2, 3):
            attempt(conn, number, unit=f"D{number:08d}", req=1, pipeline="firstcut")
            put(
                conn,
                10 + number,
                f"im{number}.fits",
                number,
                expnum=number,
                ccdnum=1,
                band="r",
                nite="20121120",
            )
            judge(conn, number, "True", number)
        scope = facility.production
        conn.exec_driver_sql(
            "UPDATE pfw_request SET project = ?, campaign = ?", (scope.project, scope.campaign)
        )
    with CommandContext(str(home)) as context:
        quiet: list[str] = []
        put_on_desk(context, "20121120", quiet.append, as_json=True)
        first: list[str] = []
        put_on_desk(context, "20121120", first.append, as_json=False)
        again: list[str] = []
        put_on_desk(context, "20121120", again.append, as_json=False)
    text = "\n".join(first)
    assert "3 entries wait" in text and "/ops" in text and "/qa/review" in text
    login, password = re.findall(r"log in as (\w+) with the password (\S+)", text)[0]
    assert "password " + password not in "\n".join(quiet + again), "it is shown once"
    prepare(facility.service)
    assert sessions.begin(facility.database, facility.service, login, password)
    with facility.database.read() as conn:
        held = {one.office.value for one in store.offices_of(conn, login, now())}
        waiting = qa.reviews(conn)
    facility.close()
    assert held == {"operator", "qa"}
    assert [one.subject for one in waiting] == ["D00000001", "D00000002", "D00000003"]
