"""Queries on release tables: translation and engine, on 1,000,000 and 10,000,000 rows; milliseconds, medians.

``python bench/run.py engine``; with ``DESDM_BENCH_ROWS=10000000`` on a table of that size.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from common import emit, workplace
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, release_entry
from desdm.query.engines.duckdb import DuckEngine
from desdm.query.engines.model import Engine, Query, Upload
from desdm.release import store
from desdm.release.model import ReleaseColumn
from synthetic import NAME, release

#: DaCHS 2.7 on a machine of this kind, over HTTP, 1M rows.
_PEERS = {"top": 63.0, "cone": 77.0, "count": 415.0, "match": 328.0}


def _ask(engine: Engine, query: Query, uploads: dict[str, Upload] | None = None) -> int:
    with engine.execute(query, uploads=uploads) as batches:
        return sum(b.num_rows for b in batches)


def _median(work: Callable[[int], object], times: int = 25) -> float:
    work(0)
    spent = []
    for n in range(1, times + 1):
        start = time.perf_counter()
        work(n)
        spent.append((time.perf_counter() - start) * 1e3)
    return statistics.median(spent)


def _upload(rows: int) -> Upload:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 60, rows), np.degrees(np.arcsin(rng.uniform(-0.75, 0.05, rows)))
    columns = tuple(ReleaseColumn(n, "double", unit="deg") for n in ("ra", "dec"))
    return Upload("u", columns, pa.table({"ra": ra, "dec": dec}))


def queries(engine: Engine, catalogue: Catalogue, suffix: str) -> None:
    """The figures of one engine."""
    rng = np.random.default_rng(11)
    places = [
        (float(a), float(d)) for a, d in zip(rng.uniform(1, 59, 100), rng.uniform(-45, 1, 100), strict=True)
    ]
    uploads = {"u": _upload(1000)}

    def ask(text: str, with_upload: bool = False) -> int:
        given = uploads if with_upload else {}
        query = translate(text, catalogue, engine.dialect, uploads=given, maxrec=1_000_000_000)  # type: ignore[arg-type]
        return _ask(engine, query, given)

    def cone(n: int) -> int:
        ra, dec = places[n % len(places)]
        return ask(f"SELECT * FROM {NAME}.objects WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.1))")

    def match(n: int) -> int:
        return ask(
            f"SELECT u.ra, u.dec, o.id FROM TAP_UPLOAD.u AS u JOIN {NAME}.objects AS o "
            "ON DISTANCE(u.ra, u.dec, o.ra, o.dec) < 30/3600.",
            True,
        )

    emit(
        f"engine.top{suffix}",
        _median(lambda n: ask(f"SELECT TOP 100 * FROM {NAME}.objects")),
        "ms",
        100,
        peer=_PEERS["top"],
    )
    emit(f"engine.cone{suffix}", _median(cone), "ms", 25, peer=_PEERS["cone"])
    count = f"SELECT COUNT(*) FROM {NAME}.objects WHERE mag_g < 21 AND mag_r > 20"
    emit(f"engine.count{suffix}", _median(lambda n: ask(count)), "ms", 25, peer=_PEERS["count"])
    emit(f"engine.match{suffix}", _median(match, 9), "ms", 1000, peer=_PEERS["match"])

    alone = _tail(cone)
    stop = threading.Event()

    def stream() -> None:
        while not stop.is_set():
            ask(f"SELECT TOP 1000000 * FROM {NAME}.objects")

    reader = threading.Thread(target=stream)
    reader.start()
    beside = _tail(cone)
    stop.set()
    reader.join()
    emit(f"engine.cone_p95_beside_stream{suffix}", beside, "ms", 200, floor=alone)


def _tail(work: Callable[[int], object]) -> float:
    spent = []
    for n in range(200):
        start = time.perf_counter()
        work(n)
        spent.append((time.perf_counter() - start) * 1e3)
    return statistics.quantiles(spent, n=20)[18]


def main() -> None:
    """The figures on the embedded engine."""
    rows = int(os.environ.get("DESDM_BENCH_ROWS", "1000000"))
    facility = release(workplace() / "home", rows)
    with facility.database.read() as conn:
        tables = store.tables(conn, NAME)
    engine = DuckEngine(facility.config.home)
    start = time.perf_counter()
    engine.attach(NAME, tables, facility.config.releases / NAME)
    spent = time.perf_counter() - start
    emit("engine.attach", rows / spent, "rows/s", rows, wall=spent)
    suffix = "" if rows == 1_000_000 else f"_{rows // 1_000_000}m"
    queries(engine, Catalogue([release_entry(t) for t in tables]), suffix)
    engine.close()
    facility.close()


if __name__ == "__main__":
    main()
