"""Faults of deposits: killed at random moments, two at once, no room, files that are damaged on purpose."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from desdm.archive.archive import Archive
from desdm.archive.audit import audit
from desdm.archive.deposit import deposit
from desdm.archive.flight import live_since
from desdm.archive.model import Deposit
from desdm.errors import FileTypeError, StorageFull
from desdm.schema import desfile, file_archive_info, miscfile, opm_was_derived_from
from desdm.schema.database import Database

FILES = 2000
KILLS = 50

#: A depositor as an operator would start it: one call for all files, each derived from the one before.
DEPOSITOR = """
import sys
from pathlib import Path
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.schema.database import Database

url, root, source, chunk = sys.argv[1:]
paths = sorted(Path(source).iterdir())
items = [
    Deposit(p, "misc", directory=f"d{i % 7}", parents=(paths[i - 1].name,) if i % 10 else ()) for i, p in enumerate(paths)
]
print("ready", flush=True)
sys.stdin.readline()
report = deposit(Database(url), Archive("primary", Path(root)), items, who="killed", chunk=int(chunk))
print(len(report.registered), len(report.present), len(report.refused), flush=True)
"""


@pytest.fixture
def archive() -> Iterator[Archive]:
    """An archive in memory where there is such a place: a killed process is not a loss of power, and disks are slow."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        (Path(folder) / "archive").mkdir()
        yield Archive("primary", Path(folder) / "archive")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(FILES):
        (folder / f"{i:04d}.dat").write_bytes(b"%d" % i * 20)
    return folder


def start(database: Database, archive: Archive, source: Path, chunk: int = 1000) -> subprocess.Popen[str]:
    url = database.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", DEPOSITOR, url, str(archive.root), str(source), str(chunk)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def counts(database: Database) -> tuple[int, int, int, int]:
    with database.read() as conn:
        tables = (desfile, file_archive_info, miscfile, opm_was_derived_from)
        files, copies, metadata, edges = (
            conn.execute(select(func.count()).select_from(t)).scalar_one() for t in tables
        )
    return files, copies, metadata, edges


def on_disk(archive: Archive) -> set[str]:
    hidden = (".stage", ".orphans", ".trash")
    return {
        str(p.relative_to(archive.root))
        for p in archive.root.rglob("*")
        if p.is_file() and p.relative_to(archive.root).parts[0] not in hidden
    }


def forked(database: Database, archive: Archive, source: Path) -> int:
    """A depositor as a forked child: starts at once, so that many can be killed."""
    database.close()
    child = os.fork()
    if child == 0:
        try:
            paths = sorted(source.iterdir())
            items = [
                Deposit(p, "misc", directory=f"d{i % 7}", parents=(paths[i - 1].name,) if i % 10 else ())
                for i, p in enumerate(paths)
            ]
            deposit(Database(database.url), archive, items, who="killed", chunk=300)
        finally:
            os._exit(0)
    return child


def killed(child: int, after: float) -> float:
    """Kill a child after so many seconds; how long it lived when it ended before that, else infinity."""
    began = time.monotonic()
    while (lived := time.monotonic() - began) < after:
        if os.waitpid(child, os.WNOHANG)[0]:
            return lived
        time.sleep(1e-4)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return math.inf


