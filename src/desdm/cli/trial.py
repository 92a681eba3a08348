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
from desdm.cli.context import CommandContext
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


def release_of(context: CommandContext, run: str, say: Callable[[str], object]) -> str:
    """Return the published release with the run's products; create and publish it if there is none.

    Parameters
    ----------
    context
        The installation.
    run
        Name of the run.
    say
        Receives lines of text.

    Returns
    -------
    str
        Name of the release.
    """
    from desdm.archive import catalog
    from desdm.cli.served import engine_of
    from desdm.release import create, publish, store
    from desdm.schema.states import ReleaseState
    from desdm.survey.imageio import threads_here

    facility = context.facility
    with facility.database.read() as conn:
        products = {f.id for f in catalog.files(conn, attempt=run)}
        releases = store.releases(conn)
        holders = [r for r in releases if {f.desfile_id for f in store.files(conn, r.name)} & products]
    if holders and holders[-1].state is ReleaseState.PUBLISHED:
        return holders[-1].name
    name = holders[-1].name if holders else f"DEMO{len(releases) + 1 if releases else ''}"
    root = facility.config.releases / name
    who = facility.config.operator
    if not holders:
        say(f"making release {name}: tables, images, pictures of the sky")
        create.create(
            facility.database,
            facility.archive,
            root,
            name,
            {"data_state": "ACTIVE"} if facility.config.blessed_only else {},
            title="The demo's night",
            who=who,
            workers=facility.config.workers or threads_here(),
            scope=facility.production,
        )
    say(f"checking and publishing {name}")
    with engine_of(facility, name) as served:
        publish.publish(
            facility.database,
            root,
            name,
            who=who,
            prepare=served.prepare,
            ask=served.ask,
            production=facility.production,
            blessed_only=facility.config.blessed_only,
        )
    return name


def trial(home: Path, release: str, band: str) -> Trial:
    """Start ``desdm serve`` on a free port, query the brightest objects, and stop it.

    Parameters
    ----------
    home
        Directory of the installation.
    release
        Name of a published release.
    band
        Band whose magnitudes are selected.

    Returns
    -------
    Trial
        The query and the rows of the answer.

    Raises
    ------
    ProgramFailed
        The server did not start.
    """
    query = (
        f"SELECT TOP 3 coadd_object_id, ra, dec, mag_auto_{band} FROM {release}.objects "  # noqa: S608 - the query is the point
        f"WHERE flags_{band} = 0 AND imaflags_iso_{band} = 0 AND mag_auto_{band} < 22 ORDER BY mag_auto_{band}"
    )
    example = Trial(query, [], [])
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(home), "serve", "--port", "0"]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it only calls prctl, which was loaded before
    )
    with child as server:
        try:
            assert server.stdout is not None
            first_line = server.stdout.readline()
            address = first_line.rsplit(" at ", 1)[-1].strip()
            if not address.startswith("http://"):
                raise ProgramFailed("desdm serve did not start; call it by hand to see why")
            with urllib.request.urlopen(address + example.path(), timeout=60) as answer:  # noqa: S310 - of our own server
                lines = list(csv.reader(answer.read().decode().splitlines()))
        finally:
            server.terminate()
    return Trial(query, lines[0], lines[1:])
