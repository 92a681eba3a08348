"""What depositing costs: small files in bulk and one by one, real FITS headers, bytes of database a file.

Two sizes, N and 10 N, beside the bare loop that reads, hashes twice, writes, forces to disk and renames: the floor.
"""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

from common import clock, emit, workplace
from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.schema.database import Database
from desdm.schema.upgrade import upgrade

REAL = Path(__file__).parents[2] / "shared" / "data" / "real"
#: Rubin Butler 30: `ingest` of 10,000 in one call with checksums, and one call a file, measured on a machine of this kind.
PEER_BULK, PEER_ONE = 0.84, 15.5


def files(folder: Path, count: int) -> list[Path]:
    """``count`` files of 1.1 kB, each with bytes of its own."""
    folder.mkdir()
    made = random.Random(1)
    paths = [folder / f"task_metadata_{i:06d}.yaml" for i in range(count)]
    for path in paths:
        path.write_bytes(made.randbytes(1100))
    return paths


def facility(folder: Path) -> tuple[Database, Archive]:
    """A database and an archive of its own."""
    database = Database(f"sqlite:///{folder}/desdm.sqlite")
    upgrade(database)
    archive = Archive("primary", folder / "archive")
    with database.write() as conn:
        catalog.define(conn, archive)
    return database, archive


def bare(paths: list[Path], target: Path) -> float:
    """CPU seconds of the floor: read, sha-256, md5, write, fsync, rename."""
    target.mkdir()
    with clock() as spent:
        for path in paths:
            data = path.read_bytes()
            hashlib.sha256(data).hexdigest()
            hashlib.md5(data, usedforsecurity=False).hexdigest()
            partial = f"{target}/.{path.name}"
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, data)
            os.fsync(fd)
            os.close(fd)
            os.rename(partial, f"{target}/{path.name}")  # noqa: PTH104
    return spent.cpu


def bulk(count: int) -> None:
    """Deposit ``count`` small files in one call; every second one derived from the one before."""
    folder = workplace()
    paths = files(folder / "in", count)
    floor = bare(paths, folder / "floor") / count * 1e3
    database, archive = facility(folder)
    empty = _size(database)
    items = [
        Deposit(p, "misc", directory="bench", parents=(paths[i - 1].name,) if i % 2 else ())
        for i, p in enumerate(paths)
    ]
    with clock() as spent:
        report = deposit(database, archive, items, who="bench")
    assert len(report.registered) == count, report.refused[:3]
    emit(
        "deposit.bulk",
        spent.cpu / count * 1e3,
        "CPU ms/file",
        count,
        peer=PEER_BULK,
        floor=floor,
        wall=spent.wall,
    )
    emit("deposit.bytes", (_size(database) - empty) / count, "bytes of database/file", count)
    with clock() as again:
        report = deposit(database, archive, items, who="bench")
    assert len(report.present) == count
    emit("deposit.again", again.cpu / count * 1e3, "CPU ms/file", count, wall=again.wall)
    database.close()


def single(count: int) -> None:
    """Deposit ``count`` small files, one call each."""
    folder = workplace()
    paths = files(folder / "in", count)
    floor = bare(paths, folder / "floor") / count * 1e3
    database, archive = facility(folder)
    with clock() as spent:
        for path in paths:
            deposit(database, archive, [Deposit(path, "misc", directory="bench")], who="bench")
    value = spent.cpu / count * 1e3
    emit("deposit.single", value, "CPU ms/file", count, peer=PEER_ONE, floor=floor, wall=spent.wall)
    database.close()


def real() -> None:
    """Deposit the real exposures: headers, corners, both digests, FITS checksums."""
    folder = workplace()
    paths = sorted(REAL.glob("decam-cp-*/**/*oo[idw]_*.fits"))
    database, archive = facility(folder)
    deposit(database, archive, [Deposit(paths[0])], who="bench")  # numpy is loaded here
    items = [
        Deposit(p, filename=f"{p.name[:-5]}_{n}.fits", filetype=_type(p)) for n in range(4) for p in paths
    ]
    floor = bare([p for _ in range(1) for p in paths], folder / "floor") / len(paths) * 1e3
    with clock() as spent:
        report = deposit(database, archive, items, who="bench")
    assert len(report.registered) == len(items), report.refused[:3]
    emit(
        "deposit.fits",
        spent.cpu / len(items) * 1e3,
        "CPU ms/file",
        len(items),
        floor=floor,
        wall=spent.wall,
    )
    database.close()


def _type(path: Path) -> str:
    if "psfex" in path.name:
        return "cp_psfex"
    if "splinesky" in path.name:
        return "cp_sky"
    if path.name.endswith("-se.fits"):
        return "cp_catalog"
    return {"i": "cp_image", "d": "cp_mask", "w": "cp_weight"}[path.name.split("_oo")[1][0]]


def _size(database: Database) -> int:
    with database.read() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(conn.exec_driver_sql("PRAGMA page_size").scalar_one())


def main() -> None:
    """Every figure."""
    for count in (50, 500):
        single(count)
    real()
    for count in (1000, 10_000):
        bulk(count)


if __name__ == "__main__":
    main()
