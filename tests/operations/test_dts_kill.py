"""A receiver that is killed anywhere and started again: one end for each delivery, each file in the archive once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from desdm.archive.archive import Archive
from desdm.operations.dts import store
from desdm.operations.dts.watch import watch
from desdm.release.problems import problems
from desdm.schema import desfile, file_archive_info
from desdm.schema.arrival import delivery
from desdm.schema.database import Database
from tests.support.deliveries import md5_of, raw_frame, receiver

NOW = datetime(2012, 11, 21, 9, 30)
#: Acts before which the process may be killed: they change a directory, or end a transaction.
_ACTS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate"}


def _killed_before(number: int, work: Callable[[], object]) -> bool:
    """Do work in a process that kills itself before its act of that number; whether it was killed."""
    context = multiprocessing.get_context("fork")

    def child() -> None:
        left = number

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(lambda name, _: count() if name in _ACTS else None)
        event.listen(Engine, "commit", lambda _: count())
        work()
        os._exit(0)

    process = context.Process(target=child)
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode == -signal.SIGKILL


def _deliveries(drop: Path) -> dict[str, str]:
    """Write deliveries of each kind of end; the state in which each must end, by path."""
    (drop / "again").mkdir(parents=True)
    good, cut = raw_frame(drop, 150001), raw_frame(drop, 150002)
    again = Path(shutil.copy(good, drop / "again"))
    os.truncate(cut, 20_000)
    other = raw_frame(drop / "again" / "other.fits", 150001, OBJECT="changed")
    for number, path in enumerate((good, cut, again, other)):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
        path.with_name(path.name + ".md5").write_text(f"{md5_of(path)}  {path.name}\n")
    return {
        str(good): "ingested",
        str(cut): "quarantined",
        str(again): "duplicate",
        str(other): "quarantined",
    }


def test_killed_at_every_act_and_started_again(
    _sqlite_template: Path, archive: Archive, tmp_path: Path
) -> None:
    killed = 0
    for number in range(1, 200):
        base = tmp_path / f"kill{number}"
        ends = _deliveries(base / "drop")
        here = Archive("primary", base / "archive")
        here.root.mkdir()
        shutil.copyfile(_sqlite_template, base / "desdm.sqlite")
        url = f"sqlite:///{base / 'desdm.sqlite'}"
        _define(url, here)

        def work(base: Path = base, here: Archive = here, url: str = url) -> None:
            database = Database(url)
            taker = receiver(database, here, base / "home", NOW)
            watch(taker, base / "drop", "ctio", interval=0.1, until_idle=True)
            database.close()

        was_killed = _killed_before(number, work)
        killed += was_killed
        work()
        _check(url, base, ends)
        if not was_killed:
            break
        shutil.rmtree(base)
    # Of each delivery: its row, lease, judgement, move, end and acknowledgement.
    assert killed > 30


def _define(url: str, archive: Archive) -> None:
    from desdm.archive import catalog

    database = Database(url)
    with database.write() as conn:
        catalog.define(conn, archive)
    database.close()


def _check(url: str, base: Path, ends: dict[str, str]) -> None:
    """Hold the database and the directories against what must be."""
    database = Database(url)
    with database.read() as conn:
        rows = conn.execute(select(delivery.c.path, delivery.c.state)).all()
        files = conn.execute(select(desfile.c.filename)).scalars().all()
        copies = conn.execute(select(file_archive_info.c.desfile_id)).scalars().all()
        listed = problems(conn)
        silent = store.unacknowledged(conn)
    database.close()
    assert dict(rows) == ends
    assert len(rows) == len(ends)
    assert files == ["DECam_00150001.fits"]
    assert len(copies) == 1
    assert len(listed) == 2
    assert silent == []
    left = {p.name for p in (base / "drop").rglob("*") if p.is_file() and not p.name.endswith(".md5")}
    assert left == {"DECam_00150001.fits", "DECam_00150001.fits.ack"}
    assert (base / "drop" / "again" / "DECam_00150001.fits.ack").exists()
    aside = sorted(
        p.name for folder in ("quarantine", "duplicates") for p in (base / "home" / folder).rglob("*.fits")
    )
    assert aside == ["DECam_00150001.fits", "DECam_00150002.fits", "other.fits"]
