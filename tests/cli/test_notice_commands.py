"""desdm notice: what is refused, what is warned of, and the status of a send that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from desdm.facility import Facility, initialise
from desdm.schema.states import EventKind
from desdm.schema.store import record_event


def notice(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "desdm.cli.main", "--home", str(home), "notice", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_a_rule_without_a_sender_is_warned_of_and_a_failed_send_has_a_status(tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(home)
    assert notice(home, "send").returncode == 0
    refused = notice(home, "rule", "add", "bad", "ftp://x", "--reason", "z")
    assert refused.returncode == 2 and "ftp: targets" in refused.stderr
    added = notice(
        home, "rule", "add", "ann", "mailto:a@example.org", "--kind", "*", "--reason", "z", "--json"
    )
    assert added.returncode == 0 and "services.mail_from is not set" in added.stderr
    assert "services.mail_from" in json.loads(added.stdout)["warning"]
    facility = Facility.open(home)
    with facility.database.write() as conn:
        record_event(conn, EventKind.QUEUE, "ann", "something happened")
    facility.close()
    sent = notice(home, "send")
    assert sent.returncode == 1 and "services.mail_from" in sent.stdout
