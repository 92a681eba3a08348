"""Queries over HTTP, from the request to the last byte read, on 1,000,000 rows; milliseconds, medians.

``python bench/run.py tap``; with ``DESDM_BENCH_ROWS=10000000`` on a table of that size.
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import requests

from common import emit, workplace
from synthetic import NAME, release

#: DaCHS 2.7 on a machine of this kind, 1M rows.
_PEERS = {"top_100": 63.0, "cone": 77.0, "scs": 24.0, "count": 415.0, "match_1000": 328.0}
_TABLE = f"{NAME}.objects"


def _median(ask: Callable[[int], requests.Response], times: int = 25) -> float:
    spent = []
    for n in range(times + 1):
        start = time.perf_counter()
        answer = ask(n)
        spent.append((time.perf_counter() - start) * 1e3)
        assert answer.status_code == 200, answer.text
    return statistics.median(spent[1:])


def _upload(rows: int) -> bytes:
    rng = np.random.default_rng(5)
    text = io.StringIO("")
    text.write("ra,dec\n")
    dec = np.degrees(np.arcsin(rng.uniform(-0.75, 0.05, rows)))
    np.savetxt(text, np.column_stack([rng.uniform(0, 60, rows), dec]), "%.8f", ",")
    return text.getvalue().encode()


def _figures(url: str, rows: int) -> None:
    rng, suffix = np.random.default_rng(11), f"_{rows // 1_000_000}M"
    places = list(zip(rng.uniform(1, 59, 100).tolist(), rng.uniform(-45, 1, 100).tolist(), strict=True))
    session, mine = requests.Session(), _upload(1000)

    def tap(query: str, **more: object) -> requests.Response:
        given = {"LANG": "ADQL", "QUERY": query}
        return session.post(f"{url}tap/sync", {**given, **more.pop("data", {})}, **more)  # type: ignore[arg-type, dict-item]

    def cone(n: int) -> requests.Response:
        ra, dec = places[n]
        return tap(f"SELECT * FROM {_TABLE} WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.1))")

    def scs(n: int) -> requests.Response:
        ra, dec = places[n]
        return session.get(f"{url}scs/{_TABLE}?RA={ra}&DEC={dec}&SR=0.1&VERB=3")

    def count(n: int) -> requests.Response:
        return tap(f"SELECT COUNT(*) AS n FROM {_TABLE} WHERE mag_g < {20 + n / 100} AND mag_r > 21")

    def match(_: int) -> requests.Response:
        query = (
            f"SELECT t.id FROM TAP_UPLOAD.u AS u JOIN {_TABLE} AS t "
            "ON 1 = CONTAINS(POINT(t.ra, t.dec), CIRCLE(u.ra, u.dec, 30.0 / 3600))"
        )
        return tap(query, data={"UPLOAD": "u,param:u"}, files={"u": mine})

    asked: dict[str, Callable[[int], requests.Response]] = {
        "top_100": lambda _: tap(f"SELECT TOP 100 * FROM {_TABLE}"),
        "cone": cone, "scs": scs, "count": count, "match_1000": match,
    }  # fmt: skip
    for name, ask in asked.items():
        emit(f"tap.{name}{suffix}", _median(ask), "ms", rows, peer=_PEERS[name])


def main() -> None:
    """Serve a synthetic release by a process of its own, and ask."""
    rows = int(os.environ.get("DESDM_BENCH_ROWS", "1000000"))
    with workplace() as folder:
        release(folder / "home", rows).close()
        program = [sys.executable, "-c", "from desdm.cli.main import main; main()"]
        server = subprocess.Popen(
            [*program, "--home", str(folder / "home"), "serve", "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            ready = next(line for line in server.stdout if " at http" in line)
            _figures(ready.rpartition(" at ")[2].strip(), rows)
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
