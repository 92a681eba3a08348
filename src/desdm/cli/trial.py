"""The last step of the demo: a release of its coadd, and one query that a real server answers over HTTP."""

from __future__ import annotations

import csv
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from desdm.cli.child import ends_with_parent
from desdm.cli.door import Door
from desdm.errors import ProgramFailed

__all__ = ["PORT", "Trial", "release_of", "trial"]

#: Port that the demo tells; its own trial takes a free one.
PORT = 8080


@dataclass(frozen=True, slots=True)
class Trial:
    """A query, and what the server answered."""

    query: str
    header: list[str]
    rows: list[list[str]]

    def path(self) -> str:
        """Path and parameters of the request."""
        return "tap/sync?" + urlencode({"LANG": "ADQL", "FORMAT": "csv", "QUERY": self.query})


def release_of(door: Door, run: str, say: Callable[[str], object]) -> str:
    """Name of the published release that holds the run's products; made and published if there is none."""
    from desdm.archive import catalog
    from desdm.cli.served import engine_of
    from desdm.release import create, publish, store
    from desdm.schema.states import ReleaseState
    from desdm.survey.imageio import threads_here

    facility = door.facility
    with facility.database.read() as conn:
        made = {f.id for f in catalog.files(conn, attempt=run)}
        known = store.releases(conn)
        holds = [r for r in known if {f.desfile_id for f in store.files(conn, r.name)} & made]
    if holds and holds[-1].state is ReleaseState.PUBLISHED:
        return holds[-1].name
    name = holds[-1].name if holds else f"DEMO{len(known) + 1 if known else ''}"
    root = facility.config.releases / name
    who = facility.config.operator
    if not holds:
        say(f"making release {name}: tables, images, pictures of the sky")
        create.create(
            facility.database, facility.archive, root, name, {}, title="The demo's night", who=who,
            workers=facility.config.workers or threads_here(), scope=facility.production,
        )  # fmt: skip
    say(f"checking and publishing {name}")
    with engine_of(facility, name) as served:
        publish.publish(
            facility.database, root, name, who=who, prepare=served.prepare, ask=served.ask,
            production=facility.production,
        )  # fmt: skip
    return name


def trial(home: Path, release: str, band: str) -> Trial:
    """Start ``desdm serve`` on a free port, ask it for the brightest objects, and end it."""
    query = (
        f"SELECT TOP 3 coadd_object_id, ra, dec, mag_auto_{band} FROM {release}.objects "  # noqa: S608 - the query is the point
        f"WHERE flags_{band} = 0 AND imaflags_iso_{band} = 0 AND mag_auto_{band} < 22 ORDER BY mag_auto_{band}"
    )
    asked = Trial(query, [], [])
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(home), "serve", "--port", "0"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True,
        preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it only calls prctl, which was loaded before
    )  # fmt: skip
    with child as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            address = said.rsplit(" at ", 1)[-1].strip()
            if not address.startswith("http://"):
                raise ProgramFailed("desdm serve did not start; call it by hand to see why")
            with urllib.request.urlopen(address + asked.path(), timeout=60) as answer:  # noqa: S310 - of our own server
                lines = list(csv.reader(answer.read().decode().splitlines()))
        finally:
            server.terminate()
    return Trial(query, lines[0], lines[1:])
