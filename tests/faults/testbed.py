"""Small real installations that are made once and copied for each try, and checks of what is left of them."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.faults import processes
from tests.faults.outcome import Fault, Outcome
from tests.faults.processes import Done, command
from tests.faults.truth import contents
from tests.support.postgres import Cluster, cluster

__all__ = ["COADD", "NITE", "RUN", "TILE", "Testbed"]

#: Settings of the tile that covers the simulated patch.
TILE = (
    "--set", "tilename=DES0200-0500", "--set", "tile_ra=30.0", "--set", "tile_dec=-5.0", "--set", "tile_naxis=600",
    "--set", "tile_pixscale=0.263",
)  # fmt: skip
COADD = ("submit", "coadd", *TILE)
RUN = "DES0200-0500_r1p01"
NITE = "20121120"


class Testbed:
    """The scratch folder with its installations; each is made when it is first asked for.

    Parameters
    ----------
    folder
        Where everything goes.
    seed
        Of the random moments.
    scale
        Factor on the number of tries.
    """

    #: No class of tests, though its name begins like one.
    __test__ = False

    def __init__(self, folder: Path, seed: int = 1, scale: float = 1.0) -> None:
        self.folder, self.scale, self.moments = folder, scale, random.Random(seed)
        self.seconds: dict[str, float] = {}
        self._open = ExitStack()
        self._numbers = 0

    def close(self) -> None:
        """Stop what was started."""
        self._open.close()

    def times(self, count: int) -> int:
        """The number of tries at this scale, at least one."""
        return max(1, round(count * self.scale))

    # -- commands

    def desdm(self, home: Path, *words: object, limit: float = processes.LIMIT) -> Done:
        """Run a command of the program to its end."""
        return processes.run(command(home, *words), limit)

    def ask(self, home: Path, *words: object) -> Any:
        """The JSON answer of a command that must succeed."""
        done = self.desdm(home, *words, "--json")
        if done.status not in (0, 1):
            raise RuntimeError(f"desdm {' '.join(map(str, words))} ended with {done.short}")
        return json.loads(done.out)

    def must(self, home: Path, *words: object) -> Done:
        """Run a command that must end with 0."""
        done = self.desdm(home, *words)
        if done.status != 0:
            raise RuntimeError(f"desdm {' '.join(map(str, words))} ended with {done.short}")
        return done

    # -- installations

    @contextmanager
    def copy(self, home: Path) -> Iterator[Path]:
        """A copy of an installation, taken away afterwards."""
        self._numbers += 1
        target = self.folder / f"try{self._numbers:04d}"
        subprocess.run(["cp", "--reflink=auto", "-a", str(home), str(target)], check=True)
        try:
            yield target
        finally:
            shutil.rmtree(target, ignore_errors=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder, taken away afterwards."""
        made = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def empty(self, home: Path, *options: str) -> Path:
        """A new installation."""
        done = processes.run([str(processes.DESDM), "init", str(home), *options])
        if done.status != 0:
            raise RuntimeError(done.short)
        return home

    @cached_property
    def patch(self) -> Path:
        """A simulated patch of sky: two exposures in r, reference catalogue and truth."""
        from desdm.simulate.patch import make

        make(self.folder / "patch", seed=1, bands=("r",), nexp=2, size=512)
        return self.folder / "patch"

    @cached_property
    def ingested(self) -> Path:
        """An installation that holds the patch."""
        home = self.empty(self.folder / "ingested")
        self.must(home, "ingest", self.patch)
        return home

    @cached_property
    def coadded(self) -> Path:
        """The patch, coadded without disturbance."""
        home = self.folder / "coadded"
        subprocess.run(["cp", "-a", str(self.ingested), str(home)], check=True)
        self.seconds["coadd"] = self.must(home, *COADD, "--wait").seconds
        return home

    @cached_property
    def drafted(self) -> Path:
        """The coadd, and a draft release of it."""
        home = self.folder / "drafted"
        subprocess.run(["cp", "-a", str(self.coadded), str(home)], check=True)
        self.seconds["create"] = self.must(home, "release", "create", "R1").seconds
        return home

    @cached_property
    def released(self) -> Path:
        """The release, published without disturbance."""
        home = self.folder / "released"
        subprocess.run(["cp", "-a", str(self.drafted), str(home)], check=True)
        self.seconds["publish"] = self.must(home, "release", "publish", "R1").seconds
        return home

    @cached_property
    def night(self) -> Path:
        """A simulated night of two exposures with their calibrations."""
        from desdm.simulate.cameras import camera_of
        from desdm.simulate.night import make_night
        from desdm.simulate.plan import plan_night

        plan = plan_night(1, bands=("r",), biases=3, flats=3, exposures=2)
        make_night(self.folder / "night", plan, camera_of("mini"), threads=2)
        return self.folder / "night"

    @cached_property
    def arrived(self) -> Path:
        """An installation that holds the night and the constants of the camera."""
        from desdm.facility import Facility
        from desdm.operations.mainjob import hand_over

        home = self.empty(self.folder / "arrived")
        self.desdm(home, "ingest", *(self.night / name for name in ("raw", "instrument", "refcat")))
        facility = Facility.open(home)
        hand_over(facility.database, "mini", "faults")
        facility.close()
        return home

    @cached_property
    def processed(self) -> Path:
        """The night, processed without disturbance."""
        home = self.folder / "processed"
        subprocess.run(["cp", "-a", str(self.arrived), str(home)], check=True)
        self.seconds["night"] = self.must(home, "run", "night", NITE).seconds
        return home

    @cached_property
    def small_files(self) -> Path:
        """A folder of 400 small files."""
        folder = self.folder / "small"
        folder.mkdir()
        for number in range(400):
            (folder / f"{number:04d}.dat").write_bytes(b"%d " % number * 50)
        return folder

    @cached_property
    def cluster(self) -> Cluster:
        """A PostgreSQL cluster of our own."""
        return self._open.enter_context(cluster())

    def on_postgres(self, home: Path, template: str = "template1") -> str:
        """Make a new installation whose database is on PostgreSQL, a copy of ``template``; the database's name."""
        name = self.cluster.database(template)
        with self.cluster.connect() as conn:
            # A sequence of a copied database writes no WAL for its first 32 numbers, which a crash then takes back,
            # unless a checkpoint lies between.
            conn.execute("CHECKPOINT")
        url = f"postgresql+psycopg://desdm@127.0.0.1:{self.cluster.port}/{name}"
        if not (home / "desdm.toml").exists():
            secret = {"DESDM_DB_PASSWORD": self.cluster.password}
            done = processes.run([str(processes.DESDM), "init", str(home), "--database", url], more=secret)
            if done.status != 0:
                raise RuntimeError(done.short)
        settings = home / "desdm.toml"
        text = re.sub(r'url = "[^"]*".*', f'url = "{url}"', settings.read_text())
        if 'password_file = "' not in text:
            text = text.replace("[database]", '[database]\npassword_file = "password"')
        settings.write_text(text)
        (home / "password").write_text(self.cluster.password)
        (home / "password").chmod(0o600)
        return name

    @cached_property
    def ingested_on_postgres(self) -> tuple[Path, str]:
        """An installation on PostgreSQL that holds the patch, and its database's name."""
        home = self.folder / "ingested-postgres"
        name = self.on_postgres(home)
        self.must(home, "ingest", self.patch)
        return home, name

    # -- checks

    def audit(self, home: Path) -> Any:
        """What an audit reports."""
        return self.ask(home, "audit")

    def audited_clean(self, home: Path, outcome: Outcome, where: str) -> None:
        """Count what an audit finds amiss in an installation where nothing was damaged."""
        report = self.audit(home)
        for kind in ("missing", "truncated", "corrupt", "grown", "misplaced"):
            for name in report.get(kind, []):
                outcome.broken(Fault.LOST, f"{where}: {name} is {kind}")

    def nothing_left(self, home: Path, outcome: Outcome, where: str) -> None:
        """Count processes that are left over, and end them."""
        for one in processes.left_over(home):
            outcome.broken(Fault.HANG, f"{where}: a process is left: {one}")
            with suppress(ValueError):
                processes.end(int(one.split()[0]))

    def equal(self, home: Path, other: Path, outcome: Outcome, where: str) -> None:
        """Count registered products that are lost, twice or different from the undisturbed installation ``other``."""
        found, true = contents(home), contents(other)
        for name in sorted(true.keys() - found.keys()):
            outcome.broken(Fault.LOST, f"{where}: {name} is not there")
        for name in sorted(found.keys() - true.keys()):
            outcome.broken(Fault.TWICE, f"{where}: {name} is there beside what an undisturbed run makes")
        for name in sorted(true.keys() & found.keys()):
            outcome.expect(
                found[name] == true[name], Fault.WRONG, f"{where}: {name} differs from the undisturbed"
            )