def test_killed_at_fifty_random_moments(database: Database, archive: Archive, source: Path) -> None:
    """Test 1 of the twenty: no row without a file, every file without a row is listed, a re-run completes."""
    moments = random.Random(20260101)
    # One undisturbed run says how long it takes; each that ends before its moment corrects that (a first run is slow).
    began = time.monotonic()
    os.waitpid(forked(database, archive, source), 0)
    whole = time.monotonic() - began
    assert counts(database)[0] == FILES
    kills = KILLS if database.dialect == "sqlite" else KILLS // 2
    interrupted = 0
    fresh = True
    for _ in range(kills):
        if fresh:
            _empty(database, archive)
        left = 1.0 - counts(database)[0] / FILES
        whole = min(whole, killed(forked(database, archive, source), moments.random() * left * whole) / left)
        files, copies, metadata, edges = counts(database)
        assert files == copies == metadata
        assert edges == files - files // 10, "parentage is there with its file, in whole chunks"
        assert files % 300 == 0 or files == FILES
        interrupted += files < FILES
        report = audit(database, archive, who="audit")
        assert not (report.corrupt or report.truncated or report.grown or report.missing)
        assert report.checked == files
        assert set(report.orphan) == on_disk(archive) - _registered(database)
        assert len(on_disk(archive)) == files + len(report.orphan)
        # Half of the time the next one goes on where this one was killed.
        fresh = files == FILES or moments.random() < 0.5
    assert interrupted > kills // 4, "too few were killed in the middle to say anything"
    process = start(database, archive, source)
    told, _ = process.communicate("go\n")
    registered, present, refused = (int(n) for n in told.split())
    assert registered + present == FILES
    assert refused == 0
    assert counts(database) == (FILES, FILES, FILES, FILES - FILES // 10)
    assert audit(database, archive, who="audit").clean
    assert [p.name for p in archive.staging.iterdir()] == ["flights"]


def _registered(database: Database) -> set[str]:
    with database.read() as conn:
        rows = conn.execute(
            select(file_archive_info.c.path, desfile.c.filename).join(
                desfile, desfile.c.id == file_archive_info.c.desfile_id
            )
        )
        return {f"{path}/{name}" for path, name in rows}


def _empty(database: Database, archive: Archive) -> None:
    with database.write() as conn:
        for table in (opm_was_derived_from, file_archive_info, miscfile, desfile):
            conn.execute(table.delete())
    for name in on_disk(archive):
        (archive.root / name).unlink()


def test_two_processes_deposit_the_same_files(database: Database, archive: Archive, source: Path) -> None:
    """Test 2 of the twenty: each file once; the loser hears *present*, not an error."""
    both = [start(database, archive, source, chunk=100) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [[int(n) for n in p.communicate()[0].split()] for p in both]
    assert sum(t[0] for t in told) == FILES
    assert [sum(t) for t in told] == [FILES, FILES]
    assert [t[2] for t in told] == [0, 0]
    assert counts(database) == (FILES, FILES, FILES, FILES - FILES // 10)
    assert audit(database, archive, who="me").clean


def _claim(url: str, root: str, path: str, barrier: object, told: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    report = deposit(
        Database(url),
        Archive("primary", Path(root)),
        [Deposit(Path(path), "misc", filename="one.dat")],
        who="me",
    )
    told.put((path, len(report.registered), len(report.refused)))  # type: ignore[attr-defined]


def test_many_processes_want_one_name_for_other_bytes(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    url = database.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    for round_ in range(3):
        _empty(database, archive)
        paths = []
        for i in range(4):
            paths.append(tmp_path / f"{round_}_{i}")
            paths[-1].write_bytes(b"claim %d" % i * 50)
        barrier, told = context.Barrier(len(paths)), context.Queue()
        claims = [
            context.Process(target=_claim, args=(url, str(archive.root), str(p), barrier, told))
            for p in paths
        ]
        for claim in claims:
            claim.start()
        answers = [told.get(timeout=60) for _ in claims]
        for claim in claims:
            claim.join()
        winners = [path for path, registered, _ in answers if registered]
        assert len(winners) == 1
        assert sum(refused for _, _, refused in answers) == len(paths) - 1
        assert (archive.root / "misc/one.dat").read_bytes() == Path(winners[0]).read_bytes()
        assert audit(database, archive, who="me").clean


def test_a_file_over_the_limit_of_size(database: Database, archive: Archive, tmp_path: Path) -> None:
    """EFBIG in the middle of a deposit: a typed error, nothing under a final name, and the next try goes through."""
    small, big = tmp_path / "small.dat", tmp_path / "big.dat"
    small.write_bytes(b"s" * 1000)
    big.write_bytes(b"b" * 3_000_000)
    items = [Deposit(small, "misc"), Deposit(big, "misc")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageFull, match="make room"):
            deposit(database, archive, items, who="me")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert on_disk(archive) == set()
    assert [p.name for p in archive.staging.iterdir()] == ["flights"]
    assert live_since(archive) is None
    assert len(deposit(database, archive, items, who="me").registered) == 2


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; only root can mount one, and not in every container."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(sqlite: Database, tiny: Path, tmp_path: Path) -> None:
    """ENOSPC in the archive: whole chunks before it stand, nothing of the chunk stays, room makes it go on."""
    archive = Archive("primary", tiny)
    filler = tiny / ".filler"
    filler.write_bytes(b"x" * 1_000_000)
    items = []
    for i in range(40):
        path = tmp_path / f"{i:02d}.dat"
        path.write_bytes(b"%d" % i * 20_000)
        items.append(Deposit(path, "misc"))
    with pytest.raises(StorageFull):
        deposit(sqlite, archive, items, who="me", chunk=10)
    files = counts(sqlite)[0]
    assert files in (10, 20, 30)
    assert len(list((tiny / "misc").iterdir())) == files
    filler.unlink()
    report = deposit(sqlite, archive, items, who="me", chunk=10)
    assert len(report.present) == files
    assert len(report.registered) == 40 - files
    assert audit(sqlite, archive, who="me").clean


def test_a_full_disk_under_the_database(tiny: Path, tmp_path: Path, sqlite: Database) -> None:
    """The database has no room: a typed error, no row, and the bytes wait for the next try."""
    import shutil

    sqlite.close()
    shutil.copyfile(tmp_path / "desdm.sqlite", tiny / "desdm.sqlite")
    database = Database(f"sqlite:///{tiny}/desdm.sqlite")
    archive = Archive("primary", tmp_path / "archive")
    archive.root.mkdir()
    filler = tiny / "filler"
    room = os.statvfs(tiny).f_bavail * os.statvfs(tiny).f_frsize
    filler.write_bytes(b"x" * (room - 60_000))
    items = []
    for i in range(400):
        path = tmp_path / f"{i:03d}.dat"
        path.write_bytes(b"%d" % i)
        items.append(Deposit(path, "misc"))
    with pytest.raises(StorageFull):
        deposit(database, archive, items, who="me")
    database.close()
    filler.unlink()
    database = Database(f"sqlite:///{tiny}/desdm.sqlite")
    assert counts(database)[0] == 0
    assert len(deposit(database, archive, items, who="me").registered) == 400
    assert audit(database, archive, who="me").clean
    database.close()


def damaged(made: random.Random, good: bytes) -> bytes:
    """A FITS file with one to three damages."""
    data = bytearray(good)
    for _ in range(made.randint(1, 3)):
        kind = made.randrange(9)
        at = made.randrange(max(1, min(len(data), 40 * 80)) // 80 or 1) * 80
        if kind == 0:
            del data[made.randrange(len(data) + 1) :]
        elif kind == 1:
            data[made.randrange(len(data))] ^= 1 << made.randrange(8)
        elif kind == 2:
            data[at : at + 80] = b"NAXIS1  =                  NaN".ljust(80)
        elif kind == 3:
            data[at : at + 80] = b"NAXIS1  = 99999999999999999999".ljust(80)
        elif kind == 4:
            data[at : at + 80] = bytes(made.randrange(256) for _ in range(80))
        elif kind == 5:
            data[at:at] = (b"LONGKEY = '" + b"x" * 67 + b"&'").ljust(80) + (
                b"CONTINUE  '" + b"y" * 67 + b"&'"
            ) * 13_000
        elif kind == 6:
            data[at : at + 80] = b"BITPIX  =                    7".ljust(80)
        elif kind == 7:
            data[at : at + 80] = "OBJECT  = 'größer als 1e999 \x00\x1b[31m'".encode("latin-1").ljust(80)
        else:
            data[at : at + 80] = b"END".ljust(80)
        if not data:
            break
    return bytes(data)


def test_two_hundred_damaged_fits_files(
    sqlite: Database, archive: Archive, real: Path, tmp_path: Path
) -> None:
    """Test 13 of the twenty: taken, or refused with a typed error; never a crash, nothing outside the archive."""
    made = random.Random(13)
    models = [p.read_bytes() for p in sorted((real / "decam-cp-stack").glob("*.fits"))[:20]]
    models += [p.read_bytes() for p in sorted((real / "des-psf-catalogs").glob("*psf*"))]
    names = (
        "c4d_180212_083009_ooi_z_ls9.N3.fits",
        "chunk-03458.fits",
        "x.fits",
        "decam-00431608-N3.fits",
        "s-psfex.fits",
    )
    folder = tmp_path / "in"
    items = []
    for i in range(200):
        (folder / str(i)).mkdir(parents=True)
        path = folder / str(i) / made.choice(names)
        path.write_bytes(damaged(made, made.choice(models)))
        items.append(
            Deposit(path, made.choice(("", "", "cp_image", "refcat", "cp_psfex", "fits_image", "raw")))
        )
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    report = deposit(sqlite, archive, items, who="me", on_conflict="rename")
    assert len(report.registered) + len(report.present) + len(report.refused) == 200
    assert len(report.refused) > 50
    assert all(isinstance(r.error, FileTypeError) for r in report.refused), [r.reason for r in report.refused]
    after = {p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(archive.root)}
    assert {p for p in after - before if not p.name.startswith("desdm.sqlite")} == set()
    assert audit(sqlite, archive, who="me").clean
