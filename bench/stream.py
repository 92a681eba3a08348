"""How fast a table of 1,000,000 rows and 10 columns goes out, in each format, alone and over HTTP from a real server."""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import pyarrow as pa

from common import clock, emit, workplace
from desdm.query.formats import FORMATS, stream
from desdm.release.model import ReleaseColumn

ROWS = 1_000_000
COLUMNS = (
    ReleaseColumn("id", "long", ucd="meta.id;meta.main", text="Number"),
    ReleaseColumn("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", text="Right ascension, ICRS"),
    ReleaseColumn("dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", text="Declination, ICRS"),
    *(
        ReleaseColumn(f"mag_{b}", "float", unit="mag", ucd="phot.mag", text=f"Magnitude, band {b}")
        for b in "griz"
    ),
    ReleaseColumn("size", "float", unit="arcsec", ucd="phys.angSize", text="Size"),
    ReleaseColumn("flags", "int", ucd="meta.code", text="Flags"),
    ReleaseColumn("nexp", "short", ucd="meta.number", text="Exposures"),
)
#: DaCHS 2.7 with PostgreSQL 15 on two cores like these, same table: rows a second, seconds to the first byte.
PEER = {"csv": 51_000, "votable": 81_000, "votable/td": 60_000, "fits": 96_000}
PEER_FIRST = {"csv": 18.2, "votable": 11.4, "votable/td": 15.4, "fits": 10.1}


def batches(rows: int = ROWS, step: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Rows over a cap of 20 degrees, so that a cone of 0.1 degrees holds some."""
    rng = np.random.default_rng(20261122)
    for begin in range(0, rows, step):
        n = min(step, rows - begin)
        yield pa.record_batch(
            [
                pa.array(np.arange(begin, begin + n)),
                pa.array(rng.uniform(20, 40, n)),
                pa.array(np.degrees(np.arcsin(rng.uniform(-0.17, 0.17, n)))),
                *(pa.array(rng.normal(22, 1.5, n).astype(np.float32)) for _ in "griz"),
                pa.array(rng.gamma(2, 0.5, n).astype(np.float32)),
                pa.array(rng.integers(0, 64, n).astype(np.int32)),
                pa.array(rng.integers(1, 12, n).astype(np.int16)),
            ],
            names=[c.name for c in COLUMNS],
        )


def encode() -> None:
    """Rows a CPU second of each encoder, without a database and without HTTP."""
    held = list(batches())
    for form in FORMATS:
        for _ in stream(form, COLUMNS, held[:1]):
            pass  # what is compiled is compiled
        with clock() as spent:
            for _ in stream(form, COLUMNS, held):
                pass
        emit(
            f"stream.encode.{form.name}",
            ROWS / spent.cpu,
            "rows/cpu-s",
            ROWS,
            peer=PEER.get(form.name),
            wall=spent.wall,
        )


def memory(pid: int) -> int:
    """Bytes of a process that are in memory now."""
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def server(home: Path) -> Iterator[tuple[str, int]]:
    """A real server of an installation with the table; its address and process."""
    from desdm.facility import Facility, initialise
    from desdm.release.addtable import add_table
    from desdm.release.create import create_empty
    from desdm.release.publish import publish

    initialise(home)
    facility = Facility.open(home)
    root = facility.config.releases / "B1"
    create_empty(facility.database, root, "B1", title="Bench", proprietary=False, who="bench")
    add_table(
        facility.database,
        root,
        "B1",
        "big",
        batches(),
        ra="ra",
        dec="dec",
        text="Synthetic",
        who="bench",
        columns=COLUMNS,
    )
    publish(facility.database, root, "B1", who="bench")
    facility.close()
    program = [sys.executable, "-c", "from desdm.cli.main import main; main()"]
    process = subprocess.Popen(
        [*program, "--home", str(home), "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().rpartition(" at ")[2].strip(), process.pid
    finally:
        process.terminate()
        process.wait(30)


def ask(url: str, adql: str, form: str) -> tuple[float, float, int]:
    """Seconds to the first byte of the table, seconds in all, and bytes of a synchronous query."""
    at = urlsplit(url)
    link = http.client.HTTPConnection(at.hostname or "", at.port, timeout=600)
    data = urlencode({"LANG": "ADQL", "QUERY": adql, "RESPONSEFORMAT": form, "MAXREC": ROWS * 2})
    begin = time.perf_counter()
    link.request("POST", "/tap/sync", data, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = link.getresponse()
    if answer.status != 200:
        sys.exit(f"{form}: {answer.status} {answer.read(500)!r}")
    size = len(answer.read(1))
    first = time.perf_counter() - begin
    buffer = bytearray(1 << 20)
    while got := answer.readinto(buffer):
        size += got
    link.close()
    return first, time.perf_counter() - begin, size


def over_http() -> None:
    """The same from a real server: rows a second, first byte, growth of its memory, cones beside a download."""
    everything = f"SELECT {', '.join(c.name for c in COLUMNS)} FROM B1.big"
    cone = "SELECT id, ra, dec FROM B1.big WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({}, {}, 0.1))"
    with server(workplace() / "home") as (url, pid):
        for form in FORMATS:
            ask(url, f"SELECT TOP 1000 * FROM ({everything}) AS t", form.name)
        for form in FORMATS:
            before, peak, over = memory(pid), [0], threading.Event()
            watch = threading.Thread(target=_watch, args=(pid, peak, over))
            watch.start()
            times = [ask(url, everything, form.name) for _ in range(3)]
            over.set()
            watch.join()
            whole = statistics.median(t for _, t, _ in times)
            first = statistics.median(f for f, _, _ in times)
            emit(f"stream.http.{form.name}", ROWS / whole, "rows/s", ROWS, peer=PEER.get(form.name))
            emit(f"stream.first.{form.name}", first, "s", 3, peer=PEER_FIRST.get(form.name))
            emit(f"stream.growth.{form.name}", (peak[0] - before) / 1e6, "MB", 3, peer=None)
        rng = np.random.default_rng(1)
        places = [(rng.uniform(21, 39), rng.uniform(-8, 8)) for _ in range(60)]

        def cones() -> list[float]:
            return [ask(url, cone.format(ra, dec), "csv")[1] for ra, dec in places]

        cones()
        alone = cones()
        stop = threading.Event()
        load = threading.Thread(target=_download, args=(url, everything, stop))
        load.start()
        time.sleep(0.3)
        beside = cones()
        stop.set()
        load.join()
        for name, times_ in (("alone", alone), ("beside", beside)):
            emit(f"stream.cone.{name}.p50", 1000 * statistics.median(times_), "ms", len(times_))
            emit(f"stream.cone.{name}.p95", 1000 * float(np.quantile(times_, 0.95)), "ms", len(times_))


def _watch(pid: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(0.02):
        peak[0] = max(peak[0], memory(pid))


def _download(url: str, adql: str, stop: threading.Event) -> None:
    # A process of its own: in ours it would hold up the cones at the client's side.
    fields = {"LANG": "ADQL", "QUERY": adql, "RESPONSEFORMAT": "votable", "MAXREC": str(ROWS * 2)}
    data = [word for name, value in fields.items() for word in ("--data-urlencode", f"{name}={value}")]
    while not stop.is_set():
        subprocess.run(["curl", "-s", "-o", "/dev/null", *data, f"{url}tap/sync"], check=True)


def main() -> None:
    """Print the figures."""
    encode()
    over_http()


if __name__ == "__main__":
    main()
