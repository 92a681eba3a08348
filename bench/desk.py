"""Pages of the desk at 10,000 and 100,000 attempts: time, requests and bytes.

One line of JSON a page: ``ms`` is the 95th percentile of first answers of servers that have just started, ``warm_ms`` of
further ones, ``cpu_ms`` what one of these costs the server, ``ratio`` that at the larger size over that at the smaller;
requests and bytes are those of a real browser (without the stream of events, which opens later).
A line ``desk.queue`` has the CPU milliseconds of the queue's looks at what has arrived: its first one, and a further one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import requests

from common import workplace
from desdm.accounts import people, tokens
from desdm.facility import Facility
from desdm.operations.queue.watermark import Watermark
from desdm.schema.states import Role
from tests.support.deskdata import DeskData, make_desk

#: Attempts; `DESK_SIZES=2000,20000` for a shorter bench.
SIZES = [int(size) for size in os.environ.get("DESK_SIZES", "10000,100000").split(",")]
_STARTS, _WARM = 3, 5
_LOOKS = 20


def pages(made: DeskData) -> list[str]:
    """Return the addresses that are timed: each page first, then its filters."""
    unit = made.large.rpartition("_r")[0]
    return [
        "/ops",
        "/ops?nite=20130820",
        "/ops/arrival",
        f"/ops/arrival?nite={made.nite}",
        "/ops/arrival?state=quarantined",
        "/ops/queue",
        f"/ops/queue?nite={made.nite}",
        "/ops/queue?state=done",
        "/ops/queue?state=gave_up",
        f"/ops/queue?unit={unit}",
        "/ops/runs",
        "/ops/runs?nite=20130820",
        "/ops/runs?state=failed",
        "/ops/runs?pipeline=precal",
        f"/ops/runs?unit={unit}",
        f"/ops/run/{made.large}",
        f"/ops/run/{made.failed}",
        f"/ops/run/{made.large}/compare?with={made.failed}",
        "/ops/log",
        "/ops/log?nite=20130820",
        "/ops/log?words=clouds",
        "/ops/log?kind=entry",
        f"/ops/log?subject={unit}",
        "/ops/log/feed.xml",
        "/qa/review",
        "/qa/problems",
        "/qa/problem/1",
        "/qa/dispatch",
        "/qa/exposure/226100",
        "/survey",
    ]


def _account(home: Path) -> tuple[str, str]:
    """Add an administrator, and return a token and a password."""
    facility = Facility.open(home)
    login, password = f"bench{int(time.time())}", os.urandom(12).hex()
    with facility.database.write() as conn:
        person = people.add(conn, login, Role.ADMIN, who="bench")
        people.set_password(conn, login, password, who="bench")
        token: str = tokens.make(conn, person)
    facility.close()
    return token, f"{login} {password}"


@contextmanager
def _served(home: Path) -> Iterator[tuple[str, int]]:
    """Serve an installation: its address, and the number of the process."""
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(home), "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        url = ""
        while not url:
            line = server.stdout.readline()
            if not line:
                raise SystemExit("desdm serve did not come up")
            url = next((word.rstrip("/") for word in line.split() if word.startswith("http://")), "")
        time.sleep(1.0)  # what a server reads at its start is not what is measured
        yield url, server.pid
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def _get(url: str, token: str) -> tuple[float, int, int]:
    """Return milliseconds, status and bytes of one request."""
    begin = time.perf_counter()
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    return (time.perf_counter() - begin) * 1000, answer.status_code, len(answer.content)


def _cpu(process: int) -> float:
    """Return the milliseconds of CPU of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _percentile(values: list[float]) -> float:
    """Return the 95th percentile: of few values the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def _in_browser(url: str, account: str, paths: list[str]) -> dict[str, tuple[int, int]]:
    """Return requests and bytes of the load of each page in a browser that has nothing cached."""
    from playwright.sync_api import sync_playwright

    loads: dict[str, tuple[int, int]] = {}
    with sync_playwright() as played:
        chromium = played.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = chromium.new_context()
        tab = context.new_page()
        tab.goto(f"{url}/login")
        login, _, password = account.partition(" ")
        tab.fill("[name=login]", login)
        tab.fill("[name=password]", password)
        tab.click("main button")
        tab.wait_for_load_state()
        state = context.storage_state()
        for path in paths:
            if path.endswith(".xml"):
                continue
            fresh = chromium.new_context(storage_state=state)
            one = fresh.new_page()
            seen: list[object] = []
            sizes: list[int] = []
            one.on("request", lambda r, seen=seen: seen.append(r))
            one.on("requestfinished", lambda r, sizes=sizes: sizes.append(r.sizes()["responseBodySize"]))
            one.goto(url + path, wait_until="load")
            one.wait_for_timeout(200)
            loads[path] = len(seen), sum(sizes)
            fresh.close()
        chromium.close()
    return loads


def main() -> None:
    """Make the records, time the pages, and print a line each."""
    costs: dict[str, list[float]] = {}
    lines: dict[str, dict[str, object]] = {}
    looks: list[tuple[float, float]] = []
    # What an earlier bench made is used again: the larger record takes minutes.
    base = Path(os.environ["DESK_KEEP"]) if "DESK_KEEP" in os.environ else workplace()
    for size in SIZES:
        home = base / f"desk{size}"
        made = _made(home, size)
        token, password = _account(home)
        looks.append(_queue_looks(home))
        first: dict[str, list[float]] = {}
        warm: dict[str, list[float]] = {}
        spent: dict[str, list[float]] = {}
        loads: dict[str, tuple[int, int]] = {}
        paths = pages(made)
        for start in range(_STARTS):
            with _served(home) as (url, process):
                for path in list(paths):
                    taken, status, _ = _get(url + path, token)
                    if status == 404:
                        paths.remove(path)
                        continue
                    assert status == 200, (path, status)
                    first.setdefault(path, []).append(taken)
                for path in paths:
                    before = _cpu(process)
                    warm.setdefault(path, []).extend(_get(url + path, token)[0] for _ in range(_WARM))
                    spent.setdefault(path, []).append((_cpu(process) - before) / _WARM)
                if start == _STARTS - 1 and size == SIZES[-1]:
                    loads = _in_browser(url, password, paths)
        for path in paths:
            name = path.replace(made.large, "RUN").replace(made.failed, "RUN").replace(made.nite, "NITE")
            name = name.replace(made.large.rpartition("_r")[0], "UNIT")
            cost = statistics.median(spent[path])
            costs.setdefault(name, []).append(cost)
            count, total = loads.get(path, (None, None))
            lines[name] = {
                "ms": round(_percentile(first[path]), 1),
                "warm_ms": round(_percentile(warm[path]), 1),
                "cpu_ms": round(cost, 1),
                "requests": count,
                "bytes": total,
            }
    for name, line in lines.items():
        values = costs[name]
        ratio = round(values[-1] / values[0], 2) if len(values) > 1 and values[0] else None
        row = {"bench": f"desk.{name}", "n": SIZES[-1], **line, "ratio": ratio}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
    row = {
        "bench": "desk.queue",
        "n": SIZES[-1],
        "first_cpu_ms": round(looks[-1][0], 2),
        "cpu_ms": round(looks[-1][1], 2),
        "ratio": round(looks[-1][1] / looks[0][1], 2),
    }
    sys.stdout.write(json.dumps(row) + "\n")


def _queue_looks(home: Path) -> tuple[float, float]:
    """Return the milliseconds of CPU of the queue's first look at what has arrived, and of a further one."""
    facility, watermark, spent = Facility.open(home), Watermark(), []
    for count in (1, _LOOKS):
        begin = time.process_time()
        for _ in range(count):
            with facility.database.read() as conn:
                look = watermark.look(conn, facility.config.campaign, time.monotonic())
            watermark.keep(look)
        spent.append((time.process_time() - begin) * 1000 / count)
    facility.close()
    return spent[0], spent[1]


def _made(home: Path, size: int) -> DeskData:
    """Make the record of a size, or return what an earlier bench made and kept."""
    note = home / "bench.json"
    if not note.exists():
        made = make_desk(home, size)
        note.write_text(json.dumps(asdict(made)))
    return DeskData(**json.loads(note.read_text()))


if __name__ == "__main__":
    main()
